//! The ladder: what a peer's line reports → which rendition it gets under `auto`.
//!
//! Pure; time is a parameter. Down at once when the line loses much, up again only after it was clean for a while, and
//! later after each climb that failed: a rung that does not hold costs the peer a visible step each time it is tried.

use std::time::Duration;

/// Loss above this is more than retransmission repairs; one step down.
const LOSS_TOO_HIGH: f32 = 0.10;
/// Loss below this is a clean line.
const LOSS_CLEAN: f32 = 0.02;
/// So many reports in a row decide: one alone may be a short burst.
const BAD_REPORTS: u32 = 2;
/// The line must be clean for this long before a step up; doubled by each climb that fails.
const CLIMB_AFTER: Duration = Duration::from_secs(12);
const CLIMB_AFTER_MAX: Duration = Duration::from_secs(192);
/// A step down within this time of a step up is a climb that failed.
const CLIMB_FAILED_WITHIN: Duration = Duration::from_secs(15);

/// What a peer's receiver reports say of about one second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineReport {
    /// Part of the packets that did not arrive, 0 to 1.
    pub loss: f32,
}

/// The best rung of which, as of all below it, the bitrate stays within `limit`. None if not even the last one does.
pub fn best_within(bitrates: impl IntoIterator<Item = u64>, limit: u64) -> Option<usize> {
    let bitrates: Vec<u64> = bitrates.into_iter().collect();
    let fit = bitrates.iter().rev().take_while(|bitrate| **bitrate <= limit).count();
    (fit > 0).then(|| bitrates.len() - fit)
}

/// The place of one peer on the ladder. Rung 0 is the best rendition.
#[derive(Clone, Debug)]
pub struct Ladder {
    rungs: usize,
    /// The best one that the peer may get.
    best: usize,
    rung: usize,
    bad: u32,
    clean_since: Option<Duration>,
    climbed: Option<Duration>,
    climb_after: Duration,
}

impl Ladder {
    /// Begins on rung `best` of `rungs` renditions, and never goes above it.
    pub fn new(rungs: usize, best: usize) -> Self {
        let rungs = rungs.max(1);
        let best = best.min(rungs - 1);
        Self { rungs, best, rung: best, bad: 0, clean_since: None, climbed: None, climb_after: CLIMB_AFTER }
    }

    /// The rendition's place in the configuration's list.
    pub fn rung(&self) -> usize {
        self.rung
    }

    /// Takes a report of time `now`; true if the rung changed.
    pub fn report(&mut self, now: Duration, report: LineReport) -> bool {
        if report.loss > LOSS_TOO_HIGH {
            self.clean_since = None;
            self.bad += 1;
            return self.bad >= BAD_REPORTS && self.step_down(now);
        }
        self.bad = 0;
        if report.loss > LOSS_CLEAN {
            self.clean_since = None;
            return false;
        }
        let since = *self.clean_since.get_or_insert(now);
        if now.saturating_sub(since) < self.climb_after || self.rung == self.best {
            return false;
        }
        self.rung -= 1;
        self.climbed = Some(now);
        self.clean_since = Some(now);
        true
    }

    fn step_down(&mut self, now: Duration) -> bool {
        self.bad = 0;
        if self.climbed.take().is_some_and(|climbed| now.saturating_sub(climbed) < CLIMB_FAILED_WITHIN) {
            self.climb_after = (self.climb_after * 2).min(CLIMB_AFTER_MAX);
        }
        let lower = (self.rung + 1).min(self.rungs - 1);
        let changed = lower != self.rung;
        self.rung = lower;
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(ladder: &mut Ladder, from: u64, to: u64, loss: f32) {
        for second in from..to {
            ladder.report(Duration::from_secs(second), LineReport { loss });
        }
    }

    #[test]
    fn loss_steps_down_and_a_clean_line_climbs_back() {
        let mut ladder = Ladder::new(3, 0);
        feed(&mut ladder, 0, 1, 0.3);
        assert_eq!(ladder.rung(), 0, "one bad second is no reason");
        feed(&mut ladder, 1, 2, 0.3);
        assert_eq!(ladder.rung(), 1);
        feed(&mut ladder, 2, 10, 0.0);
        assert_eq!(ladder.rung(), 1);
        feed(&mut ladder, 10, 16, 0.0);
        assert_eq!(ladder.rung(), 0);
    }

    #[test]
    fn a_climb_that_fails_makes_the_next_one_later() {
        let mut ladder = Ladder::new(2, 0);
        feed(&mut ladder, 0, 2, 0.5);
        feed(&mut ladder, 2, 16, 0.0);
        assert_eq!(ladder.rung(), 0);
        feed(&mut ladder, 16, 18, 0.5);
        assert_eq!(ladder.rung(), 1);
        feed(&mut ladder, 18, 18 + 23, 0.0);
        assert_eq!(ladder.rung(), 1, "twice the wait");
        feed(&mut ladder, 41, 45, 0.0);
        assert_eq!(ladder.rung(), 0);
    }

    #[test]
    fn the_best_rung_is_the_first_from_which_all_fit() {
        for (bitrates, limit, best) in [
            (&[1500, 500, 150][..], 2000, Some(0)),
            (&[1500, 500, 150], 1500, Some(0)),
            (&[1500, 500, 150], 1499, Some(1)),
            (&[1500, 500, 150], 499, Some(2)),
            (&[1500, 500, 150], 149, None),
            (&[500, 1500, 150], 600, Some(2)),
            (&[], 600, None),
        ] {
            assert_eq!(best_within(bitrates.iter().copied(), limit), best, "{bitrates:?} {limit}");
        }
    }

    proptest! {
        #[test]
        fn the_rung_is_always_on_the_ladder_and_never_above_its_bound(rungs in 0usize..5, best in 0usize..6, losses in prop::collection::vec(0f32..1.0, 0..200)) {
            let mut ladder = Ladder::new(rungs, best);
            prop_assert_eq!(ladder.rung(), best.min(rungs.max(1) - 1));
            for (second, loss) in losses.into_iter().enumerate() {
                let before = ladder.rung();
                let changed = ladder.report(Duration::from_secs(second as u64), LineReport { loss });
                prop_assert!(ladder.rung() < rungs.max(1) && ladder.rung() >= best.min(rungs.max(1) - 1));
                prop_assert_eq!(changed, before != ladder.rung());
                prop_assert!(before.abs_diff(ladder.rung()) <= 1);
            }
        }
    }
}
