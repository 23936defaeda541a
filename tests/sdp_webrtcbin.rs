//! A real webrtcbin takes every offer that is let through, answers it, and its answer is finished for the peer.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use gstreamer::prelude::*;
use gstreamer_sdp::SDPMessage;
use gstreamer_webrtc::{
    WebRTCBundlePolicy, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection as GstDirection, WebRTCSDPType,
    WebRTCSessionDescription,
};
use tessera::control::Codec;
use tessera::media::sdp::{Direction, ExtensionKind, Format, IceCandidate, Kind, Media, Offer, finish_answer};

const DEADLINE: Duration = Duration::from_secs(10);

/// A webrtcbin in a pipeline of its own, stopped when it is dropped.
struct Peer {
    pipeline: gstreamer::Pipeline,
    bin: gstreamer::Element,
}

impl Peer {
    fn new() -> Self {
        gstreamer::init().unwrap();
        let pipeline = gstreamer::Pipeline::new();
        let bin = gstreamer::ElementFactory::make("webrtcbin").build().unwrap();
        bin.set_property("bundle-policy", WebRTCBundlePolicy::MaxBundle);
        pipeline.add(&bin).unwrap();
        pipeline.set_state(gstreamer::State::Playing).unwrap();
        Self { pipeline, bin }
    }

    fn call(&self, signal: &str, args: &[&dyn ToValue]) -> Option<gstreamer::Structure> {
        let (reply, replied) = mpsc::sync_channel(1);
        let promise = gstreamer::Promise::with_change_func(move |result| {
            let _ = reply.send(result.map(|result| result.map(ToOwned::to_owned)));
        });
        let args: Vec<_> = args.iter().map(|arg| arg.to_value()).chain([promise.to_value()]).collect();
        self.bin.emit_by_name_with_values(signal, &args);
        let result = replied.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{signal} is not answered"));
        let structure = result.unwrap_or_else(|error| panic!("{signal}: {error:?}"));
        if let Some(error) = structure.as_ref().and_then(|s| s.get::<gstreamer::glib::Error>("error").ok()) {
            panic!("{signal}: {error}");
        }
        structure
    }

    fn description(&self, signal: &str) -> WebRTCSessionDescription {
        let result = self.call(signal, &[&None::<gstreamer::Structure>]).unwrap();
        let name = if signal == "create-offer" { "offer" } else { "answer" };
        result.get::<WebRTCSessionDescription>(name).unwrap()
    }

    fn transceiver(&self, direction: GstDirection, caps: &gstreamer::Caps) {
        let transceiver: WebRTCRTPTransceiver = self.bin.emit_by_name("add-transceiver", &[&direction, caps]);
        transceiver.set_property("do-nack", true);
    }

    /// Answers a canonical offer the way that a server does.
    fn answer(&self, offer: &Offer) -> String {
        let message = SDPMessage::parse_buffer(offer.to_webrtcbin().as_bytes()).unwrap();
        self.call("set-remote-description", &[&WebRTCSessionDescription::new(WebRTCSDPType::Offer, message)]);
        for media in offer.media() {
            let direction = match media.direction.reversed() {
                Direction::SendRecv => GstDirection::Sendrecv,
                Direction::SendOnly => GstDirection::Sendonly,
                Direction::RecvOnly => GstDirection::Recvonly,
                Direction::Inactive => GstDirection::Inactive,
            };
            self.transceiver(direction, &caps(media));
        }
        for candidate in &offer.candidates {
            self.bin.emit_by_name::<()>("add-ice-candidate", &[&0u32, &candidate.to_string()]);
        }
        let answer = self.description("create-answer");
        let text = answer.sdp().as_text().unwrap();
        self.call("set-local-description", &[&answer]);
        text
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.pipeline.set_state(gstreamer::State::Null).unwrap();
    }
}

