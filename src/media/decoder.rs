//! A participant's inbound video: RTP packets in, frames of its tile's size into a [`PictureSlot`].
//!
//! It is a pipeline of its own beside the transport's, so that a stream that no decoder can stand ends as a slate and
//! not as a lost peer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::clock::RoomClock;
use super::colour::{Colours, Conversion, Unsaid, canvas_info};
use super::graph::{Graph, GraphError, GraphEvent};
use super::keyframe_requests;
use super::parameter_sets;
use super::picture::{Frame, PictureSlot};
use super::size_limit::SizeLimit;
use super::template::Templates;
use crate::budget::Permit;
use crate::config::Fit;
use crate::control::Codec;
use crate::layout;

/// Packets that may wait for the decoder: about a second of 720p. More means that the machine cannot follow.
const MAX_QUEUED_BYTES: u64 = 1_000_000;

/// What a decoder tells its peer. Called on streaming threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecoderEvent {
    /// The size of the coded picture is now this.
    Picture { width: u32, height: u32 },
    /// The decoder wants a keyframe.
    WantsKeyframe,
    /// It failed and is of no use any more.
    Failed { detail: String },
}

/// The running decoder of one track.
#[derive(Debug)]
pub(super) struct VideoDecoder {
    source: gst_app::AppSrc,
    shape: Arc<Shape>,
    limit: Arc<SizeLimit>,
    dropped: AtomicU64,
    graph: Graph,
}

/// Where the picture goes and what it is; streaming threads read, the peer writes.
#[derive(Debug)]
struct Shape {
    fit: Fit,
    /// The tile's size, as (width << 16 | height); 0 before the first layout.
    tile: AtomicU32,
    /// The coded picture.
    input: Mutex<Option<gst_video::VideoInfo>>,
    /// What makes its colours the canvas's, where they are others.
    colours: Mutex<Option<Conversion>>,
    crop: gst::Element,
    size: gst::Element,
}

impl Shape {
    /// Sets cropping and scaling for what is known of picture and tile.
    fn apply(&self) {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let tile = self.tile.load(Ordering::Relaxed);
        let Some(info) = input.as_ref() else { return };
        let tile = if tile == 0 { (info.width(), info.height()) } else { (tile >> 16, tile & 0xffff) };
        let aspect = info.par();
        let aspect = (u32::try_from(aspect.numer()).unwrap_or(1), u32::try_from(aspect.denom()).unwrap_or(1));
        let placed = layout::place((info.width(), info.height()), aspect, tile, self.fit);
        let pixels = |n: u32| i32::try_from(n).unwrap_or(0);
        for (sides, cut) in [(["left", "right"], placed.crop_x), (["top", "bottom"], placed.crop_y)] {
            for side in sides {
                self.crop.set_property(side, pixels(cut));
            }
        }
        let caps = gst_video::VideoCapsBuilder::new()
            .format(gst_video::VideoFormat::I420)
            .width(pixels(placed.width))
            .height(pixels(placed.height))
            .pixel_aspect_ratio(gst::Fraction::new(1, 1))
            // As they come: where it is not said, the scaler guesses by the size, and another size has other colours.
            .field("colorimetry", info.colorimetry().to_string())
            .build();
        self.size.set_property("caps", &caps);
    }

    /// The frame in the canvas's colours: as it is, if it has them. Nothing where there is no memory for another.
    fn recolour(&self, frame: Frame) -> Option<Frame> {
        let colours = *self.colours.lock().unwrap_or_else(PoisonError::into_inner);
        match colours {
            None => Some(frame),
            Some(conversion) => conversion.apply(&frame, &canvas_info(frame.width(), frame.height())?),
        }
    }
}

impl VideoDecoder {
    /// What the process granted for it is given back when it is down.
    pub(super) fn hold(&mut self, permit: Arc<Permit>) {
        self.graph.hold(permit);
    }

