//! The room's composite: a thread that ticks at the canvas's frame rate, takes the newest picture of each tile and hands
//! the finished frame to the renditions. It never waits for anyone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::clock::RoomClock;
use super::colour::{CANVAS_COLORIMETRY, Conversion, canvas_info};
use super::compose;
use super::picture::{Frame, PictureSlot};
use super::rendition::{Rendition, stamp};
use crate::config;
use crate::id::RoomId;
use crate::layout::Tile;

/// A mixer that failed goes on after this long, so that one that always fails costs little.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// A finished frame of the canvas, shared by all who take it.
#[derive(Clone, Debug)]
pub struct Composite {
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
    pub pts: Duration,
}

impl Composite {
    /// The same frame in other colours. Nothing where there is no memory for it.
    pub(super) fn recoloured(&self, conversion: &Conversion) -> Option<gst::Buffer> {
        let info = gst_video::VideoInfo::from_caps(&self.caps).ok()?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&self.buffer, &info).ok()?;
        let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
        {
            let buffer = buffer.get_mut()?;
            conversion.write(&frame, buffer, &info)?;
            buffer.set_pts(self.buffer.pts());
            buffer.set_duration(self.buffer.duration());
        }
        Some(buffer)
    }
}

/// What stands in one tile. Stills are made for the tile's size before they get here.
#[derive(Clone, Debug)]
pub struct Placed {
    pub tile: Tile,
    pub picture: Option<Arc<PictureSlot>>,
    pub slate: Option<Frame>,
    pub label: Option<Frame>,
}

/// Why a mixer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum VideoMixerError {
    #[error("the canvas {width}x{height} cannot be made")]
    Canvas { width: u32, height: u32 },
    #[error("no thread for the video mixer: {0}")]
    Thread(std::io::Error),
}

/// A room's video mixer. Its thread ends when this handle is dropped, and not before: a panic in it, which is a bug, costs
/// a pause of half a second.
#[derive(Debug)]
pub struct VideoMixer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// A std mutex: held while small lists are exchanged, by the mixer's thread and by tasks.
    state: Mutex<State>,
    /// Wakes the thread when there is something to do or an end.
    changed: Condvar,
    frames: AtomicU64,
    skipped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    scene: Vec<Placed>,
    consumers: Vec<Arc<Rendition>>,
    /// Waits for one composite, for a snapshot.
    snapshots: Vec<std::sync::mpsc::SyncSender<Composite>>,
    ended: bool,
}

impl State {
    fn idle(&self) -> bool {
        self.consumers.is_empty() && self.snapshots.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VideoMixer {
    /// Starts the mixer of `room`.
    pub fn start(room: &RoomId, config: &config::Video, clock: RoomClock) -> Result<Self, VideoMixerError> {
        let mut canvas = Canvas::new(config)?;
        Self::start_with(room, config.fps, clock, move |scene, pts, duration| canvas.compose(scene, pts, duration))
    }

    /// `compose` makes a frame of a scene, of this time and duration.
    fn start_with(
        room: &RoomId,
        fps: u32,
        clock: RoomClock,
        compose: impl FnMut(&[Placed], Duration, Duration) -> Option<Composite> + Send + 'static,
    ) -> Result<Self, VideoMixerError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            frames: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        });
        let ticking = shared.clone();
        let interval = Duration::from_secs(1) / fps.max(1);
        let span = tracing::info_span!("video-mixer", %room);
        std::thread::Builder::new()
            .name("video-mixer".to_owned())
            .spawn(move || span.in_scope(|| keep_running(&ticking, interval, clock, compose)))
            .map_err(VideoMixerError::Thread)?;
        Ok(Self { shared })
    }

    /// What is on the canvas from the next frame on.
    pub(super) fn set_scene(&self, scene: Vec<Placed>) {
        self.shared.lock().scene = scene;
    }

    #[cfg(test)]
    pub(super) fn tiles(&self) -> usize {
        self.shared.lock().scene.len()
    }

    /// Feeds `rendition` from the next frame on.
    pub fn add_consumer(&self, rendition: Arc<Rendition>) {
        self.shared.lock().consumers.push(rendition);
        self.shared.changed.notify_one();
    }

    /// Feeds it no more. With the last consumer the mixer stops working.
    pub fn remove_consumer(&self, rendition: &Arc<Rendition>) {
        self.shared.lock().consumers.retain(|consumer| !Arc::ptr_eq(consumer, rendition));
    }

    /// The next composite; `None` if none comes within `deadline`. Blocks.
    pub(super) fn next_composite(&self, deadline: Duration) -> Option<Composite> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.shared.lock().snapshots.push(sender);
        self.shared.changed.notify_one();
        receiver.recv_timeout(deadline).ok()
    }

    /// Whether a tile's picture was not decoded and now will be.
    pub(super) fn awaits_pictures(&self, now: Duration) -> bool {
        let state = self.shared.lock();
        state.scene.iter().filter_map(|placed| placed.picture.as_ref()).any(|picture| picture.is_awaited(now))
    }

    /// Frames composed so far.
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }

    /// Frames left out because the machine was late.
    pub fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
    }
}

