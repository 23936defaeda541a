//! A stranger that runs: a process of its own, told what to do by its command line, which leaves when its input ends.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tessera::probe::{palette, tone};

use super::lens::{Lens, Shown};
use super::player::Player;
use crate::program::PATIENCE;
use crate::server::Server;

/// Where `scripts/strangers.sh` puts what is not in the source tree.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/strangers");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/strangers");

/// How often a thread that waits for datagrams looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// More than a datagram holds.
const DATAGRAM: usize = 1 << 16;

/// What a stranger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Join,
    Publish,
    Watch,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Join => "join",
            Self::Publish => "publish",
            Self::Watch => "watch",
        })
    }
}

/// Whether it encodes and decodes by itself, or wants RTP for it and gives RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Own,
    Rtp,
}

/// How a stranger is started.
#[derive(Debug)]
pub struct Kit {
    pub name: &'static str,
    pub media: Media,
    /// A program and its script: in the folder of what is installed, among the sources, or of the system.
    pub command: &'static [&'static str],
}

/// A stranger in a call. Dropping it ends it at once.
#[derive(Debug)]
pub struct Stranger {
    child: Child,
    lens: Arc<Lens>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _player: Option<Player>,
    what: String,
}

impl Stranger {
    /// Starts it, with the colour, the tone and the name of the bot of this index, and what else it is to be told.
    #[track_caller]
    pub fn start(kit: &Kit, call: Call, server: &Server, index: usize, options: &[&str]) -> Self {
        let lens = Arc::new(Lens::new(kit.media));
        let ended = Arc::<AtomicBool>::default();
        let audio = Wire::new();
        let video = Wire::new();
        let (hears, sees) = (lens.clone(), lens.clone());
        let threads = vec![
            audio.listen(ended.clone(), move |datagram| hears.audio(datagram)),
            video.listen(ended.clone(), move |datagram| sees.video(datagram)),
        ];
        let palette::Colour { y, u, v } = palette::colour(index);
        let path = if call == Call::Watch { "whep" } else { "whip" };
        let name = if call == Call::Watch { String::new() } else { format!("?name={}%20{}", kit.name, index + 1) };
        let mut command = Command::new(found(kit.command[0]));
        command
            .args(kit.command[1..].iter().map(|argument| found(argument)))
            .args(["--call", &call.to_string()])
            .args(["--url", &format!("http://{}/{path}/studio{name}", server.program.address)])
            .args(["--audio", &audio.port().to_string(), "--video", &video.port().to_string()])
            .args(["--colour", &format!("{y},{u},{v}"), "--tone", &tone::frequency(index).to_string()])
            .args(options)
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit());
        let what = format!("{} ({call})", kit.name);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}; scripts/strangers.sh installs the strangers"));
        let sends = kit.media == Media::Rtp && call != Call::Watch;
        let player =
            sends.then(|| Player::start(index, move |packet| audio.send(packet), move |packet| video.send(packet)));
        Self { child, lens, ended, threads, _player: player, what }
    }

    /// What it saw last.
    pub fn picture(&self) -> Option<Shown> {
        self.lens.picture()
    }

    /// The last of what it heard, if it is so much.
    pub fn heard(&self, length: Duration) -> Option<Vec<f32>> {
        self.lens.heard(length)
    }

    /// Has it leave, as it does when its user has enough.
    #[track_caller]
    pub fn leave(mut self) {
        drop(self.child.stdin.take());
        let status = self.status();
        assert!(status.success(), "{} ends with {status}", self.what);
    }

    #[track_caller]
    fn status(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "{} does not leave", self.what);
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A program or file where it is; what is nowhere is the system's.
fn found(name: &str) -> String {
    let folders = [SOURCES.to_owned(), INSTALLED.to_owned(), format!("{INSTALLED}/cargo/debug")];
    let mut places = folders.iter().map(|folder| Path::new(folder).join(name));
    places.find(|place| place.exists()).map_or_else(|| name.to_owned(), |place| place.display().to_string())
}

/// Datagrams of one medium to and from a stranger, which says where it is by the first one that it sends.
#[derive(Clone, Debug)]
struct Wire {
    socket: Arc<UdpSocket>,
    stranger: Arc<Mutex<Option<SocketAddr>>>,
}

impl Wire {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LOOK)).unwrap();
        Self { socket: Arc::new(socket), stranger: Arc::default() }
    }

    fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Hands on what comes, until `ended`.
    fn listen(&self, ended: Arc<AtomicBool>, take: impl Fn(&[u8]) + Send + 'static) -> JoinHandle<()> {
        let wire = self.clone();
        std::thread::spawn(move || {
            let mut datagram = vec![0; DATAGRAM];
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = wire.socket.recv_from(&mut datagram) else { continue };
                *wire.stranger.lock().unwrap() = Some(from);
                take(&datagram[..length]);
            }
        })
    }

    /// Nothing, as long as nobody is there.
    fn send(&self, datagram: &[u8]) {
        if let Some(stranger) = *self.stranger.lock().unwrap() {
            let _ = self.socket.send_to(datagram, stranger);
        }
    }
}
