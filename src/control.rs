//! The control boundary: every value that crosses between `server/` and the rooms.
//!
//! All of them are plain serde values (ids, SDP text, commands, events), so that the same messages can one day go to a
//! child process per room or to another machine. Nothing here holds a channel, a closure or a media object.

use serde::{Deserialize, Serialize};

use crate::config::Fit;
use crate::id::{PeerId, RoomId};
use crate::network::Network;

/// What the server asks of the rooms, besides to [`Join`]. Each command has the [`Reply`] named beside it, or a
/// [`Refusal`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Candidates of a peer's own side, as they are found → [`Reply::Done`]. Unusable ones are dropped silently.
    Trickle { room: RoomId, peer: PeerId, candidates: Vec<Candidate> },
    /// The peer leaves → [`Reply::Done`].
    Leave { room: RoomId, peer: PeerId },
    /// Put a participant out; it is told why → [`Reply::Done`].
    Remove { room: RoomId, participant: PeerId },
    /// Mute or unmute a participant for everybody, on the server's side → [`Reply::Done`].
    Mute { room: RoomId, participant: PeerId, muted: bool },
    /// A participant shows nothing from now on, or something again, by its own word → [`Reply::Done`].
    Camera { room: RoomId, peer: PeerId, on: bool },
    /// What a peer wants to watch from now on, without a new negotiation → [`Reply::Done`].
    Watch { room: RoomId, peer: PeerId, rendition: Wanted },
    /// All rooms → [`Reply::Rooms`].
    Rooms,
    /// One room → [`Reply::Room`].
    Room { room: RoomId },
    /// How many media pipelines are not yet down → [`Reply::Pipelines`].
    Pipelines,
    /// The composite now, as a JPEG → [`Reply::Snapshot`].
    Snapshot { room: RoomId },
}

/// A request to enter a room: makes a peer from an offer. Its answer comes with the stream of the peer's [`Event`]s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Join {
    pub room: RoomId,
    /// As others see it; already trimmed and bounded by the server, never empty.
    pub name: String,
    pub intent: Intent,
    /// The peer's SDP offer, as it came.
    pub offer: String,
    pub rendition: Wanted,
    /// Whether the peer takes candidates as [`Event::Candidate`]. If not, the answer holds them all.
    pub trickle: bool,
    /// Who asks; what bounds newcomers counts by it.
    pub from: Network,
}

/// Why an offer was made; a direction in it that does not fit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// `sendonly` publishes, `sendrecv` joins. Makes the room where there is none.
    Participate,
    /// `recvonly` watches a room that is there.
    View,
}

/// What a peer wants to receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Wanted {
    /// The server chooses by what the peer's line carries.
    #[default]
    Auto,
    /// Voices only.
    Audio,
    /// The rendition of this name.
    Named(String),
}

impl From<String> for Wanted {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "audio" => Self::Audio,
            _ => Self::Named(text),
        }
    }
}

impl From<Wanted> for String {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Auto => "auto".to_owned(),
            Wanted::Audio => "audio".to_owned(),
            Wanted::Named(name) => name,
        }
    }
}

/// An ICE candidate of either side. An empty `candidate` is the end of candidates (RFC 8838).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The `candidate:…` attribute's value, with or without `a=`.
    pub candidate: String,
    /// Index of the m-line that it belongs to. The server's are for the one whose transport all others use; where a peer's
    /// belong is known anyway.
    #[serde(default, rename = "sdpMLineIndex")]
    pub mline: u32,
}

/// The answer to a [`Command`] that was carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Done,
    Rooms {
        rooms: Vec<RoomView>,
    },
    Room {
        room: Box<RoomView>,
    },
    /// Of all rooms, those that end counted too: without rooms it comes down to 0.
    Pipelines {
        alive: usize,
    },
    Snapshot {
        jpeg: Vec<u8>,
    },
}

/// Why a command was not carried out. `detail` texts are for people and hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// 404.
    #[error("there is no room {room}")]
    NoRoom { room: RoomId },
    /// 404.
    #[error("there is no such peer in the room")]
    NoPeer,
    /// 404.
    #[error("there is no rendition {name:?}")]
    NoRendition { name: String },
    /// 400: text that is not SDP.
    #[error("the body is not a session description: {detail}")]
    MalformedSdp { detail: String },
    /// 422: SDP that is understood but cannot be served.
    #[error("the offer cannot be served: {detail}")]
    UnsupportedSdp { detail: String },
    /// 409 with Retry-After: a viewer came before any publisher.
    #[error("nothing is live in the room")]
    NothingLive,
    /// 429 with Retry-After, in seconds: too often in a short time.
    #[error("{detail}")]
    TooMany { detail: String, retry_after: u32 },
    /// 503 with Retry-After: a limit of the configuration or of the system is reached.
    #[error("full: {detail}")]
    Full { detail: String },
    /// 503: the server is going down.
    #[error("the server is stopping")]
    Stopping,
    /// 500: our fault.
    #[error("{detail}")]
    Failed { detail: String },
}

