//! All the media of one peer: its transport, what comes in and what goes out.

use std::sync::Arc;
use std::time::Duration;

use super::audio_mixer::{AudioMixer, Listener};
use super::certificate::Certificate;
use super::clock::RoomClock;
use super::colour::Unsaid;
use super::decoder::DecoderEvent;
use super::gate;
use super::graph::GraphError;
use super::inbound::Inbound;
use super::picture::PictureSlot;
use super::rendition::RenditionKey;
use super::sdp::{self, AnswerError, Offer};
use super::sender::{AudioSender, SenderEvent, VideoSender};
use super::template::Templates;
use super::transport::{Kind, Sinks, Track, Transport, TransportError, TransportEvent};
use crate::budget::Permit;
use crate::config;
use crate::control::{Codec, RefusedPicture};
use crate::id::PeerId;
use crate::ladder::LineReport;

/// What a connection is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub peer: PeerId,
    pub templates: Arc<Templates>,
    pub certificate: Certificate,
    pub ice: config::Ice,
    pub fit: config::Fit,
    pub clock: RoomClock,
    /// The peer's offer, narrowed to one codec for each m-line.
    pub offer: Offer,
    /// What the process grants it; given back when all of it is down.
    pub permit: Arc<Permit>,
}

/// What a connection tells its peer. Sent from GStreamer's threads.
#[derive(Clone, Debug)]
pub enum ConnectionEvent {
    /// A candidate of the server's own, as found.
    Candidate { mline: u32, candidate: String },
    /// All of them are found.
    Gathered,
    /// ICE and DTLS are up; [`Connection::verify`] comes next.
    Connected,
    /// They are down for good.
    Disconnected,
    /// The peer said goodbye.
    Goodbye,
    /// The transport's pipeline failed.
    Failed { detail: String },
    /// The size of the picture that comes in.
    Picture { width: u32, height: u32 },
    /// What comes in is not decoded for this reason, or for none any more.
    Refused(Option<RefusedPicture>),
    /// The decoder cannot go on; [`Connection::restart_decoder`] makes a new one.
    DecoderFailed { detail: String },
    /// What the peer gets is this from now on.
    Switched(RenditionKey),
    /// The peer needs a keyframe of this.
    WantsKeyframe(RenditionKey),
    /// The peer's decoder asks for a keyframe: [`Connection::keyframe_requested`].
    KeyframeRequested,
    /// Our decoder asks for a keyframe: [`Connection::request_keyframe`].
    DecoderWantsKeyframe,
}

/// Why a connection could not be made. None of it is the peer's fault: its offer was checked before.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// All ports of the configured range are taken, or there is no address that may be told.
    #[error("no address with a free UDP port is left for the media")]
    NoCandidates,
}

type Events = Arc<dyn Fn(ConnectionEvent) + Send + Sync>;

/// A peer's running media. Dropping it closes the connection and takes its voice and picture out of the mix.
#[derive(Debug)]
pub struct Connection {
    plan: Plan,
    transport: Transport,
    inbound: Arc<Inbound>,
    video: Option<Arc<VideoSender>>,
    voice: Option<AudioSender>,
    _listener: Option<Listener>,
    events: EventSink,
    answer: String,
}

/// So that a connection can be printed.
struct EventSink(Events);

impl std::fmt::Debug for EventSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventSink")
    }
}

