//! For which host a request is (RFC 9112, section 3.2), on every path, and what `server.origins` makes of it.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::program::{PATIENCE, Program};

const PATHS: [&str; 10] = [
    "/",
    "/r/demo",
    "/assets/base.css",
    "/whip/demo",
    "/whep/demo",
    "/session/0",
    "/ws/demo",
    "/api/rooms",
    "/healthz",
    "/nothing/here",
];

/// What is answered to these lines, in lower case.
fn answer(program: &Program, lines: &str) -> String {
    let mut line = TcpStream::connect(&program.address).unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    line.write_all(format!("{lines}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[track_caller]
fn is_problem(answer: &str, status: u16, name: &str) {
    let right = answer.starts_with(&format!("http/1.1 {status}")) || answer.starts_with(&format!("http/1.0 {status}"));
    assert!(right && answer.contains(&format!("urn:tessera:problem:{name}")), "{answer}");
}

#[test]
fn a_request_says_its_host_once_and_well() {
    let program = Program::start(&[]);
    let ask = |head: &str| answer(&program, head);
    for path in PATHS {
        let right = ask(&format!("GET {path} HTTP/1.1\r\nHost: tessera\r\n"));
        assert!(!right.contains("invalid-host"), "{path}: {right}");
        for hosts in ["", "Host: tessera\r\nHost: tessera\r\n", "Host: a b\r\n", "Host: a@b\r\n", "Host:\r\n"] {
            is_problem(&ask(&format!("GET {path} HTTP/1.1\r\n{hosts}")), 400, "invalid-host");
        }
        let whole = format!("GET http://tessera{path} HTTP/1.1\r\n");
        is_problem(&ask(&whole), 400, "invalid-host");
        is_problem(&ask(&format!("{whole}Host: a b\r\n")), 400, "invalid-host");
        assert!(!ask(&format!("{whole}Host: tessera\r\n")).contains("invalid-host"));
        // Only HTTP/1.1 made it a duty.
        assert!(!ask(&format!("GET {path} HTTP/1.0\r\n")).contains("invalid-host"));
        is_problem(&ask(&format!("GET {path} HTTP/1.0\r\nHost: a\r\nHost: a\r\n")), 400, "invalid-host");
    }
    is_problem(&ask("OPTIONS * HTTP/1.1\r\n"), 400, "invalid-host");
    is_problem(&ask("POST /whip/demo HTTP/1.1\r\nContent-Length: 2\r\n"), 400, "invalid-host");
    let page = ask("GET /whep/demo HTTP/1.1\r\nOrigin: https://player.example\r\n");
    assert!(page.contains("access-control-allow-origin: *"), "{page}");
}

#[test]
fn origins_are_the_names_of_the_server() {
    let program = Program::start(&["server.origins=https://meet.example.org"]);
    let status = |path: &str, host: &str| {
        let answer = program.ask("GET", path, &[("host", host)], b"");
        if answer.status == 421 {
            answer.is_problem(421, "misdirected");
        }
        answer.status.as_u16()
    };
    for path in PATHS {
        let at_home = program.get(path).status.as_u16();
        for own in ["meet.example.org", "Meet.Example.org:443", "127.0.0.1:8080", "[::1]:8080", "localhost"] {
            assert_eq!(status(path, own), at_home, "{path} at {own}");
        }
        for foreign in ["evil.example", "meet.example.org.evil.example", "example.org"] {
            assert_eq!(status(path, foreign), 421, "{path} at {foreign}");
        }
        is_problem(
            &answer(&program, &format!("GET http://evil.example{path} HTTP/1.1\r\nHost: meet.example.org\r\n")),
            421,
            "misdirected",
        );
    }
}

#[test]
fn without_origins_a_proxy_may_pass_on_any_name() {
    let program = Program::start(&[]);
    for path in PATHS {
        let at_home = program.get(path).status;
        assert_eq!(program.ask("GET", path, &[("host", "meet.example.org")], b"").status, at_home, "{path}");
    }
}

#[test]
fn a_name_of_a_site_that_points_here_opens_no_socket() {
    let program = Program::start(&["server.origins=https://meet.example.org"]);
    let handshake = |host: &str| {
        let lines = format!(
            "GET /ws/demo HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\n\r\n"
        );
        let mut line = TcpStream::connect(&program.address).unwrap();
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        line.write_all(lines.as_bytes()).unwrap();
        let mut status = [0; 12];
        line.read_exact(&mut status).unwrap();
        status
    };
    assert_eq!(&handshake("evil.example"), b"HTTP/1.1 421");
    assert_eq!(&handshake("meet.example.org"), b"HTTP/1.1 101");
}

#[test]
fn an_open_server_says_so() {
    let warned = |address: &str, settings: &[&str]| {
        let mut program = Program::start_at(address, settings);
        program.signal("TERM");
        program.ended();
        program.log().contains("server.token is not set")
    };
    assert!(warned("0.0.0.0:0", &[]));
    assert!(!warned("0.0.0.0:0", &["server.token=north"]));
    assert!(!warned("127.0.0.1:0", &[]));
}