/// What a peer is told of its own connection and of its room. A new peer first gets `Participants`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A candidate of the server's; only for peers that trickle.
    Candidate(Candidate),
    /// ICE and DTLS are up and media flows.
    Connected,
    /// Everybody in the room, after each change (join, leave, mute, camera on or off).
    Participants { participants: Vec<ParticipantView>, viewers: usize },
    /// Who speaks, after each change.
    Speaking { speaking: Vec<PeerId> },
    /// The tile that this peer's own picture is shown in, in canvas pixels, and how it fills it; it need not send more than
    /// that.
    Tile { width: u32, height: u32, fit: Fit },
    /// This peer's own picture is not decoded from now on, and so is not shown, until [`Event::PictureAccepted`]. Told again
    /// when the reason is another.
    PictureRefused(RefusedPicture),
    /// It is decoded again.
    PictureAccepted,
    /// What this peer receives from now on.
    Rendition { name: String, auto: bool },
    /// The last event: the peer is gone.
    Closed { reason: CloseReason },
}

/// Why a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// It left by itself.
    Left,
    /// Somebody put it out.
    Removed,
    /// ICE or DTLS did not come up in time.
    NotConnected,
    /// Nothing was heard of it for too long.
    Vanished,
    /// Its DTLS certificate is not the one that its SDP announced.
    WrongFingerprint,
    /// Its pipeline failed.
    MediaError,
    /// The room ended: its last participant is gone.
    RoomEnded,
    /// The server is going down.
    ServerStopping,
}

/// A participant, as everybody in the room may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantView {
    pub id: PeerId,
    pub name: String,
    /// Muted on the server's side.
    pub muted: bool,
    pub speaking: bool,
    pub audio: TrackState,
    pub video: TrackState,
    /// Size and codec of the picture that comes in, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureView>,
    /// Why its picture is not shown, although it comes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedPicture>,
    /// Where its tile is on the canvas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<TileView>,
    /// What it watches; none for who only publishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rendition: Option<String>,
}

/// What is known of an inbound track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackState {
    /// Not offered.
    None,
    /// Offered, but nothing comes (now).
    Silent,
    /// Flowing.
    Live,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureView {
    pub codec: Codec,
    pub width: u32,
    pub height: u32,
}

/// A picture that comes in and is too much to be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPicture {
    pub reason: PictureRefusal,
    /// Its size in pixels, as it is coded: before cropping.
    pub width: u32,
    pub height: u32,
    /// For people: what would be taken.
    pub detail: String,
}

/// Why a picture is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureRefusal {
    /// It has too many pixels.
    TooLarge,
    /// It has too many pixels for the rate at which its frames come.
    TooManyPixels,
    /// Too many frames come in a second.
    TooManyFrames,
    /// Its size, or what else makes a decoder begin anew, changes too often.
    SizeChangesTooOften,
}

/// A tile's rectangle on the canvas, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TileView {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// A video codec that is mixed from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Codec {
    #[serde(rename = "VP8")]
    Vp8,
    #[serde(rename = "H264")]
    H264,
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vp8 => "VP8",
            Self::H264 => "H264",
        })
    }
}

/// A room in the API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomView {
    pub id: RoomId,
    /// Seconds since the Unix epoch.
    pub created: u64,
    pub canvas: CanvasView,
    pub participants: Vec<ParticipantView>,
    pub viewers: Vec<ViewerView>,
    /// The encoders that run, and for whom.
    pub renditions: Vec<RenditionView>,
    pub audio: AudioView,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CanvasView {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Frames composed so far; they only grow while somebody watches.
    pub frames: u64,
    /// Frames left out because the machine was late.
    pub skipped: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ViewerView {
    pub id: PeerId,
    pub name: String,
    pub rendition: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenditionView {
    pub name: String,
    pub codec: Codec,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Bit/s that it is made for.
    pub bitrate: u32,
    pub watchers: Vec<PeerId>,
    pub frames: u64,
    pub keyframes: u64,
    /// Frames that the encoder was too slow for.
    pub dropped: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AudioView {
    /// Opus encoders that run: one for the full mix, if anybody silent listens, and one for each listener that speaks.
    pub encoders: usize,
    pub speaking: Vec<PeerId>,
    /// Ticks of 20 ms left out because the machine was late.
    pub skipped: u64,
    /// Packets that could not be encoded.
    pub failed: u64,
}
