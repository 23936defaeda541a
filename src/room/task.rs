//! The room's task: it owns the room's state and media, takes messages, and carries out what the state decides.

mod departure;
mod handle;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::retries::Retries;
use super::snapshots::Snapshots;
use super::state::{Effect, Input, RoomState};
use crate::budget::Permit;
use crate::config::Config;
use crate::control::{CloseReason, Command, Refusal, Reply, Wanted};
use crate::id::{PeerId, RoomId};
use crate::media::{AudioEvent, AudioMixer, Graph, Rendition, RenditionKey, RoomClock, Stage, StageTile, Templates};
use crate::peer::{Peer, PeerNotice, newest};
use departure::see_off;
use handle::{Mail, Place, Standing};
pub(super) use handle::{News, RoomHandle, RoomStopped};

/// How often the room looks at the time.
const TICK: Duration = Duration::from_secs(1);

/// A peer's task shows twice a second that it works. One that has not for this long hangs.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// A room that nobody has entered yet was opened for somebody who is on the way; that takes no longer.
const FIRST_ENTRY: Duration = Duration::from_secs(5);

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
    /// Those that rest are kept out of the stage.
    renditions: HashMap<RenditionKey, Arc<Rendition>>,
    retries: Retries,
    /// The room's own, for reminders.
    news: newest::Sender<News>,
    standing: Arc<Standing>,
    over: bool,
    /// What the process granted for it. The last: it is given back when all others are gone.
    _permit: Permit,
}

