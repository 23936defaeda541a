//! What the parts work on: the bots' pictures and voices and what a room makes of them, made in advance.

use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use tessera::config;
use tessera::control::Codec;
use tessera::layout;
use tessera::media::{Canvas, Composite, Frame, Graph, PictureSlot, Placed, RoomClock, Templates};
use tessera::probe::timecode::Timecode;
use tessera::probe::{grain, tile};

use super::pace::FRAME;
use crate::failure::Failure;

/// A bot's picture, and what it is encoded for.
pub const SIZE: (u32, u32) = (640, 360);
pub const BITRATE: u32 = 600_000;

/// Encoded material is as long as the time between an encoder's regular keyframes, pictures are much larger and shorter.
pub const LONG: usize = 300;
pub const SHORT: usize = 60;

/// How long one buffer may take through a pipeline.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// The time of frame `number`.
fn time(number: usize) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(FRAME.as_nanos()).unwrap_or_default() * number as u64)
}

/// The frames of the bot with this index, as I420.
fn painted(index: usize) -> impl Iterator<Item = gst::Buffer> {
    let (width, height) = (SIZE.0 as usize, SIZE.1 as usize);
    (0..LONG).map(move |number| {
        let mut data = vec![0; width * height * 3 / 2];
        let now = time(number).mseconds();
        tile::paint(&mut data, width, height, index, Timecode::at(now));
        grain::draw(&mut data, width, width, height, now);
        let mut buffer = gst::Buffer::from_mut_slice(data);
        buffer.make_mut().set_pts(time(number));
        buffer
    })
}

/// The RTP packets of a bot's camera, those of a frame together.
pub fn camera(index: usize, templates: &Templates) -> Result<Vec<Vec<gst::Sample>>, Failure> {
    let line = Line::open(templates, "bot-send-vp8", &[("bitrate", BITRATE.to_string())], "picture-in", None)?;
    let mut caps = raw_caps(SIZE);
    caps.make_mut().set("framerate", gst::Fraction::new(30, 1));
    line.source.set_caps(Some(&caps));
    let mut frames = Vec::new();
    for picture in painted(index) {
        let mut packets = vec![line.through(picture)?];
        // The marker bit (RFC 3550, section 5.1) ends a frame.
        while !packets.last().is_some_and(marked) {
            packets.push(line.pull()?);
        }
        frames.push(packets);
    }
    Ok(frames)
}

fn marked(packet: &gst::Sample) -> bool {
    let second = packet.buffer().and_then(|packet| packet.map_readable().ok()?.get(1).copied());
    second.is_none_or(|byte| byte & 0x80 != 0)
}

/// What its packets are.
pub fn caps_of(camera: &[Vec<gst::Sample>]) -> Option<gst::Caps> {
    camera.first()?.first()?.caps_owned()
}

/// The camera's pictures as a decoder gives them, in the size of their tile.
pub fn decoded(camera: &[Vec<gst::Sample>], tile: (u32, u32), templates: &Templates) -> Result<Vec<Frame>, Failure> {
    let line = Line::open(templates, "decode-vp8", &[], "rtp-in", Some("picture-out"))?;
    line.graph.element::<gst::Element>("size")?.set_property("caps", raw_caps(tile));
    line.source.set_caps(caps_of(camera).as_ref());
    let mut frames = Vec::new();
    for packets in camera.iter().take(SHORT) {
        for packet in packets {
            line.push(packet.buffer_owned().ok_or(Failure::Missing("a packet"))?)?;
        }
        let sample = line.pull()?;
        let info = sample.caps().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
        let frame = sample.buffer_owned().zip(info);
        let frame = frame.and_then(|(buffer, info)| gst_video::VideoFrame::from_buffer_readable(buffer, &info).ok());
        frames.push(Arc::new(frame.ok_or(Failure::Missing("a decoded picture"))?));
    }
    Ok(frames)
}

/// Pictures of this size, at any rate.
pub fn raw_caps(size: (u32, u32)) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::I420)
        .width(size.0.cast_signed())
        .height(size.1.cast_signed())
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        .build()
}

