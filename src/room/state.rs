//! The room, decided: a value and a function from what happened to what must be done. No clock, no media, no tasks.
//!
//! Every input changes the members; then [`RoomState::settle`] compares what should be (the scene, who watches what,
//! which encoders run, what everybody knows) with what was last put into effect, and gives the difference as effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::Config;
use crate::control::{
    CloseReason, Codec, Event, Intent, ParticipantView, PictureView, TileView, TrackState, ViewerView, Wanted,
};
use crate::id::PeerId;
use crate::layout::{self, Tile};
use crate::media::RenditionKey;
use crate::peer::PeerNotice;

/// Who is in the room.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) intent: Intent,
    /// Of both directions; none without video.
    pub(super) codec: Option<Codec>,
    pub(super) sends_audio: bool,
    pub(super) sends_video: bool,
    pub(super) receives: bool,
    pub(super) receives_video: bool,
    pub(super) wanted: Wanted,
    /// Its place on the ladder; nothing if it wants less than the last rung takes.
    pub(super) rung: Option<usize>,
    /// It takes H.264 in single NAL units only.
    pub(super) single_nal: bool,
    /// Its line loses packets.
    pub(super) lossy: bool,
    pub(super) connected: bool,
    pub(super) heard: bool,
    pub(super) muted: bool,
    pub(super) audio_live: bool,
    pub(super) video_live: bool,
    pub(super) picture: Option<(u32, u32)>,
    /// What it really gets: of its wish only once a keyframe of that has come.
    pub(super) current: Option<RenditionKey>,
}

impl Member {
    pub(super) fn new(name: String, intent: Intent, wanted: Wanted) -> Self {
        Self {
            name,
            intent,
            codec: None,
            sends_audio: false,
            sends_video: false,
            receives: false,
            receives_video: false,
            wanted,
            rung: Some(0),
            single_nal: false,
            lossy: false,
            connected: false,
            heard: true,
            muted: false,
            audio_live: false,
            video_live: false,
            picture: None,
            current: None,
        }
    }

    fn participates(&self) -> bool {
        self.intent == Intent::Participate
    }

    fn on_canvas(&self) -> bool {
        self.participates() && self.connected && self.heard
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A peer of the room says something.
    Peer(PeerId, PeerNotice),
    /// Somebody mutes or unmutes a participant.
    Mute(PeerId, bool),
    /// A peer wants to watch something else.
    Watch(PeerId, Wanted),
    /// Who speaks, by the audio mixer.
    Speaking(Vec<PeerId>),
    /// Whether a participant's packets come, by the audio mixer.
    VoiceLive(PeerId, bool),
    /// An encoder failed, and may now be started again.
    RenditionFailed(RenditionKey),
    /// Time passed: running time.
    Tick(Duration),
}

/// What must be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    StartRendition(RenditionKey),
    StopRendition(RenditionKey),
    /// From now on this peer gets this; nothing means no video.
    Subscribe(PeerId, Option<RenditionKey>),
    /// It needs this no more.
    Unsubscribe(PeerId, RenditionKey),
    RequestKeyframe(RenditionKey),
    Show(Vec<(PeerId, Tile)>),
    SetTile(PeerId, Tile),
    MuteVoice(PeerId, bool),
    /// Whether everybody's sound carries FEC: one encode is for many, so one lossy line is enough.
    ProtectVoices(bool),
    Tell(PeerId, Event),
    Close(PeerId, CloseReason),
    /// The room is over.
    End,
}

/// Why a peer is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    Participants(usize),
    Viewers(usize),
}

/// What was last put into effect.
#[derive(Debug, Default)]
struct InEffect {
    scene: Vec<(PeerId, Tile, String, bool)>,
    running: BTreeSet<RenditionKey>,
    subscribed: BTreeMap<PeerId, Option<RenditionKey>>,
    participants: Vec<ParticipantView>,
    viewers: usize,
    told: BTreeSet<PeerId>,
    speaking: Vec<PeerId>,
    renditions_told: BTreeMap<PeerId, (String, bool)>,
    protected: bool,
}

/// A room's members and what is in effect for them.
#[derive(Debug)]
pub(super) struct RoomState {
    renditions: Vec<String>,
    canvas: (u32, u32),
    max_participants: usize,
    max_viewers: usize,
    linger: Duration,
    /// In the order in which they joined, which is the order of the tiles.
    members: Vec<(PeerId, Member)>,
    speaking: Vec<PeerId>,
    alone_since: Option<Duration>,
    effected: InEffect,
    ended: bool,
}

