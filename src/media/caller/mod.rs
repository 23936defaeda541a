//! The client's side of a call: a `webrtcbin` that makes the offer, sends a picture and a voice, and hands out what
//! comes back.
//!
//! The functions of [`Caller`] block, for at most their deadlines, and belong on threads that may. Dropping it does not
//! block. What arrives is handed out by [`Inbound`], what is sent is changed by [`Controls`], from any thread.

mod feed;
mod file;
mod inbound;
mod mischief;
mod negotiation;
mod reports;
mod synthetic;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_webrtc as gst_webrtc;

use super::certificate::{Certificate, CertificateError};
use super::clock::RoomClock;
use super::goodbye;
use super::graph::{Graph, GraphError, GraphEvent};
use super::template::{TemplateError, Templates};
use crate::control::Codec;
use crate::probe::tone::Voice;
pub use feed::Controls;
pub use inbound::{Counts, Frame, Heard, Inbound};
pub use mischief::{Mischief, Outgoing};

/// Whether an m-line sends, receives or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
}

impl Direction {
    const fn sends(self) -> bool {
        !matches!(self, Self::RecvOnly)
    }

    const fn webrtc(self) -> gst_webrtc::WebRTCRTPTransceiverDirection {
        match self {
            Self::SendRecv => gst_webrtc::WebRTCRTPTransceiverDirection::Sendrecv,
            Self::SendOnly => gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly,
            Self::RecvOnly => gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly,
        }
    }
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The picture of the bot with this index ([`crate::probe::tile::paint`]), with or without grain
    /// ([`crate::probe::grain`]), and a tone.
    Synthetic { index: usize, grain: bool, voice: Voice },
    /// A file's picture and sound, over and over. Begins at the share `start` (0 to 1) of its length.
    File { path: PathBuf, start: f64 },
}

/// What is done with what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Pictures and sound are decoded and handed out.
    Decode,
    /// Packets, bytes and frames are counted: costs next to nothing.
    Count,
}

/// A sender whose tracks leave it later than they were captured: behind a slow encoder, say, or a pacer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    pub picture: Duration,
    pub voice: Duration,
}

/// A TURN server (RFC 8656) and what it knows the caller by.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// `turn:host:port?transport=udp` or `turns:…`.
    pub url: String,
    pub username: String,
    pub credential: String,
}

/// The credential stays out of logs.
impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("url", &self.url).finish_non_exhaustive()
    }
}

/// How a caller is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The first m-line; none without it.
    pub audio: Option<Direction>,
    /// The m-line after it; none without it.
    pub video: Option<Direction>,
    pub codec: Codec,
    /// The payload type of the video, where it is none of the usual ones (96 to 127).
    pub payload: Option<u8>,
    pub source: Source,
    pub receive: Receive,
    /// Of the picture sent; even numbers.
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Bit/s of the picture sent.
    pub bitrate: u32,
    /// How much later than it should a synthetic source sends each of its tracks, with the timestamps of the capture.
    pub late: Late,
    /// How long the receiver waits for a missing packet.
    pub jitter: Duration,
    /// Go through this TURN server, and through nothing else.
    pub relay: Option<Relay>,
    /// How long the offer waits for its candidates.
    pub gathering: Duration,
    /// Offer the fingerprint of a certificate that is not the caller's own.
    pub wrong_fingerprint: bool,
    /// What becomes of the packets that are sent.
    pub mischief: Option<Mischief>,
}

impl Settings {
    /// A caller as it usually is: it sends and receives sound and pictures, 640x360 at 30 in VP8 with 600 kbit/s, and
    /// decodes what comes.
    pub fn new(source: Source) -> Self {
        Self {
            audio: Some(Direction::SendRecv),
            video: Some(Direction::SendRecv),
            codec: Codec::Vp8,
            payload: None,
            source,
            receive: Receive::Decode,
            width: 640,
            height: 360,
            fps: 30,
            bitrate: 600_000,
            late: Late::default(),
            jitter: Duration::from_millis(40),
            relay: None,
            gathering: Duration::from_millis(500),
            wrong_fingerprint: false,
            mischief: None,
        }
    }
}

