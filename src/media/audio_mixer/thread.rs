//! The thread of a room's mixer, and the mailbox by which everybody else reaches it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::id::{PeerId, RoomId};
use crate::recent::Recent;

use super::grid::Grid;
use super::inbox::{Closed, Inbox};
use super::mixing::Mixing;
use super::{AudioEvent, AudioMixerError, AudioMixerView, Clock, Sink, lock};

/// How long the end of the thread is waited for.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Failures that the mixer may go on after within [`LATELY`]; with more than these it is given up.
const MAX_FAILURES: usize = 5;
const LATELY: Duration = Duration::from_secs(60);

/// A running mixer; dropping it ends the thread.
pub(super) struct MixerThread {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) clock: Clock,
    id: ThreadId,
    /// Hung up when the thread is over.
    over: Mutex<mpsc::Receiver<()>>,
}

/// What is left for the thread, and what it leaves to be seen. Mutexes, as each is held for moving a few words, and never
/// across a call of anybody's function.
#[derive(Default)]
pub(super) struct Mailbox {
    post: Mutex<Post>,
    arrived: Condvar,
    pub(super) view: Mutex<AudioMixerView>,
}

#[derive(Default)]
pub(super) struct Post {
    pub(super) voices: Vec<(PeerId, Arc<Inbox>)>,
    pub(super) listeners: Vec<(PeerId, Sink, Closed)>,
    pub(super) mutes: Vec<(PeerId, bool)>,
    pub(super) protect: Option<bool>,
    stop: bool,
}

impl Post {
    fn is_empty(&self) -> bool {
        self.voices.is_empty()
            && self.listeners.is_empty()
            && self.mutes.is_empty()
            && self.protect.is_none()
            && !self.stop
    }
}

impl Mailbox {
    /// Leaves something and wakes the thread.
    pub(super) fn leave(&self, write: impl FnOnce(&mut Post)) {
        write(&mut lock(&self.post));
        self.arrived.notify_one();
    }

    /// Takes what is there as soon as something is, or nothing after `wait`; without one it waits for as long as it takes.
    fn take(&self, wait: Option<Duration>) -> Post {
        let post = lock(&self.post);
        let mut post = match wait {
            Some(wait) => {
                let waited = self.arrived.wait_timeout_while(post, wait, |post| post.is_empty());
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.arrived.wait_while(post, |post| post.is_empty()).unwrap_or_else(PoisonError::into_inner),
        };
        std::mem::take(&mut *post)
    }
}

impl MixerThread {
    pub(super) fn start(
        room: &RoomId,
        mixing: Mixing,
        clock: Clock,
        events: impl Fn(AudioEvent) + Send + 'static,
    ) -> Result<Self, AudioMixerError> {
        let mailbox = Arc::new(Mailbox::default());
        let (alive, over) = mpsc::sync_channel(0);
        let span = tracing::info_span!("audio-mixer", %room);
        let running = {
            let (mailbox, clock) = (Arc::clone(&mailbox), Arc::clone(&clock));
            thread::Builder::new().name(format!("audio-{room}")).spawn(move || {
                let _alive: mpsc::SyncSender<()> = alive;
                let _entered = span.entered();
                run(&mailbox, &clock, mixing, &events);
            })
        };
        let id = running.map_err(AudioMixerError::Thread)?.thread().id();
        Ok(Self { mailbox, clock, id, over: Mutex::new(over) })
    }
}

impl Drop for MixerThread {
    fn drop(&mut self) {
        self.mailbox.leave(|post| post.stop = true);
        // The last handle may be one that a sink or the events held, and a thread does not wait for itself.
        if thread::current().id() == self.id {
            return;
        }
        if let Err(mpsc::RecvTimeoutError::Timeout) = lock(&self.over).recv_timeout(STOP_WITHIN) {
            tracing::error!("an audio mixer did not end within {STOP_WITHIN:?} and is left behind");
        }
    }
}

impl fmt::Debug for MixerThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MixerThread").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Says so if the thread is unwinding: the mixer failed too often.
struct TellOfFailure<'a>(&'a dyn Fn(AudioEvent));

impl Drop for TellOfFailure<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)(AudioEvent::Failed);
        }
    }
}

fn run(mailbox: &Mailbox, clock: &Clock, mut mixing: Mixing, events: &dyn Fn(AudioEvent)) {
    let _tell = TellOfFailure(events);
    let (mut grid, mut failures) = (Grid::default(), Recent::new(LATELY));
    loop {
        let wait = (!mixing.is_idle()).then(|| grid.wait(clock()));
        let post = mailbox.take(wait);
        if post.stop {
            return;
        }
        deliver(post, &mut mixing);
        if let Some(tick) = grid.due(clock()) {
            // What a panic leaves half done is not looked at again, but for those who are here.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| mixing.tick(tick, events))) {
                if failures.note(tick) > MAX_FAILURES {
                    resume_unwind(panic);
                }
                tracing::error!("the audio mixer failed; it goes on anew");
                mixing = mixing.renewed();
            }
            let view = AudioMixerView { skipped_ticks: grid.skipped(), ..mixing.view() };
            *lock(&mailbox.view) = view;
        }
        if mixing.is_idle() {
            grid.pause();
        }
    }
}

fn deliver(post: Post, mixing: &mut Mixing) {
    for (peer, inbox) in post.voices {
        if let Err(error) = mixing.add_voice(peer, inbox) {
            tracing::error!(participant = %peer, %error, "a voice is not mixed: it has no decoder");
        }
    }
    for (peer, sink, closed) in post.listeners {
        mixing.add_listener(peer, sink, closed);
    }
    for (peer, muted) in post.mutes {
        mixing.set_muted(peer, muted);
    }
    if let Some(lossy) = post.protect {
        mixing.protect(lossy);
    }
}
