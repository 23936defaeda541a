//! `tessera bots`: who joins, and what they send.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::control::{Codec, Wanted};
use crate::id::RoomId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bots {
    /// URL of the server.
    pub server: String,
    /// The server's token; empty where it asks for none.
    pub token: Secret,
    pub room: RoomId,
    /// Participants.
    pub count: usize,
    /// Viewers beside them.
    pub viewers: usize,
    /// A film to play, over and over, instead of colours and tones.
    pub video: Option<PathBuf>,
    /// Leave after so many; without it they stay until they are stopped.
    pub seconds: Option<u64>,
    /// Of their names, before a number.
    pub name_prefix: String,
    pub codec: Codec,
    /// Of the pictures sent, as their rate in fps and their bitrate in bit/s.
    pub size: Size,
    pub fps: u32,
    pub bitrate: u32,
    pub speech: When,
    pub rendition: Wanted,
    /// How many of them decode what they get; the others only count it.
    pub decode: usize,
}

/// When bots speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Always,
    Never,
    /// A third of a second of each.
    Bursts,
}

/// `640x360`, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Default for Bots {
    fn default() -> Self {
        Self {
            server: "http://127.0.0.1:8080".to_owned(),
            token: Secret::default(),
            room: "demo".parse().expect("four letters are a room's name"),
            count: 4,
            viewers: 0,
            video: None,
            seconds: None,
            name_prefix: "Bot".to_owned(),
            codec: Codec::Vp8,
            size: Size { width: 640, height: 360 },
            fps: 30,
            bitrate: 600_000,
            speech: When::default(),
            rendition: Wanted::Auto,
            decode: 1,
        }
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let sides = text.split_once('x');
        let size =
            sides.and_then(|(width, height)| Some(Self { width: width.parse().ok()?, height: height.parse().ok()? }));
        size.ok_or_else(|| format!("{text:?} is not a width and a height, such as 640x360"))
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        format!("{}x{}", size.width, size.height)
    }
}
