//! What a voice waits for its picture: decoded sound, held back after the playout has done its part.
//!
//! The playout's own delay is for the line and comes first, so that what is held has no gaps any more. How much is held
//! follows what is asked for by splices of 2.5 to 10 ms, like the playout's delay, and faster in silence. As long as
//! nothing is to be held sound passes untouched.

use crate::pcm::{FRAME_SAMPLES, Frame, level_dbfs};

use super::Pulled;
use super::splice::{self, MAX_LAG, MIN_LAG};

/// Frames between two splices; in silence there is no pause, and as many splices at once as this.
const PAUSE: u32 = 3;
const AT_ONCE: usize = 2;
/// How alike the ends of a splice must be at first; as long as a whole splice or more is missing, the demand sinks to
/// `LEAST_LIKENESS` over `RELAXED_AFTER` frames.
const LIKENESS: f32 = 0.95;
const LEAST_LIKENESS: f32 = 0.4;
const RELAXED_AFTER: f32 = 50.0;

/// Sound held back.
#[derive(Debug, Default)]
pub(super) struct Hold {
    sound: Vec<f32>,
    /// How many samples are to be held.
    wanted: usize,
    /// Frames since the last splice, and since one is sought.
    since_splice: u32,
    sought: u32,
    /// Samples since the last that was anything.
    idle: usize,
}

impl Hold {
    /// Holds this many samples, as soon as that can be done without being heard.
    pub(super) fn set(&mut self, samples: usize) {
        self.wanted = samples;
    }

    /// Samples that are held.
    pub(super) fn held(&self) -> usize {
        self.sound.len()
    }

    /// Puts `frame` in and takes out what is due instead.
    pub(super) fn pass(&mut self, frame: &mut Frame, pulled: Pulled) -> Pulled {
        if self.wanted == 0 && self.sound.is_empty() {
            return pulled;
        }
        self.idle = if pulled == Pulled::Idle { self.idle + FRAME_SAMPLES } else { 0 };
        if self.idle >= self.sound.len() + FRAME_SAMPLES {
            // Silence through and through can be as long as it should be.
            self.sound.clear();
            self.sound.resize(self.wanted, 0.0);
            return pulled;
        }
        self.sound.extend_from_slice(frame);
        self.correct();
        frame.copy_from_slice(&self.sound[..FRAME_SAMPLES]);
        self.sound.drain(..FRAME_SAMPLES);
        if pulled == Pulled::Idle { Pulled::Played } else { pulled }
    }

    /// Brings what is held nearer to what is wanted. There is always a frame more than what is held.
    fn correct(&mut self) {
        self.since_splice = self.since_splice.saturating_add(1);
        let silent = level_dbfs(&self.sound[..FRAME_SAMPLES]) < splice::SILENT_DBFS;
        if silent {
            for _ in 0..AT_ONCE {
                self.splice(0.0);
            }
            let held = self.sound.len() - FRAME_SAMPLES;
            if self.wanted == 0 && held < MIN_LAG {
                // Too little for a splice, and nobody hears it go.
                self.sound.drain(..held);
            }
        } else if self.since_splice >= PAUSE {
            let relaxed = (self.sought as f32 / RELAXED_AFTER).min(1.0);
            self.splice(LIKENESS + (LEAST_LIKENESS - LIKENESS) * relaxed);
        }
    }

    /// Puts a piece in or takes one out where the ends are this alike, if one is missing or too much.
    fn splice(&mut self, likeness: f32) {
        let held = self.sound.len() - FRAME_SAMPLES;
        let missing = self.wanted.abs_diff(held);
        if missing < MIN_LAG {
            self.sought = 0;
            return;
        }
        self.sought = self.sought.saturating_add(1);
        let likeness = if missing < MAX_LAG { LIKENESS } else { likeness };
        let found = splice::find_repeat(&self.sound, missing.min(MAX_LAG)).filter(|it| it.likeness >= likeness);
        let Some(repeat) = found else { return };
        if held < self.wanted {
            splice::lengthen(&mut self.sound, repeat.lag);
        } else {
            splice::shorten(&mut self.sound, repeat.lag);
        }
        self.since_splice = 0;
        self.sought = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::SILENCE;

    fn tone(n: usize) -> f32 {
        0.5 * (std::f32::consts::TAU * 200.0 * n as f32 / 48_000.0).sin()
    }

    /// Passes frames of a steady tone (or of another sound) and gives what comes out.
    fn pass(hold: &mut Hold, frames: std::ops::Range<usize>, sound: impl Fn(usize) -> f32) -> Vec<f32> {
        frames
            .flat_map(|at| {
                let mut frame: Frame = std::array::from_fn(|n| sound((at * FRAME_SAMPLES + n) % 48_000));
                hold.pass(&mut frame, Pulled::Played);
                frame
            })
            .collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn nothing_to_hold_is_nothing_done() {
        let mut hold = Hold::default();
        let heard = pass(&mut hold, 0..50, tone);
        assert!(heard.iter().enumerate().all(|(n, &x)| x == tone(n)));
        assert_eq!(hold.pass(&mut SILENCE.clone(), Pulled::Idle), Pulled::Idle);
    }

    #[test]
    fn a_voice_is_held_and_let_go_without_a_click_and_within_seconds() {
        let mut hold = Hold::default();
        pass(&mut hold, 0..50, tone);
        for (wanted, frames) in [(19_200, 50..300), (7_200, 300..450), (7_000, 450..500), (0, 500..700)] {
            hold.set(wanted);
            let heard = pass(&mut hold, frames, tone);
            assert!(hold.held().abs_diff(wanted) < 240, "{} of {wanted}", hold.held());
            assert!(steepest(&heard) < 0.0131 * 1.1, "{}", steepest(&heard));
            assert!(heard.chunks(960).all(|frame| (level_dbfs(frame) + 9.03).abs() < 0.3));
        }
    }

    #[test]
    fn sound_that_never_repeats_is_held_too() {
        let noise = |n: usize| {
            let x = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((x ^ (x >> 31)) >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let mut hold = Hold::default();
        hold.set(4_800);
        pass(&mut hold, 0..1_500, noise);
        assert!(hold.held().abs_diff(4_800) < MAX_LAG, "{}", hold.held());
    }

    #[test]
    fn in_silence_it_is_done_within_half_a_second_and_ends_exactly() {
        let mut hold = Hold::default();
        hold.set(19_200);
        pass(&mut hold, 0..25, |_| 0.0001);
        assert!(hold.held().abs_diff(19_200) < MIN_LAG, "{}", hold.held());
        hold.set(0);
        pass(&mut hold, 25..50, |_| 0.0001);
        assert_eq!(hold.held(), 0);
    }

    #[test]
    fn what_is_held_is_heard_before_a_voice_is_idle() {
        let mut hold = Hold::default();
        hold.set(4_800);
        pass(&mut hold, 0..200, tone);
        let held = hold.held();
        let mut heard = Vec::new();
        loop {
            let mut frame = SILENCE;
            if hold.pass(&mut frame, Pulled::Idle) == Pulled::Idle {
                assert_eq!(frame, SILENCE);
                break;
            }
            heard.extend_from_slice(&frame);
        }
        let last = heard.iter().rposition(|x| x.abs() > 0.01).unwrap();
        assert!((held - 480..held).contains(&last), "{last} of {held}");
        assert_eq!(hold.held(), 4_800);
    }
}
