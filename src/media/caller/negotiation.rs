//! The offerer's negotiation over `webrtcbin`: tracks, offer with candidates, answer, connection.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;
use gstreamer_webrtc::WebRTCPeerConnectionState;

use super::{CallError, Direction, Inbound, Relay, Settings, element};
use crate::control::Codec;
use crate::media::certificate::Certificate;
use crate::media::guarded;
use crate::media::payload_type;
use crate::media::template::Templates;

/// How long `webrtcbin` may take for one step of the negotiation. The first offer of a process waits for what GStreamer
/// loads and registers, which takes a busy machine seconds, and nobody waits for that offer yet.
const STEP_DEADLINE: Duration = Duration::from_secs(20);

/// States that wait for a reader: more than a connection goes through until it is up.
const STATES: usize = 16;

/// The header extension of transport-wide sequence numbers; the sending chains have it under the id 1 too.
const TWCC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Turns off what costs sockets and threads, and has the relay used where there is one.
pub(super) fn configure_ice(webrtc: &gst::Element, relay: Option<&Relay>) -> Result<(), CallError> {
    // References to the agent must not be kept: they hold its threads and sockets.
    let ice = webrtc.property::<glib::Object>("ice-agent");
    let agent = ice.property::<glib::Object>("agent");
    agent.set_property("upnp", false);
    agent.set_property("ice-tcp", false);
    if let Some(relay) = relay {
        webrtc.set_property_from_str("ice-transport-policy", "relay");
        let added = webrtc.emit_by_name::<bool>("add-turn-server", &[&turn_url(relay).ok_or(CallError::Relay)?]);
        if !added {
            return Err(CallError::Relay);
        }
    }
    Ok(())
}

/// The URL in the form that `webrtcbin` takes: with the credentials in it.
fn turn_url(relay: &Relay) -> Option<String> {
    let (scheme, rest) = relay.url.split_once(':').filter(|(scheme, _)| matches!(*scheme, "turn" | "turns"))?;
    let mut url = url::Url::parse(&format!("{scheme}://{}", rest.trim_start_matches('/'))).ok()?;
    url.set_username(&relay.username).ok()?;
    url.set_password(Some(&relay.credential)).ok()?;
    Some(url.into())
}

/// Adds the m-lines, the audio's first, with what feeds them.
pub(super) fn add_tracks(
    home: &gst::Bin,
    webrtc: &gst::Element,
    settings: &Settings,
    templates: &Templates,
    inbound: &Arc<Inbound>,
) -> Result<(), CallError> {
    let mut mline = 0;
    if let Some(direction) = settings.audio {
        let branch = || Ok(templates.bin("bot-send-audio", &[], true)?);
        let line = Line { number: mline, direction, caps: audio_caps(), payload: None };
        add_track(home, webrtc, line, branch, inbound)?;
        mline += 1;
    }
    if let Some(direction) = settings.video {
        let branch = || {
            let branch = match settings.codec {
                Codec::Vp8 => templates.bin("bot-send-vp8", &[("bitrate", settings.bitrate.to_string())], true),
                Codec::H264 => {
                    let kilobits = settings.bitrate.div_ceil(1000).to_string();
                    templates.bin("bot-send-h264", &[("bitrate-kbit", kilobits)], true)
                }
            }?;
            inbound.count_keyframes(&element(&branch, "encoder")?);
            Ok(branch)
        };
        let caps = video_caps(settings.codec, settings.payload);
        let line = Line { number: mline, direction, caps, payload: settings.payload };
        add_track(home, webrtc, line, branch, inbound)?;
    }
    Ok(())
}

/// An m-line to be offered.
struct Line {
    number: u32,
    direction: Direction,
    caps: gst::Caps,
    /// What its packets are numbered, where no payloader would do so.
    payload: Option<u8>,
}