    /// Starts a decoder of `codec` that fills `slot`. Blocks for the state change.
    pub(super) fn start(
        templates: &Templates,
        codec: Codec,
        fit: Fit,
        unsaid: Unsaid,
        clock: RoomClock,
        slot: Arc<PictureSlot>,
        events: impl Fn(DecoderEvent) + Send + Sync + 'static,
    ) -> Result<Self, GraphError> {
        let events = Arc::new(events);
        // What takes whole frames first.
        let (name, first) = match codec {
            Codec::Vp8 => ("decode-vp8", "decoder"),
            Codec::H264 => ("decode-h264", "parser"),
        };
        let failed = events.clone();
        let graph = Graph::new(templates, name, &[], clock, move |event| {
            if let GraphEvent::Failed { element, detail } = event {
                failed(DecoderEvent::Failed { detail: format!("{element}: {detail}") });
            }
        })?;
        let source: gst_app::AppSrc = graph.element("rtp-in")?;
        let sink: gst_app::AppSink = graph.element("picture-out")?;
        let shape = Arc::new(Shape {
            fit,
            tile: AtomicU32::new(0),
            input: Mutex::new(None),
            colours: Mutex::new(None),
            crop: graph.element("crop")?,
            size: graph.element("size")?,
        });

        let limit = SizeLimit::before(&graph, first, codec)?;
        let wants = events.clone();
        keyframe_requests::watch(&graph.pad("rtp-in", "src")?, &graph.pad("decoder", "sink")?, clock, move || {
            wants(DecoderEvent::WantsKeyframe);
        });
        // The crop follows the coded size before the first frame of that size reaches it.
        let shaped = shape.clone();
        graph.pad("decoder", "src")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
                && let Ok(info) = gst_video::VideoInfo::from_caps(caps.caps())
            {
                let (width, height) = (info.width(), info.height());
                let colours = Colours::of_stream(codec, caps.caps(), height, unsaid);
                *shaped.colours.lock().unwrap_or_else(PoisonError::into_inner) =
                    Conversion::between(colours, Colours::CANVAS);
                *shaped.input.lock().unwrap_or_else(PoisonError::into_inner) = Some(info);
                shaped.apply();
                events(DecoderEvent::Picture { width, height });
            }
            gst::PadProbeReturn::Ok
        });
        let shaped = shape.clone();
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let frame = sample
                        .caps()
                        .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok())
                        .zip(sample.buffer_owned())
                        .and_then(|(info, buffer)| gst_video::VideoFrame::from_buffer_readable(buffer, &info).ok());
                    if let Some(frame) = frame.and_then(|frame| shaped.recolour(Arc::new(frame))) {
                        slot.put(frame, clock.now());
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        graph.start()?;
        Ok(Self { source, shape, limit, dropped: AtomicU64::new(0), graph })
    }

    /// Parameter sets (a byte stream) for a stream that brings none; before the first packet.
    pub(super) fn lead_in(&self, sets: Vec<u8>) -> Result<(), GraphError> {
        parameter_sets::lead_in(&self.graph.pad("depayloader", "src")?, sets);
        Ok(())
    }

    /// What the packets are, before the first one and after a change.
    pub(super) fn set_caps(&self, caps: &gst::Caps) {
        self.source.set_caps(Some(caps));
    }

    /// Hands over a packet. Never blocks: past the bound it is dropped and counted, and the decoder asks for a keyframe.
    pub(super) fn push(&self, packet: gst::Buffer) {
        if self.source.current_level_bytes() > MAX_QUEUED_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // It fails only while the pipeline goes down.
        let _ = self.source.push_buffer(packet);
    }

    /// The size of the tile, in canvas pixels.
    pub(super) fn set_tile(&self, width: u32, height: u32) {
        self.shape.tile.store((width.min(0xffff) << 16) | height.min(0xffff), Ordering::Relaxed);
        self.shape.apply();
    }

    /// Packets dropped because the decoder did not follow, and frames because they are too large.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.limit.dropped()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    pub(in crate::media) const FRAMES: usize = 40;
    const KEYFRAME: usize = 20;
    const LOST: usize = 10;
    const DEADLINE: Duration = Duration::from_secs(20);

    /// RTP packets of a moving picture, by frame; frames 0 and [`KEYFRAME`] are keyframes.
    pub(in crate::media) fn packets(codec: Codec) -> (gst::Caps, Vec<Vec<gst::Buffer>>) {
        packets_of_size(codec, (160, 90))
    }

    fn packets_of_size(codec: Codec, (width, height): (u32, u32)) -> (gst::Caps, Vec<Vec<gst::Buffer>>) {
        let encoder = match codec {
            Codec::Vp8 => format!("vp8enc deadline=1 keyframe-max-dist={KEYFRAME} ! rtpvp8pay"),
            Codec::H264 => format!(
                "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={KEYFRAME} option-string=scenecut=0 \
                 ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 aggregate-mode=zero-latency"
            ),
        };
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc pattern=ball num-buffers={FRAMES} ! video/x-raw,width={width},height={height},framerate=30/1 \
             ! {encoder} ! appsink name=out sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let out: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let (mut caps, mut frames) = (None, Vec::<Vec<gst::Buffer>>::new());
        while let Ok(sample) = out.pull_sample() {
            caps = sample.caps_owned();
            let buffer = sample.buffer_owned().unwrap();
            match frames.last_mut().filter(|frame| frame[0].pts() == buffer.pts()) {
                Some(frame) => frame.push(buffer),
                None => frames.push(vec![buffer]),
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(frames.len(), FRAMES);
        (caps.unwrap(), frames)
    }

    /// Decodes these packets; returns how many frames came out and how many keyframes were asked for.
    fn decode(codec: Codec, lost: Option<usize>, expected: usize) -> (usize, usize) {
        let (caps, frames) = packets(codec);
        let (tell, told) = mpsc::sync_channel(2 * FRAMES);
        let templates = Templates::load(None).unwrap();
        let slot = Arc::<PictureSlot>::default();
        let decoder = VideoDecoder::start(
            &templates,
            codec,
            Fit::Fill,
            Unsaid::Bt601,
            RoomClock::start(),
            slot.clone(),
            move |event| {
                let _ = tell.try_send(event);
            },
        )
        .unwrap();
        let shown = Arc::new(AtomicU64::new(0));
        let counted = shown.clone();
        let out = decoder.graph.pad("size", "src").unwrap();
        out.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            gst::PadProbeReturn::Ok
        });
        decoder.set_caps(&caps);
        for (_, packets) in frames.into_iter().enumerate().filter(|(index, _)| Some(*index) != lost) {
            packets.into_iter().for_each(|packet| decoder.push(packet));
        }
        decoder.source.end_of_stream().unwrap();
        let end = decoder.graph.element::<gst_app::AppSink>("picture-out").unwrap();
        let deadline = Instant::now() + DEADLINE;
        while !end.is_eos() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(end.is_eos(), "decoded to the end; {expected} frames were expected");
        let asked = told.try_iter().filter(|event| *event == DecoderEvent::WantsKeyframe).count();
        (usize::try_from(shown.load(Ordering::SeqCst)).unwrap(), asked)
    }

    #[test]
    fn after_a_loss_nothing_is_shown_until_a_keyframe_that_is_asked_for_once() {
        gst::init().unwrap();
        for codec in [Codec::Vp8, Codec::H264] {
            assert_eq!(decode(codec, None, FRAMES), (FRAMES, 0), "{codec}, nothing lost");
            let rest = FRAMES - (KEYFRAME - LOST);
            assert_eq!(decode(codec, Some(LOST), rest), (rest, 1), "{codec}, a frame lost");
        }
    }

    #[test]
    fn a_keyframe_that_does_not_come_is_asked_for_again() {
        gst::init().unwrap();
        for codec in [Codec::Vp8, Codec::H264] {
            let (caps, frames) = packets(codec);
            let (tell, told) = mpsc::sync_channel(2 * FRAMES);
            let templates = Templates::load(None).unwrap();
            let decoder = VideoDecoder::start(
                &templates,
                codec,
                Fit::Fill,
                Unsaid::Bt601,
                RoomClock::start(),
                Arc::default(),
                move |event| {
                    let _ = tell.try_send(event);
                },
            )
            .unwrap();
            decoder.set_caps(&caps);
            let until_keyframe = frames[..KEYFRAME].iter().enumerate().filter(|(index, _)| *index != LOST);
            until_keyframe.flat_map(|(_, packets)| packets).for_each(|packet| decoder.push(packet.clone()));
            // The stream goes on with what cannot be shown.
            let (mut asked, deadline) = (0, Instant::now() + DEADLINE);
            while asked < 3 {
                assert!(Instant::now() < deadline, "{codec}: {asked} requests");
                decoder.push(frames[KEYFRAME - 1][0].clone());
                asked += told.try_iter().filter(|event| *event == DecoderEvent::WantsKeyframe).count();
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    }
    #[test]
    fn a_picture_that_is_too_large_does_not_reach_the_decoder() {
        gst::init().unwrap();
        for codec in [Codec::Vp8, Codec::H264] {
            let (tell, told) = mpsc::sync_channel(2 * FRAMES);
            let (templates, slot) = (Templates::load(None).unwrap(), Arc::<PictureSlot>::default());
            let events = move |event| drop(tell.try_send(event));
            let decoder = VideoDecoder::start(
                &templates,
                codec,
                Fit::Fill,
                Unsaid::Bt601,
                RoomClock::start(),
                slot.clone(),
                events,
            )
            .unwrap();
            for size in [(4_112, 128), (160, 90)] {
                let (caps, frames) = packets_of_size(codec, size);
                decoder.set_caps(&caps);
                frames.into_iter().flatten().for_each(|packet| decoder.push(packet));
            }
            let deadline = Instant::now() + DEADLINE;
            while slot.frames() < FRAMES as u64 {
                assert!(Instant::now() < deadline, "{codec}: {} frames", slot.frames());
                std::thread::yield_now();
            }
            assert_eq!(slot.frames(), FRAMES as u64, "{codec}: what fits comes by itself");
            // Of H.264, parameter sets may come by themselves, too.
            assert!(decoder.dropped() >= FRAMES as u64, "{codec}: what does not is counted");
            let is_size = |event: &DecoderEvent| matches!(event, DecoderEvent::Picture { .. });
            let sizes: Vec<DecoderEvent> = told.try_iter().filter(is_size).collect();
            assert_eq!(sizes, [DecoderEvent::Picture { width: 160, height: 90 }], "{codec}");
        }
    }
}
