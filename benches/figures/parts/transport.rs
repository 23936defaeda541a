//! The transports of a room: a webrtcbin for each participant, which is sent a rendition and a voice and receives a camera
//! and a voice, and nothing else.

use std::sync::mpsc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtp::prelude::*;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;
use tessera::media::caller::{Caller, Receive, Settings, Source};
use tessera::media::{Graph, RoomClock, Templates};
use tessera::probe::tone::{Speech, Voice, frequency};

use super::composite::composites;
use super::pace::{self, FRAME};
use super::{material, voices};
use crate::failure::Failure;

const DEADLINE: Duration = Duration::from_secs(10);
const PIECE: Duration = Duration::from_millis(20);

/// The far ends, in the parent's process: as bots, but for the HTTP. `answer` takes an offer to the child and brings its
/// answer.
pub fn call(
    participants: usize,
    templates: &Templates,
    mut answer: impl FnMut(&str) -> Result<String, Failure>,
) -> Result<Vec<Caller>, Failure> {
    let settings = |index| {
        let voice = Voice { frequency: frequency(index), amplitude: 0.25, speech: Speech::Always };
        Settings {
            codec: material::CODEC,
            receive: Receive::Count,
            width: material::SIZE.0,
            height: material::SIZE.1,
            bitrate: material::BITRATE,
            ..Settings::new(Source::Synthetic { index, grain: true, voice })
        }
    };
    (0..participants)
        .map(|index| {
            let caller = Caller::new(settings(index), templates)?;
            caller.connect(&answer(&caller.offer()?)?, DEADLINE)?;
            Ok(caller)
        })
        .collect()
}

/// The near ends: answers an offer a line, then sends to all of them.
pub fn run(participants: usize, templates: &Templates) -> Result<(), Failure> {
    let frames = material::encoded(&composites(participants, templates)?, templates)?;
    let packets = voices::packets(participants)?;
    let clock = RoomClock::start();
    let mut ends = Vec::new();
    for line in std::io::stdin().lines().take(participants) {
        let (end, answer) = End::answer(&serde_json::from_str::<String>(&line?)?, templates, clock)?;
        println!("{}", serde_json::to_string(&answer)?);
        ends.push(end);
    }
    let (sounds, pictures): (Vec<_>, Vec<_>) = ends.iter().map(|end| (end.sound.clone(), end.picture.clone())).unzip();
    pace::every(FRAME, move |number| {
        let mut frame = frames[number as usize % frames.len()].copy();
        frame.make_mut().set_pts(now(clock));
        send(&pictures, &frame);
    })?;
    pace::every(PIECE, move |number| {
        let mut packet = gst::Buffer::from_slice(packets[number as usize % packets.len()].clone());
        packet.make_mut().set_pts(now(clock));
        send(&sounds, &packet);
    })?;
    super::ready()?;
    drop(ends);
    Ok(())
}

fn now(clock: RoomClock) -> Option<gst::ClockTime> {
    clock.now().as_nanos().try_into().ok().map(gst::ClockTime::from_nseconds)
}

fn send(sources: &[gst_app::AppSrc], buffer: &gst::Buffer) {
    for source in sources {
        // It fails only while the pipeline goes down.
        let _ = source.push_buffer(buffer.clone());
    }
}

struct End {
    sound: gst_app::AppSrc,
    picture: gst_app::AppSrc,
    _graph: Graph,
}

