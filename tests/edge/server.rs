//! The real server with its room `edge`, and what can be seen of its process.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, BotError};
use tessera::control::{RoomView, TrackState, Wanted};
use tessera::id::RoomId;
use tessera::media::Templates;

use crate::eventually::eventually;
use crate::program::{PATIENCE, Program};

/// Encoding and decoding for a whole room takes the machine: one at a time, or they would measure each other.
static ALONE: Mutex<()> = Mutex::new(());

/// A running server. Ends with [`Server::end`].
pub struct Server {
    pub program: Program,
    pub runtime: tokio::runtime::Runtime,
    pub templates: Templates,
    pub room: RoomId,
    _alone: MutexGuard<'static, ()>,
}

impl Server {
    /// Starts a server with these settings (`section.key=value`).
    pub fn start(settings: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            program: Program::start(settings),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            templates: Templates::load(None).unwrap(),
            room: "edge".parse().unwrap(),
            _alone: alone,
        }
    }

    /// A bot that costs little: a small picture, ten times a second, and the same of the mix.
    pub fn bot(&self, index: usize) -> BotConfig {
        let server = format!("http://{}", self.program.address).parse().unwrap();
        let role = tessera::bots::Role::Join { rendition: Wanted::Named("medium".to_owned()) };
        let usual = BotConfig::new(server, self.room.clone(), index);
        BotConfig { role, width: 320, height: 180, fps: 15, bitrate: 300_000, ..usual }
    }

    pub fn try_join(&self, config: BotConfig) -> Result<Bot, BotError> {
        self.runtime.block_on(Bot::join(config, &self.templates))
    }

    #[track_caller]
    pub fn join(&self, config: BotConfig) -> Bot {
        let name = config.name.clone();
        self.try_join(config).unwrap_or_else(|error| panic!("{name} joins: {error}"))
    }

    #[track_caller]
    pub fn leave(&self, bot: Bot) {
        self.runtime.block_on(bot.leave()).unwrap();
    }

    /// The room as the API shows it; nobody is in a room that is not there.
    #[track_caller]
    pub fn room(&self) -> Option<RoomView> {
        let answer = self.program.get("/api/rooms/edge");
        match answer.status.as_u16() {
            200 => Some(serde_json::from_slice(&answer.body).unwrap()),
            404 => None,
            _ => panic!("{answer:?}"),
        }
    }

    /// The room once it is as `wanted` says.
    #[track_caller]
    pub fn room_where(&self, patience: Duration, what: &str, wanted: impl Fn(&RoomView) -> bool) -> RoomView {
        let mut last = None;
        let end = Instant::now() + patience;
        while Instant::now() < end {
            last = self.room();
            if let Some(room) = last.as_ref().filter(|room| wanted(room)) {
                return room.clone();
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("in time: {what}; there is {last:?}");
    }

    /// The room once these many participants are in it, each with live pictures and a tile.
    #[track_caller]
    pub fn room_of(&self, count: usize) -> RoomView {
        self.room_where(PATIENCE, &format!("{count} live participants"), |room| {
            room.participants.len() == count
                && room.participants.iter().all(|one| one.tile.is_some() && one.video == TrackState::Live)
        })
    }

    /// The value of a metric that has no labels.
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.program.get("/metrics");
        let line = page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {}", page.text())).parse().unwrap()
    }

    /// Waits until no room and no pipeline is left.
    #[track_caller]
    pub fn is_empty_again(&self) {
        // Who is not connected by then is given up after 15 s.
        eventually(PATIENCE * 2, "no pipeline is left", || (self.metric("tessera_pipelines") == 0).then_some(()));
        assert_eq!(self.room().map(|room| room.participants), None);
    }

    pub fn process(&self) -> Process {
        let own = std::process::id().to_string();
        let is_ours = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            field("Name:") == Some("tessera") && field("PPid:") == Some(&own)
        };
        let entries =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let mut pids = entries.filter_map(|name| name.parse().ok()).filter(is_ours);
        let pid = pids.next().expect("the server runs");
        assert_eq!(pids.next(), None, "one server at a time");
        Process { pid }
    }

    /// Ends the server, which must have nothing to complain of; gives its log.
    #[track_caller]
    pub fn end(mut self) -> String {
        self.program.signal("TERM");
        assert_eq!(self.program.ended().code(), Some(0));
        let log = self.program.log();
        let complaints: Vec<&str> =
            log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        log
    }
}

/// The server's process, as Linux shows it.
pub struct Process {
    pid: u32,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    pub threads: usize,
    pub descriptors: usize,
    pub resident_kb: u64,
}

impl Process {
    fn count(&self, what: &str) -> usize {
        std::fs::read_dir(format!("/proc/{}/{what}", self.pid)).unwrap().count()
    }

    pub fn holdings(&self) -> Holdings {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident_kb = resident.trim().trim_end_matches(" kB").parse().unwrap();
        Holdings { threads: self.count("task"), descriptors: self.count("fd"), resident_kb }
    }

    /// The names of its threads, for messages.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            Some(std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?.trim().to_owned())
        };
        let mut names: Vec<String> = tasks.filter_map(name).collect();
        names.sort();
        names
    }

    /// Its UDP sockets over IPv4.
    pub fn udp_sockets(&self) -> Vec<SocketAddr> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap();
        let target = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
        let open: BTreeSet<String> =
            descriptors.filter_map(target).map(|target| target.display().to_string()).collect();
        let table = std::fs::read_to_string(format!("/proc/{}/net/udp", self.pid)).unwrap();
        let socket = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            open.contains(&format!("socket:[{}]", fields.get(9)?)).then_some(())?;
            let (address, port) = fields.get(1)?.split_once(':')?;
            let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
            Some(SocketAddr::from((address, u16::from_str_radix(port, 16).ok()?)))
        };
        table.lines().skip(1).filter_map(socket).collect()
    }
}