fn caps(media: &Media) -> gstreamer::Caps {
    let payload = media.payload();
    let mut caps = gstreamer::Caps::builder("application/x-rtp")
        .field("media", media.kind.name())
        .field("encoding-name", payload.format.name())
        .field("clock-rate", payload.format.clock_rate() as i32)
        .field("payload", i32::from(payload.number));
    if media.direction.receives() {
        caps = caps.field("ssrc", 0x1000 + u32::from(payload.number));
    }
    for extension in &media.extensions {
        caps = caps.field(format!("extmap-{}", extension.id), extension.kind.uri());
    }
    caps.build()
}

fn offers() -> Vec<(String, Offer)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let offers =
        paths.iter().filter_map(|path| Some((name(path), Offer::parse(&fs::read_to_string(path).unwrap()).ok()?)));
    offers.collect()
}

fn attributes<'a>(section: &'a str, name: &str) -> Vec<&'a str> {
    section.lines().filter_map(|line| line.strip_prefix(name)).collect()
}

#[test]
fn webrtcbin_answers_every_offer_that_is_let_through() {
    let candidate = IceCandidate::parse("candidate:1 1 udp 2122260223 192.0.2.1 40000 typ host").unwrap();
    let mut seen = BTreeSet::new();
    for (name, whole) in offers() {
        let codecs = if whole.video().is_some() { whole.video_codecs() } else { vec![Codec::Vp8] };
        let read = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp").join(&name)).unwrap();
        let lines = |text: &str| -> Vec<(String, String)> {
            let lines = text.lines().filter_map(|line| line.strip_prefix("m="));
            let words = lines.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
            words.map(|words| (words[0].clone(), words[2].clone())).collect()
        };
        for (codec, rtx) in codecs.into_iter().flat_map(|codec| [(codec, false), (codec, true)]) {
            let mut offer = whole.clone();
            offer.narrow(codec, rtx).unwrap();
            let raw = Peer::new().answer(&offer);
            let answer = finish_answer(&raw, &offer, Some(std::slice::from_ref(&candidate)))
                .unwrap_or_else(|error| panic!("{name} {codec}: {error}\n{raw}"));

            assert_eq!(lines(&answer), lines(&read), "{name}: kinds and protocols stay where they are");
            let sections: Vec<&str> = answer.split("\r\nm=").collect();
            assert_eq!(sections.len(), offer.media().len() + offer.rejected().len() + 1, "{name}");
            for line in offer.rejected() {
                let section = sections[line.mline + 1];
                assert_eq!(section.split(' ').nth(1), Some("0"), "{name}: {section}");
                assert!(!section.contains("ssrc") && !section.contains("ice-"), "{name}: {section}");
            }
            for media in offer.media() {
                let section = sections[media.mline + 1];
                let context = format!("{name} {codec} rtx {rtx}\n{raw}\n---\n{answer}");
                let payload = media.payload();
                let formats = match payload.rtx {
                    Some(rtx) => format!("{} {rtx}", payload.number),
                    None => payload.number.to_string(),
                };
                let first = section.lines().next().unwrap();
                assert_eq!(first, format!("{} 9 {} {formats}", media.kind.name(), media.protocol.name()), "{context}");
                assert_eq!(attributes(section, "a=mid:"), Vec::from_iter(media.mid.as_ref()), "{context}");
                let only = attributes(section, "a=rtcp-mux-only").len();
                assert_eq!(only, usize::from(media.rtcp_mux_only), "{context}");
                assert!(section.contains(&format!("\r\na={}", media.direction.reversed().name())), "{context}");
                assert_eq!(section.lines().filter(|line| *line == "a=rtcp-mux").count(), 1, "{context}");
                assert_eq!(!attributes(section, "a=msid:").is_empty(), media.direction.receives(), "{context}");
                assert_eq!(!attributes(section, "a=ssrc:").is_empty(), media.direction.receives(), "{context}");
                let twcc = media.extensions.iter().any(|extension| extension.kind == ExtensionKind::TransportCc);
                assert_eq!(section.contains("transport-wide-cc"), twcc, "{context}");
                assert_eq!(section.contains("transport-cc"), payload.feedback.transport_cc, "{context}");
                assert!(media.direction.sends() || !twcc && !payload.feedback.transport_cc, "{context}");
                if let Format::H264(id, mode) = payload.format {
                    let agreed = format!("packetization-mode={};profile-level-id={id}", mode.number());
                    assert!(section.contains(&agreed), "{context}");
                }
                let feedback = payload.feedback;
                let nack = attributes(section, &format!("a=rtcp-fb:{} ", payload.number)).contains(&"nack");
                assert_eq!(nack, feedback.nack, "{context}");
                seen.insert((media.kind == Kind::Audio, codec, rtx, media.direction.name()));
            }
            let tagged = sections[offer.tagged_mline() + 1];
            assert!(tagged.contains("a=candidate:1 1 udp 2122260223 192.0.2.1 40000 typ host\r\na=end-of-candidates"));
            let trickled = finish_answer(&raw, &offer, None).unwrap();
            assert!(!trickled.contains("candidate"), "{trickled}");
        }
    }
    assert!(seen.len() >= 12, "the offers no longer cover what they did: {seen:?}");
}