impl End {
    /// Answers with all candidates. The offer is a caller's: sound first, then pictures.
    fn answer(offer: &str, templates: &Templates, clock: RoomClock) -> Result<(Self, String), Failure> {
        let graph = Graph::new(templates, "peer", &[], clock, |_| {})?;
        let webrtc: gst::Element = graph.element("webrtc")?;
        let agent = webrtc.property::<gst::Object>("ice-agent").property::<glib::Object>("agent");
        agent.set_property("upnp", false);
        agent.set_property("ice-tcp", false);
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            bin.connect_deep_element_added(|_, _, element| {
                if element.factory().is_some_and(|factory| factory.name() == "clocksync") {
                    element.set_property("sync", false);
                }
            });
        }
        let pipeline = graph.pipeline().downgrade();
        webrtc.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = pipeline.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) {
                swallow(&pipeline, pad);
            }
        });
        for (mline, (name, payload, payloader)) in
            [("send-opus", 111, "audio-pay"), ("send-vp8", 96, "video-pay")].into_iter().enumerate()
        {
            let branch = templates.bin(name, &[("payload", payload.to_string())], true)?;
            let missing = || Failure::Missing("a branch that sends");
            graph.pipeline().add(&branch).map_err(|_| missing())?;
            if payloader == "video-pay" {
                let extension = gst::ElementFactory::make("rtphdrexttwcc").build().map_err(|_| missing())?;
                let extension = extension.downcast::<gstreamer_rtp::RTPHeaderExtension>().map_err(|_| missing())?;
                extension.set_id(1);
                graph.element::<gst::Element>(payloader)?.emit_by_name::<()>("add-extension", &[&extension]);
            }
            let sink = webrtc.request_pad_simple(&format!("sink_{mline}")).ok_or_else(missing)?;
            let transceiver: gst_webrtc::WebRTCRTPTransceiver = sink.property("transceiver");
            transceiver.set_property("do-nack", payloader == "video-pay");
            branch.static_pad("src").and_then(|end| end.link(&sink).ok()).ok_or_else(missing)?;
        }
        let (tell, gathered) = mpsc::sync_channel(1);
        webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
            let state: gst_webrtc::WebRTCICEGatheringState = webrtc.property("ice-gathering-state");
            if state == gst_webrtc::WebRTCICEGatheringState::Complete {
                let _ = tell.try_send(());
            }
        });
        graph.start()?;
        let sdp = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes()).map_err(|_| Failure::Missing("an offer"))?;
        let offer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Offer, sdp);
        ask(|promise| webrtc.emit_by_name::<()>("set-remote-description", &[&offer, promise]))?;
        let reply = ask(|promise| webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, promise]))?;
        let answer = reply.and_then(|reply| reply.get::<gst_webrtc::WebRTCSessionDescription>("answer").ok());
        let answer = answer.ok_or(Failure::Missing("an answer"))?;
        ask(|promise| webrtc.emit_by_name::<()>("set-local-description", &[&answer, promise]))?;
        gathered.recv_timeout(DEADLINE).map_err(|_| Failure::Late("gathering"))?;
        let local: gst_webrtc::WebRTCSessionDescription = webrtc.property("local-description");
        let text = local.sdp().as_text().map_err(|_| Failure::Missing("an answer's text"))?;
        let end = Self { sound: graph.element("audio-in")?, picture: graph.element("video-in")?, _graph: graph };
        Ok((end, text))
    }
}

/// What is received ends here.
fn swallow(pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let sink = gst_app::AppSink::builder().sync(false).async_(false).enable_last_sample(false).build();
    let take =
        |sink: &gst_app::AppSink| sink.pull_sample().map(|_| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Eos);
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
    let added = pipeline.add(&sink).is_ok() && sink.sync_state_with_parent().is_ok();
    let linked = added && sink.static_pad("sink").is_some_and(|end| pad.link(&end).is_ok());
    if !linked {
        eprintln!("a track is not received");
    }
}

fn ask(request: impl FnOnce(&gst::Promise)) -> Result<Option<gst::Structure>, Failure> {
    let (tell, told) = mpsc::sync_channel(1);
    let promise = gst::Promise::with_change_func(move |reply| {
        let _ = tell.try_send(reply.ok().flatten().map(ToOwned::to_owned));
    });
    request(&promise);
    told.recv_timeout(DEADLINE).map_err(|_| Failure::Late("webrtcbin"))
}
