//! Which messages to, of and for a peer come together while they wait.

use super::newest::Merge;
use super::task::MAX_CANDIDATES;
use super::{PeerCommand, PeerNotice};
use crate::control::Event;

impl Merge for PeerCommand {
    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        match (self, newer) {
            // As many as are looked at, and one to be known as too many.
            (Self::Candidates(list), Self::Candidates(newer)) => {
                list.extend(newer);
                list.truncate(MAX_CANDIDATES + 1);
            }
            (Self::Tile { width, height }, Self::Tile { width: newer_width, height: newer_height }) => {
                (*width, *height) = (newer_width, newer_height);
            }
            // The first reason is why it ends.
            (Self::Close(_), Self::Close(_)) => {}
            (_, newer) => return Err(newer),
        }
        Ok(())
    }
}

impl Merge for PeerNotice {
    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        if std::mem::discriminant(self) != std::mem::discriminant(&newer) {
            return Err(newer);
        }
        if !matches!(newer, Self::Gone(_)) {
            *self = newer;
        }
        Ok(())
    }
}

/// A client that is slow gets what counts when it takes it, and each candidate, of which there are as many as the host has
/// addresses.
impl Merge for Event {
    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        let same = std::mem::discriminant(self) == std::mem::discriminant(&newer);
        if !same || matches!(newer, Self::Candidate(_)) {
            return Err(newer);
        }
        *self = newer;
        Ok(())
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::CloseReason;
    use crate::peer::newest::Queue;

    fn drain<T: Merge>(mut queue: Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_flood_of_candidates_is_cut_and_an_end_stands_behind_it() {
        let mut queue = Queue::default();
        for number in 0..100_000 {
            queue.push(PeerCommand::Candidates(vec![format!("{number}")]));
            queue.push(PeerCommand::Tile { width: number, height: 2 });
        }
        queue.push(PeerCommand::Close(CloseReason::Removed));
        queue.push(PeerCommand::Close(CloseReason::Left));
        let orders = drain(queue);
        let [PeerCommand::Candidates(list), PeerCommand::Tile { width: 99_999, .. }, PeerCommand::Close(reason)] =
            &orders[..]
        else {
            panic!("{orders:?}");
        };
        assert_eq!((list.len(), *reason), (MAX_CANDIDATES + 1, CloseReason::Removed));
    }

    #[test]
    fn what_a_peer_says_last_counts_and_its_end_is_kept() {
        let mut queue = Queue::default();
        for number in 0..10_000 {
            queue.push(PeerNotice::Picture { width: number, height: 2 });
            queue.push(PeerNotice::Heard(number % 2 == 0));
        }
        queue.push(PeerNotice::Gone(CloseReason::Vanished));
        queue.push(PeerNotice::Gone(CloseReason::MediaError));
        let last = PeerNotice::Picture { width: 9_999, height: 2 };
        assert_eq!(drain(queue), [last, PeerNotice::Heard(false), PeerNotice::Gone(CloseReason::Vanished)]);
    }
}
