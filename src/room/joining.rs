//! The peers that were let in and are not connected yet. Whoever posts an offer and is never seen again costs as much as
//! somebody who is about to come, for the 15 s until it is given up; so there are bounds, and where one is reached those
//! make way who are the least likely to come. No clock, no media.

use std::collections::HashMap;
use std::time::Duration;

use crate::id::{PeerId, RoomId};
use crate::network::Network;

/// Who connects at all has mostly done so by then. Who waits longer makes way for newcomers.
const GRACE: Duration = Duration::from_secs(2);

/// Somebody who is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Awaited {
    pub(super) peer: PeerId,
    pub(super) room: RoomId,
    pub(super) from: Network,
    /// When it was let in.
    pub(super) since: Duration,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// Of one network.
    Network(usize),
    /// Over the whole server.
    Server(usize),
}

/// All that are awaited, in the order in which they came.
#[derive(Debug)]
pub(super) struct Joining {
    most: usize,
    most_of_network: usize,
    awaited: Vec<Awaited>,
}

impl Joining {
    pub(super) fn new(most: usize, most_of_network: usize) -> Self {
        let most = most.max(1);
        Self { most, most_of_network: most_of_network.clamp(1, most), awaited: Vec::new() }
    }

    /// Lets somebody in. Answers who has to make way for it, if anybody.
    pub(super) fn enter(&mut self, new: Awaited) -> Result<Option<Awaited>, Crowded> {
        if self.of(new.from) >= self.most_of_network {
            return Err(Crowded::Network(self.most_of_network));
        }
        let mut gone = None;
        if self.awaited.len() >= self.most {
            let first = self.makes_way(new.from, new.since, |_| true).ok_or(Crowded::Server(self.most))?;
            gone = self.leave(first.peer);
        }
        self.awaited.push(new);
        Ok(gone)
    }

    /// It is connected, or gone.
    pub(super) fn leave(&mut self, peer: PeerId) -> Option<Awaited> {
        let index = self.awaited.iter().position(|one| one.peer == peer)?;
        Some(self.awaited.remove(index))
    }

    /// Who of those that `counts` names makes way for a newcomer: of the network that has more of them than the newcomer's
    /// would have, the one with the most, who came first; else who came first, if that is long ago.
    pub(super) fn makes_way(
        &self,
        newcomer: Network,
        now: Duration,
        counts: impl Fn(&Awaited) -> bool,
    ) -> Option<Awaited> {
        let mut of_network: HashMap<Network, usize> = HashMap::new();
        for one in self.awaited.iter().filter(|one| counts(one)) {
            *of_network.entry(one.from).or_default() += 1;
        }
        let own = of_network.get(&newcomer).copied().unwrap_or(0) + 1;
        let most = of_network.values().copied().max().filter(|most| *most > own);
        let mut candidates = self.awaited.iter().filter(|one| counts(one));
        let first = match most {
            Some(most) => candidates.find(|one| of_network.get(&one.from) == Some(&most)),
            None => candidates.next().filter(|one| now.saturating_sub(one.since) >= GRACE),
        };
        first.cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.awaited.len()
    }

    fn of(&self, network: Network) -> usize {
        self.awaited.iter().filter(|one| one.from == network).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> Network {
        Network::of([192, 0, 2, number].into())
    }

    fn somebody(peer: u64, from: u8, since: u64) -> Awaited {
        let room = format!("room-{peer}").parse().unwrap();
        Awaited { peer: PeerId::from_bits(peer), room, from: network(from), since: Duration::from_millis(since) }
    }

    #[test]
    fn a_network_has_so_many_and_gets_its_places_back() {
        let mut joining = Joining::new(100, 3);
        for peer in 0..3 {
            assert_eq!(joining.enter(somebody(peer, 1, 0)), Ok(None));
        }
        // Also after any time: they are awaited until they are given up.
        assert_eq!(joining.enter(somebody(3, 1, 10_000)), Err(Crowded::Network(3)));
        assert_eq!(joining.enter(somebody(4, 2, 10_000)), Ok(None));
        assert_eq!(joining.leave(PeerId::from_bits(1)), Some(somebody(1, 1, 0)));
        assert_eq!(joining.leave(PeerId::from_bits(1)), None);
        assert_eq!(joining.enter(somebody(3, 1, 10_000)), Ok(None));
    }

    #[test]
    fn the_greediest_network_makes_way() {
        let mut joining = Joining::new(5, 4);
        for (peer, from) in [(0, 3), (1, 1), (2, 1), (3, 1), (4, 2)] {
            assert_eq!(joining.enter(somebody(peer, from, peer)), Ok(None));
        }
        assert_eq!(joining.enter(somebody(5, 4, 6)), Ok(Some(somebody(1, 1, 1))));
        // Now no network has more than one above what the newcomer's would have.
        assert_eq!(joining.enter(somebody(6, 2, 7)), Err(Crowded::Server(5)));
    }

    #[test]
    fn among_equals_who_waits_long_makes_way() {
        let mut joining = Joining::new(2, 2);
        assert_eq!(joining.enter(somebody(0, 1, 0)), Ok(None));
        assert_eq!(joining.enter(somebody(1, 2, 1_000)), Ok(None));
        assert_eq!(joining.enter(somebody(2, 3, 1_999)), Err(Crowded::Server(2)));
        assert_eq!(joining.enter(somebody(2, 3, 2_000)), Ok(Some(somebody(0, 1, 0))));
        assert_eq!(joining.enter(somebody(3, 4, 2_500)), Err(Crowded::Server(2)));
    }

    #[test]
    fn only_those_count_who_are_asked_for() {
        let mut joining = Joining::new(10, 10);
        for (peer, from) in [(0, 1), (1, 1), (2, 1), (3, 2)] {
            assert_eq!(joining.enter(somebody(peer, from, 0)), Ok(None));
        }
        let makes_way = |now, wanted: u64| {
            joining.makes_way(network(9), Duration::from_millis(now), |one| one.peer == PeerId::from_bits(wanted))
        };
        assert_eq!(makes_way(0, 3), None);
        assert_eq!(makes_way(2_000, 3), Some(somebody(3, 2, 0)));
    }
}
