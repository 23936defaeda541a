//! `tessera bots` whose server goes away: they wait for it without a word each second, come back with it, and end where it
//! will not have them any more.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::eventually::eventually;
use crate::program::{PATIENCE, Program, tessera};

struct Bots(Child);

impl Drop for Bots {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn are_in(server: &Program) {
    eventually(PATIENCE * 3, "both bots are in", || {
        let room = server.get("/api/rooms/studio").json();
        let tiles = room["participants"].as_array()?.iter().filter(|one| one["tile"].is_object()).count();
        (tiles == 2).then_some(())
    });
}

#[test]
fn bots_come_back_with_their_server_and_end_where_they_are_refused() {
    let server = Program::start(&[]);
    let address = server.address.clone();
    let url = format!("http://{address}");
    let small = ["--size", "320x180", "--fps", "10", "--decode", "0"];
    let mut command = tessera(&["bots", "--server", &url, "--room", "studio", "--count", "2"]);
    let mut bots = Bots(command.args(small).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(bots.0.stderr.take().unwrap()).lines();
    let log = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    are_in(&server);

    // Killed: nobody is told.
    drop(server);
    let mut server = Program::start_at(&address, &[]);
    are_in(&server);

    server.signal("TERM");
    server.ended();
    let _server = Program::start_at(&address, &["server.token=other"]);
    let status = eventually(PATIENCE * 3, "the bots end", || bots.0.try_wait().unwrap());
    assert!(!status.success(), "{status}");
    let log = log.join().unwrap();
    let warnings = log.iter().filter(|line| line.contains("WARN")).count();
    assert!(warnings <= 16, "{warnings} warnings:\n{}", log.join("\n"));
    assert!(log.iter().any(|line| line.contains("401")), "why they end:\n{}", log.join("\n"));
}
