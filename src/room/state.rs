//! The room, decided: a value and a function from what happened to what must be done. No clock, no media, no tasks.
//!
//! Every input changes the members; then [`RoomState::settle`] compares what should be (the scene, who watches what,
//! which encoders run, what everybody knows) with what was last put into effect, and gives the difference as effects.

mod views;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::bucket::TokenBucket;
use crate::config::Config;
use crate::control::{CloseReason, Codec, Event, Intent, ParticipantView, RefusedPicture, Wanted};
use crate::id::PeerId;
use crate::layout::{self, Tile};
use crate::media::RenditionKey;
use crate::peer::PeerNotice;
use views::rendition_of;

/// What everybody is told of the others comes at once after a quiet moment, and no more often than this.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How often a member may change what it watches, in changes a second and at once: each costs everybody who watches the
/// same a keyframe.
const SWITCH_RATE: f64 = 0.5;
const SWITCH_BURST: f64 = 3.0;

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
    pub(super) refused: Option<RefusedPicture>,
    /// What it is to get: its wish, as often as that may change.
    given: Option<RenditionKey>,
    switches: TokenBucket,
    /// What it really gets: of that only once a keyframe of it has come.
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
            given: None,
            switches: TokenBucket::new(SWITCH_RATE, SWITCH_BURST, Duration::ZERO),
            refused: None,
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
    /// Time passed.
    Tick,
}

