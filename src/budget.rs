//! What the process may still have of the system: file descriptors and threads. GLib ends the process where it gets none,
//! so whatever needs some asks here before it is made, and is refused while enough is left for what runs.

use std::fmt;
use std::ops::{Add, Mul};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Descriptors and threads: what there is, or what something costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub descriptors: usize,
    pub threads: usize,
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.saturating_add(other.descriptors),
            threads: self.threads.saturating_add(other.threads),
        }
    }
}

impl Mul<usize> for Amount {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        Self { descriptors: self.descriptors.saturating_mul(times), threads: self.threads.saturating_mul(times) }
    }
}

/// What the system says at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// What the process may have, without what others have of it already.
    pub limit: Amount,
    /// What it has.
    pub used: Amount,
}

/// What there is not enough of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    Descriptors,
    Threads,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "file descriptors",
            Self::Threads => "threads",
        })
    }
}

/// Who was granted what. Two views of it are taken, and the worse counts: what all grants add up to, as those of this
/// moment are not made yet; and what the system shows, as something may cost more than was thought.
#[derive(Debug)]
struct Ledger {
    /// What the process had before anything was granted.
    base: Amount,
    /// What is never granted: for what nobody asks for.
    reserve: Amount,
    granted: Amount,
}

impl Ledger {
    /// What is or will be used, the reserve not counted.
    fn used(&self, sight: Sight) -> Amount {
        let expected = self.base + self.granted;
        Amount {
            descriptors: expected.descriptors.max(sight.used.descriptors),
            threads: expected.threads.max(sight.used.threads),
        }
    }

    fn take(&mut self, cost: Amount, sight: Sight) -> Result<(), Short> {
        let then = self.used(sight) + cost + self.reserve;
        if then.descriptors > sight.limit.descriptors {
            return Err(Short::Descriptors);
        }
        if then.threads > sight.limit.threads {
            return Err(Short::Threads);
        }
        self.granted = self.granted + cost;
        Ok(())
    }

    fn give_back(&mut self, cost: Amount) {
        self.granted.descriptors = self.granted.descriptors.saturating_sub(cost.descriptors);
        self.granted.threads = self.granted.threads.saturating_sub(cost.threads);
    }
}

/// The budget of the process. A cheap handle.
#[derive(Clone, Debug)]
pub struct Budget {
    /// A std mutex: held for a few additions.
    ledger: Arc<Mutex<Ledger>>,
}

impl Budget {
    /// Nothing is granted yet: what the process has now is what it has anyway, `reserve` is what it may come to have
    /// without asking.
    pub fn new(base: Amount, reserve: Amount) -> Self {
        Self { ledger: Arc::new(Mutex::new(Ledger { base, reserve, granted: Amount::default() })) }
    }

    /// Grants something, until the permit is dropped; or says what there is too little of.
    pub fn take(&self, cost: Amount, sight: Sight) -> Result<Permit, Short> {
        self.lock().take(cost, sight)?;
        Ok(Permit { budget: self.clone(), cost })
    }

    /// What is used, and what of the limit can be granted at most.
    pub fn figures(&self, sight: Sight) -> (Amount, Amount) {
        let ledger = self.lock();
        let limit = Amount {
            descriptors: sight.limit.descriptors.saturating_sub(ledger.reserve.descriptors),
            threads: sight.limit.threads.saturating_sub(ledger.reserve.threads),
        };
        (ledger.used(sight), limit)
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // Two numbers are whole at every moment.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was granted. To be held until what it was for is down, to the last thread.
#[must_use = "what was granted is given back when this is dropped"]
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    cost: Amount,
}

#[cfg(test)]
impl Permit {
    pub(crate) fn of_nothing() -> Self {
        Self { budget: Budget::new(Amount::default(), Amount::default()), cost: Amount::default() }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.lock().give_back(self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn amount(descriptors: usize, threads: usize) -> Amount {
        Amount { descriptors, threads }
    }

    fn budget() -> Budget {
        Budget::new(amount(50, 20), amount(100, 50))
    }

    #[test]
    fn a_burst_is_counted_before_the_system_shows_it() {
        let budget = budget();
        let sight = Sight { limit: amount(1000, 1000), used: amount(50, 20) };
        let granted: Vec<Permit> = std::iter::from_fn(|| budget.take(amount(10, 10), sight).ok()).collect();
        // (1000 - 50 - 100) / 10
        assert_eq!(granted.len(), 85);
        assert_eq!(budget.take(amount(10, 10), sight).unwrap_err(), Short::Descriptors);
        assert_eq!(budget.figures(sight), (amount(900, 870), amount(900, 950)));
        drop(granted);
        assert_eq!(budget.figures(sight).0, amount(50, 20));
    }

    #[test]
    fn what_the_system_shows_counts_too() {
        let budget = budget();
        let sight = |threads| Sight { limit: amount(1000, 400), used: amount(50, threads) };
        let first = budget.take(amount(10, 10), sight(20)).unwrap();
        assert_eq!(budget.take(amount(10, 10), sight(341)).unwrap_err(), Short::Threads);
        let second = budget.take(amount(10, 10), sight(340)).unwrap();
        drop((first, second));
    }

    #[test]
    fn a_limit_may_shrink_below_what_is_used() {
        let budget = budget();
        let permit = budget.take(amount(10, 10), Sight { limit: amount(1000, 400), used: amount(50, 20) }).unwrap();
        let less = Sight { limit: amount(20, 0), used: amount(60, 30) };
        assert!(budget.take(amount(1, 1), less).is_err());
        assert_eq!(budget.figures(less), (amount(60, 30), amount(0, 0)));
        drop(permit);
    }
}
