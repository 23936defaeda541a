//! How others speak to a room: what they ask, and what happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};

use super::{Retries, RoomTask, Snapshots};
use crate::budget::Permit;
use crate::config::Config;
use crate::control::{Codec, Command, Refusal, Reply};
use crate::id::{PeerId, RoomId};
use crate::media::{AudioEvent, AudioMixer, AudioMixerError, RoomClock, Stage, Templates, VideoMixerError};
use crate::peer::newest::{self, Merge};
use crate::peer::{Peer, PeerNotice};
use crate::room::state::{Member, NotAdmitted, RoomState};

/// Requests that may wait for a room; who asks when it is full waits until it is not.
const MAILBOX: usize = 256;

/// Why a room could not be opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::room) enum OpenRoomError {
    #[error(transparent)]
    Video(#[from] VideoMixerError),
    #[error(transparent)]
    Audio(#[from] AudioMixerError),
}

/// The room is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::room) struct RoomStopped;

/// What a peer gets with its place.
#[derive(Debug)]
pub(in crate::room) struct Place {
    /// The codec chosen for it, if it has video.
    pub(in crate::room) codec: Option<Codec>,
    pub(in crate::room) clock: RoomClock,
    pub(in crate::room) audio: AudioMixer,
}

/// What somebody asks of a room, and waits for.
pub(super) enum Mail {
    Admit(PeerId, Box<Member>, Vec<Codec>, oneshot::Sender<Result<Place, NotAdmitted>>),
    Enter(PeerId, Peer, oneshot::Sender<()>),
    /// A peer that is not connected yet makes way for another, which is admitted next.
    GiveUp(PeerId),
    Call(Command, oneshot::Sender<Result<Reply, Refusal>>),
    Stop(oneshot::Sender<()>),
}

/// What happened. Nobody waits for it to be heard, and none of it is ever lost: of each peer and of each kind the newest
/// waits, so there is a bound on them whatever anybody does.
#[derive(Debug)]
pub(in crate::room) enum News {
    Peer(PeerId, PeerNotice),
    Audio(AudioEvent),
    /// An encoder failed, or one that did may be started again: [`RoomTask::mind_encoders`].
    Encoders,
    /// Nobody has entered, and another room takes this one's place.
    Abandon,
}

impl Merge for News {
    fn merge(&mut self, newer: Self) -> Result<(), Self> {
        match (self, newer) {
            (Self::Peer(peer, notice), Self::Peer(same, newer)) if *peer == same => {
                return notice.merge(newer).map_err(|newer| Self::Peer(same, newer));
            }
            (Self::Audio(AudioEvent::Speaking(speaking)), Self::Audio(AudioEvent::Speaking(newer))) => {
                *speaking = newer;
            }
            (Self::Audio(AudioEvent::VoiceLive(peer, live)), Self::Audio(AudioEvent::VoiceLive(same, newer)))
                if *peer == same =>
            {
                *live = newer
            }
            (Self::Audio(AudioEvent::Failed), Self::Audio(AudioEvent::Failed))
            | (Self::Encoders, Self::Encoders)
            | (Self::Abandon, Self::Abandon) => {}
            (_, newer) => return Err(newer),
        }
        Ok(())
    }
}

/// How others speak to a room. A cheap handle.
#[derive(Clone, Debug)]
pub(in crate::room) struct RoomHandle {
    mailbox: mpsc::Sender<Mail>,
    news: newest::Sender<News>,
    standing: Arc<Standing>,
}

/// What is known of a room without asking it.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) ended: AtomicBool,
    /// A peer of it was connected once.
    pub(super) established: AtomicBool,
}