/// What must be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    StartRendition(RenditionKey),
    /// Nobody needs it at present: it makes no frames until it is woken.
    RestRendition(RenditionKey),
    WakeRendition(RenditionKey),
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
    /// Those of them that nobody needs, and since when.
    resting: BTreeMap<RenditionKey, Duration>,
    subscribed: BTreeMap<PeerId, Option<RenditionKey>>,
    participants: Vec<ParticipantView>,
    viewers: usize,
    told: BTreeSet<PeerId>,
    speaking: Vec<PeerId>,
    renditions_told: BTreeMap<PeerId, (String, bool)>,
    /// When everybody was last told of a change.
    told_at: Option<Duration>,
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
    /// When something is to be done that has to wait.
    due: Option<Duration>,
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
            due: None,
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
            let watching = self.members.iter().filter_map(|(_, member)| self.wish(member));
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
    pub(super) fn entered(&mut self, now: Duration, peer: PeerId) -> Vec<Effect> {
        self.effected.subscribed.remove(&peer);
        self.effected.scene.retain(|(id, ..)| *id != peer);
        self.effected.told.remove(&peer);
        self.effected.renditions_told.remove(&peer);
        let mut effects = Vec::new();
        self.settle(now, &mut effects);
        effects
    }

    /// When [`Input::Tick`] is due at the latest; nothing while nothing has to wait.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Takes what happened by `now`, in running time; answers what must be done.
    pub(super) fn decide(&mut self, now: Duration, input: Input) -> Vec<Effect> {
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
            Input::Speaking(mut speaking) => {
                speaking.retain(|peer| self.member(*peer).is_some());
                self.speaking = speaking;
            }
            Input::VoiceLive(peer, live) => {
                if let Some(member) = self.member_mut(peer) {
                    member.audio_live = live;
                }
            }
            Input::RenditionFailed(key) => {
                // As if it had never run: settling starts it anew for whoever watches it.
                if self.effected.running.remove(&key) {
                    effects.push(Effect::StopRendition(key.clone()));
                    self.effected.resting.remove(&key);
                    self.effected.subscribed.retain(|_, subscribed| subscribed.as_ref() != Some(&key));
                    // Who is to get it still gets it, once there is something to get.
                    for (_, member) in &mut self.members {
                        if member.current.as_ref() == Some(&key) && member.given.as_ref() != Some(&key) {
                            member.current = None;
                        }
                    }
                }
            }
            Input::Tick => self.mind_the_end(now, &mut effects),
        }
        self.settle(now, &mut effects);
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
            // It is over with that, whatever becomes of them.
            effects.extend(self.members.drain(..).map(|(peer, _)| Effect::Close(peer, CloseReason::RoomEnded)));
        }
    }

    fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.due = None;
        if self.members.is_empty() && !self.ended {
            self.ended = true;
            effects.extend(std::mem::take(&mut self.effected.running).into_iter().map(Effect::StopRendition));
            self.effected.resting.clear();
            effects.push(Effect::End);
            return;
        }
        self.grant_wishes(now);
        self.settle_renditions(now, effects);
        let at_once = self.effected.told_at.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY);
        let effects_before = effects.len();
        let waits = !self.settle_scene(at_once, effects);
        let lossy = self.members.iter().any(|(_, member)| member.connected && member.lossy);
        if std::mem::replace(&mut self.effected.protected, lossy) != lossy {
            effects.push(Effect::ProtectVoices(lossy));
        }
        let waits = !self.tell_all(at_once, effects) || waits;
        if at_once && effects.len() > effects_before {
            self.effected.told_at = Some(now);
        }
        if waits && let Some(told) = self.effected.told_at {
            self.wait_until(told + TELL_EVERY);
        }
    }

    fn wait_until(&mut self, time: Duration) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }

    /// Who has a tile, at once; what stands in it, with what everybody is told. False if something of that has to wait.
    fn settle_scene(&mut self, at_once: bool, effects: &mut Vec<Effect>) -> bool {
        let shown: Vec<_> = self.members.iter().filter(|(_, member)| member.on_canvas()).collect();
        let tiles = layout::grid(self.canvas, shown.len());
        let scene: Vec<_> = shown
            .iter()
            .zip(tiles)
            .map(|((peer, member), tile)| (*peer, tile, member.name.clone(), member.muted))
            .collect();
        if scene == self.effected.scene {
            return true;
        }
        let places = |scene: &[(PeerId, Tile, String, bool)]| -> Vec<(PeerId, Tile)> {
            scene.iter().map(|(peer, tile, ..)| (*peer, *tile)).collect()
        };
        let (now, before) = (places(&scene), places(&self.effected.scene));
        if now == before && !at_once {
            return false;
        }
        for (peer, tile) in &now {
            let before = before.iter().find(|(id, _)| id == peer).map(|(_, tile)| tile);
            if before.is_none_or(|before| (before.width, before.height) != (tile.width, tile.height)) {
                effects.push(Effect::SetTile(*peer, *tile));
            }
        }
        effects.push(Effect::Show(now));
        self.effected.scene = scene;
        true
    }

    /// Tells everybody what changed, if that may be `at_once`, and newcomers in any case. False if something has to wait.
    fn tell_all(&mut self, at_once: bool, effects: &mut Vec<Effect>) -> bool {
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
            if (changed && at_once) || new {
                effects.push(Effect::Tell(*peer, Event::Participants { participants: participants.clone(), viewers }));
            }
            if (spoke && at_once) || (new && !self.speaking.is_empty()) {
                effects.push(Effect::Tell(*peer, Event::Speaking { speaking: self.speaking.clone() }));
            }
            if let Some(told) = rendition_of(member)
                && self.effected.renditions_told.get(peer) != Some(&told)
            {
                self.effected.renditions_told.insert(*peer, told.clone());
                effects.push(Effect::Tell(*peer, Event::Rendition { name: told.0, auto: told.1 }));
            }
        }
        if at_once {
            self.effected.participants = participants;
            self.effected.viewers = viewers;
            self.effected.speaking.clone_from(&self.speaking);
        }
        at_once || !(changed || spoke)
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

fn note(member: &mut Member, peer: PeerId, notice: PeerNotice, effects: &mut Vec<Effect>) {
    match notice {
        PeerNotice::Connected => member.connected = true,
        PeerNotice::Heard(heard) => member.heard = heard,
        PeerNotice::Picture { width, height } => member.picture = Some((width, height)),
        PeerNotice::Refused(refused) => member.refused = refused,
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
