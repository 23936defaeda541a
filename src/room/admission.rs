//! Who may come in now. All that bounds newcomers over all rooms is asked here, one thing after the other, before anything
//! is made for them: how often their network came lately, how many are still awaited, what the process can still have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::joining::{Awaited, Crowded, Joining};
use crate::bucket::{Buckets, Rate, TokenBucket};
use crate::budget::{Amount, Permit};
use crate::config::Limits;
use crate::control::Refusal;
use crate::id::{PeerId, RoomId};
use crate::network::Network;
use crate::process::Capacity;

/// Networks whose joins are remembered.
const NETWORKS: usize = 4_096;

/// A network may come so many seconds' worth at once: a class behind one address does.
const BURST_SECONDS: u32 = 3;

/// Offers of a network that are none, per second and at once. They cost next to nothing; what is bounded is the log.
const JUNK: Rate = Rate::new(5.0, 50);

/// The part of all joins that a network with none of its own left leaves to others, so that those who come often do not
/// take them from those who come once.
const LEFT_TO_OTHERS: f64 = 0.4;

/// Of what the process can have at the start, this part at most is for peers that are awaited: who came stays, who will
/// never come must not keep others out.
const AWAITED_PART: usize = 2;

/// All that bounds newcomers. One for all rooms.
#[derive(Debug)]
pub(super) struct Admission {
    started: Instant,
    capacity: Capacity,
    /// A std mutex: held for some arithmetic.
    gates: Mutex<Gates>,
}

#[derive(Debug)]
struct Gates {
    joins: TokenBucket,
    joins_of: Buckets<Network>,
    junk_of: Buckets<Network>,
    joining: Joining,
}

impl Admission {
    /// `largest` is what a peer costs that sends and gets everything.
    pub(super) fn new(limits: &Limits, capacity: Capacity, largest: Amount) -> Self {
        let (used, limit) = capacity.figures();
        let fits = |limit: usize, used: usize, cost: usize| limit.saturating_sub(used) / cost.max(1);
        let fitting = fits(limit.descriptors, used.descriptors, largest.descriptors).min(fits(
            limit.threads,
            used.threads,
            largest.threads,
        ));
        let all = limits.joins_per_second;
        let own = limits.joins_per_second_per_address.min(all);
        let now = Duration::ZERO;
        let gates = Gates {
            joins: TokenBucket::of(Rate::new(all.into(), all), now),
            joins_of: Buckets::new(Rate::new(own.into(), own.saturating_mul(BURST_SECONDS)), NETWORKS, now),
            junk_of: Buckets::new(JUNK, NETWORKS, now),
            joining: Joining::new(limits.joining.min(fitting / AWAITED_PART), limits.joining_per_address),
        };
        Self { started: Instant::now(), capacity, gates: Mutex::new(gates) }
    }

    /// What came was no offer that can be served. It takes nothing from those that can.
    pub(super) fn junk(&self, from: Network, refusal: Refusal) -> Refusal {
        match self.gates().junk_of.take(from, self.now()) {
            Ok(()) => refusal,
            Err(wait) => too_many("too many offers that cannot be served", wait),
        }
    }

    /// Whether one more offer of this network is in order now.
    pub(super) fn offer(&self, from: Network) -> Result<(), Refusal> {
        let (now, mut gates) = (self.now(), self.gates());
        let Gates { joins, joins_of, .. } = &mut *gates;
        let own = joins_of.of(from, now);
        let spent = 1.0 - own.level(now);
        own.take(now).map_err(|wait| too_many("too many joins from this address at the moment", wait))?;
        joins.take_above(LEFT_TO_OTHERS * spent, now).map_err(|wait| {
            own.give_back();
            too_many("too many joins at the moment", wait)
        })
    }

    /// A peer's part of the process, until all of the peer is down.
    pub(super) fn resources(&self, cost: Amount) -> Result<Permit, Refusal> {
        self.capacity.take(cost).map_err(|short| Refusal::Full { detail: format!("the server has no {short} left") })
    }

    /// From now on a peer is awaited, until what is answered is dropped. Also answers who makes way for it, if anybody.
    pub(super) fn expect(
        self: &Arc<Self>,
        peer: PeerId,
        room: &RoomId,
        from: Network,
    ) -> Result<(Expected, Option<Awaited>), Refusal> {
        let awaited = Awaited { peer, room: room.clone(), from, since: self.now() };
        let makes_way = self.gates().joining.enter(awaited).map_err(|crowded| {
            let detail = match crowded {
                Crowded::Network(most) => format!("{most} peers of this address are not connected yet"),
                Crowded::Server(most) => format!("{most} peers are not connected yet"),
            };
            Refusal::Full { detail }
        })?;
        Ok((Expected { admission: self.clone(), peer }, makes_way))
    }

    /// Who makes way for a newcomer among those awaited that `counts` names. It is awaited no more, and has to be told.
    pub(super) fn makes_way(&self, newcomer: Network, counts: impl Fn(&Awaited) -> bool) -> Option<Awaited> {
        let (now, mut gates) = (self.now(), self.gates());
        let first = gates.joining.makes_way(newcomer, now, counts)?;
        gates.joining.leave(first.peer)
    }

    /// How many are awaited.
    pub(super) fn awaited(&self) -> usize {
        self.gates().joining.len()
    }

    pub(super) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn gates(&self) -> MutexGuard<'_, Gates> {
        // Nothing in there panics half-way.
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer that is awaited. Dropped when it is gone.
#[must_use = "the peer is awaited no more when this is dropped"]
#[derive(Debug)]
pub(super) struct Expected {
    admission: Arc<Admission>,
    peer: PeerId,
}

impl Expected {
    /// It is there.
    pub(super) fn came(&self) {
        self.admission.gates().joining.leave(self.peer);
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.came();
    }
}

fn too_many(detail: &str, wait: Duration) -> Refusal {
    Refusal::TooMany { detail: detail.to_owned(), retry_after: retry_after(wait) }
}

/// A wait as whole seconds: rounded up, never 0.
fn retry_after(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u32::MAX)
}
