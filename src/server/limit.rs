//! How often something may happen: a token bucket. Time is a parameter, so that it can be tested without waiting.

use std::time::{Duration, Instant};

/// Holds up to `burst` tokens and gains `rate` of them a second; what happens takes one.
#[derive(Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket. `rate` and `burst` are at least 1: a bucket that never lets anything through is no limit but a
    /// mistake.
    pub fn new(rate: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        Self { rate: f64::from(rate.max(1)), burst, tokens: burst, filled: now }
    }

    /// Takes a token, or says how long it takes until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Takes a token even if there is none yet, and says how long to wait for it before the next one is taken.
    pub fn take_in_advance(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.rate)
    }

    fn fill(&mut self, now: Instant) {
        // Instants of different tasks may come in the wrong order; time then stands still for a moment.
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.filled = self.filled.max(now);
    }
}

/// A wait as whole seconds for `Retry-After`: rounded up, never 0.
pub fn retry_after(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 3, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(start + Duration::from_millis(100)), Ok(()));
        assert!(bucket.take(start + Duration::from_millis(150)).is_err());
    }

    #[test]
    fn who_waits_as_told_keeps_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(50, 200, start);
        let mut now = start;
        for _ in 0..300 {
            now += bucket.take_in_advance(now);
        }
        let took = (now - start).as_secs_f64();
        assert!((1.99..2.01).contains(&took), "{took} s");
    }

    #[test]
    fn retry_after_is_never_zero() {
        assert_eq!(retry_after(Duration::from_millis(1)), 1);
        assert_eq!(retry_after(Duration::from_millis(1001)), 2);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            rate in 1u32..100,
            burst in 1u32..100,
            gaps in prop::collection::vec(0u64..200, 1..300),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = TokenBucket::new(rate, burst, start);
            let mut passed = 0u32;
            for gap in gaps {
                now += Duration::from_millis(gap);
                passed += u32::from(bucket.take(now).is_ok());
            }
            let allowed = f64::from(burst) + (now - start).as_secs_f64() * f64::from(rate);
            prop_assert!(f64::from(passed) <= allowed + 1e-6);
        }
    }
}
