//! A peer's transport: webrtcbin in a pipeline of its own, always the answerer, negotiated exactly once.
//!
//! What comes in leaves as RTP packets, what goes out enters as encoded frames. Nothing passes in either direction
//! before DTLS is up and the peer's certificate is the one that its SDP announced: GStreamer before 1.28.5 does not
//! compare them (RFC 8122, section 5).

mod streams;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_video as gst_video;
use gstreamer_webrtc as gst_webrtc;

use super::certificate::Certificate;
use super::clock::RoomClock;
use super::gate::Gate;
use super::goodbye;
use super::graph::{Graph, GraphError, GraphEvent};
use super::guarded;
use super::insides::{Heard, configure_ice, configure_insides};
use super::payload_type;
use super::receiver_reports::ReceiverReports;
use super::sdp::{Extension, Sources};
use super::sender::AudioSender;
use super::template::Templates;
use crate::budget::Permit;
use crate::config;
use crate::control::Codec;
use crate::ladder::LineReport;

/// How long the negotiation may take, all steps of it. Its computing is a matter of milliseconds, and of seconds where the
/// machine has far more to do than it can; whoever joins is better answered late than refused.
const NEGOTIATION_DEADLINE: Duration = Duration::from_secs(7);

/// The longest wait for a missing packet, in ms: video waits for a retransmission.
const VIDEO_LATENCY_MS: u32 = 80;

/// The MediaStream that everything a peer receives belongs to (RFC 8830).
const STREAM_ID: &str = "tessera";

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Audio,
    Video,
}

/// One m-line as it was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub kind: Kind,
    /// The video codec; Opus is what audio is.
    pub codec: Option<Codec>,
    pub payload: u8,
    /// Whether H.264 may only be sent as one NAL unit in each packet.
    pub single_nal: bool,
    /// Whether the peer is sent something on it.
    pub sends: bool,
    /// Whether the peer sends something on it.
    pub receives: bool,
    /// Our synchronisation source.
    pub ssrc: u32,
    /// The payload type of retransmissions.
    pub rtx: Option<u8>,
    /// The sources that the peer says it sends from.
    pub sources: Sources,
    /// The header extensions of what the peer sends.
    pub extensions: Vec<Extension>,
}

impl Track {
    /// The RTP clock, in Hz.
    pub(super) fn clock_rate(&self) -> u32 {
        if self.codec.is_some() { 90_000 } else { 48_000 }
    }
}

/// What a transport tells its peer. Sent from GStreamer's threads.
#[derive(Clone, Debug)]
pub enum TransportEvent {
    /// A candidate of our own.
    Candidate { mline: u32, candidate: String },
    /// All candidates are found.
    Gathered,
    /// ICE and DTLS are up. The certificate is not verified yet.
    Connected,
    /// ICE or DTLS gave up.
    Disconnected,
    /// The other end said goodbye.
    Goodbye,
    /// The pipeline failed.
    Failed { detail: String },
    /// The peer's decoder asks for a keyframe.
    KeyframeRequested,
}

/// Where inbound packets go. Called on streaming threads; must not block.
pub type PacketSink = Arc<dyn Fn(Kind, Option<&gst::Caps>, gst::Buffer) + Send + Sync>;

/// Where the peer's RTCP goes, a compound packet at a time. Called on streaming threads; must not block.
pub type ReportSink = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Where all that comes from the peer goes.
#[derive(Clone)]
pub struct Sinks {
    pub packets: PacketSink,
    pub rtcp: ReportSink,
}