impl RoomTask {
    async fn run(mut self, mut mail: mpsc::Receiver<Mail>, mut news: newest::Receiver<News>) {
        tracing::info!("room opens");
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.over {
            let due = self.state.due().map(|due| due.saturating_sub(self.clock.now()));
            let due = async {
                match due {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            // None goes first: whatever floods one of them must not keep the others waiting.
            tokio::select! {
                happened = news.recv() => match happened {
                    Some(happened) => self.hear(happened).await,
                    None => break,
                },
                letter = mail.recv() => match letter {
                    Some(letter) => self.take(letter).await,
                    None => break,
                },
                () = due => self.decide(Input::Tick).await,
                _ = tick.tick() => self.tick().await,
            }
        }
        // Whoever sends now is told that the room is over.
        self.standing.ended.store(true, Ordering::Release);
        mail.close();
        tracing::info!("room ends");
        // The last handle of the audio mixer waits for its thread.
        tokio::task::spawn_blocking(move || drop(self));
    }

    async fn tick(&mut self) {
        let now = self.clock.now();
        self.mind_encoders().await;
        let stuck = |peer: &Peer| now.saturating_sub(peer.last_pulse()) >= STUCK_AFTER;
        let stuck: Vec<PeerId> = self.peers.iter().filter(|(_, peer)| stuck(peer)).map(|(id, _)| *id).collect();
        for peer in stuck {
            tracing::error!(participant = %peer, "a peer's task is stuck");
            self.put_out(peer, CloseReason::MediaError).await;
        }
        if !self.state.peers().is_empty() {
            self.decide(Input::Tick).await;
        } else if now >= FIRST_ENTRY {
            self.over = true;
        }
    }

    /// What happened.
    async fn hear(&mut self, news: News) {
        match news {
            News::Peer(peer, notice) => {
                match notice {
                    PeerNotice::Connected => self.standing.established.store(true, Ordering::Release),
                    PeerNotice::Gone(_) => drop(self.take_out(peer)),
                    _ => {}
                }
                self.decide(Input::Peer(peer, notice)).await;
            }
            News::Audio(AudioEvent::Speaking(speaking)) => self.decide(Input::Speaking(speaking)).await,
            News::Audio(AudioEvent::VoiceLive(peer, live)) => self.decide(Input::VoiceLive(peer, live)).await,
            News::Audio(AudioEvent::Failed) => {
                // Every connection holds on to the mixer that broke: they join anew, into a room that works.
                tracing::error!("the audio mixer failed; the room starts over");
                for peer in self.peers.keys().copied().collect::<Vec<_>>() {
                    self.put_out(peer, CloseReason::MediaError).await;
                }
            }
            News::Encoders => self.mind_encoders().await,
            News::Abandon => {
                for (peer, handle) in self.peers.drain() {
                    see_off(peer, handle, CloseReason::NotConnected);
                }
                self.over = true;
            }
        }
    }

    /// What somebody asks.
    async fn take(&mut self, letter: Mail) {
        match letter {
            Mail::Admit(peer, member, codecs, reply) => {
                let codec = self.state.choose_codec(&codecs);
                let mut member = *member;
                member.codec = codec;
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
                    let effects = self.state.entered(self.clock.now(), peer);
                    self.carry_out(effects).await;
                }
            }
            Mail::Call(command, reply) => {
                if let Some((reply, outcome)) = self.call(command, reply).await {
                    let _ = reply.send(outcome);
                }
            }
            Mail::GiveUp(peer) => self.put_out(peer, CloseReason::NotConnected).await,
            Mail::Stop(reply) => {
                for (peer, handle) in self.peers.drain() {
                    see_off(peer, handle, CloseReason::ServerStopping);
                }
                self.over = true;
                let _ = reply.send(());
            }
        }
    }

    /// Lets go of what the room has of a peer, but not of its place.
    fn take_out(&mut self, peer: PeerId) -> Option<Peer> {
        for rendition in self.renditions.values() {
            rendition.remove_watcher(peer);
        }
        self.peers.remove(&peer)
    }

    /// Puts a peer out, whether its own task still works or not: what follows from that happens here and now, and the task
    /// is watched until it has ended.
    async fn put_out(&mut self, peer: PeerId, reason: CloseReason) {
        if let Some(handle) = self.take_out(peer) {
            self.audio.set_muted(peer, true);
            see_off(peer, handle, reason);
        }
        self.decide(Input::Peer(peer, PeerNotice::Gone(reason))).await;
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
            Command::Leave { peer, .. } => self.remove(peer, CloseReason::Left).await,
            Command::Remove { participant, .. } => self.remove(participant, CloseReason::Removed).await,
            Command::Mute { participant, muted, .. } => {
                let outcome = self.with_peer(participant, |_| ());
                if outcome.is_ok() {
                    self.decide(Input::Mute(participant, muted)).await;
                }
                outcome
            }
            Command::Camera { peer, on, .. } => self.with_peer(peer, |handle| handle.picture().set_paused(!on)),
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

    async fn remove(&mut self, peer: PeerId, reason: CloseReason) -> Result<Reply, Refusal> {
        self.with_peer(peer, |_| ())?;
        self.put_out(peer, reason).await;
        Ok(Reply::Done)
    }

    fn with_peer(&self, peer: PeerId, act: impl FnOnce(&Peer)) -> Result<Reply, Refusal> {
        let handle = self.peers.get(&peer).ok_or(Refusal::NoPeer)?;
        act(handle);
        Ok(Reply::Done)
    }

    async fn decide(&mut self, input: Input) {
        let effects = self.state.decide(self.clock.now(), input);
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
                Effect::RestRendition(key) => {
                    if let Some(rendition) = self.renditions.get(&key) {
                        self.stage.starve(rendition);
                    }
                }
                Effect::WakeRendition(key) => {
                    if let Some(rendition) = self.renditions.get(&key) {
                        self.stage.feed(rendition.clone());
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
                Effect::Tell(peer, event) => {
                    if let Some(handle) = self.peers.get(&peer) {
                        handle.tell(event);
                    }
                }
                Effect::Close(peer, reason) => {
                    if let Some(handle) = self.peers.remove(&peer) {
                        see_off(peer, handle, reason);
                    }
                }
                Effect::End => self.over = true,
            }
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
        let (news, failed, span) = (self.news.clone(), key.clone(), tracing::Span::current());
        let started = key.clone();
        let started = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            Rendition::start(&templates, started, &config, fps, clock, move |detail| {
                tracing::error!(codec = %failed.codec, rendition = failed.name, detail, "an encoder failed");
                news.send(News::Encoders);
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
        let news = self.news.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            news.send(News::Encoders);
        });
    }
}

#[cfg(test)]
mod tests;
