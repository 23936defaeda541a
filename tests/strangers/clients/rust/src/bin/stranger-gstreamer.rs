//! GStreamer's own elements for WHIP and WHEP: whipsink, which only publishes, and whepsrc, which only watches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tessera_strangers::{Told, Wire, enough};

const AUDIO: &str =
    "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=111,encoding-params=(string)2";
const VIDEO: &str = "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96";

/// The payload type in AUDIO.
const VOICE: u8 = 111;

fn main() {
    let told = Told::read();
    gst::init().unwrap();
    gstwebrtchttp::plugin_register_static().unwrap();
    let pipeline = gst::Pipeline::new();
    if told.sends() {
        publish(&pipeline, &told)
    } else {
        watch(&pipeline, &told)
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let failed = Arc::new(Mutex::new(None));
    let (bus, noted) = (pipeline.bus().unwrap(), failed.clone());
    std::thread::spawn(move || {
        for message in bus.iter_timed(gst::ClockTime::NONE) {
            if let gst::MessageView::Error(error) = message.view() {
                eprintln!("{}: {}", error.error(), error.debug().unwrap_or_default());
                *noted.lock().unwrap() = Some(error.error());
            }
        }
    });
    enough();
    // With this the elements end their sessions by DELETE.
    pipeline.set_state(gst::State::Null).unwrap();
    let _ = pipeline.state(gst::ClockTime::from_mseconds(Duration::from_secs(5).as_millis() as u64));
    std::process::exit(i32::from(failed.lock().unwrap().is_some()));
}

fn publish(pipeline: &gst::Pipeline, told: &Told) {
    let sink = gst::ElementFactory::make("whipsink").property("whip-endpoint", &told.url).build().unwrap();
    pipeline.add(&sink).unwrap();
    for (port, caps) in [(told.audio, AUDIO), (told.video, VIDEO)] {
        let source = gst_app::AppSrc::builder()
            .caps(&caps.parse::<gst::Caps>().unwrap())
            .is_live(true)
            .do_timestamp(true)
            .format(gst::Format::Time)
            .build();
        pipeline.add(&source).unwrap();
        source.link(&sink).unwrap();
        Wire::new(port, move |packet| {
            if !packet.is_empty() {
                let _ = source.push_buffer(gst::Buffer::from_slice(packet.to_vec()));
            }
        });
    }
}

fn watch(pipeline: &gst::Pipeline, told: &Told) {
    let source = gst::ElementFactory::make("whepsrc")
        .property("whep-endpoint", &told.url)
        .property("audio-caps", AUDIO.parse::<gst::Caps>().unwrap())
        .property("video-caps", VIDEO.parse::<gst::Caps>().unwrap())
        .build()
        .unwrap();
    pipeline.add(&source).unwrap();
    let (voice, picture) = (Wire::new(told.audio, |_| {}), Wire::new(told.video, |_| {}));
    let weak = pipeline.downgrade();
    source.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let (voice, picture) = (voice.clone(), picture.clone());
        let sink = gst_app::AppSink::builder().sync(false).async_(false).build();
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(packet) = sample.buffer() {
                        let packet = packet.map_readable().map_err(|_| gst::FlowError::Error)?;
                        // Its pads have no caps yet when they come.
                        let is_voice = packet.get(1).is_some_and(|marked| marked & 0x7f == VOICE);
                        if is_voice { &voice } else { &picture }.give(&packet);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
}