/// Why a transport could not be made or negotiated.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("the network interfaces cannot be listed")]
    Interfaces(#[source] std::io::Error),
    #[error("webrtcbin: {0}")]
    Webrtc(&'static str),
    #[error("webrtcbin did not {0} in time")]
    Late(&'static str),
    #[error("webrtcbin refused to {step}: {detail}")]
    Refused { step: &'static str, detail: String },
}

/// A peer's running transport. Dropping it closes the connection, of which the other end is told.
#[derive(Debug)]
pub struct Transport {
    graph: Graph,
    webrtc: gst::Element,
    certificate: Certificate,
    video_in: Option<gst_app::AppSrc>,
    audio_in: Option<gst_app::AppSrc>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Arc<Gate>,
    /// The peer is who its SDP says: media may pass.
    verified: Arc<AtomicBool>,
    /// When the last datagram came that was not STUN.
    heard: Arc<Heard>,
    reports: Arc<Mutex<ReceiverReports>>,
    inbound: AtomicU32,
    /// Packets that came before the certificate was verified.
    refused: AtomicU64,
    /// The video stream's pad, for keyframe requests to the sender.
    video_pad: Mutex<Option<gst::glib::WeakRef<gst::Pad>>>,
}

impl Transport {
    /// Makes the pipeline with its branches for `tracks`, in the m-lines' order, and starts it. Blocks: not for async
    /// threads.
    pub fn start(
        templates: &Templates,
        certificate: &Certificate,
        ice: &config::Ice,
        clock: RoomClock,
        tracks: &[Track],
        sinks: Sinks,
        events: impl Fn(TransportEvent) + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let events: Arc<dyn Fn(TransportEvent) + Send + Sync> = Arc::new(events);
        let failed = events.clone();
        let mut graph =
            Graph::new(templates, "peer", &[("latency", VIDEO_LATENCY_MS.to_string())], clock, move |event| {
                if let GraphEvent::Failed { element, detail } = event {
                    failed(TransportEvent::Failed { detail: format!("{element}: {detail}") });
                }
            })?;
        graph.do_last(goodbye::say);
        let webrtc: gst::Element = graph.element("webrtc")?;
        let sent = tracks.iter().filter(|track| track.sends).map(|track| track.ssrc);
        let shared = Arc::new(Shared {
            gate: Gate::new(clock, tracks),
            verified: Arc::default(),
            heard: Arc::default(),
            reports: Arc::new(Mutex::new(ReceiverReports::of(sent))),
            inbound: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            video_pad: Mutex::default(),
        });
        shared.heard.note(clock.now());
        configure_ice(&webrtc, ice)?;
        certificate.show(&webrtc);
        configure_insides(&webrtc, clock, tracks, &shared.heard, &shared.reports, &shared.gate, &sinks.rtcp);
        let goodbye = events.clone();
        goodbye::hear(&webrtc, move || goodbye(TransportEvent::Goodbye));
        report(&webrtc, &events);
        let mut transport =
            Self { graph, webrtc, certificate: certificate.clone(), video_in: None, audio_in: None, shared };
        transport.receive_into(sinks.packets);
        for (mline, track) in (0u32..).zip(tracks) {
            transport.add_track(templates, mline, track, &events)?;
        }
        transport.graph.start()?;
        Ok(transport)
    }

    /// What the process granted for it is given back when it is down.
    pub(super) fn hold(&mut self, permit: Arc<Permit>) {
        self.graph.hold(permit);
    }

    /// Answers the offer, which must be canonical (see [`sdp`](super::sdp)). Blocks for at most 7 s.
    pub fn answer(&self, offer: &str) -> Result<String, TransportError> {
        let end = Instant::now() + NEGOTIATION_DEADLINE;
        let sdp = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes())
            .map_err(|_| TransportError::Webrtc("offer is not SDP"))?;
        let offer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Offer, sdp);
        self.ask("take the offer", "set-remote-description", Some(&offer), end)?;
        let reply = self.ask("answer", "create-answer", None, end)?;
        let answer = reply
            .as_ref()
            .and_then(|reply| reply.get::<gst_webrtc::WebRTCSessionDescription>("answer").ok())
            .ok_or(TransportError::Webrtc("no answer came"))?;
        self.ask("keep its answer", "set-local-description", Some(&answer), end)?;
        let answer = answer.sdp().as_text().map_err(|_| TransportError::Webrtc("the answer is not text"))?;
        Ok(self.certificate.announce(&answer))
    }

    /// One request to webrtcbin, which waits for its outcome until `end`.
    fn ask(
        &self,
        step: &'static str,
        signal: &str,
        description: Option<&gst_webrtc::WebRTCSessionDescription>,
        end: Instant,
    ) -> Result<Option<gst::Structure>, TransportError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let promise = gst::Promise::with_change_func(move |reply| {
            // Whoever asked may have given up.
            let _ = sender.try_send(match reply {
                Ok(reply) => Ok(reply.map(ToOwned::to_owned)),
                Err(error) => Err(format!("{error:?}")),
            });
        });
        match description {
            Some(description) => self.webrtc.emit_by_name::<()>(signal, &[description, &promise]),
            None => self.webrtc.emit_by_name::<()>(signal, &[&None::<gst::Structure>, &promise]),
        }
        let refused = |detail| TransportError::Refused { step, detail };
        let left = end.saturating_duration_since(Instant::now());
        let reply = receiver.recv_timeout(left).map_err(|_| TransportError::Late(step))?.map_err(refused)?;
        if let Some(error) = reply.as_ref().and_then(|reply| reply.get::<gst::glib::Error>("error").ok()) {
            return Err(refused(error.to_string()));
        }
        Ok(reply)
    }

    /// A candidate of the peer's; checked before (literal addresses only).
    pub fn add_candidate(&self, mline: u32, candidate: &str) {
        self.webrtc.emit_by_name::<()>("add-ice-candidate", &[&mline, &candidate]);
    }

    /// The certificate that the peer showed in DTLS, as PEM. Blocks for webrtcbin's lock.
    pub fn peer_certificate(&self) -> Option<String> {
        let transceiver =
            self.webrtc.emit_by_name::<Option<gst_webrtc::WebRTCRTPTransceiver>>("get-transceiver", &[&0i32])?;
        let ends = [
            transceiver.receiver().and_then(|receiver| receiver.transport()),
            transceiver.sender().and_then(|sender| sender.transport()),
        ];
        ends.into_iter().flatten().find_map(|transport| transport.remote_certificate()).map(Into::into)
    }

    /// Lets media pass: the certificate is the announced one.
    pub fn set_verified(&self) {
        self.shared.verified.store(true, Ordering::Release);
        self.shared.heard.settle();
    }

    /// Running time when the peer last reported (RTCP).
    pub fn reported(&self) -> Option<Duration> {
        self.shared.heard.reported()
    }

    /// Running time when something was last heard of the peer.
    pub fn heard(&self) -> Duration {
        self.shared.heard.last()
    }

    /// Inbound RTP that was not let through.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed) + self.shared.gate.refused()
    }

    /// Whether the peer said that it sends nothing of this kind any more (RTCP BYE).
    pub fn has_ended(&self, kind: Kind) -> bool {
        self.shared.gate.has_ended(kind)
    }

    /// Where the video for this peer goes in, if it is sent any.
    pub(super) fn video_source(&self) -> Option<gst_app::AppSrc> {
        self.video_in.clone()
    }

    /// Where the Opus packets for this peer go in, if it is sent any.
    pub fn audio_sender(&self) -> Option<AudioSender> {
        self.audio_in.clone().map(|source| AudioSender::new(source, self.shared.verified.clone()))
    }

    /// Asks the peer for a keyframe of its video. Not from webrtcbin's own callbacks.
    pub fn request_keyframe(&self) {
        let pad = self.shared.video_pad.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pad) = pad.as_ref().and_then(gst::glib::WeakRef::upgrade) {
            pad.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
    }

    /// How the peer's line was since this was last answered; nothing while the peer reports nothing.
    pub fn line_report(&self) -> Option<LineReport> {
        self.shared.reports.lock().unwrap_or_else(PoisonError::into_inner).line_report()
    }

    fn receive_into(&self, packets: PacketSink) {
        let shared = self.shared.clone();
        let pipeline = self.graph.pipeline().downgrade();
        self.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else {
                return;
            };
            if let Err(error) = streams::attach(&pipeline, pad, &shared, packets.clone()) {
                tracing::warn!(%error, pad = %pad.name(), "an inbound stream was not taken");
            }
        });
    }

    fn add_track(
        &mut self,
        templates: &Templates,
        mline: u32,
        track: &Track,
        events: &Arc<dyn Fn(TransportEvent) + Send + Sync>,
    ) -> Result<(), TransportError> {
        let caps = caps_of(track);
        if !track.sends {
            let direction = gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly;
            let transceiver =
                self.webrtc.emit_by_name::<gst_webrtc::WebRTCRTPTransceiver>("add-transceiver", &[&direction, &caps]);
            transceiver.set_property("do-nack", track.kind == Kind::Video);
            return Ok(());
        }
        let name = match track.codec {
            None => "send-opus",
            Some(Codec::Vp8) => "send-vp8",
            Some(Codec::H264) => "send-h264",
        };
        let mut values =
            vec![("payload", payload_type::stand_in(track.payload).to_string()), ("ssrc", track.ssrc.to_string())];
        if track.single_nal {
            // The encoder's own parameter sets do: GStreamer 1.22 would put more before each slice of a keyframe.
            values.extend([("aggregate-mode", "none".to_owned()), ("config-interval", "0".to_owned())]);
        }
        let branch = templates.bin(name, &values, true).map_err(GraphError::from)?;
        let link = |what: &str| GraphError::Link { graph: name.to_owned(), detail: what.to_owned() };
        self.graph.pipeline().add(&branch).map_err(|_| link("cannot be added"))?;
        let source = match track.kind {
            Kind::Audio => "audio-in",
            Kind::Video => "video-in",
        };
        let source: gst_app::AppSrc = self.graph.element(source)?;
        // The number fixes the m-line; requests without one are broken in 1.22.
        let template = self.webrtc.pad_template("sink_%u").ok_or(TransportError::Webrtc("no sink_%u"))?;
        let sink = self
            .webrtc
            .request_pad(&template, Some(&format!("sink_{mline}")), Some(&caps))
            .ok_or(TransportError::Webrtc("no pad for the m-line"))?;
        sink.set_property("msid", STREAM_ID);
        let transceiver: gst_webrtc::WebRTCRTPTransceiver = sink.property("transceiver");
        transceiver.set_property("codec-preferences", &caps);
        transceiver.set_property("do-nack", track.kind == Kind::Video);
        if !track.receives {
            transceiver.set_direction(gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
        }
        let output = branch.static_pad("src").ok_or_else(|| link("has no end"))?;
        payload_type::link(&output, &sink, track.payload).map_err(|_| link("cannot be linked to webrtcbin"))?;
        match track.kind {
            Kind::Audio => self.audio_in = Some(source),
            Kind::Video => {
                let wants = events.clone();
                let end = source.static_pad("src").ok_or_else(|| link("has no source"))?;
                guarded::probe(&end, gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                    if let Some(gst::PadProbeData::Event(event)) = &info.data
                        && gst_video::ForceKeyUnitEvent::is(event)
                    {
                        wants(TransportEvent::KeyframeRequested);
                    }
                    gst::PadProbeReturn::Ok
                });
                self.video_in = Some(source);
            }
        }
        Ok(())
    }
}