impl Connection {
    /// Makes the pipelines, starts them and answers the offer. Blocks for some tens of milliseconds, at most for the
    /// negotiation's deadlines.
    pub fn start(
        plan: Plan,
        audio: &AudioMixer,
        events: impl Fn(ConnectionEvent) + Send + Sync + 'static,
    ) -> Result<Self, ConnectionError> {
        let events: Events = Arc::new(events);
        let tracks = tracks(&plan.offer, plan.peer);
        let sends = |kind| tracks.iter().any(|track| track.kind == kind && track.receives);
        let voice = sends(Kind::Audio).then(|| audio.add_voice(plan.peer));
        let inbound = Arc::new(Inbound::new(plan.clock, voice, Some(plan.permit.clone())));
        if sends(Kind::Video)
            && let Some(codec) = codec(&plan.offer)
        {
            inbound
                .set_parameter_sets(plan.offer.video().and_then(|media| media.payload().parameter_sets.byte_stream()));
            start_decoder(&inbound, &plan, codec, &events)?;
        }
        let (packets, reports) = (inbound.clone(), inbound.clone());
        let mut transport = Transport::start(
            &plan.templates,
            &plan.certificate,
            &plan.ice,
            plan.clock,
            &tracks,
            Sinks {
                packets: Arc::new(move |kind, caps, packet| packets.packet(kind, caps, packet)),
                rtcp: Arc::new(move |rtcp| reports.report(rtcp)),
            },
            translate(&events),
        )?;
        transport.hold(plan.permit.clone());
        let switched = events.clone();
        let video = transport.video_source().map(|source| {
            VideoSender::new(plan.peer, source, unsaid(&plan.offer), move |event| {
                switched(match event {
                    SenderEvent::Switched(key) => ConnectionEvent::Switched(key),
                    SenderEvent::WantsKeyframe(key) => ConnectionEvent::WantsKeyframe(key),
                });
            })
        });
        let voice = transport.audio_sender();
        let listener = voice
            .clone()
            .map(|sender| audio.add_listener(plan.peer, move |packet| sender.push(packet.pts, packet.data)));
        let answer = transport.answer(&behind_the_gate(&plan.offer).to_webrtcbin())?;
        for candidate in &plan.offer.candidates {
            transport.add_candidate(0, &candidate.to_string());
        }
        Ok(Self { plan, transport, inbound, video, voice, _listener: listener, events: EventSink(events), answer })
    }

    /// The answer for the peer: with `candidates` (all of them, as found), or to be trickled.
    pub fn answer(&self, candidates: Option<&[String]>) -> Result<String, ConnectionError> {
        let told = candidates.map(|found| self.advertise().candidates(found.iter().map(String::as_str)));
        if told.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConnectionError::NoCandidates);
        }
        Ok(sdp::finish_answer(&self.answer, &self.plan.offer, told.as_deref())?)
    }

    /// What the peer is told of one candidate of the server's; nothing for those that are kept.
    pub fn advertised(&self, candidate: &str) -> Option<String> {
        self.advertise().candidate(candidate).map(|candidate| candidate.to_string())
    }

    fn advertise(&self) -> sdp::Advertise {
        sdp::Advertise {
            public_address: self.plan.ice.public_address,
            exclude: self.plan.ice.exclude_addresses.clone(),
        }
    }

    /// The m-line of the peer's offer for which it is told our candidates.
    pub fn mline(&self) -> u32 {
        u32::try_from(self.plan.offer.tagged_mline()).unwrap_or_default()
    }

    /// A candidate of the peer's, as it came. False if it is of no use.
    pub fn add_candidate(&self, candidate: &str) -> bool {
        let usable = sdp::IceCandidate::parse(candidate).ok().filter(sdp::IceCandidate::usable);
        if let Some(candidate) = &usable {
            self.transport.add_candidate(0, &candidate.to_string());
        }
        usable.is_some()
    }

    /// Compares the peer's certificate with its offer and, if it is the one, lets media pass. Blocks for webrtcbin's lock.
    pub fn verify(&self) -> bool {
        let verified = self
            .transport
            .peer_certificate()
            .is_some_and(|certificate| self.plan.offer.accepts_certificate(&certificate));
        if verified {
            self.transport.set_verified();
            if let Some(video) = &self.video {
                video.open();
            }
        }
        verified
    }

    /// A new decoder in the place of one that failed. Blocks for the state change.
    pub fn restart_decoder(&self) -> Result<(), GraphError> {
        match codec(&self.plan.offer) {
            Some(codec) => start_decoder(&self.inbound, &self.plan, codec, &self.events.0),
            None => Ok(()),
        }
    }

    /// Decodes no more: the picture is given up.
    pub fn stop_decoder(&self) {
        self.inbound.stop_decoder();
    }

    /// Where this peer's pictures are, for the canvas.
    pub fn picture(&self) -> Arc<PictureSlot> {
        self.inbound.slot().clone()
    }

    /// What the renditions send into; none for a peer that receives no video.
    pub fn video_sender(&self) -> Option<Arc<VideoSender>> {
        self.video.clone()
    }

    /// The size of this peer's tile, in canvas pixels.
    pub fn set_tile(&self, width: u32, height: u32) {
        self.inbound.set_tile(width, height);
    }

    /// How its picture fills its tile.
    pub fn fit(&self) -> config::Fit {
        self.plan.fit
    }

    /// Asks the peer for a keyframe. Blocks for webrtcbin's locks.
    pub fn request_keyframe(&self) {
        self.transport.request_keyframe();
    }

    /// The peer asked for a keyframe; passed on as far as its allowance goes.
    pub fn keyframe_requested(&self) {
        if let Some(video) = &self.video {
            video.keyframe_requested();
        }
    }

    /// Running time when media last came from the peer.
    pub fn sent(&self) -> Option<Duration> {
        self.inbound.last()
    }

    /// Running time when the peer last reported (RTCP).
    pub fn reported(&self) -> Option<Duration> {
        self.transport.reported()
    }

    /// Whether the peer said that it sends no picture any more (RTCP BYE), and sent nothing of one since.
    pub fn picture_has_ended(&self) -> bool {
        self.transport.has_ended(Kind::Video)
    }

    /// Running time when something was last heard of the peer.
    pub fn heard(&self) -> Duration {
        self.transport.heard()
    }

    /// Packets of this peer, either way, that were dropped at a bound or for what they held.
    pub fn dropped(&self) -> u64 {
        let video = self.video.as_ref().map_or(0, |video| video.counts().1);
        let voice = self.voice.as_ref().map_or(0, AudioSender::dropped);
        self.transport.refused() + self.inbound.dropped() + video + voice
    }

    /// How the peer's line was since this was last answered; nothing while the peer reports nothing.
    pub fn line_report(&self) -> Option<LineReport> {
        self.transport.line_report()
    }
}

