//! The room's task: it owns the room's state and media, takes messages, and carries out what the state decides.

mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};

use super::retries::Retries;
use super::snapshots::Snapshots;
use super::state::{Effect, Input, Member, NotAdmitted, RoomState};
use crate::budget::Permit;
use crate::config::Config;
use crate::control::{CloseReason, Codec, Command, Event, Refusal, Reply, Wanted};
use crate::id::{PeerId, RoomId};
use crate::media::{
    AudioEvent, AudioMixer, AudioMixerError, Graph, Rendition, RenditionKey, RoomClock, Stage, StageTile, Templates,
    VideoMixerError,
};
use crate::peer::{Peer, PeerNotice};

/// Messages that may wait for a room.
const MAILBOX: usize = 4_096;

/// How often the room looks at the time.
const TICK: Duration = Duration::from_secs(1);

/// Why a room could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenRoomError {
    #[error(transparent)]
    Video(#[from] VideoMixerError),
    #[error(transparent)]
    Audio(#[from] AudioMixerError),
}

/// The room is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoomStopped;

/// What a peer gets with its place.
#[derive(Debug)]
pub(super) struct Place {
    /// The codec chosen for it, if it has video.
    pub(super) codec: Option<Codec>,
    pub(super) clock: RoomClock,
    pub(super) audio: AudioMixer,
}

/// What the room's task takes.
pub(super) enum Mail {
    Admit(PeerId, Box<Member>, Vec<Codec>, oneshot::Sender<Result<Place, NotAdmitted>>),
    Enter(PeerId, Peer, oneshot::Sender<()>),
    Call(Command, oneshot::Sender<Result<Reply, Refusal>>),
    Notice(PeerId, PeerNotice),
    /// A peer that is not connected yet makes way for another.
    GiveUp(PeerId),
    /// Nobody has entered, and another room takes this one's place.
    Abandon,
    Audio(AudioEvent),
    /// An encoder failed, or one that did may be started again: [`RoomTask::mind_encoders`].
    Encoders,
    Stop(oneshot::Sender<()>),
}

/// How others speak to a room. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct RoomHandle {
    mailbox: mpsc::Sender<Mail>,
    ended: Arc<AtomicBool>,
    entered: Arc<AtomicBool>,
}

impl RoomHandle {
    /// Opens a room and sets its task going.
    pub(super) fn open(
        id: RoomId,
        config: Arc<Config>,
        templates: Arc<Templates>,
        permit: Permit,
    ) -> Result<Self, OpenRoomError> {
        let (mailbox, mail) = mpsc::channel(MAILBOX);
        let handle = Self { mailbox, ended: Arc::default(), entered: Arc::default() };
        let clock = RoomClock::start();
        let stage = Stage::start(&id, &config.video, templates.clone(), clock)?;
        // Weak: the room's own mixer must not keep its mailbox open.
        let heard = handle.mailbox.downgrade();
        let audio = AudioMixer::start(
            &id,
            &config.audio,
            move || clock.now(),
            move |event| {
                if let Some(mailbox) = heard.upgrade() {
                    let _ = mailbox.try_send(Mail::Audio(event));
                }
            },
        )?;
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
            peers: HashMap::new(),
            renditions: HashMap::new(),
            retries: Retries::default(),
            mailbox: handle.mailbox.downgrade(),
            ended: handle.ended.clone(),
            over: false,
            _permit: permit,
        };
        tokio::spawn(tracing::Instrument::instrument(task.run(mail), span));
        Ok(handle)
    }

    /// Takes a place for a peer.
    pub(super) async fn admit(
        &self,
        peer: PeerId,
        member: Member,
        codecs: Vec<Codec>,
    ) -> Result<Result<Place, NotAdmitted>, RoomStopped> {
        self.ask(|reply| Mail::Admit(peer, Box::new(member), codecs, reply)).await
    }

    /// Brings a peer to its place.
    pub(super) async fn enter(&self, peer: PeerId, handle: Peer) -> Result<(), RoomStopped> {
        self.ask(|reply| Mail::Enter(peer, handle, reply)).await
    }

    /// A command that names this room.
    pub(super) async fn call(&self, command: Command) -> Result<Result<Reply, Refusal>, RoomStopped> {
        self.ask(|reply| Mail::Call(command, reply)).await
    }

    /// Tells everybody and ends the room.
    pub(super) async fn stop(&self) {
        // One that is over already needs no stop.
        let _ = self.ask(Mail::Stop).await;
    }

    /// A message without an answer. From any thread; a room that is too busy for it loses it, and says so.
    pub(super) fn post(&self, mail: Mail) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.mailbox.try_send(mail) {
            tracing::error!("a room's mailbox is full; a message is lost");
        }
    }

    /// A peer of it is connected.
    pub(super) fn note_entered(&self) {
        self.entered.store(true, Ordering::Release);
    }

    /// Whether a peer of it ever was. Before that it is only a wish.
    pub(super) fn was_entered(&self) -> bool {
        self.entered.load(Ordering::Acquire)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.mailbox.is_closed()
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
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
    pub(super) fn hanging() -> Self {
        let (mailbox, mail) = mpsc::channel(MAILBOX);
        tokio::spawn(async move {
            let _mail = mail;
            std::future::pending::<()>().await;
        });
        Self { mailbox, ended: Arc::default(), entered: Arc::default() }
    }
}

