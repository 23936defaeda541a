//! What becomes of a connection when a request is answered before its body was read.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::program::{PATIENCE, Program};

/// How long the body comes after its head: long enough that the answer could be on its way.
const HESITATION: Duration = Duration::from_millis(100);

/// A request to a session that does not exist: nobody looks at its body.
fn head(length: usize, header: &str) -> String {
    format!("PATCH /session/none HTTP/1.1\r\nHost: tessera\r\nContent-Length: {length}\r\n{header}\r\n")
}

struct Line(TcpStream);

impl Line {
    fn open(program: &Program) -> Self {
        let stream = TcpStream::connect(&program.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// An answer's head, in lower case. Its body is read, too.
    fn answer(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        self.0.read_exact(&mut vec![0; length]).unwrap();
        head
    }
}

#[test]
fn a_body_that_nobody_wants_costs_no_connection() {
    let program = Program::start(&[]);
    let mut line = Line::open(&program);
    for _ in 0..3 {
        line.write(head(1000, "").as_bytes());
        std::thread::park_timeout(HESITATION);
        line.write(&[b'x'; 1000]);
        let answer = line.answer();
        assert!(answer.starts_with("http/1.1 404"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[test]
fn who_has_too_much_to_say_is_told_that_the_connection_ends() {
    let program = Program::start(&[]);
    let mut line = Line::open(&program);
    line.write(head(1 << 30, "").as_bytes());
    line.write(&vec![b'x'; (1 << 20) + 1]);
    let answer = line.answer();
    assert!(answer.starts_with("http/1.1 404") && answer.contains("connection: close"), "{answer}");
}

#[test]
fn who_asks_before_the_body_is_refused_without_it() {
    let program = Program::start(&[]);
    let mut line = Line::open(&program);
    line.write(head(1000, "Expect: 100-continue\r\n").as_bytes());
    let answer = line.answer();
    assert!(answer.starts_with("http/1.1 404") && answer.contains("connection: close"), "{answer}");
}

#[test]
fn who_never_reads_loses_its_place() {
    let program = Program::start(&[]);
    let mut line = Line::open(&program).0;
    line.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let request = b"GET /assets/vendor/adapter.js HTTP/1.1\r\nHost: tessera\r\n\r\n";
    let deadline = Instant::now() + 3 * PATIENCE;
    let mut at = 0;
    // The server stops to read when its answers are not taken; only when it has given up there is an error.
    let error = loop {
        match line.write(&request[at..]) {
            Ok(written) => at = (at + written) % request.len(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => break error,
        }
        assert!(Instant::now() < deadline, "the connection is still open");
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert_eq!(program.get("/healthz").status, 200);
}
