//! What one caller may ask for, whoever else asks: changes, pictures and views of the API, and open WebSockets. A caller is
//! a network. Offers have limits of their own, in the rooms. Time is a parameter.

use std::collections::HashMap;
use std::time::Duration;

use super::problem::Problem;
use crate::bucket::{Buckets, Rate};
use crate::network::Network;

/// Callers whose requests are remembered.
const CALLERS: usize = 4_096;

/// Mutes, renditions and removals: enough to mute a full room at once.
const CHANGES: Rate = Rate::new(10.0, 50);
/// Snapshots. A new one is made each second at most.
const SNAPSHOTS: Rate = Rate::new(5.0, 20);
/// Rooms and metrics: enough for several that look many times a second.
const VIEWS: Rate = Rate::new(100.0, 300);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Change,
    Snapshot,
    View,
}

/// All callers, and what they had lately.
#[derive(Debug)]
pub struct Callers {
    changes: Buckets<Network>,
    snapshots: Buckets<Network>,
    views: Buckets<Network>,
    most_sockets: usize,
    sockets: HashMap<Network, usize>,
}

impl Callers {
    /// `most_sockets` is how many WebSockets one may have open.
    pub fn new(most_sockets: usize) -> Self {
        let buckets = |rate| Buckets::new(rate, CALLERS, Duration::ZERO);
        Self {
            changes: buckets(CHANGES),
            snapshots: buckets(SNAPSHOTS),
            views: buckets(VIEWS),
            most_sockets,
            sockets: HashMap::new(),
        }
    }

    /// Whether one more is in order now.
    pub fn take(&mut self, from: Network, what: Asked, now: Duration) -> Result<(), Problem> {
        let (buckets, detail) = match what {
            Asked::Change => (&mut self.changes, "too many changes from this address at the moment"),
            Asked::Snapshot => (&mut self.snapshots, "too many snapshots from this address at the moment"),
            Asked::View => (&mut self.views, "too many requests from this address at the moment"),
        };
        buckets.take(from, now).map_err(|wait| Problem::rate_limited(detail, retry_after(wait)))
    }

    /// Counts a WebSocket, unless the caller has too many.
    pub fn open_socket(&mut self, from: Network) -> bool {
        let open = self.sockets.entry(from).or_default();
        let allowed = *open < self.most_sockets;
        *open += usize::from(allowed);
        allowed
    }

    pub fn close_socket(&mut self, from: Network) {
        if let Some(open) = self.sockets.get_mut(&from) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.sockets.remove(&from);
            }
        }
    }
}

/// A wait as whole seconds for `Retry-After`: rounded up, never 0.
pub fn retry_after(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> Network {
        Network::of([192, 0, 2, number].into())
    }

    #[test]
    fn a_flood_of_one_caller_and_one_kind_takes_nothing_from_others() {
        let mut callers = Callers::new(1);
        let now = Duration::from_secs(100);
        let granted = (0..1000).filter(|_| callers.take(network(1), Asked::Change, now).is_ok()).count();
        assert_eq!(granted, 50);
        assert!(callers.take(network(1), Asked::View, now).is_ok());
        assert!(callers.take(network(2), Asked::Change, now).is_ok());
        assert!(callers.take(network(1), Asked::Change, now + Duration::from_millis(100)).is_ok());
    }

    #[test]
    fn who_looks_ten_times_a_second_may_do_so_for_ever() {
        let mut callers = Callers::new(1);
        for tenth in 0..100_000 {
            let now = Duration::from_millis(100 * tenth);
            assert!(callers.take(network(1), Asked::View, now).is_ok());
        }
    }

    #[test]
    fn sockets_are_counted_as_long_as_they_are_open() {
        let mut callers = Callers::new(2);
        assert_eq!([1, 1, 1, 2].map(|from| callers.open_socket(network(from))), [true, true, false, true]);
        callers.close_socket(network(1));
        assert!(callers.open_socket(network(1)));
        for from in [1, 1, 2] {
            callers.close_socket(network(from));
        }
        assert!(callers.sockets.is_empty());
    }

    #[test]
    fn retry_after_is_never_zero() {
        assert_eq!(retry_after(Duration::from_millis(1)), 1);
        assert_eq!(retry_after(Duration::from_millis(1001)), 2);
    }
}
