//! The audio mixer of one room: Opus in from every voice, Opus out to every listener, everybody but itself.
//!
//! One named thread per room mixes on a grid of 20 ms of the room's running time. Everything else only leaves something
//! for it: packets in a voice's inbox, newcomers and mutes in the room's mailbox; no call here waits for the thread but
//! the drop of the last [`AudioMixer`], which does so for a bounded time. Sound comes to a listener on the mixer's
//! thread, by the function that was given for it. Without voices and listeners the thread sleeps.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::config;
use crate::id::{PeerId, RoomId};
use crate::lips::Side;
use crate::playout::PlayoutCounters;

use super::sender_reports;

mod codec;
mod downmix;
mod encodes;
mod grid;
mod inbox;
mod mixing;
mod thread;

use inbox::{Arrival, Closed, Inbox};
use mixing::Mixing;
use thread::MixerThread;

/// 20 ms of the mix, encoded.
#[derive(Clone, Debug)]
pub struct OpusPacket {
    /// Running time of its beginning: a multiple of 20 ms. Gaps are ticks that were skipped.
    pub pts: Duration,
    /// One Opus packet, shared by all listeners of an encode.
    pub data: Bytes,
}

/// What a room is told of its voices, on the mixer's thread: to be passed on, not worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioEvent {
    /// Everybody who speaks, sorted, after each change.
    Speaking(Vec<PeerId>),
    /// Packets of a voice began to come, or none came for 1 s.
    VoiceLive(PeerId, bool),
    /// The mixer broke down again and again, which is a bug: nobody hears anything until another one is made.
    Failed,
}

/// Why there is no mixer.
#[derive(Debug, thiserror::Error)]
pub enum AudioMixerError {
    #[error("the audio mixer's thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// The state of a room's mixer.
#[derive(Clone, Debug, Default)]
pub struct AudioMixerView {
    /// Opus encoders that run: one for the full mix, if anybody silent listens, and one for each listener that speaks.
    pub encoders: usize,
    /// Sorted.
    pub speaking: Vec<PeerId>,
    pub listeners: usize,
    pub ticks: u64,
    /// Ticks that were not mixed as the thread did not get to run in time.
    pub skipped_ticks: u64,
    /// Packets that the encoder refused to make.
    pub failed_encodes: u64,
    pub voices: Vec<VoiceView>,
}

/// The state of a voice.
#[derive(Clone, Debug)]
pub struct VoiceView {
    pub peer: PeerId,
    /// RMS of the last 20 ms, before the gate, in dBFS.
    pub level_dbfs: f32,
    pub muted: bool,
    /// Packets came within the last second.
    pub live: bool,
    /// How long its sound waits here.
    pub delay: Duration,
    /// Packets that were dropped as the thread did not get to run in time.
    pub overflowed: u64,
    pub playout: PlayoutCounters,
}

type Sink = Box<dyn FnMut(OpusPacket) + Send>;

type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A room's audio mixer. Clones are the same one; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct AudioMixer {
    thread: Arc<MixerThread>,
}

/// A voice in the mix, until dropped.
#[must_use = "the voice leaves the mix when this is dropped"]
pub struct Voice {
    inbox: Arc<Inbox>,
    clock: Clock,
}

/// A listener of the mix, until dropped. One call of its function may still be under way then.
#[must_use = "the listener hears no more when this is dropped"]
#[derive(Debug)]
pub struct Listener {
    closed: Closed,
}

impl AudioMixer {
    /// Starts a room's mixer. `clock` is the running time of the room's pipelines and read on the mixer's thread and on
    /// those that push packets; `events` is called on the mixer's thread and must not block.
    pub fn start(
        room: &RoomId,
        config: &config::Audio,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
        events: impl Fn(AudioEvent) + Send + 'static,
    ) -> Result<Self, AudioMixerError> {
        let thread = MixerThread::start(room, Mixing::new(config), Arc::new(clock), events)?;
        Ok(Self { thread: Arc::new(thread) })
    }

    /// Adds a voice, heard by everybody but the listener of the same peer.
    pub fn add_voice(&self, peer: PeerId) -> Voice {
        let inbox = Arc::new(Inbox::default());
        self.thread.mailbox.leave(|post| post.voices.push((peer, Arc::clone(&inbox))));
        Voice { inbox, clock: Arc::clone(&self.thread.clock) }
    }

    /// Adds a listener. `sink` gets a packet each 20 ms, on the mixer's thread, and must not block.
    pub fn add_listener(&self, peer: PeerId, sink: impl FnMut(OpusPacket) + Send + 'static) -> Listener {
        let closed = Closed::default();
        self.thread.mailbox.leave(|post| post.listeners.push((peer, Box::new(sink), closed.clone())));
        Listener { closed }
    }

    /// Takes a peer's voices out of the mix, or back in, over 10 ms. Holds for later voices of the peer, too, as long as
    /// it has a voice or a listener here.
    pub fn set_muted(&self, peer: PeerId, muted: bool) {
        self.thread.mailbox.leave(|post| post.mutes.push((peer, muted)));
    }

    /// Puts FEC (low bit-rate redundancy, RFC 6716, section 2.1.7) into everybody's packets from the next tick on, or no
    /// more. For listeners whose lines lose packets; it costs two more encodes' worth of CPU for each encode.
    pub fn protect(&self, lossy: bool) {
        self.thread.mailbox.leave(|post| post.protect = Some(lossy));
    }

    /// The state after the last tick.
    pub fn view(&self) -> AudioMixerView {
        lock(&self.thread.mailbox.view).clone()
    }
}

impl Voice {
    /// Takes a packet off the RTP: its sequence number, timestamp and payload. Never blocks; bad packets are counted.
    pub fn push(&self, seq: u16, timestamp: u32, payload: &[u8]) {
        self.inbox.put(Arrival { at: (self.clock)(), seq, timestamp, payload: payload.to_vec() });
    }

    /// What a report of the sender's, a compound RTCP packet, says of the time of what it sends.
    pub(super) fn report(&self, rtcp: &[u8]) {
        sender_reports::take(rtcp, &mut self.inbox.lips(), (self.clock)());
    }

    /// The source of the voice's packets.
    pub(super) fn source(&self, ssrc: u32) {
        self.inbox.lips().source(Side::Voice, ssrc);
    }

    /// The last packet of a frame of the picture that belongs to the voice came: its source and timestamp. It will be
    /// `shown_after` so long, if it waits for nothing; answers how long it has to wait for the voice.
    pub(super) fn picture(&self, ssrc: u32, timestamp: u32, shown_after: Duration) -> Duration {
        let mut lips = self.inbox.lips();
        lips.source(Side::Picture, ssrc);
        lips.picture((self.clock)(), timestamp, shown_after)
    }
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").finish_non_exhaustive()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.inbox.closed.set();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closed.set();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that could panic is done under any of these locks, so what they guard is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
