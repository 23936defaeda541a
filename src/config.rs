//! The configuration's values. `assets/tessera.toml` documents every key; [`crate::settings`] puts a configuration together
//! from that file's like, the environment and the command line.

mod bots;
mod check;
mod secret;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::network::Subnet;

pub use bots::{Bots, Size, When};
pub use check::InvalidConfig;
pub use secret::Secret;

/// Everything that can be configured, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub ice: Ice,
    pub video: Video,
    pub audio: Audio,
    /// The ladder, from the best to the smallest.
    pub renditions: Vec<Rendition>,
    pub limits: Limits,
    pub bots: Bots,
}

/// The HTTP side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Origins (`https://host`) of the server and of further pages that may use it; empty believes every `Host`.
    pub origins: Vec<String>,
    /// Who may say for whom it asks (`X-Forwarded-For`, `Forwarded`).
    pub trusted_proxies: Vec<Subnet>,
    /// What requests have to bring (RFC 6750); empty asks nobody.
    pub token: Secret,
    /// Overrides embedded pipelines, file by file.
    pub pipelines: Option<PathBuf>,
    pub log_format: LogFormat,
    /// A `tracing` filter, such as `info` or `tessera=debug`.
    pub log: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The network of the media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ice {
    /// `stun:host:port` URLs that clients are told of.
    pub stun: Vec<String>,
    /// `turn:host:port?transport=udp` or `turns:…` URLs that clients are told of.
    pub turn: Vec<String>,
    /// The secret shared with the TURN server (coturn's `static-auth-secret`).
    pub turn_secret: Option<Secret>,
    /// Seconds that TURN credentials are good for.
    pub turn_ttl: u32,
    /// UDP ports of the media; 0 and 0 leave it to the system.
    pub port_min: u16,
    pub port_max: u16,
    /// Use only these local addresses; empty means all.
    pub addresses: Vec<IpAddr>,
    /// Do not use these.
    pub exclude_addresses: Vec<IpAddr>,
    /// The public address of a server behind 1:1 NAT: what clients are told instead of the local ones.
    pub public_address: Option<IpAddr>,
}

/// The canvas and its tiles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub fit: Fit,
}

/// How a picture fills a tile of another shape. Never distorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Filled where that cuts off a sixth at most, else whole with bars.
    #[default]
    Auto,
    /// All of the picture, with bars.
    Fit,
    /// All of the tile, the picture's edges cut.
    Fill,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audio {
    /// Bit/s of every Opus encode of the mix.
    pub bitrate: u32,
    /// A voice below this level is not mixed, in dBFS.
    pub gate_dbfs: f32,
}

/// One encode of the mix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rendition {
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Bit/s.
    pub bitrate: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub rooms: usize,
    /// In a room.
    pub participants: usize,
    /// In a room.
    pub viewers: usize,
    pub sdp_bytes: usize,
    pub message_bytes: usize,
    /// Over the whole server.
    pub joins_per_second: u32,
    /// Of one address.
    pub joins_per_second_per_address: u32,
    /// Peers that are not connected yet, over the whole server.
    pub joining: usize,
    /// Of one address.
    pub joining_per_address: usize,
    /// HTTP connections at once, WebSockets among them.
    pub connections: usize,
    /// Seconds that a room without participants waits for one while it has viewers.
    pub linger: u32,
}

impl Config {
    /// The rendition of this name.
    pub fn rendition(&self, name: &str) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.name == name)
    }
}

impl Default for Config {
    fn default() -> Self {
        let rendition =
            |name: &str, width, height, fps, bitrate| Rendition { name: name.to_owned(), width, height, fps, bitrate };
        Self {
            server: Server::default(),
            ice: Ice::default(),
            video: Video::default(),
            audio: Audio::default(),
            renditions: vec![
                rendition("high", 1280, 720, 30, 1_500_000),
                rendition("medium", 640, 360, 30, 500_000),
                rendition("low", 320, 180, 15, 150_000),
            ],
            limits: Limits::default(),
            bots: Bots::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            origins: Vec::new(),
            trusted_proxies: vec![
                Subnet::from(IpAddr::from(Ipv4Addr::LOCALHOST)),
                Subnet::from(IpAddr::from(Ipv6Addr::LOCALHOST)),
            ],
            token: Secret::default(),
            pipelines: None,
            log_format: LogFormat::Text,
            log: "info".to_owned(),
        }
    }
}

impl Default for Ice {
    fn default() -> Self {
        Self {
            stun: Vec::new(),
            turn: Vec::new(),
            turn_secret: None,
            turn_ttl: 3600,
            port_min: 0,
            port_max: 0,
            addresses: Vec::new(),
            exclude_addresses: Vec::new(),
            public_address: None,
        }
    }
}

impl Default for Video {
    fn default() -> Self {
        Self { width: 1280, height: 720, fps: 30, fit: Fit::default() }
    }
}

impl Default for Audio {
    fn default() -> Self {
        Self { bitrate: 48_000, gate_dbfs: -60.0 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rooms: 50,
            participants: 25,
            viewers: 500,
            sdp_bytes: 64 * 1024,
            message_bytes: 64 * 1024,
            joins_per_second: 50,
            joins_per_second_per_address: 20,
            joining: 200,
            joining_per_address: 50,
            connections: 10_000,
            linger: 30,
        }
    }
}
