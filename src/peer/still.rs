//! Whether pictures that stopped coming are a camera that was switched off, or a screen on which nothing changes.
//!
//! On the wire the two are alike. A sender whose track was taken away (`replaceTrack(null)`) goes on with its sender
//! reports in libwebrtc, with the same counts as that of a still canvas; by RFC 3550 (section 6.4) both fall back to
//! receiver reports alone; nothing is negotiated. A track that is muted (`enabled = false`) sends black frames, which are a
//! picture. What ends a picture for certain is a word: the web client's `camera` message, or an RTCP BYE for the source
//! (section 6.6), which comes when an encoding is made inactive or a transceiver stops.
//!
//! What is left is to ask. Whoever has a picture can send it again, and libwebrtc does so at a PLI (RFC 4585, section
//! 6.3.1) also where nothing changed; who has none can not. So a stream that stops after it went like a camera's, or that
//! was sent again when it was asked for before, is asked for a keyframe some times; if none comes, it has stopped. To ask
//! one that came now and then, as a board does that sends its changes, or one that does not answer, would say nothing:
//! their last picture stays. So does a picture for as long as it is sent again, and it is asked for ever more seldom.
//!
//! Pure; times are running times of the room.

use std::time::Duration;

/// After this silence it is asked for the first time, and again after this pause…
const SILENT_AFTER: Duration = Duration::from_millis(1_500);
const ASK_AGAIN: Duration = Duration::from_millis(750);
/// …so often before it has stopped.
const ASKS: u32 = 2;

/// A stream is like a camera's where it came this often in each of so many looks, which are half a second apart.
const STEADY_ARRIVALS: u64 = 2;
const STEADY_LOOKS: u32 = 4;

/// A picture that is sent again when it is asked for is asked for after this pause; it doubles each time, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is seen of a stream at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) now: Duration,
    /// When its last frame came, and how many did.
    pub(super) last: Option<Duration>,
    pub(super) arrivals: u64,
    /// Whether it is known that the sender makes keyframes when it is asked.
    pub(super) answers: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// Ask for a keyframe.
    Ask,
    /// It has stopped.
    Stop,
}

#[derive(Debug)]
pub(super) struct Stillness {
    arrivals: u64,
    /// Looks in a row in which it went like a camera's.
    steady: u32,
    /// It was sent again in a silence, when it was asked for.
    repeats: bool,
    pause: Duration,
    /// Asked so often in this silence, and when last.
    asks: u32,
    asked: Duration,
    /// What comes next comes after a silence.
    silent: bool,
    stopped: bool,
}

impl Stillness {
    pub(super) fn new() -> Self {
        let (arrivals, steady, asks, asked) = (0, 0, 0, Duration::ZERO);
        Self { arrivals, steady, repeats: false, pause: SHORTEST_PAUSE, asks, asked, silent: false, stopped: false }
    }

    /// To be called twice a second.
    pub(super) fn look(&mut self, sight: Sight) -> Step {
        let new = sight.arrivals.saturating_sub(self.arrivals);
        self.arrivals = sight.arrivals;
        let Some(last) = sight.last else { return Step::Nothing };
        if new > 0 {
            self.came(new);
        }
        let silence = sight.now.saturating_sub(last);
        if silence < SILENT_AFTER {
            return Step::Nothing;
        }
        self.silent = true;
        let went_like_a_camera = self.steady >= STEADY_LOOKS && sight.answers;
        if self.stopped || !(self.repeats || went_like_a_camera) {
            return Step::Nothing;
        }
        let since_asked = sight.now.saturating_sub(self.asked);
        match self.asks {
            // One that repeats was asked before this silence, too.
            0 if self.repeats && since_asked < self.pause => Step::Nothing,
            1.. if since_asked < ASK_AGAIN => Step::Nothing,
            ASKS.. => {
                self.stopped = true;
                Step::Stop
            }
            _ => {
                self.asks += 1;
                self.asked = sight.now;
                Step::Ask
            }
        }
    }

    /// Something came.
    fn came(&mut self, new: u64) {
        // What comes after it was over comes by itself.
        if self.asks > 0 && !self.stopped {
            self.repeats = true;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.steady = if new >= STEADY_ARRIVALS && !self.silent { self.steady.saturating_add(1) } else { 0 };
        if self.steady >= STEADY_LOOKS {
            self.pause = SHORTEST_PAUSE;
        }
        (self.asks, self.silent, self.stopped) = (0, false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done with a stream whose frames come at these times in ms, and that answers each of the first `answers`
    /// asks in a silence with a frame after 100 ms.
    fn steps(frames: impl IntoIterator<Item = u64>, answers: usize, known: bool, until: u64) -> Vec<(u64, Step)> {
        let mut frames: Vec<u64> = frames.into_iter().collect();
        let (mut stillness, mut steps, mut asks) = (Stillness::new(), Vec::new(), 0);
        for now in (0..until).step_by(500) {
            let arrivals = frames.iter().filter(|at| **at <= now).count() as u64;
            let last = frames.iter().filter(|at| **at <= now).max().copied().map(Duration::from_millis);
            let step = stillness.look(Sight { now: Duration::from_millis(now), last, arrivals, answers: known });
            if step == Step::Ask {
                asks += 1;
                if asks <= answers {
                    frames.push(now + 100);
                }
            }
            if step != Step::Nothing {
                steps.push((now, step));
            }
        }
        steps
    }

    fn camera(until: u64) -> impl Iterator<Item = u64> {
        (0..until).step_by(33)
    }

    #[test]
    fn a_camera_that_stops_is_asked_for_and_then_over() {
        let stops = [(6_500, Step::Ask), (7_500, Step::Ask), (8_500, Step::Stop)];
        assert_eq!(steps(camera(5_000), 0, true, 100_000), stops);
        assert_eq!(steps(camera(5_000), 0, false, 100_000), [], "one that was never seen to answer may be a still");
    }

    #[test]
    fn a_board_that_sends_its_changes_is_never_over() {
        for pause in [700, 1_000, 3_000, 6_000, 30_000] {
            assert_eq!(steps((0..200_000).step_by(pause), 0, true, 300_000), [], "each {pause} ms");
        }
    }

    #[test]
    fn a_screen_that_stands_still_after_a_film_is_sent_again_and_stays() {
        let steps = steps(camera(5_000), usize::MAX, true, 200_000);
        assert!(steps.iter().all(|(_, step)| *step == Step::Ask), "{steps:?}");
        assert!(steps.len() < 9, "ever more seldom: {steps:?}");
    }

    #[test]
    fn a_still_screen_that_was_sent_again_and_then_is_not_is_over() {
        let steps = steps(camera(5_000), 3, true, 200_000);
        assert_eq!(steps.iter().filter(|(_, step)| *step == Step::Ask).count(), 3 + 2, "{steps:?}");
        assert_eq!(steps.last().map(|(_, step)| *step), Some(Step::Stop), "{steps:?}");
    }

    #[test]
    fn what_comes_again_may_stop_again() {
        let twice = camera(5_000).chain((20_000..25_000).step_by(33));
        let ends: Vec<u64> =
            steps(twice, 0, true, 60_000).into_iter().filter(|(_, step)| *step == Step::Stop).map(|it| it.0).collect();
        assert_eq!(ends, [8_500, 28_500]);
    }
}
