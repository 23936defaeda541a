//! Bounds on the pictures that are decoded for one peer. A few bytes can announce a picture of 16383x16383, which takes
//! gigabytes; small frames can come a thousand times a second, each in another size.
//!
//! Time is a parameter, of two clocks: when frames arrive here, and what their timestamps say. A decoder that cannot follow
//! makes them arrive late, and a sender can write any timestamp; it is too much if it is by either.

use std::time::Duration;

use super::coded_size::{Announced, CodedSize};
use crate::control::{PictureRefusal, RefusedPicture};

/// The largest picture, in pixels: what it takes in memory and time is its area, whatever its shape. A screen of 5120x2880;
/// 5120x1440 and 7680x1080 are smaller.
const MAX_AREA: u64 = 5_120 * 2_880;
/// The longest side: more than any screen, and all that VP8 has bits for.
const MAX_SIDE: u64 = 16_383;

/// 3840x2160 at 30 frames a second and a fifth more; about half a core.
const PIXELS_PER_SECOND: f64 = 300e6;
/// Twice what the fastest cameras and screens send.
const FRAMES_PER_SECOND: f64 = 120.0;
/// Each makes the decoder and what is behind it begin anew. A browser that finds its line has several at its start.
const SIZES_PER_SECOND: f64 = 1.0;
const SIZES_AT_ONCE: f64 = 10.0;

/// What comes too fast for so long is refused: a network that stood still brings what it held at once.
const PATIENCE: f64 = 2.0; // seconds

/// Who was refused has to stay below the bound until this part of the patience is left.
const CALM: f64 = 0.5;

/// What drains at a steady rate.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    rate: f64,
    size: f64,
}

impl Bucket {
    fn new(rate: f64, size: f64) -> Self {
        Self { level: 0.0, rate, size }
    }

    /// More comes after `passed` seconds. It does not rise above its size: what was too much is forgotten soon.
    fn add(&mut self, passed: f64, amount: f64) {
        self.level = ((self.level - passed * self.rate).max(0.0) + amount).min(self.size);
    }

    /// Whether it is full; `was` says whether it was before, and has not come down since.
    fn is_full(&self, was: bool) -> bool {
        self.level >= if was { self.size * CALM } else { self.size }
    }
}

/// What comes in, by one clock.
#[derive(Debug)]
struct Load {
    last: Option<Duration>,
    pixels: Bucket,
    frames: Bucket,
    sizes: Bucket,
}

impl Load {
    fn new() -> Self {
        Self {
            last: None,
            pixels: Bucket::new(PIXELS_PER_SECOND, PIXELS_PER_SECOND * PATIENCE),
            frames: Bucket::new(FRAMES_PER_SECOND, FRAMES_PER_SECOND * PATIENCE),
            sizes: Bucket::new(SIZES_PER_SECOND, SIZES_AT_ONCE),
        }
    }

    /// A frame of so many pixels, at this time; `changed` if its size is another.
    fn frame(&mut self, now: Duration, pixels: u64, changed: bool) {
        // Frames that are sent in another order than they are shown in go back a little.
        let passed = now.saturating_sub(self.last.unwrap_or(now)).as_secs_f64();
        self.last = self.last.max(Some(now));
        self.pixels.add(passed, pixels as f64);
        self.frames.add(passed, 1.0);
        self.sizes.add(passed, f64::from(u8::from(changed)));
    }

    fn excess(&self, before: Option<PictureRefusal>) -> Option<PictureRefusal> {
        let was = |refusal| before == Some(refusal);
        [
            (PictureRefusal::SizeChangesTooOften, &self.sizes),
            (PictureRefusal::TooManyPixels, &self.pixels),
            (PictureRefusal::TooManyFrames, &self.frames),
        ]
        .into_iter()
        .find_map(|(refusal, bucket)| bucket.is_full(was(refusal)).then_some(refusal))
    }
}

/// What one peer sends, measured frame by frame.
#[derive(Debug)]
pub(super) struct PictureLimit {
    announced: Option<Announced>,
    arrived: Load,
    stamped: Load,
    refused: Option<PictureRefusal>,
}

impl PictureLimit {
    pub(super) fn new() -> Self {
        Self { announced: None, arrived: Load::new(), stamped: Load::new(), refused: None }
    }

    /// A frame came, with this timestamp, and announces a size if it says one. Answers whether it may be decoded, and the
    /// news if that is another answer than before.
    pub(super) fn frame(&mut self, now: Duration, stamp: Option<Duration>, announced: Option<Announced>) -> bool {
        let changed = announced.is_some_and(|new| self.announced.is_some_and(|old| old != new));
        self.announced = announced.or(self.announced);
        let (area, fits) = self.announced.map_or((0, true), |it| (area(it.size), fits(it.size)));
        // What is too large is not decoded anyway.
        let pixels = if fits { area } else { 0 };
        self.arrived.frame(now, pixels, changed);
        self.stamped.frame(stamp.unwrap_or(now), pixels, changed);
        let before = self.refused;
        self.refused = match self.arrived.excess(before).or_else(|| self.stamped.excess(before)) {
            Some(refusal) => Some(refusal),
            None => (!fits).then_some(PictureRefusal::TooLarge),
        };
        self.refused.is_none()
    }

    /// The pixels of a frame that comes now.
    pub(super) fn pixels(&self) -> u64 {
        self.announced.map_or(0, |announced| area(announced.size))
    }

