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
use super::door::Door;
use super::graph::{Graph, GraphError, GraphEvent};
use super::guarded;
use super::parameter_sets;
use super::picture::{Frame, PictureSlot};
use super::template::Templates;
use crate::budget::Permit;
use crate::config::Fit;
use crate::control::{Codec, RefusedPicture};
use crate::layout;

/// Packets that may wait for the decoder, which may take a second to catch up with a large picture. More means that the
/// machine cannot follow.
const MAX_QUEUED_BYTES: u64 = 2_000_000;

/// What a decoder tells its peer. Called on streaming threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecoderEvent {
    /// The size of the coded picture is now this.
    Picture { width: u32, height: u32 },
    /// The decoder wants a keyframe.
    WantsKeyframe,
    /// What comes is not decoded for this reason, or for none any more.
    Refused(Option<RefusedPicture>),
    /// It failed and is of no use any more.
    Failed { detail: String },
}

/// The running decoder of one track.
#[derive(Debug)]
pub(super) struct VideoDecoder {
    source: gst_app::AppSrc,
    shape: Arc<Shape>,
    door: Arc<Door>,
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

        let told = events.clone();
        let door = Door::before(&graph, first, codec, clock, slot.clone(), move |event| told(event))?;
        // The crop follows the coded size before the first frame of that size reaches it.
        let shaped = shape.clone();
        guarded::probe(&graph.pad("decoder", "src")?, gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
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
        Ok(Self { source, shape, door, dropped: AtomicU64::new(0), graph })
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

    /// Packets dropped because the decoder did not follow, and frames because they are too much.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.door.dropped()
    }
}

#[cfg(test)]
pub(super) mod tests;
