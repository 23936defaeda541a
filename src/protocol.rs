//! The WebSocket protocol of `GET /ws/{room}?name=…`, for the browser client: this file is its specification.
//!
//! Where the server asks for a token, `access_token=…` in the query carries it (RFC 6750, section 2.3).
//!
//! Text frames, one JSON object each, with a `type`. The order is:
//!
//! 1. The server sends [`ServerMessage::Welcome`] at once.
//! 2. The client sends [`ClientMessage::Join`] (to send and receive) or [`ClientMessage::Watch`] (only to receive), with
//!    an SDP offer that has at most one audio and one video m-line, bundled. The server answers with
//!    [`ServerMessage::Answer`], or with [`ServerMessage::Error`]; after an error the client may try again.
//! 3. Both sides send [`ClientMessage::Candidate`]s as they find them; the client only after its offer.
//! 4. The server sends the room's events. The client may send `mute`, `camera`, `rendition` and
//!    `leave`.
//!
//! The client sends `ping` every [`PING_INTERVAL_MS`] and takes a line without `pong` for twice that long as dead. The
//! peer ends with its WebSocket. The last message of the server is [`ServerMessage::Closed`], where it has time for one.
//! A message that is not understood gets an `error` and changes nothing. The server reads [`MESSAGES_PER_SECOND`], after a
//! burst of four times as many, of mutes and of renditions [`CHANGES_PER_SECOND`] each; who sends faster is slowed down. It
//! closes a line on which nothing came for twice the ping interval and 2 s, one that does not take what is sent, and one
//! that has no peer within 30 s.
//!
//! `participants` and `speaking` come at once after a change, but at most five times a second: what changes more often is
//! told as it is by then. A client that is slow gets the newest of each, and all that comes once.

use serde::{Deserialize, Serialize};

use crate::config::Fit;
use crate::control::{Candidate, CloseReason, Event, ParticipantView, RefusedPicture, Wanted};
use crate::id::{PeerId, RoomId};

/// How often the client says `ping`, in milliseconds.
pub const PING_INTERVAL_MS: u32 = 3_000;

/// How many messages of a client are read in a second, over a longer time.
pub const MESSAGES_PER_SECOND: u32 = 50;

/// How many of its mutes are read in a second, and of its changes of the rendition; and how many at once.
pub const CHANGES_PER_SECOND: u32 = 2;
pub const CHANGES_BURST: u32 = 10;

/// What the browser sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Join the room with this offer (`sendrecv`, or `sendonly` to send and watch nothing).
    Join {
        sdp: String,
        #[serde(default)]
        rendition: Wanted,
    },
    /// Watch the room with this offer (`recvonly`).
    Watch {
        sdp: String,
        #[serde(default)]
        rendition: Wanted,
    },
    Candidate(Candidate),
    /// Mute or unmute somebody for everybody; without `participant`, oneself.
    Mute {
        #[serde(default)]
        participant: Option<PeerId>,
        muted: bool,
    },
    /// One's own camera (or screen) is switched off or on again. Without this word the last picture stands: one that stopped
    /// and one on which nothing changes are the same on the wire.
    Camera {
        on: bool,
    },
    /// Watch another rendition from now on: `auto`, `audio` or a name of the welcome's list. After three changes at once it
    /// takes up to 2 s for each, and the newest wish counts.
    Rendition {
        name: Wanted,
    },
    Ping,
    Leave,
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    Welcome {
        room: RoomId,
        /// As the server understood it.
        name: String,
        /// For `RTCPeerConnection`'s configuration, as it stands.
        #[serde(rename = "iceServers")]
        ice_servers: Vec<IceServer>,
        /// From the best to the smallest; `audio` and `auto` may be asked for too.
        renditions: Vec<RenditionInfo>,
        #[serde(rename = "pingInterval")]
        ping_interval: u32,
    },
    Answer {
        peer: PeerId,
        sdp: String,
    },
    Candidate(Candidate),
    Connected,
    Participants {
        participants: Vec<ParticipantView>,
        viewers: usize,
    },
    Speaking {
        speaking: Vec<PeerId>,
    },
    /// The size of the tile in which one's own picture is shown, and how it fills it (`video.fit` of the configuration:
    /// "auto", "fit" or "fill"): no need to send more pixels than that.
    Tile {
        width: u32,
        height: u32,
        fit: Fit,
    },
    /// One's own picture comes in but is not shown: it is too large, or too much of it comes. It is decoded again when it is
    /// less, without being asked for, and then `picture_accepted` is sent.
    PictureRefused(RefusedPicture),
    PictureAccepted,
    Rendition {
        name: String,
        auto: bool,
    },
    Pong,
    /// The same problem types as the HTTP errors (RFC 9457).
    Error {
        problem: String,
        title: String,
        detail: String,
    },
    Closed {
        reason: CloseReason,
    },
}

/// A peer's events are told as they are.
impl From<Event> for ServerMessage {
    fn from(event: Event) -> Self {
        match event {
            Event::Candidate(candidate) => Self::Candidate(candidate),
            Event::Connected => Self::Connected,
            Event::Participants { participants, viewers } => Self::Participants { participants, viewers },
            Event::Speaking { speaking } => Self::Speaking { speaking },
            Event::Tile { width, height, fit } => Self::Tile { width, height, fit },
            Event::PictureRefused(refused) => Self::PictureRefused(refused),
            Event::PictureAccepted => Self::PictureAccepted,
            Event::Rendition { name, auto } => Self::Rendition { name, auto },
            Event::Closed { reason } => Self::Closed { reason },
        }
    }
}

/// One entry of `RTCConfiguration.iceServers`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IceServer {
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Credentials stay out of logs, also where somebody prints a whole message.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionInfo {
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Bit/s.
    pub bitrate: u32,
}
