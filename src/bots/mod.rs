//! Bots: real WebRTC participants and viewers that use a server's public endpoints alone, for demonstrations, load,
//! tests and benchmarks.
//!
//! [`Bot`] is one of them, `signalling` its HTTP, [`tiles`] what it sees of others, `command` the program
//! `tessera bots`. A server here is any URL; it may run in the same process.

mod backoff;
mod berth;
mod command;
mod signalling;
pub mod tiles;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio::task::spawn_blocking;
use url::Url;

pub use crate::media::caller::{Controls, Counts, Frame, Heard, Late, Mischief, Outgoing, Receive, Relay, host_time};
pub use command::{BotsError, run};
pub use signalling::SignallingError;

use crate::config::Secret;
use crate::control::{Codec, Wanted};
use crate::id::RoomId;
use crate::media::Templates;
use crate::media::caller::{CallError, Caller, Direction, Settings, Source};
use crate::probe::tone::{self, Speech, Voice};
use signalling::Resource;

/// How long ICE and DTLS may take after the answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How loud a bot speaks: -12 dB of full scale, so that four of them do not clip.
const AMPLITUDE: f32 = 0.25;

/// What a bot comes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// To send and to receive the mix, on one connection (WHIP with a `sendrecv` offer).
    Join { rendition: Wanted },
    /// To send only (WHIP).
    Publish,
    /// To receive the mix only (WHEP).
    Watch { rendition: Wanted },
}

/// What a bot shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// No picture at all, as a participant without a camera.
    None,
    /// The colour of the bot's index, with the time of capture in it ([`crate::probe::tile`]).
    Colour,
    /// The same with grain, which takes all of the bitrate, as a camera's picture does ([`crate::probe::grain`]).
    Grain,
    /// A file's picture and sound, over and over.
    File(PathBuf),
}

/// How a bot is made.
#[derive(Clone, Debug)]
pub struct BotConfig {
    /// The server's address, such as `http://192.0.2.7:8080`.
    pub server: Url,
    /// What the server asks for (RFC 6750), or nothing.
    pub token: Secret,
    pub room: RoomId,
    pub name: String,
    pub role: Role,
    /// Which colour and tone it has.
    pub index: usize,
    pub picture: Picture,
    /// When it speaks; without it the bot has no microphone. A file speaks for itself.
    pub speech: Option<Speech>,
    pub codec: Codec,
    /// The payload type of the video, where it is none of the usual ones (96 to 127).
    pub payload: Option<u8>,
    /// Of the picture sent; even numbers.
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Bit/s of the picture sent.
    pub bitrate: u32,
    /// How late its tracks leave it; a file's leave it in time.
    pub late: Late,
    pub receive: Receive,
    /// How long the receiver waits for a missing packet.
    pub jitter: Duration,
    /// How long the offer waits for its candidates.
    pub gathering: Duration,
    /// Go through this TURN server, and through nothing else.
    pub relay: Option<Relay>,
    /// Offer a fingerprint that is not that of the bot's certificate.
    pub wrong_fingerprint: bool,
    /// What becomes of the packets that it sends; for tests of how peers may behave.
    pub mischief: Option<Mischief>,
}

impl BotConfig {
    /// The bot with this index as it usually is: it joins with its colour and its tone, 640x360 at 30 in VP8 with
    /// 600 kbit/s, and decodes what comes.
    pub fn new(server: Url, room: RoomId, index: usize) -> Self {
        Self {
            server,
            token: Secret::default(),
            room,
            name: format!("Bot {}", index + 1),
            role: Role::Join { rendition: Wanted::Auto },
            index,
            picture: Picture::Colour,
            speech: Some(Speech::Always),
            codec: Codec::Vp8,
            payload: None,
            width: 640,
            height: 360,
            fps: 30,
            bitrate: 600_000,
            late: Late::default(),
            receive: Receive::Decode,
            jitter: Duration::from_millis(40),
            gathering: Duration::from_millis(500),
            relay: None,
            wrong_fingerprint: false,
            mischief: None,
        }
    }

    fn settings(&self) -> Settings {
        let direction = |has_source: bool| match self.role {
            Role::Join { .. } if has_source => Some(Direction::SendRecv),
            Role::Join { .. } | Role::Watch { .. } => Some(Direction::RecvOnly),
            Role::Publish => has_source.then_some(Direction::SendOnly),
        };
        let voice = Voice {
            frequency: tone::frequency(self.index),
            amplitude: AMPLITUDE,
            speech: self.speech.unwrap_or(Speech::Never),
        };
        let source = match &self.picture {
            // Bots that play the same file begin at different places of it.
            Picture::File(path) => Source::File { path: path.clone(), start: self.index as f64 * 0.37 % 1.0 },
            Picture::None | Picture::Colour => Source::Synthetic { index: self.index, grain: false, voice },
            Picture::Grain => Source::Synthetic { index: self.index, grain: true, voice },
        };
        Settings {
            audio: direction(self.speech.is_some()),
            video: direction(self.picture != Picture::None),
            codec: self.codec,
            payload: self.payload,
            source,
            receive: self.receive,
            width: self.width,
            height: self.height,
            fps: self.fps,
            bitrate: self.bitrate,
            late: self.late,
            jitter: self.jitter,
            relay: self.relay.clone(),
            gathering: self.gathering,
            wrong_fingerprint: self.wrong_fingerprint,
            mischief: self.mischief.clone(),
        }
    }
}

