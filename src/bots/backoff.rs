//! When to try again what failed: soon, then ever later, and not all at the same time. Pure.

use std::time::Duration;

/// The first pause and the longest, before each is shortened by chance.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It failed once more. How long to wait now: between half and all of what the number of failures says, by `chance`
    /// from 0 to 1.
    pub(super) fn fail(&mut self, chance: f64) -> Duration {
        let pause = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }

    /// How often in a row it failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// It worked.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let pauses = |backoff: &mut Backoff, chance| -> Vec<u64> {
            (0..7).map(|_| u64::try_from(backoff.fail(chance).as_millis()).unwrap()).collect()
        };
        assert_eq!(pauses(&mut backoff, 1.0), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        backoff.succeed();
        assert_eq!(pauses(&mut backoff, 0.0), [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        for _ in 0..100 {
            backoff.fail(1.0);
        }
        assert_eq!(backoff.fail(1.0), LONGEST);
    }
}