/// The pictures of a room, tile by tile, and where they stand.
pub struct Scene {
    pictures: Vec<Vec<Frame>>,
    slots: Vec<Arc<PictureSlot>>,
    placed: Vec<Placed>,
    canvas: Canvas,
}

impl Scene {
    pub fn new(participants: usize, templates: &Templates) -> Result<Self, Failure> {
        let config = config::Video::default();
        let tiles = layout::grid((config.width, config.height), participants);
        let (mut pictures, mut slots, mut placed) = (Vec::new(), Vec::new(), Vec::new());
        for (index, tile) in tiles.into_iter().enumerate() {
            pictures.push(decoded(&camera(index, templates)?, (tile.width, tile.height), templates)?);
            let slot = Arc::new(PictureSlot::default());
            slots.push(Arc::clone(&slot));
            placed.push(Placed { tile, picture: Some(slot), slate: None, label: None });
        }
        Ok(Self { pictures, slots, placed, canvas: Canvas::new(&config)? })
    }

    /// The composite `number` of the room, at running time `now`.
    pub fn compose(&mut self, number: usize, now: Duration) -> Option<Composite> {
        for (slot, pictures) in self.slots.iter().zip(&self.pictures) {
            slot.put(Arc::clone(&pictures[number % pictures.len()]), now);
        }
        self.canvas.compose(&self.placed, now, FRAME)
    }
}

/// What the rendition `high` is of these composites, frame by frame.
pub fn encoded(composites: &[Composite], templates: &Templates) -> Result<Vec<gst::Buffer>, Failure> {
    let line = Line::open(templates, "encode-vp8", &[], "raw-in", Some("encoded-out"))?;
    line.source.set_caps(composites.first().map(|composite| &composite.caps));
    (0..LONG)
        .map(|number| {
            let mut picture = composites[number % composites.len()].buffer.copy();
            picture.make_mut().set_pts(time(number));
            line.through(picture)?.buffer_owned().ok_or(Failure::Missing("an encoded frame"))
        })
        .collect()
}

/// The rendition `high` as configured by default.
pub fn high() -> Result<config::Rendition, Failure> {
    let all = config::Config::default().renditions;
    all.into_iter().find(|rendition| rendition.name == "high").ok_or(Failure::Missing("the rendition high"))
}

/// The codec of every measurement.
pub const CODEC: Codec = Codec::Vp8;

/// A template run for its output alone, as fast as it goes.
struct Line {
    graph: Graph,
    source: gst_app::AppSrc,
    sink: gst_app::AppSink,
}

impl Line {
    /// Where a template ends without a sink, one is added.
    fn open(
        templates: &Templates,
        name: &'static str,
        values: &[(&str, String)],
        source: &str,
        sink: Option<&str>,
    ) -> Result<Self, Failure> {
        let graph = Graph::new(templates, name, values, RoomClock::start(), |_| {})?;
        let sink = match sink {
            Some(sink) => graph.element::<gst_app::AppSink>(sink)?,
            None => {
                let sink = gst_app::AppSink::builder().sync(false).async_(false).build();
                let end = graph.pipeline().find_unlinked_pad(gst::PadDirection::Src);
                graph.pipeline().add(&sink).map_err(|_| Failure::Missing("a place for a sink"))?;
                let link = end.zip(sink.static_pad("sink")).and_then(|(end, sink)| end.link(&sink).ok());
                link.ok_or(Failure::Missing("a link to a sink"))?;
                sink
            }
        };
        sink.set_drop(false);
        sink.set_max_buffers(0);
        graph.start()?;
        Ok(Self { source: graph.element(source)?, graph, sink })
    }

    fn push(&self, buffer: gst::Buffer) -> Result<(), Failure> {
        self.source.push_buffer(buffer).map(drop).map_err(|_| Failure::Missing("a pipeline that takes buffers"))
    }

    fn pull(&self) -> Result<gst::Sample, Failure> {
        self.sink.try_pull_sample(PATIENCE).ok_or(Failure::Late("a pipeline"))
    }

    fn through(&self, buffer: gst::Buffer) -> Result<gst::Sample, Failure> {
        self.push(buffer)?;
        self.pull()
    }
}