/// The caps that webrtcbin matches with the offer's m-line; what else stands there (fmtp, feedback) comes from the offer.
fn caps_of(track: &Track) -> gst::Caps {
    let (media, encoding, clock_rate) = match track.codec {
        None => ("audio", "OPUS", 48_000),
        Some(Codec::Vp8) => ("video", "VP8", 90_000),
        Some(Codec::H264) => ("video", "H264", 90_000),
    };
    let mut caps = gst::Caps::builder("application/x-rtp")
        .field("media", media)
        .field("encoding-name", encoding)
        .field("clock-rate", clock_rate)
        .field("payload", i32::from(track.payload))
        .field("ssrc", track.ssrc);
    for Extension { id, kind } in &track.extensions {
        caps = caps.field(format!("extmap-{id}"), kind.uri());
    }
    caps.build()
}

/// Turns webrtcbin's signals into events.
fn report(webrtc: &gst::Element, events: &Arc<dyn Fn(TransportEvent) + Send + Sync>) {
    let found = events.clone();
    webrtc.connect("on-ice-candidate", false, move |values| {
        if let (Some(Ok(mline)), Some(Ok(candidate))) =
            (values.get(1).map(gst::glib::Value::get::<u32>), values.get(2).map(gst::glib::Value::get::<String>))
        {
            found(TransportEvent::Candidate { mline, candidate });
        }
        None
    });
    let gathered = events.clone();
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        let state = webrtc.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
        if state == gst_webrtc::WebRTCICEGatheringState::Complete {
            gathered(TransportEvent::Gathered);
        }
    });
    let changed = events.clone();
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        use gst_webrtc::WebRTCPeerConnectionState as State;
        match webrtc.property::<State>("connection-state") {
            State::Connected => changed(TransportEvent::Connected),
            State::Failed | State::Closed => changed(TransportEvent::Disconnected),
            _ => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::sdp::Offer;

    /// More than any step takes on a machine that one would use.
    const SLOW: Duration = Duration::from_millis(3_500);

    #[test]
    fn a_slow_step_is_waited_for() {
        crate::media::init().unwrap();
        let track = |kind, codec, payload, ssrc| Track {
            kind,
            codec,
            payload,
            single_nal: false,
            sends: false,
            receives: true,
            ssrc,
            rtx: None,
            sources: Sources::default(),
            extensions: Vec::new(),
        };
        let tracks = [track(Kind::Audio, None, 111, 2), track(Kind::Video, Some(Codec::Vp8), 96, 3)];
        let mut offer = Offer::parse(include_str!("../../tests/http/offer.sdp")).unwrap();
        offer.narrow(Codec::Vp8, true).unwrap();
        let (templates, ice) = (Templates::load(None).unwrap(), config::Ice::default());
        let sinks = Sinks { packets: Arc::new(|_, _, _| {}), rtcp: Arc::new(|_| {}) };
        let (certificate, clock) = (Certificate::make().unwrap(), RoomClock::start());
        let transport = Transport::start(&templates, &certificate, &ice, clock, &tracks, sinks, |_| {}).unwrap();
        // Told by webrtcbin's own thread within the step; the second time it is the last step's.
        let slow = AtomicBool::new(true);
        transport.webrtc.connect_notify(Some("signaling-state"), move |_, _| {
            let end = Instant::now() + SLOW;
            while slow.load(Ordering::Relaxed) && Instant::now() < end {
                std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
            }
            slow.store(false, Ordering::Relaxed);
        });
        let asked = Instant::now();
        let answer = transport.answer(&offer.to_webrtcbin()).unwrap();
        assert!(asked.elapsed() >= SLOW, "the step was not slow");
        assert!(answer.contains("m=audio") && answer.contains("m=video"), "{answer}");
    }
}
