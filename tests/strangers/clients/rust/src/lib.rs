//! What the strangers in Rust are told on their command line, and the RTP that they are given and give.

use std::collections::HashMap;
use std::io::Read;
use std::net::UdpSocket;
use std::sync::Arc;

/// More than a datagram of these tests holds.
const DATAGRAM: usize = 2_000;

/// What the command line says.
pub struct Told {
    /// `join`, `publish` or `watch`.
    pub call: String,
    pub url: String,
    pub audio: u16,
    pub video: u16,
    /// Who begins the DTLS handshake, as a line of SDP.
    pub setup: Option<String>,
}

impl Told {
    pub fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let pairs = words.chunks_exact(2);
        let mut told: HashMap<String, String> =
            pairs.map(|pair| (pair[0].trim_start_matches('-').to_owned(), pair[1].clone())).collect();
        let setup = told.remove("setup");
        let mut value = |name| told.remove(name).unwrap_or_else(|| panic!("--{name} is missing"));
        let port = |text: String| text.parse().expect("a port is a number");
        let (audio, video) = (port(value("audio")), port(value("video")));
        Self { call: value("call"), url: value("url"), audio, video, setup }
    }

    pub fn sends(&self) -> bool {
        self.call != "watch"
    }

    pub fn receives(&self) -> bool {
        self.call != "publish"
    }
}

/// A medium's wire to the test.
#[derive(Clone)]
pub struct Wire {
    socket: Arc<UdpSocket>,
}

impl Wire {
    /// `take` gets what is to be sent, on a thread of its own.
    pub fn new(port: u16, take: impl Fn(&[u8]) + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.connect(("127.0.0.1", port)).expect("loopback is there");
        socket.send(&[]).expect("the test listens, and knows from this where this is");
        let wire = Self { socket: Arc::new(socket) };
        let socket = wire.socket.clone();
        std::thread::spawn(move || {
            let mut datagram = [0; DATAGRAM];
            while let Ok(length) = socket.recv(&mut datagram) {
                take(&datagram[..length]);
            }
        });
        wire
    }

    /// Hands on what was received.
    pub fn give(&self, packet: &[u8]) {
        let _ = self.socket.send(packet);
    }
}

/// Until whoever started this has enough of it.
pub fn enough() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
