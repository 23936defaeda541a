//! What becomes of connections: when a request is answered before its body was read, when nothing whole ever comes, when
//! there are thousands of those.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::OFFER;
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

/// How long the head of a request may take, as the server has it.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);

/// HTTP/2's preface (RFC 9113, section 3.4), and the settings after it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// What connections begin with that never send a whole request.
const BEGINNINGS: [&[u8]; 5] = [
    b"",
    b"P",
    b"GET /healthz HTTP/1.1\r\nHost: tessera\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: tessera\r\nX: ",
    b"POST /whip/demo HTTP/1.1\r\nHost: tessera\r\nContent-Type: application/sdp\r\nContent-Length: 999\r\n\r\nv=0",
];

/// A connection from one of the machine's own addresses, 127.0.0.`from`.
fn connect_from(program: &Program, from: u8) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)).into())?;
    let server: SocketAddr = program.address.parse().unwrap();
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}

/// Whether the other end has closed, by now.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 1024];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn whoever_says_nothing_whole_is_closed_in_time() {
    let program = Program::start(&[]);
    let opened = Instant::now();
    let open = |beginning: &[u8]| {
        let mut stream = connect_from(&program, 1).unwrap();
        stream.write_all(beginning).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut streams: Vec<TcpStream> = BEGINNINGS.iter().map(|beginning| open(beginning)).collect();
    let mut other = open(PREFACE);
    crate::eventually::eventually(Duration::from_secs(3), "HTTP/2 is closed at once", || {
        is_closed(&mut other).then_some(())
    });
    // One that answers with nothing but its next byte, and one that was answered and says no more.
    let mut slow = open(b"GET /healthz HTTP/1.1\r\nX: ");
    let mut idle = open(b"GET /healthz HTTP/1.1\r\nHost: tessera\r\n\r\n");
    let deadline = HEADER_DEADLINE + Duration::from_secs(5);
    let mut next = Instant::now();
    crate::eventually::eventually(deadline, "all are closed", || {
        if Instant::now() >= next {
            next += Duration::from_secs(1);
            // It fails once the server has closed.
            let _ = slow.write_all(b"x");
        }
        streams.retain_mut(|stream| !is_closed(stream));
        (streams.is_empty() && is_closed(&mut slow) && is_closed(&mut idle)).then_some(())
    });
    assert!(opened.elapsed() > HEADER_DEADLINE / 2, "everybody has some time: {:?}", opened.elapsed());
}

#[test]
fn thousands_who_say_nothing_keep_nobody_out() {
    const THOUSANDS: usize = 4_200;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, {
        let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        rustix::process::Rlimit { current: maximum, maximum }
    })
    .unwrap();
    for (connections, attackers) in [(10_000, 5), (200, 1), (200, 5)] {
        let program = Program::start(&[&format!("limits.connections={connections}")]);
        let mut streams = Vec::new();
        for number in 0..THOUSANDS {
            // The last of them from the address that everybody else here comes from, too.
            let from = u8::try_from(number % attackers).unwrap() + 2;
            let mut stream = connect_from(&program, if from == 6 { 1 } else { from }).unwrap();
            // The server may have closed it already.
            let _ = stream.write_all(BEGINNINGS[number / attackers % BEGINNINGS.len()]);
            streams.push(stream);
            if number % 500 == 499 {
                for probe in ["/healthz", "/readyz"] {
                    let asked = Instant::now();
                    let answer = answer_to(&program, probe);
                    assert!(answer.starts_with("HTTP/1.1 200"), "{connections}, {number}: {answer}");
                    assert!(asked.elapsed() < Duration::from_secs(1), "{probe} took {:?}", asked.elapsed());
                }
            }
        }
        let joined = program.post_sdp("/whip/demo", OFFER);
        assert_eq!(joined.status, 201, "{joined:?}");
        assert_eq!(program.get("/api/rooms").status, 200);
        drop(streams);
    }
}

/// A request on a connection of its own, as a probe makes it.
fn answer_to(program: &Program, path: &str) -> String {
    let mut line = Line::open(program).0;
    line.write_all(format!("GET {path} HTTP/1.1\r\nHost: tessera\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).unwrap();
    answer
}
