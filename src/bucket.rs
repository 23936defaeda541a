//! How often something may happen: token buckets, one alone or one for each of many keys. Time is a parameter, counted
//! from whatever moment the caller likes.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How often something may happen over a longer time, and how often at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// `burst` is at least 1, and so is what is gained within some hours: a bucket that never lets anything through is no
    /// limit but a mistake.
    pub const fn new(per_second: f64, burst: u32) -> Self {
        let (per_second, burst) = (per_second.max(0.0001), if burst == 0 { 1 } else { burst });
        Self { per_second, burst: burst as f64 }
    }

    /// How long an empty bucket takes to be full again.
    fn refill(self) -> Duration {
        Duration::from_secs_f64(self.burst / self.per_second)
    }
}

/// Holds up to a burst of tokens and gains the rate of them; what happens takes one.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    tokens: f64,
    filled: Duration,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, tokens: rate.burst, filled: now }
    }

    /// Takes a token, or says how long it takes until there is one.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.take_above(0.0, now)
    }

    /// Takes a token of those above a part of the burst, which stays for others; or says how long it takes until there is
    /// one. `kept` is from 0 to 1.
    pub fn take_above(&mut self, kept: f64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        // Never so much that a full bucket would not do.
        let needed = (kept * self.rate.burst + 1.0).min(self.rate.burst);
        if self.tokens < needed {
            return Err(Duration::from_secs_f64((needed - self.tokens) / self.rate.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Takes a token even if there is none yet, and says how long to wait for it before the next one is taken.
    pub fn take_in_advance(&mut self, now: Duration) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.rate.per_second)
    }

    /// Gives a token back that was taken for what did not happen.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.rate.burst);
    }

    /// How much of it is there, from 0 to 1.
    pub fn level(&mut self, now: Duration) -> f64 {
        self.fill(now);
        (self.tokens / self.rate.burst).max(0.0)
    }

    fn fill(&mut self, now: Duration) {
        // Times of different threads may come in the wrong order; time then stands still for a moment.
        let passed = now.saturating_sub(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.per_second).min(self.rate.burst);
        self.filled = self.filled.max(now);
    }
}

/// A bucket of the same rate for each key, of at most twice `capacity` keys.
///
/// Two generations: what is asked for moves to the young one; when that is as old as a bucket takes to fill, or has
/// `capacity` keys, it becomes the old one, and what was old goes. So nobody who comes again is forgotten before its bucket
/// would be full, but where very many keys come at once; and each look costs the same, however many there are.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    capacity: usize,
    young: HashMap<K, TokenBucket>,
    old: HashMap<K, TokenBucket>,
    turned: Duration,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    /// No bucket yet.
    pub fn new(rate: Rate, capacity: usize, now: Duration) -> Self {
        Self { rate, capacity: capacity.max(1), young: HashMap::new(), old: HashMap::new(), turned: now }
    }

    /// The bucket of a key; a full one for who was not here lately.
    pub fn of(&mut self, key: K, now: Duration) -> &mut TokenBucket {
        let due = now.saturating_sub(self.turned) >= self.rate.refill();
        if due || (self.young.len() >= self.capacity && !self.young.contains_key(&key)) {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        let (rate, old) = (self.rate, &mut self.old);
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(|| TokenBucket::new(rate, now)))
    }

    /// Takes a token of a key, or says how long it takes until there is one.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        self.of(key, now).take(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(Rate::new(10.0, 3), START);
        for _ in 0..3 {
            assert_eq!(bucket.take(START), Ok(()));
        }
        assert_eq!(bucket.take(START), Err(ms(100)));
        assert_eq!(bucket.take(START + ms(100)), Ok(()));
        assert!(bucket.take(START + ms(150)).is_err());
    }

    #[test]
    fn a_rate_can_be_slow() {
        let mut bucket = TokenBucket::new(Rate::new(0.5, 4), START);
        let granted = (0..1000).filter(|n| bucket.take(START + ms(10) * *n).is_ok()).count();
        assert!((8..=9).contains(&granted), "{granted} in 10 s");
    }

    #[test]
    fn who_waits_as_told_keeps_the_rate() {
        let mut bucket = TokenBucket::new(Rate::new(50.0, 200), START);
        let mut now = START;
        for _ in 0..300 {
            now += bucket.take_in_advance(now);
        }
        let took = (now - START).as_secs_f64();
        assert!((1.99..2.01).contains(&took), "{took} s");
    }

    #[test]
    fn what_is_kept_is_for_others() {
        let mut bucket = TokenBucket::new(Rate::new(1.0, 10), START);
        let taken = (0..10).filter(|_| bucket.take_above(0.5, START).is_ok()).count();
        assert_eq!(taken, 5);
        assert_eq!(bucket.take_above(0.5, START), Err(ms(1000)));
        assert_eq!((0..10).filter(|_| bucket.take(START).is_ok()).count(), 5);
        assert!(bucket.take_above(1.0, START + ms(10_000)).is_ok(), "a full bucket is enough for everybody");
        bucket.give_back();
        assert!(bucket.take_above(1.0, START + ms(10_000)).is_ok());
    }

    #[test]
    fn each_key_has_its_own_bucket_until_it_would_be_full_anyway() {
        let mut buckets = Buckets::new(Rate::new(1.0, 2), 100, START);
        assert_eq!([1, 1, 1, 2].map(|key| buckets.take(key, START).is_ok()), [true, true, false, true]);
        // One that comes again and again is kept over any number of generations.
        for half_second in 1..20 {
            let granted = buckets.take(1, START + ms(500) * half_second).is_ok();
            assert_eq!(granted, half_second % 2 == 0, "{half_second}");
        }
        assert!(buckets.young.len() + buckets.old.len() <= 2);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_does_not_save_who_stays() {
        let mut buckets = Buckets::new(Rate::new(1.0, 2), 10, START);
        let mut granted = 0;
        for key in 100..10_000 {
            let _ = buckets.take(key, START);
            granted += usize::from(buckets.take(7, START).is_ok());
            assert!(buckets.young.len() <= 10 && buckets.old.len() <= 10);
        }
        assert_eq!(granted, 2);
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            rate in 1u32..100,
            burst in 1u32..100,
            gaps in prop::collection::vec(0u64..200, 1..300),
        ) {
            let mut now = START;
            let mut bucket = TokenBucket::new(Rate::new(f64::from(rate), burst), START);
            let mut passed = 0u32;
            for gap in gaps {
                now += Duration::from_millis(gap);
                passed += u32::from(bucket.take(now).is_ok());
            }
            let allowed = f64::from(burst) + (now - START).as_secs_f64() * f64::from(rate);
            prop_assert!(f64::from(passed) <= allowed + 1e-6);
        }
    }
}
