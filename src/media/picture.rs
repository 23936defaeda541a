//! The latest picture of a participant: where its decoder puts frames and the video mixer takes them.
//!
//! The mixer's looks go the other way: a picture that nobody looks at, for nobody watches the room or it has no tile, is
//! not decoded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer_video as gst_video;

use super::held::Held;

/// After this long without a look a picture counts as unseen. Long enough for a newcomer to get its tile.
const SEEN_FOR: Duration = Duration::from_secs(2);

/// Half a tick of a canvas of 30 frames a second, and the longest that is believed: a tick of one of 10.
const USUAL_LOOK: Duration = Duration::from_millis(17);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

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
    /// When the newest frame came, shown or not.
    came: Option<Duration>,
    /// How long frames wait before they are shown, and those that do.
    hold: Duration,
    held: Held<Frame>,
    /// The latest frame was looked at. And how long it takes until frames are: a mean over a few of them.
    shown: bool,
    shown_after: Option<Duration>,
    frames: u64,
    /// When the mixer last looked.
    looked: Option<Duration>,
    /// When something last came that was not decoded.
    skipped: Option<Duration>,
}

impl SlotState {
    fn latest(&mut self, now: Duration, max_age: Duration) -> Option<Frame> {
        if let Some(due) = self.held.due(now) {
            self.latest = Some(due);
            self.shown = false;
        }
        let (frame, at) = self.latest.as_ref()?;
        (now.saturating_sub(*at) <= max_age).then(|| frame.clone())
    }

    /// The latest frame is being shown.
    fn note_look(&mut self, now: Duration) {
        if let Some((_, at)) = self.latest.as_ref().filter(|_| !std::mem::replace(&mut self.shown, true)) {
            let after = now.saturating_sub(*at).min(LONGEST_LOOK);
            self.shown_after = Some(self.shown_after.map_or(after, |mean| (mean * 7 + after) / 8));
        }
    }
}

impl PictureSlot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        // The state is whole at every moment, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new frame, decoded at running time `now`.
    pub fn put(&self, frame: Frame, now: Duration) {
        let mut state = self.lock();
        if state.hold.is_zero() && state.held.is_empty() {
            state.latest = Some((frame, now));
            state.shown = false;
        } else {
            let (bytes, due) = (frame.buffer().size(), now + state.hold);
            state.held.keep(frame, bytes, due);
        }
        state.came = Some(now);
        state.frames += 1;
    }

    /// Frames that come from now on are shown this much later, for the voice that belongs to them.
    pub(super) fn hold(&self, hold: Duration) {
        self.lock().hold = hold;
    }

    /// How long it takes until a frame that waits for nothing is looked at; half a tick of the usual canvas before any was.
    pub(super) fn shown_after(&self) -> Duration {
        self.lock().shown_after.unwrap_or(USUAL_LOOK)
    }

    /// Frames that found no room to wait in.
    pub(super) fn overflowed(&self) -> u64 {
        self.lock().held.dropped()
    }

    /// Puts the same picture in another size in the place of `old`, unless a newer one has come.
    pub(super) fn replace(&self, old: &Frame, resized: Frame) {
        if let Some((latest, _)) = &mut self.lock().latest
            && Arc::ptr_eq(latest, old)
        {
            *latest = resized;
        }
    }

    /// The newest frame that is not older than `max_age` at `now`, to be shown: this is what keeps it decoded.
    pub(super) fn look(&self, now: Duration, max_age: Duration) -> Option<Frame> {
        let mut state = self.lock();
        state.looked = Some(now);
        let latest = state.latest(now, max_age);
        state.note_look(now);
        latest
    }

    /// Whether somebody looks, so that what comes is worth decoding. The first time it is asked counts as a look.
    pub(super) fn is_seen(&self, now: Duration) -> bool {
        let looked = *self.lock().looked.get_or_insert(now);
        now.saturating_sub(looked) <= SEEN_FOR
    }

    /// Something came that was not decoded, for nobody looks.
    pub(super) fn skip(&self, now: Duration) {
        self.lock().skipped = Some(now);
    }

    /// Whether a frame is to be expected soon: a moment ago something came that was not decoded, and none was since.
    pub(super) fn is_awaited(&self, now: Duration) -> bool {
        let state = self.lock();
        state.skipped > state.came && state.skipped.is_some_and(|skipped| now.saturating_sub(skipped) <= SEEN_FOR)
    }

    /// The newest frame that is not older than `max_age` at `now`.
    pub(super) fn latest(&self, now: Duration, max_age: Duration) -> Option<Frame> {
        self.lock().latest(now, max_age)
    }

    /// When the newest frame came, decoded or not, in running time.
    pub fn last(&self) -> Option<Duration> {
        let state = self.lock();
        state.came.max(state.skipped)
    }

    /// Frames decoded so far.
    pub fn frames(&self) -> u64 {
        self.lock().frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn frame() -> Frame {
        gstreamer::init().unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 2, 2).build().unwrap();
        let buffer = gstreamer::Buffer::with_size(info.size()).unwrap();
        Arc::new(gst_video::VideoFrame::from_buffer_readable(buffer, &info).unwrap())
    }

    #[test]
    fn a_picture_is_seen_while_somebody_looks_and_a_little_longer() {
        let slot = PictureSlot::default();
        assert!(slot.is_seen(at(100)) && slot.is_seen(at(102)), "it may get a tile soon");
        assert!(!slot.is_seen(at(103)));
        slot.look(at(104), at(3));
        assert!(slot.is_seen(at(106)) && !slot.is_seen(at(107)));
        slot.latest(at(107), at(3));
        assert!(!slot.is_seen(at(107)), "to ask whether there is one is no look");
    }

    #[test]
    fn frames_that_are_held_are_shown_when_they_are_due() {
        let (slot, ms) = (PictureSlot::default(), Duration::from_millis);
        let frames = [frame(), frame(), frame()];
        let shows = |now, number: usize| slot.look(ms(now), at(3)).is_some_and(|it| Arc::ptr_eq(&it, &frames[number]));
        slot.put(frames[0].clone(), ms(1_000));
        assert!(shows(1_010, 0));
        assert_eq!(slot.shown_after(), ms(10));
        slot.hold(ms(400));
        slot.put(frames[1].clone(), ms(1_040));
        assert_eq!(slot.last(), Some(ms(1_040)));
        slot.hold(ms(0));
        slot.put(frames[2].clone(), ms(1_080));
        assert!(shows(1_430, 0), "the second is not due, nor what came after it");
        assert!(shows(1_440, 2), "what came after it is due by then");
        assert!(shows(3_000, 2));
    }

    #[test]
    fn what_was_left_undecoded_is_awaited_until_a_frame_comes_or_nothing_more() {
        let slot = PictureSlot::default();
        assert!(!slot.is_awaited(at(1)));
        slot.skip(at(1));
        assert_eq!((slot.is_awaited(at(3)), slot.is_awaited(at(4)), slot.last()), (true, false, Some(at(1))));
        slot.put(frame(), at(2));
        assert_eq!((slot.is_awaited(at(2)), slot.last()), (false, Some(at(2))));
        slot.skip(at(6));
        assert_eq!((slot.is_awaited(at(6)), slot.last()), (true, Some(at(6))));
        assert!(slot.look(at(6), at(3)).is_none() && slot.look(at(5), at(3)).is_some());
    }
}
