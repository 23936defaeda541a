//! How often something happened lately. Time is a parameter.

use std::collections::VecDeque;
use std::time::Duration;

/// Counts what happened within a time that goes along. It keeps an entry for each, so it is for what is seldom.
#[derive(Clone, Debug)]
pub struct Recent {
    within: Duration,
    at: VecDeque<Duration>,
}

impl Recent {
    /// Nothing happened yet; what happens is forgotten after `within`.
    pub fn new(within: Duration) -> Self {
        Self { within, at: VecDeque::new() }
    }

    /// It happened at `now`. Answers how often it did lately, this time included.
    pub fn note(&mut self, now: Duration) -> usize {
        while self.at.front().is_some_and(|at| now.saturating_sub(*at) >= self.within) {
            self.at.pop_front();
        }
        self.at.push_back(now);
        self.at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_long_ago_does_not_count() {
        let mut recent = Recent::new(Duration::from_secs(60));
        let counts: Vec<usize> = [0, 1, 2, 60, 61, 200].map(|at| recent.note(Duration::from_secs(at))).into();
        assert_eq!(counts, [1, 2, 3, 3, 3, 1]);
    }

    #[test]
    fn what_happens_seldom_never_adds_up() {
        let mut recent = Recent::new(Duration::from_secs(60));
        assert!((0..1_000).all(|n| recent.note(Duration::from_secs(15 * n)) <= 4));
    }
}
