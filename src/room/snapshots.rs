//! Pictures of a room for whoever asks: one is taken at a time, and everybody who waits for it gets the same. A picture
//! costs an encoder of its own for a moment, and lobbies ask for one of each room every few seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::control::{Refusal, Reply};

/// A picture that is not older is still the newest. So is the news that there is none.
const FRESH: Duration = Duration::from_secs(1);

/// A JPEG, or `None` where none could be made.
type Picture = Option<Vec<u8>>;

/// Held while a picture is taken, so that the others wait for it: which only tokio's can be.
#[expect(clippy::disallowed_types, reason = "what it guards is the taking, and no state that a task should own")]
type Taking = tokio::sync::Mutex<Option<(Instant, Picture)>>;

/// The last picture of a room. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    last: Arc<Taking>,
}

impl Snapshots {
    /// Answers with a fresh picture, which `take` makes if there is none; it may block. Returns at once. Those that wait
    /// are as many as the server has connections, at most.
    pub(super) fn answer(
        &self,
        reply: oneshot::Sender<Result<Reply, Refusal>>,
        take: impl FnOnce() -> Picture + Send + 'static,
    ) {
        let last = Arc::clone(&self.last);
        tokio::spawn(async move {
            let mut last = last.lock().await;
            // Whoever gave up meanwhile needs none.
            if reply.is_closed() {
                return;
            }
            if last.as_ref().is_none_or(|(taken, _)| taken.elapsed() > FRESH) {
                let picture = tokio::task::spawn_blocking(take).await.ok().flatten();
                *last = Some((Instant::now(), picture));
            }
            let picture = last.as_ref().and_then(|(_, picture)| picture.clone());
            drop(last);
            let failed = || Refusal::Failed { detail: "no picture of the canvas could be made".to_owned() };
            let _ = reply.send(picture.map(|jpeg| Reply::Snapshot { jpeg }).ok_or_else(failed));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_picture() {
        let (snapshots, taken) = (Snapshots::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let (reply, answer) = oneshot::channel();
            let taken = Arc::clone(&taken);
            snapshots.answer(reply, move || {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                // Long enough for the others to come.
                std::thread::park_timeout(Duration::from_millis(50));
                Some(vec![u8::try_from(number).unwrap()])
            });
            answer
        };
        let waiting: Vec<_> = (0..100).map(|_| ask()).collect();
        for answer in waiting {
            let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap();
            assert!(matches!(answer, Ok(Reply::Snapshot { jpeg }) if jpeg == [0]));
        }
        *snapshots.last.lock().await.as_mut().map(|(taken, _)| taken).unwrap() -= 2 * FRESH;
        assert!(matches!(ask().await.unwrap(), Ok(Reply::Snapshot { jpeg }) if jpeg == [1]), "an old one is no answer");
    }
}
