//! The places of HTTP connections. There are so many, and of one network half of them; where there is none left, a
//! connection that only waits makes way for the newcomer. So who sends nothing keeps nobody out, however many they are, and
//! probes and newcomers get in. No clock, no sockets.

use std::collections::{BTreeSet, HashMap};

use crate::network::Network;

/// What a connection is doing. The earlier ones of these make way first, and of the same those that came into it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing whole has come yet.
    Silent,
    /// A request was answered; perhaps there will be another.
    Idle,
    /// The client takes its time: its body is still coming, or it is still taking the answer.
    Exchanging,
    /// The server is at work for it. Never makes way: handlers have deadlines.
    Working,
    /// A WebSocket, which has bounds of its own. Never makes way.
    Upgraded,
}

impl Phase {
    fn makes_way(self) -> bool {
        matches!(self, Self::Silent | Self::Idle | Self::Exchanging)
    }
}

pub type PlaceId = u64;

/// In which order connections make way.
type Turn = (Phase, u64, PlaceId);

#[derive(Debug)]
struct Held<T> {
    /// `None` for a proxy, which is as many as it speaks for.
    of: Option<Network>,
    turn: Turn,
    connection: T,
}

#[derive(Debug, Default)]
struct OfNetwork {
    held: usize,
    turns: BTreeSet<Turn>,
}

/// All places, and what holds them.
#[derive(Debug)]
pub struct Places<T> {
    most: usize,
    most_of_network: usize,
    clock: u64,
    held: HashMap<PlaceId, Held<T>>,
    turns: BTreeSet<Turn>,
    networks: HashMap<Network, OfNetwork>,
}

impl<T> Places<T> {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            most_of_network: most.div_ceil(2),
            clock: 0,
            held: HashMap::new(),
            turns: BTreeSet::new(),
            networks: HashMap::new(),
        }
    }

    /// Takes a place for a connection. Also answers the connection that has to end for it, if one has; gives the newcomer
    /// back if nobody can make way.
    pub fn enter(&mut self, of: Option<Network>, connection: T) -> Result<(PlaceId, Option<T>), T> {
        let own = of.and_then(|network| self.networks.get(&network));
        let turn = match own {
            Some(own) if own.held >= self.most_of_network => own.turns.first(),
            _ if self.held.len() >= self.most => self.turns.first(),
            _ => None,
        };
        let full = self.held.len() >= self.most || own.is_some_and(|own| own.held >= self.most_of_network);
        if full && turn.is_none() {
            return Err(connection);
        }
        let gone = turn.map(|(_, _, id)| *id).and_then(|id| self.leave(id));
        self.clock += 1;
        let id = self.clock;
        let turn = (Phase::Silent, id, id);
        self.held.insert(id, Held { of, turn, connection });
        if let Some(network) = of {
            self.networks.entry(network).or_default().held += 1;
        }
        self.wait(of, turn);
        Ok((id, gone))
    }

    /// What a connection is doing from now on.
    pub fn set(&mut self, id: PlaceId, phase: Phase) {
        let Some(held) = self.held.get_mut(&id) else { return };
        self.clock += 1;
        let (of, before, turn) = (held.of, held.turn, (phase, self.clock, id));
        held.turn = turn;
        self.wait_no_more(of, before);
        if phase.makes_way() {
            self.wait(of, turn);
        }
    }

    /// A connection has ended, or is to. Whoever says so first gets it.
    pub fn leave(&mut self, id: PlaceId) -> Option<T> {
        let held = self.held.remove(&id)?;
        self.wait_no_more(held.of, held.turn);
        if let Some(network) = held.of
            && let Some(own) = self.networks.get_mut(&network)
        {
            own.held -= 1;
            if own.held == 0 {
                self.networks.remove(&network);
            }
        }
        Some(held.connection)
    }

    fn wait(&mut self, of: Option<Network>, turn: Turn) {
        self.turns.insert(turn);
        if let Some(own) = of.and_then(|network| self.networks.get_mut(&network)) {
            own.turns.insert(turn);
        }
    }

    fn wait_no_more(&mut self, of: Option<Network>, turn: Turn) {
        self.turns.remove(&turn);
        if let Some(own) = of.and_then(|network| self.networks.get_mut(&network)) {
            own.turns.remove(&turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(number: u8) -> Option<Network> {
        Some(Network::of([192, 0, 2, number].into()))
    }

    #[test]
    fn who_waits_longest_makes_way_and_who_works_never_does() {
        let mut places = Places::new(4);
        let enter =
            |places: &mut Places<&'static str>, from, name: &'static str| places.enter(network(from), name).unwrap();
        let (silent, _) = enter(&mut places, 1, "silent");
        let (idle, _) = enter(&mut places, 2, "idle");
        let (body, _) = enter(&mut places, 3, "body");
        let (working, _) = enter(&mut places, 4, "working");
        places.set(body, Phase::Exchanging);
        places.set(idle, Phase::Idle);
        places.set(working, Phase::Working);
        let mut gone = Vec::new();
        for (from, name) in [(5, "a"), (6, "b"), (7, "c")] {
            let (id, first) = enter(&mut places, from, name);
            places.set(id, Phase::Upgraded);
            gone.extend(first);
        }
        assert_eq!(gone, ["silent", "idle", "body"]);
        assert_eq!(places.enter(network(8), "d"), Err("d"));
        assert_eq!(places.leave(silent), None);
        assert_eq!(places.leave(working), Some("working"));
        assert!(places.enter(network(8), "d").is_ok());
    }

    #[test]
    fn a_network_has_half_and_then_its_own_make_way() {
        let mut places = Places::new(10);
        let other = places.enter(network(2), 100).unwrap().0;
        let ids: Vec<_> = (0..5).map(|number| places.enter(network(1), number).unwrap().0).collect();
        assert_eq!(places.enter(network(1), 5).unwrap().1, Some(0));
        ids.iter().for_each(|id| places.set(*id, Phase::Working));
        // The one that waits is the last that came.
        assert_eq!(places.enter(network(1), 6).unwrap().1, Some(5));
        let waits = places.enter(network(1), 7).unwrap();
        places.set(waits.0, Phase::Upgraded);
        assert_eq!(places.enter(network(1), 8), Err(8));
        assert_eq!(places.leave(other), Some(100));
        // A proxy is not one network.
        let proxied = (0..20).filter(|number| places.enter(None, *number).is_ok()).count();
        assert_eq!(proxied, 20);
    }

    proptest! {
        #[test]
        fn never_more_than_there_are(steps in prop::collection::vec((0u8..4, 0u8..5, 0usize..30), 1..300)) {
            let phases = [Phase::Idle, Phase::Exchanging, Phase::Working, Phase::Upgraded];
            let (mut places, mut ids) = (Places::new(8), Vec::new());
            for (step, from, which) in steps {
                match step {
                    0 | 1 => ids.extend(places.enter(network(from), ()).map(|(id, _)| id)),
                    2 => if let Some(id) = ids.get(which) { places.set(*id, phases[which % 4]) },
                    _ => if let Some(id) = ids.get(which) { places.leave(*id); },
                }
                prop_assert!(places.held.len() <= 8);
                let waiting = places.held.values().filter(|held| held.turn.0.makes_way()).count();
                prop_assert_eq!(places.turns.len(), waiting);
                let of_networks: usize = places.networks.values().map(|own| own.held).sum();
                prop_assert_eq!(of_networks, places.held.len());
                prop_assert!(places.networks.values().all(|own| own.held <= 4));
            }
        }
    }
}
