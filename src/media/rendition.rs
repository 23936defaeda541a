//! One encode of the mix, shared by everybody who watches it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::clock::{RoomClock, clock_time};
use super::colour::{Colours, Conversion, Unsaid};
use super::graph::{Graph, GraphError, GraphEvent};
use super::sender::VideoSender;
use super::template::Templates;
use super::video_mixer::Composite;
use crate::config;
use crate::control::Codec;
use crate::id::PeerId;

/// Composites that may wait for the encoder. More would only be delay.
const MAX_QUEUED_FRAMES: u64 = 2;

/// Bytes of a slice that stays within a packet of 1200 with its headers.
const SLICE_BYTES: u32 = 1_100;

/// Seconds between regular keyframes.
const KEYFRAME_SECONDS: u32 = 10;

/// What a rendition is known by in its room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RenditionKey {
    pub codec: Codec,
    pub name: String,
    /// H.264 in slices that fit into packets, for peers that take no fragments: another encode.
    pub single_nal: bool,
}

/// An encoded frame on its way to the watchers.
#[derive(Clone, Debug)]
pub(super) struct EncodedFrame {
    pub(super) buffer: gst::Buffer,
    pub(super) keyframe: bool,
}

/// A running encoder and its fan-out. Dropping it stops the encoder.
#[derive(Debug)]
pub struct Rendition {
    key: RenditionKey,
    // Before the graph, so that a mixer that still holds this rendition feeds a source that refuses.
    source: gst_app::AppSrc,
    encoder_out: gst_app::AppSink,
    shared: Arc<Shared>,
    pace: Mutex<Pace>,
    /// What makes the canvas's colours those that who guesses takes the frames for; nothing where they are the same, or
    /// where the codec says it.
    guess: Option<Conversion>,
    _graph: Graph,
}

#[derive(Debug, Default)]
struct Shared {
    /// A std mutex: held while frames' reference counts are handed out, on the encoder's thread.
    watchers: Mutex<Vec<Arc<VideoSender>>>,
    frames: AtomicU64,
    keyframes: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicBool,
    /// Whether all who watch guess.
    guessed: AtomicBool,
}

impl Shared {
    fn watchers(&self) -> MutexGuard<'_, Vec<Arc<VideoSender>>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_guesses(&self, watchers: &[Arc<VideoSender>]) {
        let guessed = watchers.iter().all(|watcher| watcher.unsaid() == Unsaid::BySize);
        self.guessed.store(guessed, Ordering::Relaxed);
    }
}

/// Which of the mixer's frames this rendition takes.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Duration,
}

impl Pace {
    /// Whether the frame of time `pts` is due, for a rendition of fewer frames per second than the canvas.
    fn due(&mut self, pts: Duration) -> bool {
        // Half a millisecond of tolerance: intervals of 1/30 s do not add up exactly to those of 1/15 s.
        if pts + Duration::from_micros(500) < self.next {
            return false;
        }
        self.next = if pts > self.next + self.interval { pts } else { self.next } + self.interval;
        true
    }
}

/// Counters for the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenditionCounts {
    pub frames: u64,
    pub keyframes: u64,
    pub dropped: u64,
}

