//! How often something may happen: a token bucket, alone or one for each of many keys. Time is a parameter, as a duration
//! since whenever its owner counts from.

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
    pub const fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst: burst as f64 }
    }

    /// How long an empty bucket takes to be full again.
    fn refill(self) -> Duration {
        wait(self.burst / self.per_second)
    }
}

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

    /// A full bucket of this rate.
    pub fn of(rate: Rate, now: Duration) -> Self {
        Self::new(rate.per_second, rate.burst, now)
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

    /// Takes a token of those above a part of the burst (0 to 1), which stays for others; or says how long it takes until
    /// there is one. For that a full bucket is always enough.
    pub fn take_above(&mut self, kept: f64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let needed = ((kept * self.burst).floor() + 1.0).min(self.burst);
        if self.tokens < needed {
            return Err(wait((needed - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Gives a token back that was taken for what did not happen.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// How much of it is there, from 0 to 1.
    pub fn level(&mut self, now: Duration) -> f64 {
        self.fill(now);
        (self.tokens / self.burst).max(0.0)
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
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(|| TokenBucket::of(rate, now)))
    }

    /// Takes a token of a key, or says how long it takes until there is one.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        self.of(key, now).take(now)
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

    #[test]
    fn a_rate_can_be_slow() {
        let mut bucket = TokenBucket::of(Rate::new(0.5, 4), START);
        let granted = (0..1000).filter(|n| bucket.take(START + ms(10) * *n).is_ok()).count();
        assert!((8..=9).contains(&granted), "{granted} in 10 s");
    }

    #[test]
    fn what_is_kept_is_for_others() {
        let mut bucket = TokenBucket::of(Rate::new(1.0, 10), START);
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