    /// Why what comes is not decoded, if it is not.
    pub(super) fn refused(&self) -> Option<RefusedPicture> {
        let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
        let (width, height) = self.announced.map_or((0, 0), |announced| announced.size);
        let detail = match self.refused? {
            PictureRefusal::TooLarge => format!("a picture may have {MAX_AREA} pixels, as 5120x2880 has"),
            PictureRefusal::TooManyPixels => {
                format!("a second of pictures may have {PIXELS_PER_SECOND} pixels, as 3840x2160 at 36 frames has")
            }
            PictureRefusal::TooManyFrames => format!("a second may have {FRAMES_PER_SECOND} frames"),
            PictureRefusal::SizeChangesTooOften => {
                format!("the size of the picture may change {SIZES_AT_ONCE} times at once and once a second")
            }
        };
        self.refused.map(|reason| RefusedPicture { reason, width: side(width), height: side(height), detail })
    }
}

fn area((width, height): CodedSize) -> u64 {
    width.saturating_mul(height)
}

fn fits((width, height): CodedSize) -> bool {
    width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_AREA
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(width: u64, height: u64) -> Option<Announced> {
        Some(Announced { size: (width, height), print: width })
    }

    /// The refusals, in their order, of a stream of this size and rate.
    fn refusals(
        limit: &mut PictureLimit,
        size: (u64, u64),
        fps: u32,
        seconds: std::ops::Range<u32>,
    ) -> Vec<Option<PictureRefusal>> {
        let mut found = Vec::new();
        for frame in seconds.start * fps..seconds.end * fps {
            let now = Duration::from_secs(1) * frame / fps;
            limit.frame(now, Some(now), announced(size.0, size.1));
            if found.last() != Some(&limit.refused) {
                found.push(limit.refused);
            }
        }
        found
    }

    #[test]
    fn the_area_is_what_counts() {
        for (width, height) in [
            (0, 0),
            (640, 360),
            (1080, 1920),
            (1920, 1088),
            (3840, 2160),
            (2160, 3840),
            (4096, 2304),
            (5120, 1440),
            (7680, 1088),
            (3440, 1440),
            (1440, 5120),
            (5120, 2160),
            (3456, 2240),
            (5120, 2880),
        ] {
            assert!(fits((width, height)), "{width}x{height}");
        }
        for (width, height) in [
            (8192, 4320),
            (7680, 4320),
            (4096, 4096),
            (16_384, 16),
            (16, 16_384),
            (16_383, 16_383),
            (u32::MAX.into(), u32::MAX.into()),
        ] {
            assert!(!fits((width, height)), "{width}x{height}");
        }
    }

    #[test]
    fn what_cameras_and_screens_send_passes() {
        for (size, fps) in [
            ((320, 180), 15),
            ((1280, 720), 60),
            ((1920, 1088), 60),
            ((2560, 1440), 60),
            ((3840, 2160), 30),
            ((4096, 2304), 30),
            ((5120, 2880), 15),
            ((160, 90), 100),
        ] {
            assert_eq!(refusals(&mut PictureLimit::new(), size, fps, 0..20), [None], "{size:?} at {fps}");
        }
    }

    #[test]
    fn what_costs_too_much_is_refused_until_it_is_less() {
        for (size, fps, refusal) in [
            ((3840, 2160), 60, PictureRefusal::TooManyPixels),
            ((5120, 2880), 30, PictureRefusal::TooManyPixels),
            ((16, 16), 300, PictureRefusal::TooManyFrames),
        ] {
            let mut limit = PictureLimit::new();
            assert_eq!(refusals(&mut limit, size, fps, 0..20), [None, Some(refusal)], "{size:?} at {fps}");
            assert_eq!(refusals(&mut limit, (640, 360), 30, 20..30), [Some(refusal), None], "then a camera");
        }
    }

    #[test]
    fn neither_clock_can_be_cheated() {
        let refused = |arrival: fn(u32) -> u32, stamp: fn(u32) -> u32| {
            let mut limit = PictureLimit::new();
            let at = |ms| Duration::from_millis(u64::from(ms));
            (0..3_000).any(|n| !limit.frame(at(arrival(n)), Some(at(stamp(n))), announced(160, 90)))
        };
        assert!(!refused(|n| 20 * n, |n| 20 * n));
        assert!(refused(|n| 3 * n, |n| 20 * n), "timestamps of a slow stream on a fast one");
        assert!(refused(|n| 20 * n, |n| 3 * n), "more than this machine can take");
        assert!(refused(|n| 3 * n, |_| 0) && refused(|n| 3 * n, |n| 1_000_000 - 20 * n));
        assert!(!refused(|n| n / 50 * 1_000, |n| 20 * n), "a second at once is a network that stood still");
    }

    #[test]
    fn a_size_may_change_now_and_then() {
        let changes = |each: u64| {
            let mut limit = PictureLimit::new();
            (0..1_200u64).all(|n| {
                let now = Duration::from_millis(33 * n);
                limit.frame(now, Some(now), announced(160 + n / each % 50 * 16, 90))
            })
        };
        assert!(changes(40) && !changes(1) && !changes(10));
        let mut limit = PictureLimit::new();
        assert!((0..8).all(|n| limit.frame(Duration::ZERO, None, announced(320 + 16 * n, 180))), "at the start");
    }

    #[test]
    fn what_is_too_large_is_refused_until_the_size_is_fine_again() {
        let mut limit = PictureLimit::new();
        let mut frame = |ms, announced| limit.frame(Duration::from_millis(ms), None, announced);
        assert!(frame(0, None));
        for start in [0, 5_000] {
            assert!(!frame(start + 100, announced(8192, 4320)) && !frame(start + 133, None));
            assert!(frame(start + 200, announced(640, 360)) && frame(start + 233, None));
        }
        limit.frame(Duration::from_secs(9), None, announced(8192, 4320));
        let refused = limit.refused().unwrap();
        assert_eq!((refused.reason, refused.width, refused.height), (PictureRefusal::TooLarge, 8192, 4320));
    }
}