fn add_track(
    home: &gst::Bin,
    webrtc: &gst::Element,
    line: Line,
    branch: impl FnOnce() -> Result<gst::Bin, CallError>,
    inbound: &Arc<Inbound>,
) -> Result<(), CallError> {
    let Line { number, direction, caps, payload } = line;
    let transceiver = if direction.sends() {
        let branch = branch()?;
        home.add(&branch).map_err(|_| CallError::Missing("branch"))?;
        let pad = webrtc.request_pad_simple(&format!("sink_{number}")).ok_or(CallError::Missing("sink pad"))?;
        let source = branch.static_pad("src").ok_or(CallError::Missing("src pad"))?;
        inbound.count_sent(&source);
        // Where none is said, it is one that the sending chain writes.
        payload_type::link(&source, &pad, payload.unwrap_or(96))
            .map_err(|_| CallError::Missing("link to webrtcbin"))?;
        let transceiver = pad.property::<gst_webrtc::WebRTCRTPTransceiver>("transceiver");
        transceiver.set_property("direction", direction.webrtc());
        transceiver.set_property("codec-preferences", &caps);
        transceiver
    } else {
        webrtc.emit_by_name("add-transceiver", &[&direction.webrtc(), &caps])
    };
    transceiver.set_property("do-nack", caps.structure(0).is_some_and(|caps| caps.get("media") == Ok("video")));
    Ok(())
}

fn audio_caps() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("encoding-params", "2")
        .field("payload", 111)
        .field("clock-rate", 48_000)
        .build()
}

fn video_caps(codec: Codec, payload: Option<u8>) -> gst::Caps {
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("clock-rate", 90_000)
        .field("extmap-1", TWCC)
        // As browsers do, whose colours a bot has (see `media::colour`).
        .field("rtcp-fb-goog-remb", true);
    match codec {
        Codec::Vp8 => caps.field("encoding-name", "VP8").field("payload", i32::from(payload.unwrap_or(96))),
        Codec::H264 => caps
            .field("encoding-name", "H264")
            .field("payload", i32::from(payload.unwrap_or(102)))
            .field("packetization-mode", "1")
            .field("profile-level-id", "42e01f")
            .field("level-asymmetry-allowed", "1"),
    }
    .build()
}

/// The states of the connection, as they come.
pub(super) fn watch_states(webrtc: &gst::Element, inbound: &Arc<Inbound>) -> mpsc::Receiver<WebRTCPeerConnectionState> {
    let (sender, states) = mpsc::sync_channel(STATES);
    let inbound = Arc::downgrade(inbound);
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        let state = webrtc.property("connection-state");
        if matches!(state, WebRTCPeerConnectionState::Failed | WebRTCPeerConnectionState::Closed)
            && let Some(inbound) = inbound.upgrade()
        {
            inbound.fail();
        }
        // Nobody listens any more where the call is over.
        let _ = sender.try_send(state);
    });
    states
}

/// Makes the offer and waits for its candidates, at most as long as the settings say.
pub(super) fn offer(
    webrtc: &gst::Element,
    certificate: &Certificate,
    settings: &Settings,
) -> Result<String, CallError> {
    let by = Instant::now() + settings.gathering;
    let (sender, gathered) = mpsc::sync_channel(1);
    let watch = webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        let state: gst_webrtc::WebRTCICEGatheringState = webrtc.property("ice-gathering-state");
        if state == gst_webrtc::WebRTCICEGatheringState::Complete {
            let _ = sender.try_send(());
        }
    });
    let reply = promised("the offer", |promise| {
        webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
    })?;
    let offer = reply
        .and_then(|reply| reply.get::<gst_webrtc::WebRTCSessionDescription>("offer").ok())
        .ok_or_else(|| CallError::Negotiation { step: "the offer", detail: "no description".to_owned() })?;
    promised("the local description", |promise| {
        webrtc.emit_by_name::<()>("set-local-description", &[&offer, &promise]);
    })?;
    if gathered.recv_timeout(by.saturating_duration_since(Instant::now())).is_err() {
        tracing::debug!("the offer goes out with the candidates found so far");
    }
    webrtc.disconnect(watch);
    let description = webrtc.property::<Option<gst_webrtc::WebRTCSessionDescription>>("local-description");
    let text = description.and_then(|description| description.sdp().as_text().ok());
    let text = text.ok_or_else(|| CallError::Negotiation { step: "the offer", detail: "no text".to_owned() })?;
    let text = certificate.announce(&text);
    Ok(if settings.wrong_fingerprint { with_wrong_fingerprint(&text) } else { text })
}

