//! Which of the sources that a peer sends on an m-line is taken: one at a time. Pure; times are running times.
//!
//! A source is an SSRC. Most peers send one and keep it. Forwarders and encoders that start anew change it in the middle of
//! a call without a word of SDP; others send several at once, be it layers of one picture (`a=ssrc-group:SIM`) or a camera
//! and a screen (Plan B). So what the offer names first is preferred, what is new is taken at once, and what was left is
//! only taken up again where the taken one fell silent.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bucket::TokenBucket;

/// A source that was silent for so long may be replaced by one that was heard before.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// Sources that are remembered as having been left.
const REMEMBERED: usize = 32;

/// Changes that a peer may make at once, and a second. A decoder begins anew with each.
const CHANGES_BURST: f64 = 12.0;
const CHANGES_RATE: f64 = 2.0;

/// What a packet's source is to the m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The one that is taken.
    Taken,
    /// It is the one from now on.
    TakenOver,
    /// Another one is taken.
    Left,
}

#[derive(Debug)]
pub(super) struct Choice {
    /// Those that the offer names.
    named: Vec<u32>,
    preferred: Option<u32>,
    taken: Option<u32>,
    heard: Duration,
    left: VecDeque<u32>,
    changes: TokenBucket,
}

impl Choice {
    /// Of an m-line whose offer names these sources and means the `preferred` one.
    pub(super) fn new(named: Vec<u32>, preferred: Option<u32>) -> Self {
        let changes = TokenBucket::new(CHANGES_RATE, CHANGES_BURST, Duration::ZERO);
        Self { named, preferred, taken: None, heard: Duration::ZERO, left: VecDeque::new(), changes }
    }

    /// The source that is taken.
    pub(super) fn taken(&self) -> Option<u32> {
        self.taken
    }

    /// A packet of `ssrc` came.
    pub(super) fn packet(&mut self, ssrc: u32, now: Duration) -> Standing {
        if self.taken == Some(ssrc) {
            self.heard = now;
            return Standing::Taken;
        }
        let silent = now.saturating_sub(self.heard) >= SILENT_AFTER;
        let known = self.named.contains(&ssrc) || self.left.contains(&ssrc);
        let wins = self.taken.is_none() || silent || self.preferred == Some(ssrc) || !known;
        if !wins || self.changes.take(now).is_err() {
            return Standing::Left;
        }
        if let Some(before) = self.taken.replace(ssrc) {
            self.left.retain(|left| *left != ssrc && *left != before);
            self.left.push_back(before);
            if self.left.len() > REMEMBERED {
                self.left.pop_front();
            }
        }
        self.heard = now;
        Standing::TakenOver
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Which source is taken after each packet of (time, source).
    fn taken(choice: &mut Choice, packets: &[(u64, u32)]) -> Vec<u32> {
        let mut taken = Vec::new();
        for (at, ssrc) in packets {
            choice.packet(*ssrc, ms(*at));
            taken.push(choice.taken().unwrap());
        }
        taken
    }

    #[test]
    fn a_source_that_takes_the_place_of_another_is_taken_at_once_however_often() {
        let mut choice = Choice::new(vec![1], Some(1));
        for n in 0..50 {
            let at = u64::from(n) * 1_000;
            assert_eq!(choice.packet(n + 1, ms(at)), Standing::TakenOver);
            assert_eq!(choice.packet(n + 1, ms(at + 20)), Standing::Taken);
        }
    }

    #[test]
    fn of_several_at_once_one_stays() {
        let both = [(0, 8), (10, 9), (20, 8), (30, 9), (40, 8), (50, 9)];
        let mut named = Choice::new(vec![8, 9], Some(8));
        assert_eq!(taken(&mut named, &both), [8; 6]);
        let mut named = Choice::new(vec![8, 9], Some(9));
        assert_eq!(taken(&mut named, &both), [8, 9, 9, 9, 9, 9], "the preferred one takes over");
        let mut unnamed = Choice::new(vec![], None);
        assert_eq!(taken(&mut unnamed, &both), [8, 9, 9, 9, 9, 9], "the newest");
    }

    #[test]
    fn one_that_was_left_comes_back_where_the_other_falls_silent() {
        let mut choice = Choice::new(vec![1], Some(1));
        let packets = [(0, 1), (20, 2), (40, 2), (900, 3), (950, 2), (1_800, 2), (1_901, 2)];
        assert_eq!(taken(&mut choice, &packets), [1, 2, 2, 3, 3, 3, 2]);
        let mut layers = Choice::new(vec![5, 6, 7], Some(7));
        let packets = [(0, 7), (500, 6), (1_100, 6), (1_120, 5), (1_200, 6), (1_300, 7)];
        assert_eq!(taken(&mut layers, &packets), [7, 7, 6, 6, 6, 7], "a smaller layer while the largest rests");
    }

    proptest! {
        #[test]
        fn changes_are_bounded_and_something_is_always_taken(
            packets in prop::collection::vec((0u64..200, 0u32..100), 1..500),
            preferred in prop::option::of(0u32..100),
        ) {
            let mut choice = Choice::new(preferred.into_iter().chain([1, 2, 3]).collect(), preferred);
            let (mut now, mut changes) = (0, 0u32);
            for (pause, ssrc) in packets {
                now += pause;
                let standing = choice.packet(ssrc, ms(now));
                changes += u32::from(standing == Standing::TakenOver);
                prop_assert_eq!(standing != Standing::Left, choice.taken() == Some(ssrc));
                prop_assert!(choice.left.len() <= REMEMBERED);
            }
            prop_assert!(f64::from(changes) <= CHANGES_BURST + now as f64 / 1_000.0 * CHANGES_RATE + 1e-6);
        }
    }
}
