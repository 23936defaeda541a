//! How the program begins and ends.

use std::time::{Duration, Instant};

use crate::OFFER;
use crate::program::Program;

/// How long the threads of this name have computed, all together. Not how long they took: that is the machine's load.
fn computed(program: &Program, name: &str) -> Option<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap();
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let thread = thread.ok()?.path();
        let is_named = std::fs::read_to_string(thread.join("comm")).ok()?.trim() == name;
        let statistics = is_named.then(|| std::fs::read_to_string(thread.join("schedstat")).ok())??;
        Some(Duration::from_nanos(statistics.split(' ').next()?.parse().ok()?))
    };
    threads.filter_map(of_thread).reduce(|sum, one| sum + one)
}

#[test]
fn the_first_peer_does_not_wait_for_the_making_of_a_key() {
    // Two milliseconds without it; an RSA key is 50 at the very least.
    const MOST: Duration = Duration::from_millis(20);
    let program = Program::start(&[]);
    assert_eq!(program.post_sdp("/whip/demo", OFFER).status, 201);
    let negotiation = computed(&program, "webrtc:pc").expect("the peer's negotiation has a thread");
    assert!(negotiation < MOST, "the first peer's negotiation took {negotiation:?} of computing");
}

#[test]
fn both_signals_end_it_in_time_and_well() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&[]);
        assert_eq!(program.post_sdp("/whip/demo", OFFER).status, 201);
        let asked = Instant::now();
        program.signal(signal);
        assert_eq!(program.ended().code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(5), "{signal} took {:?}", asked.elapsed());
        assert!(program.log().contains("stopped"));
    }
}

#[test]
fn an_open_connection_does_not_hold_it() {
    let mut program = Program::start(&[]);
    // A request that never comes to its end.
    let mut line = std::net::TcpStream::connect(&program.address).unwrap();
    std::io::Write::write_all(
        &mut line,
        b"POST /whip/demo HTTP/1.1\r\nhost: x\r\ncontent-type: application/sdp\r\ncontent-length: 9\r\n\r\nv=0",
    )
    .unwrap();
    assert_eq!(program.get("/healthz").status, 200);
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(program.ended().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
}

#[test]
fn logs_can_be_json() {
    let mut program = Program::start(&["server.log_format=json", "server.log=tessera=trace"]);
    program.post_sdp("/whip/demo", "hello");
    assert_eq!(program.post_sdp("/whip/demo?name=Ada", OFFER).status, 201);
    let paths = ["/api/rooms/demo", "/api/rooms/demo/snapshot.jpg", "/r/demo", "/watch/demo", "/ws/demo"];
    for path in paths {
        program.get(path);
    }
    program.signal("TERM");
    program.ended();
    let log = program.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (line, value) in log.lines().zip(&lines) {
        // A key that is there twice is read once.
        assert_eq!(value.to_string().len(), line.len(), "{line}");
    }
    for path in paths {
        let request = lines.iter().find(|line| line["path"] == path).expect("each request is logged");
        assert_eq!(request["span"]["room"], "demo", "{request}");
    }
    let request = lines.iter().find(|line| line["message"] == "request").expect("requests are logged");
    assert_eq!((request["path"].as_str(), request["status"].as_u64()), (Some("/whip/demo"), Some(400)));
    assert_eq!(request["span"]["room"], "demo");
    assert!(request["ms"].is_u64() && request["method"] == "POST");
}
