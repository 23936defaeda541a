//! WHIP and WHEP endpoints (RFC 9725): discovery, cross-origin access, and what is refused before any media.

use crate::OFFER;
use crate::program::Program;

#[test]
fn options_say_what_a_browser_may_do() {
    let program = Program::start(&[
        "ice.turn=turn:turn.example.net:3478",
        "ice.turn_secret=north",
        "ice.stun=stun:stun.example.net",
    ]);
    let preflight = [
        ("origin", "https://player.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    for (path, accept, value) in [
        ("/whip/demo", "accept-post", "application/sdp"),
        ("/whep/demo", "accept-post", "application/sdp"),
        ("/session/0123", "accept-patch", "application/trickle-ice-sdpfrag"),
    ] {
        for headers in [&preflight[..], &[]] {
            let answer = program.ask("OPTIONS", path, headers, b"");
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header(accept), Some(value));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let allowed = answer.header("access-control-allow-headers").unwrap().to_lowercase();
            assert!(["authorization", "content-type", "if-match"].iter().all(|name| allowed.contains(name)));
            // A preflight must not cost TURN credentials.
            assert_eq!(answer.header("link"), None);
        }
    }
    let methods = |path| {
        let answer = program.ask("OPTIONS", path, &preflight, b"");
        answer.header("access-control-allow-methods").unwrap().to_owned()
    };
    assert!(methods("/whip/demo").contains("POST"));
    assert!(methods("/session/0123").contains("PATCH") && methods("/session/0123").contains("DELETE"));
}

#[test]
fn endpoints_can_be_looked_at() {
    let program = Program::start(&[]);
    for (method, path) in [("GET", "/whip/demo"), ("GET", "/whep/demo"), ("HEAD", "/whip/demo")] {
        let answer = program.ask(method, path, &[], b"");
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{method} {path}");
    }
    let head = program.ask("HEAD", "/whep/demo", &[], b"");
    assert_eq!((head.status.as_u16(), head.header("content-type")), (200, Some("application/sdp")));
    let answer = program.ask("DELETE", "/whip/demo", &[], b"");
    answer.is_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
}

#[test]
fn a_body_that_is_no_offer_is_refused() {
    let program = Program::start(&["limits.sdp_bytes=4096"]);
    for path in ["/whip/demo", "/whep/demo"] {
        let typed = |media_type: &str| program.ask("POST", path, &[("content-type", media_type)], b"hello");
        let answer = typed("text/plain");
        answer.is_problem(415, "unsupported-media-type");
        assert_eq!(answer.header("accept-post"), Some("application/sdp"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        program.ask("POST", path, &[], b"").is_problem(415, "unsupported-media-type");
        typed("application/sdpx").is_problem(415, "unsupported-media-type");
        program.post_sdp(path, &"x".repeat(4097)).is_problem(413, "too-large");
        let bytes = program.ask("POST", path, &[("content-type", "application/sdp")], &[0xff; 20]);
        bytes.is_problem(400, "malformed-sdp");
    }
    // The media type may have parameters and any case.
    let odd = [("content-type", "Application/SDP ; charset=utf-8")];
    program.ask("POST", "/whip/demo", &odd, b"hello").is_problem(400, "malformed-sdp");
    program.post_sdp("/whip/a%20b", OFFER).is_problem(400, "invalid-room-name");
}

#[test]
fn a_body_without_length_is_bounded_too() {
    use std::io::{Read, Write};
    let program = Program::start(&["limits.sdp_bytes=1024"]);
    let mut line = std::net::TcpStream::connect(&program.address).unwrap();
    line.set_read_timeout(Some(crate::program::PATIENCE)).unwrap();
    let head =
        "POST /whip/demo HTTP/1.1\r\nhost: x\r\ncontent-type: application/sdp\r\ntransfer-encoding: chunked\r\n\r\n";
    line.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        line.write_all(format!("200\r\n{}\r\n", "x".repeat(0x200)).as_bytes()).unwrap();
    }
    let mut answer = [0; 12];
    line.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn a_viewer_of_nothing_is_told_to_come_back() {
    let program = Program::start(&[]);
    let answer = program.post_sdp("/whep/empty", &OFFER.replace("sendonly", "recvonly"));
    answer.is_problem(409, "nothing-live");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(answer.header("access-control-expose-headers").unwrap().contains("Retry-After"));
}

#[test]
fn joins_are_limited() {
    let program = Program::start(&["limits.joins_per_second=2"]);
    let answers: Vec<_> = (0..20).map(|_| program.post_sdp("/whip/demo", "hello")).collect();
    let limited: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers[0].status == 400 && answers[1].status == 400, "a burst passes");
    assert!(!limited.is_empty(), "twenty at once do not");
    limited[0].is_problem(429, "rate-limited");
    assert_eq!(limited[0].header("retry-after"), Some("1"));
    let metrics = program.get("/metrics");
    assert!(
        metrics
            .text()
            .contains(&format!("tessera_joins_total{{kind=\"whip\",result=\"rate-limited\"}} {}", limited.len()))
    );
}