impl RoomState {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            renditions: config.renditions.iter().map(|rendition| rendition.name.clone()).collect(),
            canvas: (config.video.width, config.video.height),
            max_participants: config.limits.participants,
            max_viewers: config.limits.viewers,
            linger: Duration::from_secs(config.limits.linger.into()),
            members: Vec::new(),
            speaking: Vec::new(),
            alone_since: None,
            effected: InEffect::default(),
            ended: false,
        }
    }

    /// Takes a member in, before it is connected: its place counts from here.
    pub(super) fn admit(&mut self, peer: PeerId, member: Member) -> Result<(), NotAdmitted> {
        let count = |intent| self.members.iter().filter(|(_, member)| member.intent == intent).count();
        match member.intent {
            Intent::Participate if count(Intent::Participate) >= self.max_participants => {
                return Err(NotAdmitted::Participants(self.max_participants));
            }
            Intent::View if count(Intent::View) >= self.max_viewers => {
                return Err(NotAdmitted::Viewers(self.max_viewers));
            }
            _ => self.members.push((peer, member)),
        }
        Ok(())
    }

    /// The codec for a peer that can do these, in its order: one that the room encodes already, or soon will, the most
    /// watched first. What somebody only sends does not count.
    pub(super) fn choose_codec(&self, offered: &[Codec]) -> Option<Codec> {
        let watched = |codec: &Codec| {
            let watching = self.members.iter().filter_map(|(_, member)| self.desired(member));
            let coming = self.members.iter().filter(|(_, member)| !member.connected && member.receives_video);
            let coming = coming.filter(|(_, member)| member.codec == Some(*codec));
            (watching.filter(|key| key.codec == *codec).count(), coming.count())
        };
        // The first of the most watched ones: max_by_key would take the last.
        let most = offered.iter().map(watched).max()?;
        offered.iter().find(|codec| watched(codec) == most).copied()
    }

    pub(super) fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.iter().find(|(id, _)| *id == peer).map(|(_, member)| member)
    }

    fn member_mut(&mut self, peer: PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|(id, _)| *id == peer).map(|(_, member)| member)
    }

    /// The peer's handle is there: whatever was decided for it before is decided again.
    pub(super) fn entered(&mut self, peer: PeerId) -> Vec<Effect> {
        self.effected.subscribed.remove(&peer);
        self.effected.scene.retain(|(id, ..)| *id != peer);
        self.effected.told.remove(&peer);
        self.effected.renditions_told.remove(&peer);
        let mut effects = Vec::new();
        self.settle(&mut effects);
        effects
    }

    /// Takes what happened, answers what must be done.
    pub(super) fn decide(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Peer(peer, PeerNotice::Gone(_)) => {
                self.members.retain(|(id, _)| *id != peer);
                self.speaking.retain(|id| *id != peer);
                self.effected.told.remove(&peer);
                self.effected.renditions_told.remove(&peer);
            }
            Input::Peer(peer, notice) => {
                if let Some(member) = self.member_mut(peer) {
                    note(member, peer, notice, &mut effects);
                }
            }
            Input::Mute(peer, muted) => {
                if let Some(member) = self.member_mut(peer).filter(|member| member.muted != muted) {
                    member.muted = muted;
                    effects.push(Effect::MuteVoice(peer, muted));
                }
            }
            Input::Watch(peer, wanted) => {
                if let Some(member) = self.member_mut(peer) {
                    member.wanted = wanted;
                }
            }
            Input::Speaking(speaking) => self.speaking = speaking,
            Input::VoiceLive(peer, live) => {
                if let Some(member) = self.member_mut(peer) {
                    member.audio_live = live;
                }
            }
            Input::RenditionFailed(key) => {
                // As if it had never run: settling starts it anew for whoever watches it.
                if self.effected.running.remove(&key) {
                    effects.push(Effect::StopRendition(key.clone()));
                    self.effected.subscribed.retain(|_, subscribed| subscribed.as_ref() != Some(&key));
                    // Who is to get it still gets it, once there is something to get.
                    let desired: Vec<_> = self.members.iter().map(|(_, member)| self.desired(member)).collect();
                    for ((_, member), desired) in self.members.iter_mut().zip(desired) {
                        if member.current.as_ref() == Some(&key) && desired.as_ref() != Some(&key) {
                            member.current = None;
                        }
                    }
                }
            }
            Input::Tick(now) => self.mind_the_end(now, &mut effects),
        }
        self.settle(&mut effects);
        effects
    }

    /// Without participants the room waits for one as long as somebody watches, but not for ever.
    fn mind_the_end(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.members.iter().any(|(_, member)| member.participates()) {
            self.alone_since = None;
            return;
        }
        let since = *self.alone_since.get_or_insert(now);
        if now.saturating_sub(since) >= self.linger {
            effects.extend(self.members.iter().map(|(peer, _)| Effect::Close(*peer, CloseReason::RoomEnded)));
        }
    }

    /// What a member should get.
    fn desired(&self, member: &Member) -> Option<RenditionKey> {
        let codec = member.codec.filter(|_| member.connected && member.receives_video)?;
        let name = match &member.wanted {
            Wanted::Audio => return None,
            Wanted::Named(name) => name,
            Wanted::Auto => self.renditions.get(member.rung?.min(self.renditions.len().saturating_sub(1)))?,
        };
        Some(RenditionKey { codec, name: name.clone(), single_nal: member.single_nal && codec == Codec::H264 })
    }

    fn settle(&mut self, effects: &mut Vec<Effect>) {
        if self.members.is_empty() && !self.ended {
            self.ended = true;
            effects.extend(std::mem::take(&mut self.effected.running).into_iter().map(Effect::StopRendition));
            effects.push(Effect::End);
            return;
        }
        self.settle_renditions(effects);
        self.settle_scene(effects);
        let lossy = self.members.iter().any(|(_, member)| member.connected && member.lossy);
        if std::mem::replace(&mut self.effected.protected, lossy) != lossy {
            effects.push(Effect::ProtectVoices(lossy));
        }
        self.tell_all(effects);
    }

    fn settle_renditions(&mut self, effects: &mut Vec<Effect>) {
        let desired: BTreeMap<PeerId, Option<RenditionKey>> = self
            .members
            .iter()
            .filter(|(_, member)| member.connected)
            .map(|(peer, member)| (*peer, self.desired(member)))
            .collect();
        // What is still sent until the keyframe of something else comes keeps its encoder, too.
        let current = self.members.iter().filter(|(peer, _)| desired.get(peer).is_some_and(Option::is_some));
        let current = current.filter_map(|(_, member)| member.current.clone());
        let needed: BTreeSet<RenditionKey> = desired.values().flatten().cloned().chain(current).collect();

        effects.extend(needed.difference(&self.effected.running).cloned().map(Effect::StartRendition));
        for (peer, wish) in &desired {
            if self.effected.subscribed.get(peer) != Some(wish) {
                effects.push(Effect::Subscribe(*peer, wish.clone()));
            }
        }
        for (peer, member) in &mut self.members {
            let wish = desired.get(peer).cloned().flatten();
            let before = self.effected.subscribed.get(peer).cloned().flatten();
            // A wish that was given up before its keyframe came, and what was sent until the new one's did.
            for old in [before, member.current.clone()].into_iter().flatten() {
                let sent_meanwhile = wish.is_some() && member.current.as_ref() == Some(&old);
                if wish.as_ref() != Some(&old) && !sent_meanwhile {
                    effects.push(Effect::Unsubscribe(*peer, old));
                }
            }
            if wish.is_none() {
                member.current = None;
            }
        }
        effects.extend(self.effected.running.difference(&needed).cloned().map(Effect::StopRendition));
        self.effected.subscribed = desired;
        self.effected.running = needed;
    }

    fn settle_scene(&mut self, effects: &mut Vec<Effect>) {
        let shown: Vec<_> = self.members.iter().filter(|(_, member)| member.on_canvas()).collect();
        let tiles = layout::grid(self.canvas, shown.len());
        let scene: Vec<_> = shown
            .iter()
            .zip(tiles)
            .map(|((peer, member), tile)| (*peer, tile, member.name.clone(), member.muted))
            .collect();
        if scene == self.effected.scene {
            return;
        }
        for (peer, tile, ..) in &scene {
            let before = self.effected.scene.iter().find(|(id, ..)| id == peer).map(|(_, tile, ..)| tile);
            if before.is_none_or(|before| (before.width, before.height) != (tile.width, tile.height)) {
                effects.push(Effect::SetTile(*peer, *tile));
            }
        }
        effects.push(Effect::Show(scene.iter().map(|(peer, tile, ..)| (*peer, *tile)).collect()));
        self.effected.scene = scene;
    }

    fn tell_all(&mut self, effects: &mut Vec<Effect>) {
        let participants = self.participants();
        // Who speaks has a message of its own: it changes all the time.
        let lasting = |views: &[ParticipantView]| -> Vec<ParticipantView> {
            views.iter().map(|view| ParticipantView { speaking: false, ..view.clone() }).collect()
        };
        let viewers = self.members.iter().filter(|(_, member)| !member.participates() && member.connected).count();
        let changed =
            lasting(&participants) != lasting(&self.effected.participants) || viewers != self.effected.viewers;
        let spoke = self.speaking != self.effected.speaking;
        for (peer, member) in &self.members {
            let new = self.effected.told.insert(*peer);
            if changed || new {
                effects.push(Effect::Tell(*peer, Event::Participants { participants: participants.clone(), viewers }));
            }
            if spoke || (new && !self.speaking.is_empty()) {
                effects.push(Effect::Tell(*peer, Event::Speaking { speaking: self.speaking.clone() }));
            }
            if let Some(told) = rendition_of(member)
                && self.effected.renditions_told.get(peer) != Some(&told)
            {
                self.effected.renditions_told.insert(*peer, told.clone());
                effects.push(Effect::Tell(*peer, Event::Rendition { name: told.0, auto: told.1 }));
            }
        }
        self.effected.participants = participants;
        self.effected.viewers = viewers;
        self.effected.speaking.clone_from(&self.speaking);
    }

    /// The participants, as everybody may see them.
    pub(super) fn participants(&self) -> Vec<ParticipantView> {
        let tile_of = |peer: PeerId| self.effected.scene.iter().find(|(id, ..)| *id == peer).map(|(_, tile, ..)| *tile);
        let track = |sent, live| match (sent, live) {
            (false, _) => TrackState::None,
            (true, false) => TrackState::Silent,
            (true, true) => TrackState::Live,
        };
        self.members
            .iter()
            .filter(|(_, member)| member.participates() && member.connected)
            .map(|(peer, member)| ParticipantView {
                id: *peer,
                name: member.name.clone(),
                muted: member.muted,
                speaking: self.speaking.contains(peer),
                audio: track(member.sends_audio, member.audio_live),
                video: track(member.sends_video, member.video_live),
                picture: member.picture.zip(member.codec).map(|((width, height), codec)| PictureView {
                    codec,
                    width,
                    height,
                }),
                tile: tile_of(*peer).map(|tile| TileView {
                    x: tile.x,
                    y: tile.y,
                    width: tile.width,
                    height: tile.height,
                }),
                rendition: rendition_of(member).map(|(name, _)| name),
            })
            .collect()
    }

    /// The viewers.
    pub(super) fn viewers(&self) -> Vec<ViewerView> {
        self.members
            .iter()
            .filter(|(_, member)| !member.participates() && member.connected)
            .map(|(peer, member)| ViewerView {
                id: *peer,
                name: member.name.clone(),
                rendition: rendition_of(member).map(|(name, _)| name).unwrap_or_default(),
            })
            .collect()
    }

    /// Who speaks.
    pub(super) fn speaking(&self) -> &[PeerId] {
        &self.speaking
    }

    /// The name and the mute of everybody on the canvas, for its labels.
    pub(super) fn caption(&self, peer: PeerId) -> Option<(&str, bool)> {
        self.member(peer).map(|member| (member.name.as_str(), member.muted))
    }

    /// Everybody, for a last message.
    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.members.iter().map(|(peer, _)| *peer).collect()
    }
}

