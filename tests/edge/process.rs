//! What these tests ask of a server beside its room: small bots, metrics, and what can be seen of its process.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tessera::bots::{BotConfig, Role};
use tessera::control::Wanted;

use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

impl Server {
    /// A bot that costs little: a small picture, fifteen times a second, and a small one of the mix.
    pub fn small_bot(&self, index: usize) -> BotConfig {
        let role = Role::Join { rendition: Wanted::Named("medium".to_owned()) };
        BotConfig { role, width: 320, height: 180, fps: 15, bitrate: 300_000, ..self.bot(index) }
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
        assert_eq!(self.try_room().map(|room| room.participants), None);
    }

    pub fn process(&self) -> Process {
        Process { pid: self.program.pid() }
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