#[test]
fn webrtcbin_takes_every_payload_type() {
    let transport = "a=ice-ufrag:kQ7s\na=ice-pwd:hV0mYt2uLz8cWb4nRe6xPd\na=setup:actpass\na=rtcp-mux\na=fingerprint:sha-1 \
                     00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\n";
    // One at a time for each codec and for retransmissions, the others where they are no more usual.
    for number in (0..64u8).chain(96..128) {
        let [audio, vp8, rtx] = [1, 2, 3].map(|more| (number + more) % 64);
        for (direction, codec) in [("sendonly", "VP8"), ("recvonly", "VP8"), ("sendrecv", "H264")] {
            let text = format!(
                "v=0\na=group:BUNDLE a v\nm=audio 9 UDP/TLS/RTP/SAVPF {audio}\na=mid:a\na=rtpmap:{audio} opus/48000/2\n\
                 {transport}a={direction}\nm=video 9 UDP/TLS/RTP/SAVPF {number} {rtx} {vp8}\na=mid:v\n{transport}a={direction}\n\
                 a=rtpmap:{number} {codec}/90000\na=rtpmap:{rtx} rtx/90000\na=fmtp:{rtx} apt={number}\na=rtcp-fb:{number} nack\n\
                 a=rtpmap:{vp8} VP9/90000\n"
            );
            let mut offer = Offer::parse(&text).unwrap();
            offer.narrow(offer.video_codecs()[0], true).unwrap();
            let answer = finish_answer(&Peer::new().answer(&offer), &offer, None)
                .unwrap_or_else(|error| panic!("{number} {direction}: {error}"));
            assert!(answer.contains(&format!("m=video 9 UDP/TLS/RTP/SAVPF {number} {rtx}\r\n")), "{answer}");
            assert!(answer.contains(&format!("m=audio 9 UDP/TLS/RTP/SAVPF {audio}\r\n")), "{answer}");
        }
    }
}

#[test]
fn the_offer_of_a_webrtcbin_is_let_through() {
    let peer = Peer::new();
    let caps = |text: &str| text.parse::<gstreamer::Caps>().unwrap();
    peer.transceiver(
        GstDirection::Sendonly,
        &caps("application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96,ssrc=(uint)7"),
    );
    peer.transceiver(
        GstDirection::Sendonly,
        &caps("application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,encoding-params=(string)2,payload=97,ssrc=(uint)8"),
    );
    let description = peer.description("create-offer");
    let text = description.sdp().as_text().unwrap();
    let mut offer = Offer::parse(&text).unwrap();
    assert_eq!(offer.video_codecs(), [Codec::Vp8]);
    offer.narrow(Codec::Vp8, true).unwrap();
    assert!(offer.video().unwrap().payload().rtx.is_some());
    let answer = finish_answer(&Peer::new().answer(&offer), &offer, None).unwrap();
    let message = SDPMessage::parse_buffer(answer.as_bytes()).unwrap();
    peer.call("set-local-description", &[&description]);
    peer.call("set-remote-description", &[&WebRTCSessionDescription::new(WebRTCSDPType::Answer, message)]);
}
