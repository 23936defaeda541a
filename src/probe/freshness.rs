//! How fresh a tile is over time: the age of what it shows, and the gaps in which it shows nothing new.

use super::timecode::Timecode;

/// Follows one tile. Feed it every frame that arrives, in order.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    last: Option<(Timecode, u64)>,
    ages_ms: Vec<f64>,
    gaps_ms: Vec<f64>,
    unreadable: u64,
}

impl Freshness {
    /// A frame arrived at `now_ms` (since the epoch); `timecode` is what its tile says. Frames whose tile cannot be
    /// read count as not fresh, and are counted.
    pub fn frame(&mut self, timecode: Option<Timecode>, now_ms: u64) {
        let Some(timecode) = timecode else {
            self.unreadable += 1;
            return;
        };
        self.ages_ms.push(f64::from(timecode.age_ms(now_ms)));
        match self.last {
            Some((last, _)) if timecode.since(last) <= 0 => {}
            Some((_, arrival)) => {
                self.gaps_ms.push(now_ms.saturating_sub(arrival) as f64);
                self.last = Some((timecode, now_ms));
            }
            None => self.last = Some((timecode, now_ms)),
        }
    }

    /// Of every frame that could be read: from capture to arrival, in milliseconds.
    pub fn ages_ms(&self) -> &[f64] {
        &self.ages_ms
    }

    /// The times between arrivals of frames that showed something new, in milliseconds.
    pub fn gaps_ms(&self) -> &[f64] {
        &self.gaps_ms
    }

    /// The longest time without anything new, up to `now_ms`; a tile that froze for good has no gap that ended.
    pub fn longest_gap_ms(&self, now_ms: u64) -> Option<f64> {
        let (_, arrival) = self.last?;
        let open = now_ms.saturating_sub(arrival) as f64;
        Some(self.gaps_ms.iter().copied().fold(open, f64::max))
    }

    /// Frames whose tile could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_frames_make_a_gap() {
        let mut tile = Freshness::default();
        for (captured, arrived) in [(1000, 1050), (1033, 1083), (1033, 1116), (1033, 1150), (1150, 1200)] {
            tile.frame(Some(Timecode::at(captured)), arrived);
        }
        tile.frame(None, 1233);
        assert_eq!(tile.ages_ms(), [50.0, 50.0, 83.0, 117.0, 50.0]);
        assert_eq!(tile.gaps_ms(), [33.0, 117.0]);
        assert_eq!(tile.unreadable(), 1);
        assert_eq!(tile.longest_gap_ms(1210), Some(117.0));
        assert_eq!(tile.longest_gap_ms(1500), Some(300.0), "frozen since");
        assert_eq!(Freshness::default().longest_gap_ms(1500), None);
    }

    #[test]
    fn an_older_picture_is_nothing_new() {
        let mut tile = Freshness::default();
        for (captured, arrived) in [(1000, 1050), (990, 1083), (1010, 1116)] {
            tile.frame(Some(Timecode::at(captured)), arrived);
        }
        assert_eq!(tile.gaps_ms(), [66.0]);
    }
}