impl RoomHandle {
    /// Opens a room and sets its task going.
    pub(in crate::room) fn open(
        id: RoomId,
        config: Arc<Config>,
        templates: Arc<Templates>,
        permit: Permit,
    ) -> Result<Self, OpenRoomError> {
        let ((mailbox, mail), (news, heard)) = (mpsc::channel(MAILBOX), newest::channel());
        let handle = Self { mailbox, news, standing: Arc::default() };
        let clock = RoomClock::start();
        let stage = Stage::start(&id, &config.video, templates.clone(), clock)?;
        let sounds = handle.news.clone();
        let tell = move |event| {
            sounds.send(News::Audio(event));
        };
        let audio = AudioMixer::start(&id, &config.audio, move || clock.now(), tell)?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let span = tracing::info_span!("room", room = %id);
        let task = RoomTask {
            id,
            created,
            state: RoomState::new(&config),
            config,
            templates,
            clock,
            stage,
            audio,
            snapshots: Snapshots::default(),
            peers: std::collections::HashMap::new(),
            renditions: std::collections::HashMap::new(),
            retries: Retries::default(),
            news: handle.news.clone(),
            standing: handle.standing.clone(),
            over: false,
            _permit: permit,
        };
        tokio::spawn(tracing::Instrument::instrument(task.run(mail, heard), span));
        Ok(handle)
    }

    /// Takes a place for a peer.
    pub(in crate::room) async fn admit(
        &self,
        peer: PeerId,
        member: Member,
        codecs: Vec<Codec>,
    ) -> Result<Result<Place, NotAdmitted>, RoomStopped> {
        self.ask(|reply| Mail::Admit(peer, Box::new(member), codecs, reply)).await
    }

    /// Brings a peer to its place.
    pub(in crate::room) async fn enter(&self, peer: PeerId, handle: Peer) -> Result<(), RoomStopped> {
        self.ask(|reply| Mail::Enter(peer, handle, reply)).await
    }

    /// Has a peer that is not connected yet make way, before whoever is admitted next.
    pub(in crate::room) async fn give_up(&self, peer: PeerId) {
        // In a room that is over, nobody is in anybody's way.
        let _ = self.mailbox.send(Mail::GiveUp(peer)).await;
    }

    /// A command that names this room.
    pub(in crate::room) async fn call(&self, command: Command) -> Result<Result<Reply, Refusal>, RoomStopped> {
        self.ask(|reply| Mail::Call(command, reply)).await
    }

    /// Tells everybody and ends the room.
    pub(in crate::room) async fn stop(&self) {
        // One that is over already needs no stop.
        let _ = self.ask(Mail::Stop).await;
    }

    /// Tells what happened. From any thread; never blocks, and nothing is lost.
    pub(in crate::room) fn tell(&self, news: News) {
        // A room that is over needs to know nothing more.
        self.news.send(news);
    }

    pub(in crate::room) fn has_ended(&self) -> bool {
        self.standing.ended.load(Ordering::Acquire) || self.mailbox.is_closed()
    }

    /// Whether any peer of it was ever connected: until then it is but the intention of a room.
    pub(in crate::room) fn is_established(&self) -> bool {
        self.standing.established.load(Ordering::Acquire)
    }

    pub(in crate::room) fn is_same(&self, other: &Self) -> bool {
        self.mailbox.same_channel(&other.mailbox)
    }

    async fn ask<T>(&self, mail: impl FnOnce(oneshot::Sender<T>) -> Mail) -> Result<T, RoomStopped> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(mail(reply)).await.map_err(|_| RoomStopped)?;
        answer.await.map_err(|_| RoomStopped)
    }
}

#[cfg(test)]
impl RoomHandle {
    /// A room that hangs: it takes messages and answers none.
    pub(in crate::room) fn hanging() -> Self {
        let ((mailbox, mail), (news, heard)) = (mpsc::channel(MAILBOX), newest::channel());
        tokio::spawn(async move {
            let _held = (mail, heard);
            std::future::pending::<()>().await;
        });
        Self { mailbox, news, standing: Arc::default() }.established()
    }

    /// The room as if a peer of it had been connected.
    pub(in crate::room) fn established(self) -> Self {
        self.standing.established.store(true, Ordering::Release);
        self
    }
}
