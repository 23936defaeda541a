//! The way from a source (synthetic or a file) into the call, and the controls of what is sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_app as gst_app;

use super::{CallError, Direction, Settings, Source, file, synthetic};
use crate::media::clock::{RoomClock, clock_time};
use crate::media::colour::CANVAS_COLORIMETRY;
use crate::media::graph::Graph;
use crate::media::template::Templates;

/// Pictures that may wait for the encoder; a picture that comes while so many wait is not sent.
const PICTURES: u64 = 2;
/// The same for pieces of sound, of 20 ms and more.
const SOUNDS: u64 = 25;

/// What is sent, from any thread, while the call lasts.
#[derive(Debug)]
pub struct Controls {
    paused: AtomicBool,
    muted: AtomicBool,
    size: Mutex<(u32, u32)>,
    sent_frames: AtomicU64,
    skipped: AtomicU64,
}

impl Controls {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self {
            paused: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            size: Mutex::new((width, height)),
            sent_frames: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// Sends no pictures while `paused`, as a browser does whose camera is off.
    pub fn pause_video(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    /// Sends silence while `muted`.
    pub fn mute(&self, muted: bool) {
        self.muted.store(muted, Relaxed);
    }

    /// Sends pictures of this size (even numbers) from the next one on, without a new negotiation.
    pub fn resize(&self, width: u32, height: u32) {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = (width, height);
    }

    /// Pictures that went to the encoder.
    pub fn sent_frames(&self) -> u64 {
        self.sent_frames.load(Relaxed)
    }

    /// Pictures and pieces of sound that were left out, because the ones before were still waiting.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    pub(super) fn paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    pub(super) fn muted(&self) -> bool {
        self.muted.load(Relaxed)
    }

    pub(super) fn size(&self) -> (u32, u32) {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source that runs; it ends soon after this is dropped, on its own threads.
#[derive(Debug)]
pub(super) enum Running {
    Synthetic { _running: synthetic::Running },
    File { _running: file::Running },
}

/// Starts what the settings say is sent. `None` where nothing is.
pub(super) fn start(
    settings: &Settings,
    graph: &Graph,
    templates: &Templates,
    clock: RoomClock,
    controls: &Arc<Controls>,
) -> Result<Option<Running>, CallError> {
    let feed = Feed::new(settings, graph, clock, controls)?;
    if feed.picture.is_none() && feed.voice.is_none() {
        return Ok(None);
    }
    Ok(Some(match &settings.source {
        Source::Synthetic { index, grain, voice } => {
            Running::Synthetic { _running: synthetic::start(feed, *index, *grain, *voice, settings)? }
        }
        Source::File { path, start } => {
            Running::File { _running: file::start(feed, path, *start, settings, templates)? }
        }
    }))
}

/// Where the source's pictures and sound go.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) controls: Arc<Controls>,
    picture: Option<gst_app::AppSrc>,
    voice: Option<gst_app::AppSrc>,
    fps: u32,
    pub(super) clock: RoomClock,
}

impl Feed {
    fn new(settings: &Settings, graph: &Graph, clock: RoomClock, controls: &Arc<Controls>) -> Result<Self, CallError> {
        let sends = |direction: Option<Direction>| direction.is_some_and(Direction::sends);
        let source = |name, wanted: bool| wanted.then(|| graph.element::<gst_app::AppSrc>(name)).transpose();
        Ok(Self {
            controls: Arc::clone(controls),
            picture: source("picture-in", sends(settings.video))?,
            voice: source("voice-in", sends(settings.audio))?,
            fps: settings.fps,
            clock,
        })
    }

    pub(super) fn has_picture(&self) -> bool {
        self.picture.is_some()
    }

    pub(super) fn has_voice(&self) -> bool {
        self.voice.is_some()
    }

    /// Sends a packed I420 picture of this size. `pts` is the call's running time at its capture.
    pub(super) fn push_picture(&self, mut buffer: gst::Buffer, size: (u32, u32), pts: Duration) {
        let Some(source) = &self.picture else { return };
        if self.controls.paused() {
            return;
        }
        if source.current_level_buffers() >= PICTURES {
            self.controls.skipped.fetch_add(1, Relaxed);
            return;
        }
        let (width, height) = (size.0.cast_signed(), size.1.cast_signed());
        let known = source.caps().and_then(|caps| {
            let caps = caps.structure(0)?;
            Some((caps.get::<i32>("width").ok()?, caps.get::<i32>("height").ok()?))
        });
        if known != Some((width, height)) {
            let caps = gst::Caps::builder("video/x-raw")
                .field("format", "I420")
                .field("width", width)
                .field("height", height)
                .field("framerate", gst::Fraction::new(self.fps.cast_signed(), 1))
                .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
                .field("colorimetry", CANVAS_COLORIMETRY)
                .build();
            source.set_caps(Some(&caps));
        }
        buffer.make_mut().set_pts(clock_time(pts));
        // A flow error means that the call ends; its bus says why.
        if source.push_buffer(buffer).is_ok() {
            self.controls.sent_frames.fetch_add(1, Relaxed);
        }
    }

    /// Sends sound: 32-bit floats, one channel, 48,000 samples per second.
    pub(super) fn push_voice(&self, mut buffer: gst::Buffer, pts: Duration) {
        let Some(source) = &self.voice else { return };
        if source.current_level_buffers() >= SOUNDS {
            self.controls.skipped.fetch_add(1, Relaxed);
            return;
        }
        buffer.make_mut().set_pts(clock_time(pts));
        // A flow error means that the call ends; its bus says why.
        let _ = source.push_buffer(buffer);
    }
}

/// Tells a thread to end, and wakes it from its wait.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until `instant`; whether it was stopped by then.
    pub(super) fn wait_until(&self, instant: Instant) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = instant.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stopped = self.changed.wait_timeout(stopped, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *stopped
    }
}
