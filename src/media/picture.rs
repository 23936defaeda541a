//! The latest picture of a participant: where its decoder puts frames and the video mixer takes them.
//!
//! The mixer's looks go the other way: a picture that nobody looks at, for nobody watches the room or it has no tile, is
//! not decoded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer_video as gst_video;

/// After this long without a look a picture counts as unseen. Long enough for a newcomer to get its tile.
const SEEN_FOR: Duration = Duration::from_secs(2);

/// A picture that something newer came after, but nothing that can be shown, stands for this long.
const OUTDATED_AFTER: Duration = Duration::from_secs(3);

/// A decoded frame in I420, mapped for reading and shared by reference count.
pub type Frame = Arc<gst_video::VideoFrame<gst_video::video_frame::Readable>>;

/// The hand-over of one participant's frames. Only the newest counts: a mixer that is late loses older ones, and a
/// decoder never waits. (A std mutex: held for a pointer's exchange, on streaming threads.)
///
/// A picture does not age. A shared screen, a board, a slide stand still for minutes and are sent again when they change,
/// and until then the last frame is what there is to see. It goes when its sender says so ([`set_paused`](Self::set_paused)),
/// when it has certainly [stopped](Self::stop), or when what comes after it cannot be shown for a while: then it is old.
#[derive(Debug, Default)]
pub struct PictureSlot {
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    latest: Option<(Frame, Duration)>,
    frames: u64,
    /// When the mixer last looked.
    looked: Option<Duration>,
    /// When something last came that was not decoded, and how often it did.
    skipped: Option<Duration>,
    skips: u64,
    /// The first and the last packet for the decoder since its last frame.
    expected: Option<(Duration, Duration)>,
    /// The sender says that it shows nothing.
    paused: bool,
    /// Nothing comes any more, until something does.
    stopped: bool,
}

impl SlotState {
    /// Whether packets came for long, of which the decoder made no frame.
    fn is_stuck(&self) -> bool {
        self.expected.is_some_and(|(first, last)| last.saturating_sub(first) > OUTDATED_AFTER)
    }

    fn is_off(&self) -> bool {
        self.paused || self.stopped
    }

    fn latest(&self, now: Duration) -> Option<Frame> {
        let (frame, at) = self.latest.as_ref().filter(|_| !self.is_off())?;
        let outdated = self.is_stuck() || self.skipped > Some(*at);
        (!outdated || now.saturating_sub(*at) <= OUTDATED_AFTER).then(|| frame.clone())
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
        state.latest = Some((frame, now));
        state.frames += 1;
        state.expected = None;
        state.stopped = false;
    }

    /// Puts the same picture in another size in the place of `old`, unless a newer one has come.
    pub(super) fn replace(&self, old: &Frame, resized: Frame) {
        if let Some((latest, _)) = &mut self.lock().latest
            && Arc::ptr_eq(latest, old)
        {
            *latest = resized;
        }
    }

    /// The newest frame as long as it counts, to be shown at `now`: this is what keeps it decoded.
    pub(super) fn look(&self, now: Duration) -> Option<Frame> {
        let mut state = self.lock();
        state.looked = Some(now);
        state.latest(now)
    }

    /// Whether somebody looks, so that what comes is worth decoding. The first time it is asked counts as a look.
    pub(super) fn is_seen(&self, now: Duration) -> bool {
        let looked = *self.lock().looked.get_or_insert(now);
        now.saturating_sub(looked) <= SEEN_FOR
    }

    /// Something came that was not decoded, for nobody looks.
    pub(super) fn skip(&self, now: Duration) {
        let mut state = self.lock();
        state.skipped = Some(now);
        state.skips += 1;
        state.stopped = false;
    }

    /// Something came for the decoder, of which a frame is to be expected.
    pub(super) fn expect(&self, now: Duration) {
        let mut state = self.lock();
        let first = state.expected.map_or(now, |(first, _)| first);
        state.expected = Some((first, now));
    }

    /// Whether a frame is to be expected soon: a moment ago something came that was not decoded, and none was since.
    pub(super) fn is_awaited(&self, now: Duration) -> bool {
        let state = self.lock();
        let decoded = state.latest.as_ref().map(|(_, at)| *at);
        state.skipped > decoded && state.skipped.is_some_and(|skipped| now.saturating_sub(skipped) <= SEEN_FOR)
    }

    /// The newest frame as long as it counts.
    pub(super) fn latest(&self, now: Duration) -> Option<Frame> {
        self.lock().latest(now)
    }

    /// Whether the sender shows nothing, by its own word. What comes meanwhile (browsers may go on with black) is not
    /// shown, nor is what was shown before, afterwards.
    pub fn set_paused(&self, paused: bool) {
        let mut state = self.lock();
        state.paused = paused;
        if paused {
            state.latest = None;
        }
    }

    /// The sender has stopped, as far as can be known. The next frame is the proof of the contrary.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    /// Whether there is a picture, seen or not.
    pub fn is_live(&self) -> bool {
        let state = self.lock();
        !state.is_off() && !state.is_stuck() && (state.latest.is_some() || state.skipped.is_some())
    }

    /// When the newest frame came, decoded or not, in running time.
    pub fn last(&self) -> Option<Duration> {
        let state = self.lock();
        state.latest.as_ref().map(|(_, at)| *at).max(state.skipped)
    }

    /// How often something came: frames, and packets that were not decoded.
    pub fn arrivals(&self) -> u64 {
        let state = self.lock();
        state.frames + state.skips
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
        slot.look(at(104));
        assert!(slot.is_seen(at(106)) && !slot.is_seen(at(107)));
        slot.latest(at(107));
        assert!(!slot.is_seen(at(107)), "to ask whether there is one is no look");
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
        assert!(slot.look(at(6)).is_none() && slot.look(at(5)).is_some(), "there is a newer one somewhere");
    }

    #[test]
    fn a_still_picture_stays_until_it_is_over() {
        let slot = PictureSlot::default();
        assert!(slot.look(at(1)).is_none() && !slot.is_live());
        slot.put(frame(), at(1));
        assert!(slot.look(at(10_000)).is_some() && slot.is_live());
        slot.stop();
        assert!(slot.look(at(10_001)).is_none() && !slot.is_live());
        slot.put(frame(), at(10_002));
        assert!(slot.look(at(20_000)).is_some() && slot.is_live());
        slot.set_paused(true);
        slot.put(frame(), at(20_001));
        assert!(slot.look(at(20_001)).is_none() && !slot.is_live());
        slot.set_paused(true);
        slot.set_paused(false);
        assert!(slot.look(at(20_001)).is_none(), "it is not as it was before");
        slot.put(frame(), at(20_002));
        assert!(slot.look(at(20_002)).is_some() && slot.is_live());
    }

    #[test]
    fn what_cannot_be_shown_outdates_a_picture_after_a_while() {
        let slot = PictureSlot::default();
        slot.put(frame(), at(1));
        // A frame that was lost of a picture that seldom changes, and the next one.
        slot.expect(at(60));
        assert!(slot.look(at(90)).is_some() && slot.is_live());
        slot.put(frame(), at(90));
        // And a stream of what no decoder can read.
        for second in 100..=103 {
            slot.expect(at(second));
        }
        assert!(slot.look(at(103)).is_some());
        slot.expect(at(104));
        assert!(slot.look(at(104)).is_none() && !slot.is_live());
        slot.put(frame(), at(105));
        assert!(slot.look(at(105)).is_some() && slot.is_live());
    }
}
