//! Messages of which the newest counts: a queue in which one that waits comes together with a later one of its kind.
//!
//! A queue of plain messages has to be bounded, and what does not fit is lost, an end as well as the hundredth word on the
//! size of a picture. Here a type says which of its messages come together ([`Merge`]), and as few kinds of them do not,
//! the queue is never longer than there are kinds: nothing is refused, nobody waits, and who is slow misses only what was
//! overtaken.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A message that may come together with a later one while it waits.
pub trait Merge: Sized {
    /// Takes `newer` in, so that this one says all that is left to say. What does not belong together is given back, and
    /// waits behind. There must be a bound on those, whatever somebody sends.
    fn merge(&mut self, newer: Self) -> Result<(), Self>;

    /// Whether it is the last word: nothing is taken after it.
    fn is_last(&self) -> bool {
        false
    }
}

/// The messages themselves, in the order in which the first of each kind came. Pure.
#[derive(Debug)]
pub(super) struct Queue<T>(VecDeque<T>);

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Merge> Queue<T> {
    pub(super) fn push(&mut self, message: T) {
        let mut message = message;
        for waiting in &mut self.0 {
            match waiting.merge(message) {
                Ok(()) => return,
                Err(back) => message = back,
            }
        }
        self.0.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }
}

#[derive(Debug)]
struct Shared<T> {
    /// A std mutex: held while a message is put in or taken out, also on GStreamer's threads.
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    queue: Queue<T>,
    senders: usize,
    /// Nobody takes any more, or the last word was said.
    closed: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A message is moved in or out as a whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts messages in. Any number of them, from any thread.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Takes them out.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// An empty queue and its two ends.
pub fn channel<T: Merge>() -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { queue: Queue::default(), senders: 1, closed: false });
    let shared = Arc::new(Shared { state, changed: Notify::new() });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

impl<T: Merge> Sender<T> {
    /// Puts a message in. Never blocks. False where nobody takes it: the receiver is gone, or the last word was said.
    pub fn send(&self, message: T) -> bool {
        let mut state = self.shared.lock();
        if state.closed {
            return false;
        }
        state.closed = message.is_last();
        state.queue.push(message);
        drop(state);
        self.shared.changed.notify_one();
        true
    }

    /// Whether a message would be taken by nobody.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.lock().senders -= 1;
        self.shared.changed.notify_one();
    }
}

impl<T: Merge> Receiver<T> {
    /// The next message; `None` once all are out and no sender is left. A call that is given up before it answers loses
    /// none.
    pub async fn recv(&mut self) -> Option<T> {
        loop {
            {
                let mut state = self.shared.lock();
                if let Some(message) = state.queue.pop() {
                    return Some(message);
                }
                if state.senders == 0 {
                    return None;
                }
            }
            self.shared.changed.notified().await;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let rest = std::mem::take(&mut state.queue);
        drop(state);
        // What the messages hold may have locks of its own.
        drop(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Word {
        Size(u32),
        Candidate(u32),
        End,
    }

    impl Merge for Word {
        fn merge(&mut self, newer: Self) -> Result<(), Self> {
            match (self, newer) {
                (Self::Size(size), Self::Size(newer)) => {
                    *size = newer;
                    Ok(())
                }
                (_, newer) => Err(newer),
            }
        }

        fn is_last(&self) -> bool {
            *self == Self::End
        }
    }

    #[tokio::test]
    async fn a_flood_leaves_its_newest_word_and_loses_nothing_else() {
        let (sender, mut receiver) = channel();
        sender.send(Word::Candidate(1));
        for size in 0..100_000 {
            sender.send(Word::Size(size));
        }
        sender.send(Word::Candidate(2));
        sender.send(Word::Size(7));
        assert!(sender.send(Word::End));
        assert!(!sender.send(Word::Size(8)) && sender.is_closed(), "nothing follows the last word");
        drop(sender);
        let mut got = Vec::new();
        while let Some(word) = receiver.recv().await {
            got.push(word);
        }
        assert_eq!(got, [Word::Candidate(1), Word::Size(7), Word::Candidate(2), Word::End]);
    }

    #[tokio::test]
    async fn both_ends_learn_of_the_other_s_end() {
        let (sender, mut receiver) = channel::<Word>();
        let another = sender.clone();
        let waits = tokio::spawn(async move { (receiver.recv().await, receiver.recv().await) });
        tokio::task::yield_now().await;
        drop(sender);
        another.send(Word::Size(1));
        drop(another);
        assert_eq!(waits.await.unwrap(), (Some(Word::Size(1)), None));

        let (sender, receiver) = channel();
        drop(receiver);
        assert!(sender.is_closed() && !sender.send(Word::Size(1)));
    }
}