impl Rendition {
    /// Starts an encoder. `failed` is called on a streaming thread, once at most, with why the encoder is of no use any
    /// more; [`has_failed`](Self::has_failed) holds by then. Blocks for the state change.
    pub fn start(
        templates: &Templates,
        key: RenditionKey,
        config: &config::Rendition,
        canvas_fps: u32,
        clock: RoomClock,
        failed: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Self, GraphError> {
        let fps = config.fps.min(canvas_fps).max(1);
        // libvpx and x264 make one 720p frame in a quarter of its time on one core; more threads only cost there.
        let threads = if config.width * config.height > 1280 * 720 { 2 } else { 1 };
        let mut values = vec![
            ("width", config.width.to_string()),
            ("height", config.height.to_string()),
            ("threads", threads.to_string()),
            ("keyframe-distance", (fps * KEYFRAME_SECONDS).to_string()),
        ];
        let name = match key.codec {
            Codec::Vp8 => {
                values.push(("bitrate", config.bitrate.to_string()));
                "encode-vp8"
            }
            Codec::H264 => {
                values.push(("bitrate-kbit", (config.bitrate / 1000).max(1).to_string()));
                if key.single_nal {
                    values.push(("slice-max-size", SLICE_BYTES.to_string()));
                }
                "encode-h264"
            }
        };
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        let graph = Graph::new(templates, name, &values, clock, move |event| {
            if let GraphEvent::Failed { element, detail } = event {
                watched.failed.store(true, Ordering::Release);
                failed(format!("{element}: {detail}"));
            }
        })?;
        let source: gst_app::AppSrc = graph.element("raw-in")?;
        let encoder_out: gst_app::AppSink = graph.element("encoded-out")?;
        let (fan_out, from) = (shared.clone(), key.clone());
        encoder_out.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let Some(buffer) = sample.buffer_owned() else { return Ok(gst::FlowSuccess::Ok) };
                    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
                    fan_out.frames.fetch_add(1, Ordering::Relaxed);
                    fan_out.keyframes.fetch_add(u64::from(keyframe), Ordering::Relaxed);
                    let frame = EncodedFrame { buffer, keyframe };
                    for watcher in fan_out.watchers().iter() {
                        watcher.frame(&from, &frame);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        graph.start()?;
        let guess = (key.codec == Codec::Vp8).then(|| Colours::guessed(config.height));
        let interval = Duration::from_secs(1) / fps;
        Ok(Self {
            key,
            source,
            encoder_out,
            shared,
            pace: Mutex::new(Pace { interval, next: Duration::ZERO }),
            guess: guess.and_then(|guess| Conversion::between(Colours::CANVAS, guess)),
            _graph: graph,
        })
    }

    /// Takes a composite, if one is due. Called on the mixer's thread; never blocks.
    pub fn feed(&self, composite: &Composite) {
        if !self.pace.lock().unwrap_or_else(PoisonError::into_inner).due(composite.pts) {
            return;
        }
        if self.source.current_level_buffers() >= MAX_QUEUED_FRAMES {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.source.caps().as_ref() != Some(&composite.caps) {
            self.source.set_caps(Some(&composite.caps));
        }
        // It fails only when the encoder did, or while the pipeline goes down.
        let _ = self.source.push_buffer(self.coloured(composite));
    }

    /// The composite in the colours that it will be taken for: the canvas's, unless all who watch guess others.
    fn coloured(&self, composite: &Composite) -> gst::Buffer {
        let guess = self.guess.filter(|_| self.shared.guessed.load(Ordering::Relaxed));
        guess.and_then(|guess| composite.recoloured(&guess)).unwrap_or_else(|| composite.buffer.clone())
    }

    /// Hands its frames to `sender` from now on, and makes a keyframe for it.
    pub fn add_watcher(&self, sender: Arc<VideoSender>) {
        {
            let mut watchers = self.shared.watchers();
            let watchers_before = watchers.len();
            watchers.retain(|watcher| watcher.peer() != sender.peer());
            if watchers.len() == watchers_before {
                sender.follow_another(&self.key);
            }
            watchers.push(sender);
            self.shared.count_guesses(&watchers);
        }
        self.request_keyframe();
    }

    /// Hands `peer` nothing more. True if nobody watches now.
    pub fn remove_watcher(&self, peer: PeerId) -> bool {
        let mut watchers = self.shared.watchers();
        watchers.retain(|watcher| watcher.peer() != peer);
        self.shared.count_guesses(&watchers);
        watchers.is_empty()
    }

    /// Who watches.
    pub fn watchers(&self) -> Vec<PeerId> {
        self.shared.watchers().iter().map(|watcher| watcher.peer()).collect()
    }

    /// Asks the encoder for a keyframe; it makes at most one each 300 ms, and serves all who asked with it.
    pub fn request_keyframe(&self) {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        if let Some(pad) = self.encoder_out.static_pad("sink") {
            pad.push_event(event);
        }
    }

    /// Whether it is of no use any more.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// What it did so far.
    pub fn counts(&self) -> RenditionCounts {
        RenditionCounts {
            frames: self.shared.frames.load(Ordering::Relaxed),
            keyframes: self.shared.keyframes.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }
}

/// The timestamp of a composite, for whoever makes buffers of them.
pub(super) fn stamp(buffer: &mut gst::BufferRef, pts: Duration, duration: Duration) {
    buffer.set_pts(clock_time(pts));
    buffer.set_dts(gst::ClockTime::NONE);
    buffer.set_duration(clock_time(duration));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_is_coloured_for_those_who_guess_only_where_nobody_knows() {
        gst::init().unwrap();
        let templates = Templates::load(None).unwrap();
        let watcher = |peer, unsaid| {
            let source = gst_app::AppSrc::builder().format(gst::Format::Time).build();
            VideoSender::new(PeerId::from_bits(peer), source, unsaid, |_| {})
        };
        let mut canvas = super::super::video_mixer::Canvas::new(&config::Video::default()).unwrap();
        let composite = canvas.compose(&[], Duration::ZERO, Duration::from_millis(33)).unwrap();
        let config =
            |height| config::Rendition { name: "r".into(), width: height * 2, height, fps: 30, bitrate: 500_000 };
        let start = |codec, height| {
            let key = RenditionKey { codec, name: "r".into(), single_nal: false };
            Rendition::start(&templates, key, &config(height), 30, RoomClock::start(), |_| {}).unwrap()
        };
        let as_it_is = |rendition: &Rendition| rendition.coloured(&composite).as_ptr() == composite.buffer.as_ptr();
        let large = start(Codec::Vp8, 720);
        large.add_watcher(watcher(1, Unsaid::BySize));
        assert!(!as_it_is(&large), "who guesses takes it for BT.709");
        assert_eq!(large.coloured(&composite).pts(), composite.buffer.pts());
        large.add_watcher(watcher(2, Unsaid::Bt601));
        assert!(as_it_is(&large), "a browser takes it for BT.601");
        large.remove_watcher(PeerId::from_bits(2));
        assert!(!as_it_is(&large));
        for (codec, height) in [(Codec::Vp8, 360), (Codec::H264, 720)] {
            let rendition = start(codec, height);
            rendition.add_watcher(watcher(1, Unsaid::BySize));
            assert!(as_it_is(&rendition), "{codec} of {height} lines is taken for what it is");
        }
    }

    #[test]
    fn a_slower_rendition_takes_every_second_frame() {
        let mut pace = Pace { interval: Duration::from_secs(1) / 15, next: Duration::ZERO };
        let taken = (0..300u32).filter(|n| pace.due(Duration::from_secs(1) / 30 * *n)).count();
        assert_eq!(taken, 150);
    }

    #[test]
    fn after_a_pause_the_pace_does_not_catch_up() {
        let mut pace = Pace { interval: Duration::from_millis(100), next: Duration::ZERO };
        assert!(pace.due(Duration::from_secs(5)));
        assert!(!pace.due(Duration::from_millis(5033)));
        assert!(pace.due(Duration::from_millis(5100)));
    }
}