fn codec(offer: &Offer) -> Option<Codec> {
    offer.video().and_then(|media| media.payload().codec())
}

/// How the peer takes colours of which nothing is said.
fn unsaid(offer: &Offer) -> Unsaid {
    offer.video().map_or(Unsaid::Bt601, Unsaid::of)
}

/// The offer with the sources that webrtcbin gets to see.
fn behind_the_gate(offer: &Offer) -> Offer {
    let mut offer = offer.clone();
    for kind in [sdp::Kind::Audio, sdp::Kind::Video] {
        let ssrc = gate::ssrc(match kind {
            sdp::Kind::Audio => Kind::Audio,
            sdp::Kind::Video => Kind::Video,
        });
        offer.rename_sources(kind, ssrc);
    }
    offer
}

/// The m-lines as they will be agreed, the one with the transport first.
fn tracks(offer: &Offer, peer: PeerId) -> Vec<Track> {
    let track = |(index, media): (usize, &sdp::Media)| {
        let payload = media.payload();
        Track {
            kind: if payload.codec().is_some() { Kind::Video } else { Kind::Audio },
            codec: payload.codec(),
            payload: payload.number,
            single_nal: matches!(payload.format, sdp::Format::H264(_, sdp::PacketizationMode::SingleNal)),
            sends: media.direction.receives(),
            receives: media.direction.sends(),
            extensions: media.extensions.clone(),
            // Ours to choose (RFC 3550): not zero, different for the two m-lines, and none of the gate's.
            ssrc: ((peer.bits() >> 34) as u32) << 1 | u32::try_from(index & 1).unwrap_or(0) | 2,
            rtx: payload.rtx,
            sources: media.sources.clone(),
        }
    };
    offer.media().iter().enumerate().map(track).collect()
}

fn start_decoder(inbound: &Inbound, plan: &Plan, codec: Codec, events: &Events) -> Result<(), GraphError> {
    let events = events.clone();
    inbound.start_decoder(&plan.templates, codec, plan.fit, unsaid(&plan.offer), plan.clock, move |event| {
        events(match event {
            DecoderEvent::Picture { width, height } => ConnectionEvent::Picture { width, height },
            DecoderEvent::Refused(refused) => ConnectionEvent::Refused(refused),
            DecoderEvent::WantsKeyframe => ConnectionEvent::DecoderWantsKeyframe,
            DecoderEvent::Failed { detail } => ConnectionEvent::DecoderFailed { detail },
        });
    })
}

fn translate(events: &Events) -> impl Fn(TransportEvent) + Send + Sync + 'static {
    let events = events.clone();
    move |event| {
        events(match event {
            TransportEvent::Candidate { mline, candidate } => ConnectionEvent::Candidate { mline, candidate },
            TransportEvent::Gathered => ConnectionEvent::Gathered,
            TransportEvent::Connected => ConnectionEvent::Connected,
            TransportEvent::Disconnected => ConnectionEvent::Disconnected,
            TransportEvent::Goodbye => ConnectionEvent::Goodbye,
            TransportEvent::Failed { detail } => ConnectionEvent::Failed { detail },
            TransportEvent::KeyframeRequested => ConnectionEvent::KeyframeRequested,
        });
    }
}
