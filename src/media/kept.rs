//! The coded frames of a picture that nobody looks at, from where a decoder can go on: so that it is there at once when
//! somebody looks, whether or not its sender makes a keyframe when it is asked for one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is kept of one picture: ten seconds between keyframes at 8 Mbit/s and more.
const MAX_BYTES: u64 = 16_000_000;

/// Its pixels, which is what decoding them costs: of 300 frames of 1920x1080, about a second.
const MAX_PIXELS: u64 = 300 * 1_920 * 1_080;

/// A small frame costs more than its pixels.
const LEAST_PIXELS: u64 = 256 * 256;
/// And takes more memory than its bytes.
const LEAST_BYTES: u64 = 1_024;

/// What is kept in the whole process, in bytes.
const MAX_TOTAL: u64 = 256_000_000;
static TOTAL: AtomicU64 = AtomicU64::new(0);

/// What a frame costs to be kept and to be decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) bytes: u64,
    pub(super) pixels: u64,
}

/// Frames in the order in which they came.
#[derive(Debug)]
pub(super) struct Kept<F> {
    frames: VecDeque<(F, Cost)>,
    sum: Cost,
    /// The recovery point that everything before it is kept for, by its place, and how many reference frames later the
    /// picture is whole from there.
    recovering: Option<(usize, u32)>,
}

impl<F> Default for Kept<F> {
    fn default() -> Self {
        Self { frames: VecDeque::new(), sum: Cost::default(), recovering: None }
    }
}

impl<F> Kept<F> {
    /// Whether more would be too much.
    pub(super) fn is_full(&self) -> bool {
        self.sum.bytes >= MAX_BYTES || self.sum.pixels >= MAX_PIXELS || TOTAL.load(Ordering::Relaxed) >= MAX_TOTAL
    }

    /// Keeps a frame, which may be a reference for the next ones.
    pub(super) fn push(&mut self, frame: F, cost: Cost, reference: bool) {
        let cost = Cost { bytes: cost.bytes.max(LEAST_BYTES), pixels: cost.pixels.max(LEAST_PIXELS) };
        self.frames.push_back((frame, cost));
        self.sum.bytes += cost.bytes;
        self.sum.pixels += cost.pixels;
        TOTAL.fetch_add(cost.bytes, Ordering::Relaxed);
        match &mut self.recovering {
            Some((place, 0)) => {
                let before = *place;
                self.recovering = None;
                (0..before).for_each(|_| drop(self.pop()));
            }
            Some((_, left)) => *left -= u32::from(reference),
            None => {}
        }
    }

    /// The next frame is a recovery point: once the picture is whole from there, what is before it need not be kept.
    pub(super) fn recovery_point(&mut self, frames: u32) {
        self.recovering.get_or_insert((self.frames.len(), frames));
    }

    /// The next one to decode.
    pub(super) fn pop(&mut self) -> Option<F> {
        let (frame, cost) = self.frames.pop_front()?;
        self.sum.bytes -= cost.bytes;
        self.sum.pixels -= cost.pixels;
        TOTAL.fetch_sub(cost.bytes, Ordering::Relaxed);
        Some(frame)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

impl<F> Drop for Kept<F> {
    fn drop(&mut self) {
        TOTAL.fetch_sub(self.sum.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Cost = Cost { bytes: 4_000, pixels: 640 * 360 };

    #[test]
    fn ten_seconds_of_a_large_picture_are_kept_and_bytes_and_pixels_are_bounded() {
        let kept = |cost: Cost| {
            let mut kept = Kept::default();
            let count = (0..100_000).take_while(|frame| {
                kept.push(*frame, cost, true);
                !kept.is_full()
            });
            count.count()
        };
        let hd = Cost { bytes: 8_000_000 / 8 / 30, pixels: 1_920 * 1_080 };
        assert!(kept(hd) >= 250);
        assert!(kept(FRAME) >= 2_000);
        assert!(kept(Cost { bytes: 1_000_000, pixels: 0 }) <= 16);
        assert!(kept(Cost { bytes: 0, pixels: 4_096 * 2_304 }) <= 100);
        assert!(kept(Cost::default()) <= 10_000, "frames of nothing are bounded, too");
    }

    #[test]
    fn what_is_before_a_recovery_point_is_kept_until_the_picture_is_whole_from_there() {
        let mut kept = Kept::default();
        (0..5).for_each(|frame| kept.push(frame, FRAME, true));
        kept.recovery_point(3);
        // The recovery point, then one that is no reference, in which the picture does not go on becoming whole.
        for (frame, reference) in [(5, true), (6, true), (7, false), (8, true)] {
            kept.push(frame, FRAME, reference);
            assert_eq!(kept.frames[0].0, 0, "before {frame} it is not");
        }
        kept.push(9, FRAME, true);
        let rest: Vec<_> = std::iter::from_fn(|| kept.pop()).collect();
        assert_eq!(rest, [5, 6, 7, 8, 9]);
        assert_eq!((kept.sum.bytes, kept.sum.pixels), (0, 0));
    }
}
