//! The far end of a test's call: takes an offer and sends each track back as it comes, packet by packet.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Echo {
    pipeline: gst::Pipeline,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}

impl Echo {
    /// Answers with all candidates.
    pub fn answer(offer: &str) -> (Self, String) {
        gst::init().unwrap();
        let mut text = "webrtcbin name=web bundle-policy=max-bundle latency=20".to_owned();
        let lines: Vec<&str> = offer.lines().filter(|line| line.starts_with("m=")).collect();
        for (index, line) in lines.iter().enumerate() {
            let (depay, pay) = if line.starts_with("m=audio") {
                ("rtpopusdepay", "rtpopuspay pt=111")
            } else if offer.contains("VP8/90000") {
                ("rtpvp8depay", "rtpvp8pay pt=96 picture-id-mode=15-bit")
            } else {
                ("rtph264depay ! h264parse", "rtph264pay pt=102 config-interval=-1")
            };
            let kind = &line[2..7];
            text += &format!(
                " appsrc name={kind} is-live=true format=time do-timestamp=true ! {depay} ! {pay} ! web.sink_{index}"
            );
        }
        let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let echo = Self { pipeline };
        let web = echo.pipeline.by_name("web").unwrap();
        web.property::<gst::glib::Object>("ice-agent")
            .property::<gst::glib::Object>("agent")
            .set_property("upnp", false);
        let pipeline = echo.pipeline.downgrade();
        web.connect_pad_added(move |_, pad| {
            let pipeline = pipeline.upgrade().unwrap();
            if pad.direction() == gst::PadDirection::Src {
                Self::send_back(&pipeline, pad);
            }
        });
        let (sender, gathered) = mpsc::sync_channel(1);
        web.connect_notify(Some("ice-gathering-state"), move |web, _| {
            let state: gst_webrtc::WebRTCICEGatheringState = web.property("ice-gathering-state");
            if state == gst_webrtc::WebRTCICEGatheringState::Complete {
                let _ = sender.try_send(());
            }
        });
        echo.pipeline.set_state(gst::State::Playing).unwrap();

        let sdp = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes()).unwrap();
        let offer = gst_webrtc::WebRTCSessionDescription::new(gst_webrtc::WebRTCSDPType::Offer, sdp);
        promised(|promise| web.emit_by_name::<()>("set-remote-description", &[&offer, &promise]));
        let reply = promised(|promise| web.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]));
        let answer = reply.unwrap().get::<gst_webrtc::WebRTCSessionDescription>("answer").unwrap();
        promised(|promise| web.emit_by_name::<()>("set-local-description", &[&answer, &promise]));
        gathered.recv_timeout(PATIENCE).expect("the far end gathers");
        let local: gst_webrtc::WebRTCSessionDescription = web.property("local-description");
        let text = local.sdp().as_text().unwrap();
        (echo, text)
    }

    /// Counts the datagrams that come from now on.
    #[expect(clippy::disallowed_methods, reason = "nothing here can panic")]
    pub fn count_received(&self) -> Arc<AtomicU64> {
        let count = Arc::new(AtomicU64::new(0));
        for element in self.pipeline.iterate_recurse() {
            let element = element.unwrap();
            if element.factory().is_some_and(|factory| factory.name() == "nicesrc") {
                let counted = Arc::clone(&count);
                let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
                element.static_pad("src").unwrap().add_probe(data, move |_, _| {
                    counted.fetch_add(1, Relaxed);
                    gst::PadProbeReturn::Ok
                });
            }
        }
        count
    }

    fn send_back(pipeline: &gst::Pipeline, pad: &gst::Pad) {
        let caps = pad.current_caps().unwrap();
        let kind: String = caps.structure(0).unwrap().get("media").unwrap();
        let source = pipeline.by_name(&kind).unwrap().downcast::<gst_app::AppSrc>().unwrap();
        let sink = gst_app::AppSink::builder().sync(false).async_(false).build();
        let new_sample = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            source.set_caps(sample.caps_owned().as_ref());
            source.push_buffer(sample.buffer_owned().unwrap())
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    }
}

fn promised(start: impl FnOnce(gst::Promise)) -> Option<gst::Structure> {
    let (sender, reply) = mpsc::sync_channel(1);
    start(gst::Promise::with_change_func(move |reply| {
        let _ = sender.try_send(reply.unwrap().map(ToOwned::to_owned));
    }));
    reply.recv_timeout(PATIENCE).expect("the promise is kept")
}
