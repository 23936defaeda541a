//! What a sender's line does to its packets: the fastest way over it and how much later the others come.

use std::collections::VecDeque;

/// Packets that the jitter is taken from; 10 s of 20 ms packets.
const WINDOW: usize = 512;
/// One packet in this many may come later than the jitter says; it is concealed.
const OUTLIERS: usize = 64;
/// Resolution of the lateness, in samples: 2 ms.
const BUCKET: i64 = 96;
/// Lateness is told apart up to 256 ms.
const BUCKETS: usize = 128;
/// The fastest packet of the last one to two of these is the measure of lateness, in samples: 2 s. Short enough that the
/// drift of the sender's clock (under 1 ms in that time at 300 ppm) does not pass for jitter.
const ERA: i64 = 96_000;

/// Arrival statistics of one run of a sender. All times in samples.
#[derive(Debug)]
pub(super) struct Line {
    fastest: i64,
    fastest_before: i64,
    era: i64,
    recent: VecDeque<u8>,
    histogram: [u16; BUCKETS],
}

impl Line {
    pub(super) fn new() -> Self {
        let recent = VecDeque::with_capacity(WINDOW);
        Self { fastest: i64::MAX, fastest_before: i64::MAX, era: i64::MIN, recent, histogram: [0; BUCKETS] }
    }

    /// Takes in a packet with this timestamp.
    pub(super) fn observe(&mut self, arrived: i64, timestamp: i64) {
        let transit = arrived - timestamp;
        let era = arrived.div_euclid(ERA);
        if era != self.era {
            self.fastest_before = if era == self.era.saturating_add(1) { self.fastest } else { i64::MAX };
            self.fastest = transit;
            self.era = era;
        }
        self.fastest = self.fastest.min(transit);

        let bucket = ((transit - self.floor()) / BUCKET).clamp(0, BUCKETS as i64 - 1) as u8;
        if self.recent.len() == WINDOW
            && let Some(oldest) = self.recent.pop_front()
        {
            self.histogram[usize::from(oldest)] -= 1;
        }
        self.recent.push_back(bucket);
        self.histogram[usize::from(bucket)] += 1;
    }

    /// Arrival minus timestamp of the fastest packet.
    pub(super) fn floor(&self) -> i64 {
        self.fastest.min(self.fastest_before)
    }

    /// How much later than the fastest all packets come but for a few outliers: 0 on a perfect line.
    pub(super) fn jitter(&self) -> i64 {
        let outliers = self.recent.len() / OUTLIERS;
        let mut later = 0;
        for (bucket, &count) in self.histogram.iter().enumerate().rev() {
            later += usize::from(count);
            if later > outliers {
                return bucket as i64 * BUCKET;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: i64 = 960;

    fn line(lateness: impl Iterator<Item = i64>) -> Line {
        let mut line = Line::new();
        for (n, late) in (0..).zip(lateness) {
            line.observe(7_000 + n * PACKET + late, n * PACKET);
        }
        line
    }

    #[test]
    fn a_steady_line_has_no_jitter() {
        let line = line(std::iter::repeat_n(0, 1000));
        assert_eq!((line.floor(), line.jitter()), (7_000, 0));
    }

    #[test]
    fn jitter_is_what_nearly_all_packets_keep() {
        let line = line((0..2000).map(|n| (n * 37 % 100) * 48));
        assert!((4_560..4_800).contains(&line.jitter()), "{}", line.jitter());
    }

    #[test]
    fn single_stragglers_are_left_to_concealment() {
        let line = line((0..2000).map(|n| if n % 200 == 0 { 9_600 } else { 0 }));
        assert_eq!(line.jitter(), 0);
    }

    #[test]
    fn a_drifting_clock_is_no_jitter() {
        for drift in [-3000, 3000] {
            let line = line((0..10_000).map(|n| n * PACKET / drift));
            assert!(line.jitter() <= 2 * BUCKET, "{}", line.jitter());
        }
    }

    #[test]
    fn an_unsteady_line_is_forgotten_within_ten_seconds() {
        let line = line((0..2000).map(|n| if n < 1480 && n % 2 == 0 { 4_800 } else { 0 }));
        assert_eq!(line.jitter(), 0);
    }
}