struct RoomTask {
    id: RoomId,
    created: u64,
    config: Arc<Config>,
    templates: Arc<Templates>,
    clock: RoomClock,
    state: RoomState,
    stage: Stage,
    audio: AudioMixer,
    snapshots: Snapshots,
    peers: HashMap<PeerId, Peer>,
    renditions: HashMap<RenditionKey, Arc<Rendition>>,
    retries: Retries,
    /// The room's own, for reminders.
    mailbox: mpsc::WeakSender<Mail>,
    ended: Arc<AtomicBool>,
    over: bool,
    /// What the process granted for it. The last: it is given back when all others are gone.
    _permit: Permit,
}

impl RoomTask {
    async fn run(mut self, mut mail: mpsc::Receiver<Mail>) {
        tracing::info!("room opens");
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.over {
            tokio::select! {
                letter = mail.recv() => match letter {
                    Some(letter) => self.take(letter).await,
                    None => break,
                },
                _ = tick.tick() => {
                    self.mind_encoders().await;
                    // A room that nobody has entered yet was opened for somebody who is on the way.
                    if !self.state.peers().is_empty() {
                        let now = self.clock.now();
                        self.decide(Input::Tick(now)).await;
                    }
                }
            }
        }
        // Whoever sends now is told that the room is over.
        self.ended.store(true, Ordering::Release);
        mail.close();
        tracing::info!("room ends");
        // The last handle of the audio mixer waits for its thread.
        tokio::task::spawn_blocking(move || drop(self));
    }