/// What a member gets by name, and whether the server chose it; nothing before it gets anything.
fn rendition_of(member: &Member) -> Option<(String, bool)> {
    if !member.receives || !member.connected {
        return None;
    }
    let auto = member.wanted == Wanted::Auto;
    let nothing_fits = auto && member.rung.is_none();
    if member.wanted == Wanted::Audio || !member.receives_video || nothing_fits {
        return Some(("audio".to_owned(), auto));
    }
    member.current.as_ref().map(|key| (key.name.clone(), auto))
}

fn note(member: &mut Member, peer: PeerId, notice: PeerNotice, effects: &mut Vec<Effect>) {
    match notice {
        PeerNotice::Connected => member.connected = true,
        PeerNotice::Heard(heard) => member.heard = heard,
        PeerNotice::Picture { width, height } => member.picture = Some((width, height)),
        PeerNotice::VideoLive(live) => member.video_live = live,
        PeerNotice::Switched(key) => {
            if let Some(before) = member.current.replace(key.clone()).filter(|before| *before != key) {
                effects.push(Effect::Unsubscribe(peer, before));
            }
        }
        PeerNotice::WantsKeyframe(key) => effects.push(Effect::RequestKeyframe(key)),
        // Below the last rung there is none to climb to.
        PeerNotice::Rung(rung) => member.rung = member.rung.map(|_| rung),
        PeerNotice::Lossy(lossy) => member.lossy = lossy,
        // Taken care of where members are counted.
        PeerNotice::Gone(_) => {}
    }
}

#[cfg(test)]
mod tests;
