//! The latest picture of a participant: where its decoder puts frames and the video mixer takes them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer_video as gst_video;

/// A decoded frame in I420, mapped for reading and shared by reference count.
pub type Frame = Arc<gst_video::VideoFrame<gst_video::video_frame::Readable>>;

/// The hand-over of one participant's frames. Only the newest counts: a mixer that is late loses older ones, and a
/// decoder never waits. (A std mutex: held for a pointer's exchange, on streaming threads.)
#[derive(Debug, Default)]
pub struct PictureSlot {
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    latest: Option<(Frame, Duration)>,
    frames: u64,
}

impl PictureSlot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        // The state is whole at every moment, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new frame, decoded at running time `now`.
    pub fn put(&self, frame: Frame, now: Duration) {
        let mut state = self.lock();
        state.latest = Some((frame, now));
        state.frames += 1;
    }

    /// Puts the same picture in another size in the place of `old`, unless a newer one has come.
    pub(super) fn replace(&self, old: &Frame, resized: Frame) {
        if let Some((latest, _)) = &mut self.lock().latest
            && Arc::ptr_eq(latest, old)
        {
            *latest = resized;
        }
    }

    /// The newest frame that is not older than `max_age` at `now`.
    pub(super) fn latest(&self, now: Duration, max_age: Duration) -> Option<Frame> {
        let state = self.lock();
        let (frame, at) = state.latest.as_ref()?;
        (now.saturating_sub(*at) <= max_age).then(|| frame.clone())
    }

    /// When the newest frame came, in running time.
    pub fn last(&self) -> Option<Duration> {
        self.lock().latest.as_ref().map(|(_, at)| *at)
    }

    /// Frames decoded so far.
    pub fn frames(&self) -> u64 {
        self.lock().frames
    }
}