impl Drop for VideoMixer {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        state.consumers.clear();
        state.scene.clear();
        drop(state);
        self.shared.changed.notify_one();
    }
}

/// Runs to the end, over failures.
fn keep_running(
    shared: &Shared,
    interval: Duration,
    clock: RoomClock,
    mut compose: impl FnMut(&[Placed], Duration, Duration) -> Option<Composite>,
) {
    // Whole after a panic is what goes on: the lists are exchanged at once, and no frame is made of the one before.
    while catch_unwind(AssertUnwindSafe(|| run(shared, interval, clock, &mut compose))).is_err() {
        tracing::error!("the video mixer failed; it goes on");
        let state = shared.lock();
        drop(shared.changed.wait_timeout_while(state, FAILURE_PAUSE, |state| !state.ended));
    }
}

fn run(
    shared: &Shared,
    interval: Duration,
    clock: RoomClock,
    compose: &mut impl FnMut(&[Placed], Duration, Duration) -> Option<Composite>,
) {
    let mut next = clock.now();
    loop {
        let mut state = shared.lock();
        if !state.ended && state.idle() {
            while !state.ended && state.idle() {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            next = clock.now();
        }
        if state.ended {
            return;
        }
        let scene = state.scene.clone();
        let consumers = state.consumers.clone();
        let snapshots = std::mem::take(&mut state.snapshots);
        drop(state);

        match compose(&scene, next, interval) {
            Some(composite) => {
                shared.frames.fetch_add(1, Ordering::Relaxed);
                for consumer in &consumers {
                    consumer.feed(&composite);
                }
                for snapshot in snapshots {
                    // Whoever asked may have given up.
                    let _ = snapshot.try_send(composite.clone());
                }
            }
            None => tracing::error!("a frame of the canvas could not be made"),
        }
        // The scene's frames go back to their decoders before the wait.
        drop(scene);
        drop(consumers);

        next += interval;
        let now = clock.now();
        if now > next + interval {
            // Late by a frame or more: leave frames out, do not rush them.
            let late = (now - next).as_nanos() / interval.as_nanos().max(1);
            let late = u32::try_from(late).unwrap_or(u32::MAX);
            shared.skipped.fetch_add(u64::from(late), Ordering::Relaxed);
            next += interval * late;
        }
        // Not a plain sleep, so that an end is not waited for.
        let (state, wait) = (shared.lock(), next.saturating_sub(clock.now()));
        drop(shared.changed.wait_timeout_while(state, wait, |state| !state.ended));
    }
}

/// Makes frames of the canvas.
#[derive(Debug)]
pub struct Canvas {
    info: gst_video::VideoInfo,
    caps: gst::Caps,
    pool: gst::BufferPool,
}

impl Canvas {
    /// A canvas as configured. GStreamer must be initialised.
    pub fn new(config: &config::Video) -> Result<Self, VideoMixerError> {
        let impossible = || VideoMixerError::Canvas { width: config.width, height: config.height };
        let colorimetry = CANVAS_COLORIMETRY.parse().map_err(|_| impossible())?;
        let fps = gst::Fraction::new(i32::try_from(config.fps).map_err(|_| impossible())?, 1);
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, config.width, config.height)
            .fps(fps)
            .par(gst::Fraction::new(1, 1))
            .colorimetry(&colorimetry)
            .build()
            .map_err(|_| impossible())?;
        let caps = info.to_caps().map_err(|_| impossible())?;
        let pool = gst::BufferPool::new();
        let mut pool_config = pool.config();
        let size = u32::try_from(info.size()).map_err(|_| impossible())?;
        pool_config.set_params(Some(&caps), size, 4, 0);
        pool.set_config(pool_config).map_err(|_| impossible())?;
        pool.set_active(true).map_err(|_| impossible())?;
        Ok(Self { info, caps, pool })
    }

    /// One frame of it, of running time `pts`; `None` where there is no memory for one.
    pub fn compose(&mut self, scene: &[Placed], pts: Duration, duration: Duration) -> Option<Composite> {
        let mut buffer = self.pool.acquire_buffer(None).ok()?;
        {
            let buffer = buffer.get_mut()?;
            stamp(buffer, pts, duration);
            let mut canvas = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &self.info).ok()?;
            compose::clear(&mut canvas);
            for placed in scene {
                draw(&mut canvas, placed, pts);
            }
        }
        Some(Composite { buffer, caps: self.caps.clone(), pts })
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        // Buffers that are still on their way free themselves when they come back.
        let _ = self.pool.set_active(false);
    }
}