/// Why a bot did not get in, or did not leave in order.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Signalling(#[from] SignallingError),
    #[error("the bot's task ended early")]
    Aborted,
}

/// A participant or viewer. Dropping it ends its media without a word to the server; [`Bot::leave`] says goodbye.
#[must_use = "a bot is gone when it is dropped"]
#[derive(Debug)]
pub struct Bot {
    config: BotConfig,
    caller: Caller,
    resource: Resource,
    posted: Instant,
    answered: Instant,
    connected: Instant,
}

impl Bot {
    /// Makes the offer, posts it, takes the answer, and returns once ICE and DTLS are up and it begins to send.
    pub async fn join(config: BotConfig, templates: &Templates) -> Result<Self, BotError> {
        let templates = templates.clone();
        blocking(move || {
            let caller = Caller::new(config.settings(), &templates)?;
            let offer = caller.offer()?;
            let posted = Instant::now();
            let (resource, answer) = signalling::post(&config, &offer)?;
            let answered = Instant::now();
            if let Err(error) = caller.connect(&answer, CONNECT_DEADLINE) {
                // What failed is the call; that the server could not be told either adds nothing.
                let _ = resource.delete();
                return Err(error.into());
            }
            Ok(Self { config, caller, resource, posted, answered, connected: Instant::now() })
        })
        .await
    }

    pub fn config(&self) -> &BotConfig {
        &self.config
    }

    /// Frames as they are decoded, from now on; a reader that is too slow misses the oldest and is told how many.
    pub fn frames(&self) -> broadcast::Receiver<Arc<Frame>> {
        self.caller.inbound().frames()
    }

    /// The frame that was decoded last.
    pub fn last_frame(&self) -> Option<Arc<Frame>> {
        self.caller.inbound().last_frame()
    }

    /// The last `window` of what was heard, at most 10 s; less where less came.
    pub fn heard(&self, window: Duration) -> Heard {
        self.caller.inbound().heard(window)
    }

    /// What was counted since the call began.
    pub fn counts(&self) -> Counts {
        self.caller.inbound().counts()
    }

    /// How much later than it was captured each of the last packets came, by the server's own reports and in ms: of pictures
    /// or of sound.
    pub fn reported_ages_ms(&self, video: bool) -> Vec<f64> {
        self.caller.inbound().reported_ages_ms(video)
    }

    /// Changes what is sent.
    pub fn controls(&self) -> &Controls {
        self.caller.controls()
    }

    /// From the POST to the answer.
    pub fn answer_time(&self) -> Duration {
        self.answered - self.posted
    }

    /// From the POST until ICE and DTLS were up.
    pub fn connect_time(&self) -> Duration {
        self.connected - self.posted
    }

    /// From the POST to the first frame: decoded, or complete where frames are only counted. `None` before it came.
    pub fn first_frame_time(&self) -> Option<Duration> {
        self.caller.inbound().first_video().map(|first| first - self.posted)
    }

    /// From the POST to the first decoded sound. `None` before it came.
    pub fn first_sound_time(&self) -> Option<Duration> {
        self.caller.inbound().first_audio().map(|first| first - self.posted)
    }

    /// Whether the connection is over by itself: it failed, or the server ended it.
    pub fn ended(&self) -> bool {
        self.caller.inbound().failed()
    }

    /// The URL of the bot's WHIP or WHEP resource. It lets whoever knows it end the call.
    pub fn resource(&self) -> &Url {
        self.resource.url()
    }

    /// Leaves: tells the server (DELETE), then ends the media.
    pub async fn leave(self) -> Result<(), BotError> {
        blocking(move || Ok(self.resource.delete()?)).await
    }

    /// Is gone at once, as if its line were cut: the server is not told by HTTP, nor by DTLS or RTCP.
    pub async fn vanish(self) -> Result<(), BotError> {
        blocking(move || {
            self.caller.vanish();
            Ok(())
        })
        .await
    }
}

/// Runs what may block off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BotError> + Send + 'static,
) -> Result<T, BotError> {
    spawn_blocking(work).await.map_err(|_| BotError::Aborted)?
}