/// Why a call does not come about or ends.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("GStreamer does not start: {0}")]
    Init(glib::Error),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the pipeline lacks {0}")]
    Missing(&'static str),
    #[error("the TURN server's URL is not usable")]
    Relay,
    #[error("{step} took longer than {} ms", deadline.as_millis())]
    Deadline { step: &'static str, deadline: Duration },
    #[error("{step} failed: {detail}")]
    Negotiation { step: &'static str, detail: String },
    #[error("the connection failed")]
    Failed,
    #[error("the file cannot be played: {0}")]
    File(String),
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The time on the host's clock, since the Unix epoch: what timecodes and onsets are written in.
pub fn host_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A call. Dropping it ends it.
#[must_use = "the call ends when it is dropped"]
pub struct Caller {
    settings: Settings,
    templates: Templates,
    clock: RoomClock,
    // Before the graph, so that nothing is fed any more when that goes down.
    source: Mutex<Option<feed::Running>>,
    graph: Graph,
    webrtc: gst::Element,
    certificate: Certificate,
    inbound: Arc<Inbound>,
    controls: Arc<Controls>,
    states: Mutex<mpsc::Receiver<gst_webrtc::WebRTCPeerConnectionState>>,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Caller {
    /// Makes the pipeline and starts it; nothing is sent before [`Caller::connect`].
    pub fn new(settings: Settings, templates: &Templates) -> Result<Self, CallError> {
        gst::init().map_err(CallError::Init)?;
        let clock = RoomClock::start();
        let inbound = Arc::new(Inbound::new(settings.receive));
        let latency = [("latency", settings.jitter.as_millis().to_string())];
        let events = Arc::downgrade(&inbound);
        let graph = Graph::new(templates, "bot", &latency, clock, move |event| {
            if let (GraphEvent::Failed { element, detail }, Some(inbound)) = (event, events.upgrade()) {
                tracing::warn!(element, detail, "a bot's pipeline failed");
                inbound.fail();
            }
        })?;
        let webrtc: gst::Element = graph.element("webrtc")?;
        // Only elements of the same bin can be linked, and a template's are in one inside of the pipeline.
        let home = webrtc.parent().and_downcast::<gst::Bin>().ok_or(CallError::Missing("a bin around webrtcbin"))?;
        negotiation::configure_ice(&webrtc, settings.relay.as_ref())?;
        let certificate = Certificate::make()?;
        certificate.show(&webrtc);
        let closed = Arc::downgrade(&inbound);
        goodbye::hear(&webrtc, move || {
            if let Some(inbound) = closed.upgrade() {
                inbound.fail();
            }
        });
        if let Some(mischief) = &settings.mischief {
            mischief.attach(&webrtc);
        }
        inbound.attach(&home, &webrtc, templates);
        negotiation::add_tracks(&home, &webrtc, &settings, templates, &inbound)?;
        let states = Mutex::new(negotiation::watch_states(&webrtc, &inbound));
        graph.start()?;
        let controls = Arc::new(Controls::new(settings.width, settings.height));
        let (templates, source) = (templates.clone(), Mutex::default());
        Ok(Self { settings, templates, clock, source, graph, webrtc, certificate, inbound, controls, states })
    }

    /// The offer, with all of the candidates that were found in time.
    pub fn offer(&self) -> Result<String, CallError> {
        negotiation::offer(&self.webrtc, &self.certificate, &self.settings)
    }

    /// Takes the answer, waits until ICE and DTLS are up, and begins to send.
    pub fn connect(&self, answer: &str, deadline: Duration) -> Result<(), CallError> {
        negotiation::answer(&self.webrtc, answer)?;
        let by = Instant::now() + deadline;
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match states.recv_timeout(by.saturating_duration_since(Instant::now())) {
                Ok(gst_webrtc::WebRTCPeerConnectionState::Connected) => break,
                Ok(gst_webrtc::WebRTCPeerConnectionState::Failed) => return Err(CallError::Failed),
                Ok(_) => {}
                Err(_) => return Err(CallError::Deadline { step: "connecting", deadline }),
            }
        }
        let source = feed::start(&self.settings, &self.graph, &self.templates, self.clock, &self.controls)?;
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
        Ok(())
    }

    /// What arrives, and what is counted.
    pub fn inbound(&self) -> &Arc<Inbound> {
        &self.inbound
    }

    /// What is sent, while it is.
    pub fn controls(&self) -> &Arc<Controls> {
        &self.controls
    }

    /// Ends the call as if the line were cut: no packet says goodbye.
    pub fn vanish(self) {
        negotiation::cut(self.graph.pipeline());
    }
}

/// The element of this name in `bin`.
fn element<E: IsA<gst::Element>>(bin: &gst::Bin, name: &'static str) -> Result<E, CallError> {
    bin.by_name(name).and_then(|element| element.downcast().ok()).ok_or(CallError::Missing(name))
}