/// The same offer with the last digits of its certificates' fingerprints changed.
fn with_wrong_fingerprint(sdp: &str) -> String {
    let line = |line: &str| match line.split_at_checked(line.len().saturating_sub(2)) {
        Some((start, end)) if line.starts_with("a=fingerprint:") => {
            format!("{start}{}\r\n", if end == "00" { "11" } else { "00" })
        }
        _ => format!("{line}\r\n"),
    };
    sdp.lines().map(line).collect()
}

/// Takes the answer.
pub(super) fn answer(webrtc: &gst::Element, answer: &str) -> Result<(), CallError> {
    let malformed = |_| CallError::Negotiation { step: "the answer", detail: "not SDP".to_owned() };
    let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).map_err(malformed)?;
    let answer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Answer, sdp);
    promised("the answer", |promise| {
        webrtc.emit_by_name::<()>("set-remote-description", &[&answer, &promise]);
    })?;
    Ok(())
}

/// Starts a step that answers with a promise, and waits for that.
fn promised(step: &'static str, start: impl FnOnce(gst::Promise)) -> Result<Option<gst::Structure>, CallError> {
    let (sender, reply) = mpsc::sync_channel(1);
    start(gst::Promise::with_change_func(move |reply| {
        let reply = match reply {
            Ok(Some(reply)) => match reply.get::<glib::Error>("error") {
                Ok(error) => Err(error.to_string()),
                Err(_) => Ok(Some(reply.to_owned())),
            },
            Ok(None) => Ok(None),
            Err(error) => Err(format!("{error:?}")),
        };
        // Nobody waits any more where the deadline has passed.
        let _ = sender.try_send(reply);
    }));
    let reply = reply.recv_timeout(STEP_DEADLINE);
    let reply = reply.map_err(|_| CallError::Deadline { step, deadline: STEP_DEADLINE })?;
    reply.map_err(|detail| CallError::Negotiation { step, detail })
}

/// Drops every packet on its way out from now on.
pub(super) fn cut(pipeline: &gst::Pipeline) {
    let mut elements = pipeline.iterate_recurse();
    // The iterator only fails where the pipeline changes meanwhile; a call that is up does not.
    while let Ok(Some(element)) = elements.next() {
        if element.factory().is_some_and(|factory| factory.name() == "nicesink")
            && let Some(pad) = element.static_pad("sink")
        {
            let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            // Not Drop: with that the bindings leave GStreamer a null to free, of which it complains.
            guarded::probe(&pad, data, |_, _| gst::PadProbeReturn::Handled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_urls_take_the_credentials_in() {
        let relay =
            |url: &str| Relay { url: url.to_owned(), username: "17:al".to_owned(), credential: "a/b@c".to_owned() };
        let url = turn_url(&relay("turn:192.0.2.7:3478?transport=udp"));
        assert_eq!(url.as_deref(), Some("turn://17%3Aal:a%2Fb%40c@192.0.2.7:3478?transport=udp"));
        assert_eq!(turn_url(&relay("stun:192.0.2.7")), None);
    }

    #[test]
    fn the_wrong_fingerprint_is_one_of_the_same_form() {
        let sdp = "v=0\r\na=fingerprint:sha-256 AB:CD:00\r\na=mid:0\r\n";
        assert_eq!(with_wrong_fingerprint(sdp), "v=0\r\na=fingerprint:sha-256 AB:CD:11\r\na=mid:0\r\n");
    }
}
