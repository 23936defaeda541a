//! What a stranger gets, as the tests look at it: the newest picture and the newest sound.
//!
//! It comes as datagrams: RTP of those who have no decoder of their own, which is decoded here; of the others pictures as
//! they decoded them (width and height in two bytes each, then I420) and sound (16 bit, one channel, 48 kHz).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tessera::probe::SAMPLE_RATE;
use tessera::probe::picture::Picture;

use super::stranger::Media;

/// Sound that is older has nothing to say of now.
const FRESH: Duration = Duration::from_millis(500);

/// As much as is ever asked for.
const KEPT: usize = 4 * SAMPLE_RATE as usize;

const DECODE_VIDEO: &str = "appsrc name=in is-live=true format=time do-timestamp=true
    caps=application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96
    ! rtpjitterbuffer latency=60 ! rtpvp8depay ! vp8dec ! videoconvert ! video/x-raw,format=I420
    ! appsink name=out sync=false max-buffers=1 drop=true";

const DECODE_AUDIO: &str = "appsrc name=in is-live=true format=time do-timestamp=true
    caps=application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=111
    ! rtpjitterbuffer latency=60 ! rtpopusdepay ! opusdec ! audioconvert
    ! audio/x-raw,format=F32LE,channels=1,rate=48000
    ! appsink name=out sync=false";

/// A picture as a stranger saw it.
#[derive(Clone, Debug)]
pub struct Shown {
    i420: Vec<u8>,
    width: usize,
    height: usize,
}

impl Shown {
    pub fn picture(&self) -> Picture<'_> {
        Picture::packed(&self.i420, self.width, self.height).expect("it was measured when it came")
    }
}

#[derive(Debug, Default)]
struct Newest {
    shown: Option<Shown>,
    sound: VecDeque<f32>,
    heard: Option<Instant>,
}

impl Newest {
    fn show(&mut self, i420: Vec<u8>, width: usize, height: usize) {
        let whole = Picture::packed(&i420, width, height).is_some();
        self.shown = whole.then_some(Shown { i420, width, height });
    }

    fn hear(&mut self, samples: impl Iterator<Item = f32>) {
        self.sound.extend(samples);
        let surplus = self.sound.len().saturating_sub(KEPT);
        self.sound.drain(..surplus);
        self.heard = Some(Instant::now());
    }
}

/// Takes the datagrams of both media. Any thread.
#[derive(Debug)]
pub struct Lens {
    newest: Arc<Mutex<Newest>>,
    decoders: Option<[Decoder; 2]>,
}

impl Lens {
    pub fn new(media: Media) -> Self {
        let newest = Arc::<Mutex<Newest>>::default();
        let decoders = (media == Media::Rtp).then(|| {
            let (seen, heard) = (newest.clone(), newest.clone());
            let audio = Decoder::start(DECODE_AUDIO, move |sample| {
                let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) else { return };
                let (samples, _) = map.as_chunks::<4>();
                heard.lock().unwrap().hear(samples.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            });
            let video = Decoder::start(DECODE_VIDEO, move |sample| {
                let caps = sample.caps().and_then(|caps| caps.structure(0)).expect("decoded pictures have caps");
                let size = |name| usize::try_from(caps.get::<i32>(name).expect("pictures have a size")).unwrap();
                let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) else { return };
                seen.lock().unwrap().show(map.to_vec(), size("width"), size("height"));
            });
            [audio, video]
        });
        Self { newest, decoders }
    }

    pub fn audio(&self, datagram: &[u8]) {
        match &self.decoders {
            Some([audio, _]) => audio.push(datagram),
            None => {
                let (samples, _) = datagram.as_chunks::<2>();
                let float = |bytes: &[u8; 2]| f32::from(i16::from_le_bytes(*bytes)) / 32_768.0;
                self.newest.lock().unwrap().hear(samples.iter().map(float));
            }
        }
    }

    pub fn video(&self, datagram: &[u8]) {
        match &self.decoders {
            Some([_, video]) => video.push(datagram),
            None => {
                let Some((&[a, b, c, d], i420)) = datagram.split_first_chunk::<4>() else { return };
                let (width, height) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                self.newest.lock().unwrap().show(i420.to_vec(), width.into(), height.into());
            }
        }
    }

    /// The newest picture.
    pub fn picture(&self) -> Option<Shown> {
        self.newest.lock().unwrap().shown.clone()
    }

    /// The newest sound, if there is so much of it.
    pub fn heard(&self, length: Duration) -> Option<Vec<f32>> {
        let newest = self.newest.lock().unwrap();
        let wanted = usize::try_from(tessera::probe::tone::samples(length)).unwrap();
        let from = newest.sound.len().checked_sub(wanted)?;
        let fresh = newest.heard.is_some_and(|heard| heard.elapsed() < FRESH);
        fresh.then(|| newest.sound.range(from..).copied().collect())
    }
}

/// A running decoder of RTP.
#[derive(Debug)]
struct Decoder {
    pipeline: gst::Pipeline,
    input: gst_app::AppSrc,
}

impl Decoder {
    fn start(launch: &str, decoded: impl Fn(&gst::Sample) + Send + 'static) -> Self {
        let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        let output = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().unwrap();
        let new_sample = move |output: &gst_app::AppSink| {
            decoded(&output.pull_sample().map_err(|_| gst::FlowError::Eos)?);
            Ok(gst::FlowSuccess::Ok)
        };
        output.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        let input = pipeline.by_name("in").and_downcast::<gst_app::AppSrc>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, input }
    }

    fn push(&self, packet: &[u8]) {
        // RTCP on the same port (RFC 5761) says nothing of content.
        if packet.len() > 12 && !(192..224).contains(&packet[1]) {
            let _ = self.input.push_buffer(gst::Buffer::from_slice(packet.to_vec()));
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