fn draw(canvas: &mut gst_video::VideoFrameRef<&mut gst::BufferRef>, placed: &Placed, now: Duration) {
    let tile = placed.tile;
    let live = placed.picture.as_ref().and_then(|slot| Some((slot, slot.look(now)?)));
    let picture = match live {
        Some((slot, frame)) if !fits(&frame, tile) => {
            // A picture of the layout before this one: at its decoder's next frame it has the right size.
            let resized = resize(&frame, tile);
            if let Some(resized) = &resized {
                slot.replace(&frame, resized.clone());
            }
            resized
        }
        Some((_, frame)) => Some(frame),
        None => placed.slate.clone(),
    };
    if let Some(picture) = picture {
        let x = tile.x + (((tile.width.saturating_sub(picture.width())) / 2) & !1);
        let y = tile.y + (((tile.height.saturating_sub(picture.height())) / 2) & !1);
        compose::copy(canvas, &picture, (x, y));
    }
    if let Some(label) = &placed.label {
        let y = (tile.y + tile.height).saturating_sub(label.height()) & !1;
        compose::copy(canvas, label, (tile.x, y));
    }
}

/// Whether the picture is as large as its tile lets it be.
fn fits(picture: &Frame, tile: Tile) -> bool {
    let (width, height) = (picture.width(), picture.height());
    width <= tile.width && height <= tile.height && (width == tile.width || height == tile.height)
}

/// The picture scaled to lie within the tile, undistorted.
fn resize(picture: &Frame, tile: Tile) -> Option<Frame> {
    let size = (picture.width(), picture.height());
    let placed = crate::layout::place(size, (1, 1), (tile.width, tile.height), config::Fit::Fit);
    // Colours stay as they are, whatever the size.
    let (from, info) = (canvas_info(size.0, size.1)?, canvas_info(placed.width, placed.height)?);
    let converter = gst_video::VideoConverter::new(&from, &info, None).ok()?;
    let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
    {
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.get_mut()?, &info).ok()?;
        converter.frame_ref(&picture.as_video_frame_ref(), &mut frame);
    }
    gst_video::VideoFrame::from_buffer_readable(buffer, &info).ok().map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_picture_keeps_its_colours_when_its_size_changes() {
        gst::init().unwrap();
        let info = canvas_info(640, 360).unwrap();
        let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
        {
            let mut frame =
                gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), &info).unwrap();
            for (plane, value) in [(0, 110), (1, 90), (2, 190)] {
                frame.plane_data_mut(plane).unwrap().fill(value);
            }
        }
        let picture = Arc::new(gst_video::VideoFrame::from_buffer_readable(buffer, &info).unwrap());
        let large = resize(&picture, Tile { x: 0, y: 0, width: 1280, height: 720 }).unwrap();
        assert_eq!((large.width(), large.height()), (1280, 720));
        for (plane, value) in [(0, 110), (1, 90), (2, 190)] {
            assert!(
                large.plane_data(plane).unwrap()[..640].iter().all(|sample| sample.abs_diff(value) <= 1),
                "{plane}"
            );
        }
    }

    #[test]
    fn a_failure_costs_a_frame_and_not_the_mixer() {
        gst::init().unwrap();
        let config = config::Video::default();
        let mut canvas = Canvas::new(&config).unwrap();
        let mut calls = 0;
        let compose = move |scene: &[Placed], pts, duration| {
            calls += 1;
            assert!(calls % 2 == 0, "every other frame fails");
            canvas.compose(scene, pts, duration)
        };
        let room: RoomId = "failures".parse().unwrap();
        let mixer = VideoMixer::start_with(&room, config.fps, RoomClock::start(), compose).unwrap();
        for _ in 0..3 {
            assert!(mixer.next_composite(PATIENCE).is_none(), "what failed is given up at once");
            assert!(mixer.next_composite(PATIENCE).is_some(), "and the next one comes");
        }
        assert_eq!(mixer.frames(), 3);
    }
}