    async fn take(&mut self, letter: Mail) {
        match letter {
            Mail::Admit(peer, member, codecs, reply) => {
                let codec = self.state.choose_codec(&codecs);
                let member = Member { codec, ..*member };
                let admitted = self.state.admit(peer, member);
                let place = admitted.map(|()| Place { codec, clock: self.clock, audio: self.audio.clone() });
                if let Err(Ok(_)) = reply.send(place) {
                    // Whoever asked hung up: the place is free again.
                    self.decide(Input::Peer(peer, PeerNotice::Gone(CloseReason::NotConnected))).await;
                }
                if self.state.peers().is_empty() {
                    self.over = true;
                }
            }
            Mail::Enter(peer, handle, reply) => {
                let _ = reply.send(());
                if self.state.member(peer).is_some() {
                    self.peers.insert(peer, handle);
                    // It may have connected before it was here: what it should get is put into effect now.
                    let effects = self.state.entered(peer);
                    self.carry_out(effects).await;
                }
            }
            Mail::Call(command, reply) => {
                if let Some((reply, outcome)) = self.call(command, reply).await {
                    let _ = reply.send(outcome);
                }
            }
            Mail::Notice(peer, notice) => {
                if let PeerNotice::Gone(_) = notice {
                    self.peers.remove(&peer);
                    for rendition in self.renditions.values() {
                        rendition.remove_watcher(peer);
                    }
                }
                self.decide(Input::Peer(peer, notice)).await;
            }
            Mail::GiveUp(peer) => {
                if let Some(handle) = self.peers.remove(&peer) {
                    handle.close(CloseReason::NotConnected);
                }
                self.decide(Input::Peer(peer, PeerNotice::Gone(CloseReason::NotConnected))).await;
            }
            Mail::Abandon => {
                for peer in self.peers.values() {
                    peer.close(CloseReason::NotConnected);
                }
                self.over = true;
            }
            Mail::Audio(AudioEvent::Speaking(speaking)) => self.decide(Input::Speaking(speaking)).await,
            Mail::Audio(AudioEvent::VoiceLive(peer, live)) => self.decide(Input::VoiceLive(peer, live)).await,
            Mail::Audio(AudioEvent::Failed) => {
                // Every connection holds on to the mixer that broke: they join anew, into a room that works.
                tracing::error!("the audio mixer failed; the room starts over");
                for peer in self.peers.values() {
                    peer.close(CloseReason::MediaError);
                }
            }
            Mail::Encoders => self.mind_encoders().await,
            Mail::Stop(reply) => {
                for peer in self.peers.values() {
                    peer.close(CloseReason::ServerStopping);
                }
                self.over = true;
                let _ = reply.send(());
            }
        }
    }

    async fn call(
        &mut self,
        command: Command,
        reply: oneshot::Sender<Result<Reply, Refusal>>,
    ) -> Option<(oneshot::Sender<Result<Reply, Refusal>>, Result<Reply, Refusal>)> {
        let outcome = match command {
            Command::Trickle { peer, candidates, .. } => self.with_peer(peer, |handle| {
                handle.add_candidates(candidates.into_iter().map(|candidate| candidate.candidate).collect());
            }),
            Command::Leave { peer, .. } => self.with_peer(peer, |handle| handle.close(CloseReason::Left)),
            Command::Remove { participant, .. } => {
                self.with_peer(participant, |handle| handle.close(CloseReason::Removed))
            }
            Command::Mute { participant, muted, .. } => {
                let outcome = self.with_peer(participant, |_| ());
                if outcome.is_ok() {
                    self.decide(Input::Mute(participant, muted)).await;
                }
                outcome
            }
            Command::Watch { peer, rendition, .. } => match rendition {
                Wanted::Named(name) if self.config.rendition(&name).is_none() => Err(Refusal::NoRendition { name }),
                wanted => {
                    let outcome = self.with_peer(peer, |_| ());
                    if outcome.is_ok() {
                        self.decide(Input::Watch(peer, wanted)).await;
                    }
                    outcome
                }
            },
            Command::Rooms => Ok(Reply::Rooms { rooms: vec![self.view()] }),
            Command::Pipelines => Ok(Reply::Pipelines { alive: Graph::alive() }),
            Command::Room { .. } => Ok(Reply::Room { room: Box::new(self.view()) }),
            Command::Snapshot { .. } => {
                // It waits for a frame: not on the room's time.
                let camera = self.stage.camera();
                self.snapshots.answer(reply, move || camera.snapshot());
                return None;
            }
        };
        Some((reply, outcome))
    }

    fn with_peer(&self, peer: PeerId, act: impl FnOnce(&Peer)) -> Result<Reply, Refusal> {
        let handle = self.peers.get(&peer).ok_or(Refusal::NoPeer)?;
        act(handle);
        Ok(Reply::Done)
    }

