//! Where the packets of one voice wait for the mixer's next tick.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lips::Lips;

/// Packets that wait at most between two ticks; a second of the shortest.
const BOUND: usize = 400;

/// A packet as it arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) at: Duration,
    pub(super) seq: u16,
    pub(super) timestamp: u32,
    pub(super) payload: Vec<u8>,
}

/// The mailbox between a streaming thread and the mixer's.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// A mutex, as it is held for moving a few words on either side, and never across a call.
    arrivals: Mutex<VecDeque<Arrival>>,
    overflowed: AtomicU64,
    /// What brings the voice and its picture together. A mutex, as either side tells and asks in a few steps.
    lips: Mutex<Lips>,
    pub(super) closed: Closed,
}

impl Inbox {
    /// Leaves a packet; if the mixer does not come for them, the oldest goes.
    pub(super) fn put(&self, arrival: Arrival) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if arrivals.len() >= BOUND {
            arrivals.pop_front();
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
        arrivals.push_back(arrival);
    }

    /// Takes all packets, in exchange for an empty queue.
    pub(super) fn take(&self, empty: VecDeque<Arrival>) -> VecDeque<Arrival> {
        std::mem::replace(&mut *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner), empty)
    }

    /// What is known of the time of the voice and its picture.
    pub(super) fn lips(&self) -> MutexGuard<'_, Lips> {
        self.lips.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets that the mixer did not come for in time.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}

/// Set once, by the owner of a handle that is dropped; the mixer looks at its next tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Closed(Arc<AtomicBool>);

impl Closed {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
