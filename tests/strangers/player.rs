//! What a stranger sends that has no encoder of its own: one colour and one tone, as RTP.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tessera::probe::palette;
use tessera::probe::tone;

/// The payload types that the strangers' offers have.
const VIDEO_PAYLOAD: u8 = 96;
const AUDIO_PAYLOAD: u8 = 111;

/// How the strangers' offers name their synchronisation sources, where they must.
const VIDEO_SSRC: u32 = 22_222;
const AUDIO_SSRC: u32 = 11_111;

/// A running source; it ends when this is dropped.
#[derive(Debug)]
pub struct Player {
    pipelines: [gst::Pipeline; 2],
}

impl Player {
    /// The colour and the tone of this index. Called on streaming threads.
    pub fn start(index: usize, audio: impl Fn(&[u8]) + Send + 'static, video: impl Fn(&[u8]) + Send + 'static) -> Self {
        let (red, green, blue) = rgb(palette::colour(index));
        // A keyframe each second: nobody asks this encoder for one.
        let video_launch = format!(
            "videotestsrc is-live=true pattern=solid-color foreground-color={}
             ! video/x-raw,format=I420,width=640,height=360,framerate=30/1
             ! vp8enc deadline=1 cpu-used=-16 target-bitrate=300000 keyframe-max-dist=30
             ! rtpvp8pay pt={VIDEO_PAYLOAD} ssrc={VIDEO_SSRC} mtu=1100 picture-id-mode=15-bit
             ! appsink name=out sync=false",
            0xff00_0000u32 | u32::from(red) << 16 | u32::from(green) << 8 | u32::from(blue),
        );
        let audio_launch = format!(
            "audiotestsrc is-live=true freq={} volume=0.25 samplesperbuffer=960
             ! audio/x-raw,rate=48000,channels=1 ! opusenc bitrate=64000
             ! rtpopuspay pt={AUDIO_PAYLOAD} ssrc={AUDIO_SSRC} ! appsink name=out sync=false",
            tone::frequency(index),
        );
        Self { pipelines: [play(&audio_launch, audio), play(&video_launch, video)] }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        for pipeline in &self.pipelines {
            let _ = pipeline.set_state(gst::State::Null);
        }
    }
}

fn play(launch: &str, send: impl Fn(&[u8]) + Send + 'static) -> gst::Pipeline {
    let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    let output = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().unwrap();
    let new_sample = move |output: &gst_app::AppSink| {
        let sample = output.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let packets = sample.buffer_list_owned();
        let lists = packets.iter().flat_map(|list| list.iter());
        for packet in sample.buffer().into_iter().chain(lists) {
            send(&packet.map_readable().map_err(|_| gst::FlowError::Error)?);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    output.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

/// A colour of limited range in BT.601, which `videotestsrc` makes of RGB for a picture of this size.
fn rgb(palette::Colour { y, u, v }: palette::Colour) -> (u8, u8, u8) {
    let (y, u, v) = (1.164 * (f64::from(y) - 16.0), f64::from(u) - 128.0, f64::from(v) - 128.0);
    let channel = |value: f64| value.round().clamp(0.0, 255.0) as u8;
    (channel(y + 1.596 * v), channel(y - 0.813 * v - 0.391 * u), channel(y + 2.018 * u))
}
