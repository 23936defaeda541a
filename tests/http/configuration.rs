//! A configuration that cannot be used ends the program at once, and the message names the key.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::program::tessera;

#[track_caller]
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = tessera(arguments).envs(environment.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    for cause in told.lines().filter_map(|line| line.strip_prefix("  because: ")) {
        assert_eq!(told.matches(cause).count(), 1, "it is said twice:\n{told}");
    }
    told
}

#[test]
fn mistakes_are_named() {
    let serve = |setting: &str| refused(&["serve", "--set", setting], &[]);
    assert!(serve("video.colour=red").contains("there is no key video.colour"));
    assert!(serve("video.width=1279").contains("video.width: is 1279, which is odd"));
    assert!(serve("ice.turn=turn:turn.example.net").contains("ice.turn_secret: is missing"));
    assert!(refused(&["serve"], &[("TESSERA_VIDEO_COLOUR", "red")]).contains("TESSERA_VIDEO_COLOUR"));
    assert!(refused(&["serve", "--listen", "nowhere"], &[]).contains("server.listen"));
    assert!(refused(&["serve", "--config", "/nonexistent.toml"], &[]).contains("/nonexistent.toml cannot be read"));
    assert!(refused(&["serve"], &[("TESSERA_CONFIG", "/nonexistent.toml")]).contains("cannot be read"));
    assert!(serve("server.log=a=b=c").contains("server.log"));
}

/// Where the server listens with these arguments and variables, as it says itself.
fn listens(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut server = tessera(arguments).envs(environment.iter().copied()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split_once("listening on http://")?.1.to_owned()));
    server.kill().unwrap();
    server.wait().unwrap();
    address.expect("the server says where it listens")
}

#[test]
fn the_command_line_goes_before_the_short_variable() {
    let listen = ("TESSERA_LISTEN", "127.0.0.2:0");
    assert!(listens(&["serve"], &[listen]).starts_with("127.0.0.2:"));
    assert!(listens(&["serve", "--set", "server.listen=127.0.0.3:0"], &[listen]).starts_with("127.0.0.3:"));
    assert!(listens(&["serve", "--listen", "127.0.0.3:0"], &[listen]).starts_with("127.0.0.3:"));
    assert!(refused(&["serve"], &[("TESSERA_LISTEN", "nowhere")]).contains("TESSERA_LISTEN: server.listen: "));
}

#[test]
fn one_file_serves_the_server_and_the_bots() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bots.toml");
    // A port of this machine that nobody listens on.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("[server]\nlog = \"error\"\n[bots]\nserver = \"http://{nobody}\"\ncount = 1\n");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let told = refused(&["bots", "--config", file], &[]);
    assert!(told.starts_with("tessera: no bot got in"), "{told}");
    let told = refused(&["bots"], &[("TESSERA_CONFIG", file), ("TESSERA_SERVER_LOG", "warn")]);
    assert!(told.contains("did not get in"), "{told}");
    assert!(refused(&["bots", "--size", "9x9"], &[]).contains("bots.size: is 9, not within"));
    for command in ["bots", "serve"] {
        assert!(refused(&[command], &[("TESSERA_BOTS_COLOUR", "1")]).contains("no key TESSERA_BOTS_COLOUR"));
        assert!(refused(&[command, "--set", "bots.colour=1"], &[]).contains("no key bots.colour"));
    }
    assert!(
        listens(&["serve", "--listen", "127.0.0.1:0", "--set", "server.log=info", "--config", file], &[]).len() > 10
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(refused(&["serve", "--listen", &address], &[]).contains(&format!("cannot listen on {address}")));
}
