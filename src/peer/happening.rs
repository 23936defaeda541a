//! What happens to a connection, in the order in which it did.

use super::newest::{self, Merge, Queue};
use crate::media::ConnectionEvent;

/// Candidates are as many as the host has addresses; of all else the newest says what there is to say.
impl Merge for ConnectionEvent {
    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        let same = std::mem::discriminant(self) == std::mem::discriminant(&newer);
        if !same || matches!(newer, Self::Candidate { .. }) {
            return Err(newer);
        }
        *self = newer;
        Ok(())
    }
}

/// A connection's events: those that came while the answer waited for its candidates, then those that come.
#[derive(Debug)]
pub(super) struct Happening {
    early: Queue<ConnectionEvent>,
    coming: newest::Receiver<ConnectionEvent>,
}

impl Happening {
    pub(super) fn new(coming: newest::Receiver<ConnectionEvent>) -> Self {
        Self { early: Queue::default(), coming }
    }

    /// Waits for the candidates that are found until `deadline` or until all are; other events are kept for later.
    pub(super) async fn candidates(&mut self, deadline: tokio::time::Instant) -> Vec<String> {
        let mut candidates = Vec::new();
        loop {
            match tokio::time::timeout_at(deadline, self.coming.recv()).await {
                Ok(Some(ConnectionEvent::Candidate { candidate, .. })) => candidates.push(candidate),
                Ok(Some(ConnectionEvent::Gathered) | None) | Err(_) => return candidates,
                Ok(Some(other)) => self.early.push(other),
            }
        }
    }

    /// The next event. A call that is given up before it answers loses none.
    pub(super) async fn next(&mut self) -> Option<ConnectionEvent> {
        match self.early.pop() {
            Some(event) => Some(event),
            None => self.coming.recv().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32) -> ConnectionEvent {
        ConnectionEvent::Picture { width, height: 2 }
    }

    #[tokio::test]
    async fn nothing_is_lost_whatever_else_is_more_urgent() {
        let (happens, coming) = newest::channel();
        let mut happening = Happening::new(coming);
        let candidate = |number| ConnectionEvent::Candidate { mline: 0, candidate: format!("{number}") };
        for width in 0..10_000 {
            happens.send(picture(width));
        }
        for event in [candidate(1), ConnectionEvent::Goodbye, candidate(2), ConnectionEvent::Gathered, picture(7)] {
            happens.send(event);
        }
        for _ in 0..10_000 {
            happens.send(ConnectionEvent::KeyframeRequested);
        }
        happens.send(ConnectionEvent::Disconnected);
        let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        assert_eq!(happening.candidates(soon).await, ["1", "2"]);
        let mut got = Vec::new();
        while got.len() < 4 {
            // As in the peer's task when there is an order, too: that one may come first.
            tokio::select! {
                biased;
                () = std::future::ready(()) => {}
                event = happening.next() => panic!("{event:?}"),
            }
            got.push(happening.next().await);
        }
        assert!(
            matches!(
                got[..],
                [
                    Some(ConnectionEvent::Picture { width: 7, .. }),
                    Some(ConnectionEvent::Goodbye),
                    Some(ConnectionEvent::KeyframeRequested),
                    Some(ConnectionEvent::Disconnected)
                ]
            ),
            "{got:?}"
        );
    }
}
