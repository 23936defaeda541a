//! A caller against a `webrtcbin` that sends everything back, over the host's own address (libnice leaves loopback
//! out), and the probe content through the real codecs.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;

use super::*;
use crate::probe::picture::Rect;
use crate::probe::tile;
use crate::probe::tone::{self, Speech};

const PATIENCE: Duration = Duration::from_secs(10);

/// The far end: takes an offer and sends each track back as it comes.
struct Echo {
    pipeline: gst::Pipeline,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

impl Echo {
    fn answer(offer: &str) -> (Self, String) {
        gst::init().unwrap();
        let vp8 = offer.contains("VP8/90000");
        let video = if vp8 {
            "rtpvp8depay name=video ! rtpvp8pay pt=96 picture-id-mode=15-bit ! web.sink_1"
        } else {
            "rtph264depay name=video ! h264parse ! rtph264pay pt=102 config-interval=-1 ! web.sink_1"
        };
        let text = format!(
            "webrtcbin name=web bundle-policy=max-bundle latency=20 rtpopusdepay name=audio ! rtpopuspay pt=111 ! web.sink_0 {video}"
        );
        let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let echo = Self { pipeline };
        let web = echo.pipeline.by_name("web").unwrap();
        web.property::<gst::glib::Object>("ice-agent")
            .property::<gst::glib::Object>("agent")
            .set_property("upnp", false);
        let pipeline = echo.pipeline.downgrade();
        web.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else {
                return;
            };
            let caps = pad.current_caps().unwrap();
            let name = caps.structure(0).unwrap().get::<String>("media").unwrap();
            let sink = pipeline.by_name(&name).unwrap().static_pad("sink").unwrap();
            pad.link(&sink).unwrap();
        });
        echo.pipeline.set_state(gst::State::Playing).unwrap();
        let (sender, gathered) = mpsc::channel();
        web.connect_notify(Some("ice-gathering-state"), move |web, _| {
            if web.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state")
                == gst_webrtc::WebRTCICEGatheringState::Complete
            {
                let _ = sender.send(());
            }
        });
        let sdp = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes()).unwrap();
        let offer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Offer, sdp);
        promised(|promise| web.emit_by_name::<()>("set-remote-description", &[&offer, &promise]));
        let answer =
            promised(|promise| web.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise])).unwrap();
        let answer = answer.get::<gst_webrtc::WebRTCSessionDescription>("answer").unwrap();
        promised(|promise| web.emit_by_name::<()>("set-local-description", &[&answer, &promise]));
        gathered.recv_timeout(PATIENCE).expect("gathered");
        let local = web.property::<gst_webrtc::WebRTCSessionDescription>("local-description");
        let text = local.sdp().as_text().unwrap();
        (echo, text)
    }
}

fn promised(start: impl FnOnce(gst::Promise)) -> Option<gst::Structure> {
    let (sender, reply) = mpsc::channel();
    start(gst::Promise::with_change_func(move |reply| {
        let _ = sender.send(reply.unwrap().map(ToOwned::to_owned));
    }));
    reply.recv_timeout(PATIENCE).expect("the promise is kept")
}

fn settings(index: usize) -> Settings {
    Settings {
        audio: Some(Direction::SendRecv),
        video: Some(Direction::SendRecv),
        codec: Codec::Vp8,
        source: Source::Synthetic {
            index,
            voice: Voice { frequency: tone::frequency(index), amplitude: 0.25, speech: Speech::Always },
        },
        receive: Receive::Decode,
        width: 640,
        height: 360,
        fps: 30,
        bitrate: 600_000,
        jitter: Duration::from_millis(40),
        relay: None,
        gathering: Duration::from_millis(500),
        wrong_fingerprint: false,
    }
}

/// Asks again and again, until it holds or the patience is at its end.
fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn reading(inbound: &Inbound) -> Option<(tile::Reading, Duration, usize)> {
    let frame = inbound.last_frame()?;
    let picture = frame.picture();
    let whole = Rect::new(0.0, 0.0, picture.width() as f64, picture.height() as f64);
    Some((tile::read(&picture, whole), frame.arrived, picture.width()))
}

fn call(settings: Settings) -> (Caller, Echo) {
    let caller = Caller::new(settings).unwrap();
    let offer = caller.offer().unwrap();
    let (echo, answer) = Echo::answer(&offer);
    caller.connect(&answer, PATIENCE).unwrap();
    (caller, echo)
}

#[test]
fn a_call_sends_its_picture_and_its_tone() {
    for codec in [Codec::Vp8, Codec::H264] {
        let (caller, _echo) = call(Settings { codec, ..settings(5) });
        let inbound = caller.inbound();
        let (seen, arrived, _) =
            eventually("a readable picture", || reading(inbound).filter(|(seen, ..)| seen.timecode.is_some()));
        assert_eq!(seen.bot, Some(5), "{codec}");
        let age = seen.timecode.unwrap().age_ms(arrived.as_millis() as u64);
        assert!(age < 1000, "{codec}: {age} ms old");
        eventually("the tone", || {
            let heard = inbound.heard(Duration::from_millis(200)).samples;
            (heard.len() >= 9600 && (tone::level_db(&heard, tone::frequency(5)) + 12.0).abs() < 2.0).then_some(())
        });
        let heard = inbound.heard(Duration::from_millis(200)).samples;
        assert!(tone::level_db(&heard, tone::frequency(6)) < -40.0);
        eventually("30 frames", || (inbound.counts().video_decoded >= 30).then_some(()));
        caller.stop().unwrap();
    }
}
