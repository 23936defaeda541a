//! The latest picture of a participant: where its decoder puts frames and the video mixer takes them.
//!
//! The mixer's looks go the other way: a picture that nobody looks at, for nobody watches the room or it has no tile, is
//! not decoded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use gstreamer_video as gst_video;

use super::held::Held;

/// After this long without a look a picture counts as unseen. Long enough for a newcomer to get its tile.
const SEEN_FOR: Duration = Duration::from_secs(2);

/// A picture that something newer came after, but nothing that can be shown, stands for this long.
const OUTDATED_AFTER: Duration = Duration::from_secs(3);
/// Half a tick of a canvas of 30 frames a second, and the longest that is believed: a tick of one of 10.
const USUAL_LOOK: Duration = Duration::from_millis(17);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// A decoded frame in I420, mapped for reading and shared by reference count.
pub type Frame = Arc<gst_video::VideoFrame<gst_video::video_frame::Readable>>;

/// The hand-over of one participant's frames. Only the newest counts: a mixer that is late loses older ones, and a
/// decoder never waits. (A std mutex: held for a pointer's exchange, on streaming threads.)
///
/// A picture does not age. A shared screen, a board, a slide stand still for minutes and are sent again when they change,
/// and until then the last frame is what there is to see. On the wire a camera that was switched off is the same: Chromium
/// sends nothing more of a canvas on which nothing changes, of a track that was taken away (`replaceTrack(null)`) and of an
/// encoding that was made inactive, and answers requests for a keyframe (FIR, PLI) with a frame in none of these cases.
/// Sender reports do not tell them apart either: without new packets they may as well be receiver reports (RFC 3550,
/// section 6.4). A track that is muted (`enabled = false`) goes on with black frames, which are a picture.
///
/// So only a word ends a picture: the web client's `camera` message ([`set_paused`](Self::set_paused)), or an RTCP BYE of
/// its source ([`stop`](Self::stop)), unless it is GStreamer's for a silent one. Its peer's silence ends it with the tile.
/// And where packets go on to come of which no frame can be made, it is old after a while.
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
    /// The first and the last packet for the decoder since its last frame.
    expected: Option<(Duration, Duration)>,
    /// The sender says that it shows nothing.
    paused: bool,
    /// Nothing comes any more, until something does.
    stopped: bool,
    /// Who wants to know when somebody looks after a while in which nobody did.
    waker: Option<Waker>,
}

impl SlotState {
    /// Whether packets came for long, of which the decoder made no frame.
    fn is_stuck(&self) -> bool {
        self.expected.is_some_and(|(first, last)| last.saturating_sub(first) > OUTDATED_AFTER)
    }

    fn is_off(&self) -> bool {
        self.paused || self.stopped
    }

    fn latest(&mut self, now: Duration) -> Option<Frame> {
        if let Some(due) = self.held.due(now) {
            self.latest = Some(due);
            self.shown = false;
        }
        let (frame, at) = self.latest.as_ref().filter(|_| !self.is_off())?;
        let outdated = self.is_stuck() || self.skipped > Some(*at);
        (!outdated || now.saturating_sub(*at) <= OUTDATED_AFTER).then(|| frame.clone())
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
        state.expected = None;
        state.stopped = false;
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

    /// The newest frame as long as it counts, to be shown at `now`: this is what keeps it decoded.
    pub(super) fn look(&self, now: Duration) -> Option<Frame> {
        let mut state = self.lock();
        let unseen = state.looked.replace(now).is_some_and(|looked| now.saturating_sub(looked) > SEEN_FOR);
        let waker = state.waker.clone().filter(|_| unseen);
        let latest = state.latest(now);
        state.note_look(now);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        latest
    }

    /// From now on, who looks again after a while in which nobody did wakes this. It must not block.
    pub(super) fn wake_on_look(&self, waker: Waker) {
        self.lock().waker = Some(waker);
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
        state.expected = None;
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
        state.skipped > state.came && state.skipped.is_some_and(|skipped| now.saturating_sub(skipped) <= SEEN_FOR)
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
            (state.latest, state.came, state.held) = (None, None, Held::default());
        }
    }

    /// The sender has stopped, as far as can be known. The next frame is the proof of the contrary.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    /// Whether there is a picture, seen or not.
    pub fn is_live(&self) -> bool {
        let state = self.lock();
        !state.is_off() && !state.is_stuck() && (state.came.is_some() || state.skipped.is_some())
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
        slot.look(at(104));
        assert!(slot.is_seen(at(106)) && !slot.is_seen(at(107)));
        slot.latest(at(107));
        assert!(!slot.is_seen(at(107)), "to ask whether there is one is no look");
    }

    #[test]
    fn frames_that_are_held_are_shown_when_they_are_due() {
        let (slot, ms) = (PictureSlot::default(), Duration::from_millis);
        let frames = [frame(), frame(), frame()];
        let shows = |now, number: usize| slot.look(ms(now)).is_some_and(|it| Arc::ptr_eq(&it, &frames[number]));
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
