//! What happens to a connection, in the order in which it did.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::media::ConnectionEvent;

/// A connection's events: those that came while the answer waited for its candidates, then those that come.
#[derive(Debug)]
pub(super) struct Happening {
    early: VecDeque<ConnectionEvent>,
    coming: mpsc::Receiver<ConnectionEvent>,
}

impl Happening {
    pub(super) fn new(coming: mpsc::Receiver<ConnectionEvent>) -> Self {
        Self { early: VecDeque::new(), coming }
    }

    /// Waits for the candidates that are found until `deadline` or until all are; other events are kept for later.
    pub(super) async fn candidates(&mut self, deadline: tokio::time::Instant) -> Vec<String> {
        let mut candidates = Vec::new();
        loop {
            match tokio::time::timeout_at(deadline, self.coming.recv()).await {
                Ok(Some(ConnectionEvent::Candidate { candidate, .. })) => candidates.push(candidate),
                Ok(Some(ConnectionEvent::Gathered) | None) | Err(_) => return candidates,
                Ok(Some(other)) => self.early.push_back(other),
            }
        }
    }

    /// The next event. A call that is given up before it answers loses none.
    pub(super) async fn next(&mut self) -> Option<ConnectionEvent> {
        match self.early.pop_front() {
            Some(event) => Some(event),
            None => self.coming.recv().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(detail: &str) -> ConnectionEvent {
        ConnectionEvent::Failed { detail: detail.to_owned() }
    }

    fn detail(event: Option<ConnectionEvent>) -> String {
        match event {
            Some(ConnectionEvent::Failed { detail }) => detail,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_whatever_else_is_more_urgent() {
        let (happens, coming) = mpsc::channel(8);
        let mut happening = Happening::new(coming);
        let candidate = ConnectionEvent::Candidate { mline: 0, candidate: "one".to_owned() };
        for event in [failed("first"), candidate, failed("second"), ConnectionEvent::Gathered, failed("third")] {
            happens.send(event).await.unwrap();
        }
        let soon = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        assert_eq!(happening.candidates(soon).await, ["one"]);
        for expected in ["first", "second", "third"] {
            // As in the peer's task when there is a command, too: that one comes first.
            tokio::select! {
                biased;
                () = std::future::ready(()) => {}
                event = happening.next() => panic!("{event:?}"),
            }
            assert_eq!(detail(happening.next().await), expected);
        }
    }
}