    async fn decide(&mut self, input: Input) {
        let effects = self.state.decide(input);
        self.carry_out(effects).await;
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::StartRendition(key) => self.start_rendition(key).await,
                Effect::StopRendition(key) => {
                    if let Some(rendition) = self.renditions.remove(&key) {
                        self.stage.starve(&rendition);
                        tracing::info!(codec = %key.codec, rendition = key.name, "encoder stops");
                    }
                }
                Effect::Subscribe(peer, key) => self.subscribe(peer, key),
                Effect::Unsubscribe(peer, key) => {
                    if let Some(rendition) = self.renditions.get(&key) {
                        rendition.remove_watcher(peer);
                    }
                }
                Effect::RequestKeyframe(key) => {
                    if let Some(rendition) = self.renditions.get(&key) {
                        rendition.request_keyframe();
                    }
                }
                Effect::Show(scene) => {
                    let tile = |(peer, tile)| {
                        let (name, muted) = self.state.caption(peer)?;
                        let picture = self.peers.get(&peer)?.picture();
                        Some(StageTile { peer, tile, name: name.to_owned(), muted, picture })
                    };
                    self.stage.show(scene.into_iter().filter_map(tile).collect());
                }
                Effect::SetTile(peer, tile) => {
                    if let Some(handle) = self.peers.get(&peer) {
                        handle.set_tile(tile.width, tile.height);
                    }
                }
                Effect::MuteVoice(peer, muted) => self.audio.set_muted(peer, muted),
                Effect::ProtectVoices(lossy) => self.audio.protect(lossy),
                Effect::Tell(peer, event) => self.tell(peer, event),
                Effect::Close(peer, reason) => {
                    if let Some(handle) = self.peers.get(&peer) {
                        handle.close(reason);
                    }
                }
                Effect::End => self.over = true,
            }
        }
    }

    fn tell(&self, peer: PeerId, event: Event) {
        if let Some(handle) = self.peers.get(&peer) {
            handle.tell(event);
        }
    }

    fn subscribe(&self, peer: PeerId, key: Option<RenditionKey>) {
        let Some(sender) = self.peers.get(&peer).and_then(Peer::video) else { return };
        sender.switch_to(key.clone());
        if let Some(rendition) = key.and_then(|key| self.renditions.get(&key)) {
            rendition.add_watcher(sender.clone());
        }
    }

    async fn start_rendition(&mut self, key: RenditionKey) {
        let Some(config) = self.config.rendition(&key.name).cloned() else { return };
        if self.retries.waits(&key) {
            // It failed a moment ago and was stopped since: it is started when its time comes, for whoever watches then.
            return;
        }
        let (templates, fps, clock) = (self.templates.clone(), self.config.video.fps, self.clock);
        let (mailbox, failed, span) = (self.mailbox.clone(), key.clone(), tracing::Span::current());
        let started = key.clone();
        let started = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            Rendition::start(&templates, started, &config, fps, clock, move |detail| {
                tracing::error!(codec = %failed.codec, rendition = failed.name, detail, "an encoder failed");
                remind(&mailbox);
            })
        });
        match started.await {
            Ok(Ok(rendition)) => {
                let rendition = Arc::new(rendition);
                self.stage.feed(rendition.clone());
                tracing::info!(codec = %key.codec, rendition = key.name, "encoder starts");
                self.renditions.insert(key, rendition);
            }
            Ok(Err(error)) => {
                tracing::error!(codec = %key.codec, rendition = key.name, %error, "an encoder did not start");
                self.retry_later(key);
            }
            Err(_) => self.retry_later(key),
        }
    }

    /// Takes down the encoders that failed, and starts those again whose time has come. Each is looked at itself, so a
    /// report that comes late, twice or never does no harm.
    async fn mind_encoders(&mut self) {
        let failed = self.renditions.iter().filter(|(_, rendition)| rendition.has_failed());
        for key in failed.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            if let Some(rendition) = self.renditions.remove(&key) {
                self.stage.starve(&rendition);
            }
            self.retry_later(key);
        }
        for key in self.retries.due(self.clock.now()) {
            self.decide(Input::RenditionFailed(key)).await;
        }
    }

    fn retry_later(&mut self, key: RenditionKey) {
        let pause = self.retries.note(key, self.clock.now());
        let mailbox = self.mailbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            remind(&mailbox);
        });
    }
}

/// Has the room look at its encoders. Called on streaming threads, too.
fn remind(room: &mpsc::WeakSender<Mail>) {
    if let Some(mailbox) = room.upgrade() {
        // A room that is too busy to take it looks at its next tick.
        let _ = mailbox.try_send(Mail::Encoders);
    }
}

#[cfg(test)]
mod tests;
