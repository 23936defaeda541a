//! How often something may happen: a token bucket. Time is a parameter, as a duration since whenever its owner counts from.

use std::time::Duration;

/// Holds up to `burst` tokens and gains `rate` of them a second; what happens takes one, or several.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Duration,
}

impl TokenBucket {
    /// A full bucket. A `rate` (tokens a second) or `burst` of zero or less is a mistake and counts as a very small one.
    pub fn new(rate: f64, burst: f64, now: Duration) -> Self {
        let burst = burst.max(1.0);
        Self { rate: rate.max(f64::MIN_POSITIVE), burst, tokens: burst, filled: now }
    }

    /// Takes a token, or says how long it takes until there is one.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.take_many(1, now)
    }

    /// Takes `count` tokens or none, and then says how long it takes until there are so many. More than the burst there
    /// never are.
    pub fn take_many(&mut self, count: u32, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let count = f64::from(count);
        if self.tokens < count {
            return Err(wait((count - self.tokens) / self.rate));
        }
        self.tokens -= count;
        Ok(())
    }

    /// Takes a token even if there is none yet, and says how long to wait for it before the next one is taken.
    pub fn take_in_advance(&mut self, now: Duration) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        wait((-self.tokens).max(0.0) / self.rate)
    }

    /// Whether nothing was taken that has not come back.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    fn fill(&mut self, now: Duration) {
        // Times of different threads may come in the wrong order; time then stands still for a moment.
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.filled = self.filled.max(now);
    }
}

/// For ever where it is longer than can be said.
fn wait(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(10.0, 3.0, START);
        for _ in 0..3 {
            assert_eq!(bucket.take(START), Ok(()));
        }
        assert_eq!(bucket.take(START), Err(ms(100)));
        assert_eq!(bucket.take(START + ms(100)), Ok(()));
        assert!(bucket.take(START + ms(150)).is_err());
        assert!(!bucket.is_full(START + ms(300)) && bucket.is_full(START + ms(500)));
    }

    #[test]
    fn several_are_taken_at_once_or_not_at_all() {
        let mut bucket = TokenBucket::new(10.0, 3.0, START);
        assert_eq!(bucket.take_many(4, START), Err(ms(100)));
        assert_eq!(bucket.take_many(2, START), Ok(()));
        assert_eq!(bucket.take_many(2, START), Err(ms(100)));
        assert_eq!(bucket.take_many(1, START), Ok(()));
    }

    #[test]
    fn who_waits_as_told_keeps_the_rate() {
        let mut bucket = TokenBucket::new(50.0, 200.0, START);
        let mut now = START;
        for _ in 0..300 {
            now += bucket.take_in_advance(now);
        }
        let took = (now - START).as_secs_f64();
        assert!((1.99..2.01).contains(&took), "{took} s");
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            rate in 1u32..100,
            burst in 1u32..100,
            gaps in prop::collection::vec((0u64..200, 1u32..4), 1..300),
        ) {
            let mut now = START;
            let mut bucket = TokenBucket::new(rate.into(), burst.into(), START);
            let mut passed = 0u32;
            for (gap, count) in gaps {
                now += ms(gap);
                passed += if bucket.take_many(count, now).is_ok() { count } else { 0 };
            }
            let allowed = f64::from(burst) + (now - START).as_secs_f64() * f64::from(rate);
            prop_assert!(f64::from(passed) <= allowed + 1e-6);
        }
    }
}
