//! The room's decisions under every order of events: random sequences, and what has to hold after each step.

mod rates;

use proptest::prelude::*;

use super::*;

/// As many peers as get in each other's way.
const PEERS: u64 = 5;

/// One step of a room's life.
#[derive(Clone, Debug)]
enum Step {
    Admit(PeerId, Box<Member>),
    Entered(PeerId),
    Input(Input),
}

fn peer() -> impl Strategy<Value = PeerId> {
    (1..=PEERS).prop_map(PeerId::from_bits)
}

fn codec() -> impl Strategy<Value = Codec> {
    prop_oneof![Just(Codec::Vp8), Just(Codec::H264)]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let named = prop_oneof![Just("high"), Just("medium"), Just("low")];
    prop_oneof![Just(Wanted::Auto), Just(Wanted::Audio), named.prop_map(|name| Wanted::Named(name.to_owned()))]
}

fn key() -> impl Strategy<Value = RenditionKey> {
    let name = prop_oneof![Just("high"), Just("medium"), Just("low")];
    (codec(), name).prop_map(|(codec, name)| RenditionKey { codec, name: name.to_owned(), single_nal: false })
}

fn member() -> impl Strategy<Value = Box<Member>> {
    let intent = prop_oneof![Just(Intent::Participate), Just(Intent::View)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (intent, wanted(), prop::option::of(codec()), flags).prop_map(
        |(intent, wanted, codec, (audio, video, receives))| {
            let mut member = Member::new("Ada".to_owned(), intent, wanted);
            member.codec = codec;
            member.sends_audio = audio && intent == Intent::Participate;
            member.sends_video = video && codec.is_some() && intent == Intent::Participate;
            member.receives = receives || intent == Intent::View;
            member.receives_video = member.receives && codec.is_some();
            Box::new(member)
        },
    )
}

fn notice() -> impl Strategy<Value = PeerNotice> {
    prop_oneof![
        4 => Just(PeerNotice::Connected),
        2 => any::<bool>().prop_map(PeerNotice::Heard),
        1 => (1..9u32, 1..9u32).prop_map(|(width, height)| PeerNotice::Picture { width, height }),
        1 => any::<bool>().prop_map(PeerNotice::VideoLive),
        3 => key().prop_map(PeerNotice::Switched),
        1 => key().prop_map(PeerNotice::WantsKeyframe),
        2 => (0..5usize).prop_map(PeerNotice::Rung),
        2 => any::<bool>().prop_map(PeerNotice::Lossy),
        1 => Just(PeerNotice::Gone(CloseReason::Left)),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => (peer(), notice()).prop_map(|(peer, notice)| Input::Peer(peer, notice)),
        1 => (peer(), any::<bool>()).prop_map(|(peer, muted)| Input::Mute(peer, muted)),
        3 => (peer(), wanted()).prop_map(|(peer, wanted)| Input::Watch(peer, wanted)),
        1 => prop::collection::vec(peer(), 0..3).prop_map(Input::Speaking),
        1 => (peer(), any::<bool>()).prop_map(|(peer, live)| Input::VoiceLive(peer, live)),
        1 => key().prop_map(Input::RenditionFailed),
        2 => Just(Input::Tick),
    ]
}

/// Steps, and how long after the one before each comes.
fn steps() -> impl Strategy<Value = Vec<(Duration, Step)>> {
    let pause = prop_oneof![4 => 0..100u64, 2 => 100..3_000u64, 1 => 3_000..40_000u64].prop_map(Duration::from_millis);
    let step = prop_oneof![
        2 => (peer(), member()).prop_map(|(peer, member)| Step::Admit(peer, member)),
        1 => peer().prop_map(Step::Entered),
        9 => input().prop_map(Step::Input),
    ];
    prop::collection::vec((pause, step), 0..60)
}

/// What the effects make of a world that only follows them.
#[derive(Debug, Default)]
struct World {
    now: Duration,
    running: BTreeSet<RenditionKey>,
    resting: BTreeSet<RenditionKey>,
    /// What each peer was last told to send, and which encoders feed it.
    subscribed: BTreeMap<PeerId, Option<RenditionKey>>,
    fed: BTreeSet<(PeerId, RenditionKey)>,
    shown: Vec<(PeerId, Tile)>,
    protected: bool,
    ended: bool,
}

impl World {
    fn follow(&mut self, room: &RoomState, effects: &[Effect]) {
        for effect in effects {
            assert!(!self.ended, "{effect:?} after the end");
            if let Some(peer) = addressee(effect) {
                assert!(room.member(peer).is_some(), "{effect:?} for nobody");
            }
            match effect {
                Effect::StartRendition(key) => assert!(self.running.insert(key.clone()), "{key:?} runs already"),
                Effect::RestRendition(key) => {
                    assert!(self.running.contains(key) && self.resting.insert(key.clone()), "{key:?} rests already");
                }
                Effect::WakeRendition(key) => assert!(self.resting.remove(key), "{key:?} does not rest"),
                Effect::StopRendition(key) => {
                    assert!(self.running.remove(key), "{key:?} does not run");
                    self.resting.remove(key);
                    self.fed.retain(|(_, fed)| fed != key);
                }
                Effect::Subscribe(peer, key) => {
                    self.subscribed.insert(*peer, key.clone());
                    if let Some(key) = key {
                        assert!(self.running.contains(key), "{key:?} is watched and does not run");
                        self.fed.insert((*peer, key.clone()));
                    }
                }
                Effect::Unsubscribe(peer, key) => {
                    self.fed.remove(&(*peer, key.clone()));
                }
                Effect::Show(scene) => self.shown.clone_from(scene),
                Effect::ProtectVoices(lossy) => {
                    assert_ne!(*lossy, self.protected, "as it was");
                    self.protected = *lossy;
                }
                Effect::End => self.ended = true,
                _ => {}
            }
        }
    }

    /// A peer that is gone takes with it what was its own.
    fn forget(&mut self, peer: PeerId) {
        self.subscribed.remove(&peer);
        self.fed.retain(|(id, _)| *id != peer);
    }

    /// What has to hold between any two steps.
    fn check(&self, room: &RoomState) {
        assert_eq!(self.ended, room.members.is_empty(), "the room is over when, and only when, nobody is in it");
        if self.ended {
            assert!(self.running.is_empty());
            return;
        }
        let canvas: Vec<PeerId> =
            room.members.iter().filter(|(_, member)| member.on_canvas()).map(|(peer, _)| *peer).collect();
        let shown: Vec<PeerId> = self.shown.iter().map(|(peer, _)| *peer).collect();
        assert_eq!(shown, canvas, "everybody on the canvas has one tile, in the order in which they joined");
        let tiles: Vec<Tile> = self.shown.iter().map(|(_, tile)| *tile).collect();
        assert_eq!(tiles, layout::grid(room.canvas, canvas.len()));

        let lossy = room.members.iter().any(|(_, member)| member.connected && member.lossy);
        assert_eq!(self.protected, lossy, "sound carries FEC as long as any line needs it");

        let mut needed = BTreeSet::new();
        for (peer, member) in room.members.iter().filter(|(_, member)| member.connected) {
            let given = member.given.clone();
            assert_eq!(self.subscribed.get(peer), Some(&given), "{peer} gets what it is to get");
            assert!(given.is_none() || room.wish(member).is_some(), "{peer} gets nothing if it wants nothing");
            assert!(given == room.wish(member) || room.due().is_some(), "{peer} gets what it wants, soon");
            if let Some(wish) = given {
                assert!(self.fed.contains(&(*peer, wish.clone())), "{peer} is fed with {wish:?}");
                needed.insert(wish);
                needed.extend(member.current.clone());
            }
        }
        let at_work: BTreeSet<_> = self.running.difference(&self.resting).cloned().collect();
        assert_eq!(at_work, needed, "who is needed is at work");
        assert!(self.resting.is_empty() || room.due().is_some_and(|due| due > self.now), "what rests is stopped soon");
        for (peer, key) in &self.fed {
            let member = room.member(*peer).unwrap();
            let used = member.given.as_ref() == Some(key) || member.current.as_ref() == Some(key);
            assert!(used, "{peer} is still fed with {key:?}");
        }
    }
}

fn addressee(effect: &Effect) -> Option<PeerId> {
    match effect {
        Effect::Subscribe(peer, _)
        | Effect::Unsubscribe(peer, _)
        | Effect::SetTile(peer, _)
        | Effect::MuteVoice(peer, _)
        | Effect::Tell(peer, _) => Some(*peer),
        _ => None,
    }
}

/// Whether a step of this kind can happen in this state: senders switch to nothing but what they were subscribed to, and
/// peers do not enter twice.
fn can_happen(room: &RoomState, step: &Step) -> bool {
    match step {
        Step::Admit(peer, _) => room.member(*peer).is_none(),
        Step::Entered(peer) => room.member(*peer).is_some(),
        Step::Input(Input::Peer(peer, PeerNotice::Switched(key))) => {
            room.member(*peer).is_some_and(|member| member.given.as_ref() == Some(key))
        }
        Step::Input(_) => true,
    }
}

/// A room with its first member, whom every room has from the start.
fn room(first: &Member) -> (RoomState, World) {
    let mut config = Config::default();
    config.limits.linger = 30;
    let mut room = RoomState::new(&config);
    room.admit(PeerId::from_bits(1), first.clone()).unwrap();
    (room, World::default())
}

fn take(room: &mut RoomState, world: &mut World, (pause, step): (Duration, Step)) -> bool {
    world.now += pause;
    while let Some(due) = room.due().filter(|due| *due <= world.now) {
        let effects = room.decide(due, Input::Tick);
        world.follow(room, &effects);
    }
    if world.ended || !can_happen(room, &step) {
        return false;
    }
    let effects = match step {
        Step::Admit(peer, member) => {
            room.admit(peer, *member).unwrap();
            Vec::new()
        }
        Step::Entered(peer) => room.entered(world.now, peer),
        Step::Input(input) => {
            let effects = room.decide(world.now, input.clone());
            if let Input::Peer(peer, PeerNotice::Gone(_)) = input {
                world.forget(peer);
            }
            effects
        }
    };
    world.follow(room, &effects);
    true
}

proptest! {
    #[test]
    fn the_world_is_always_as_the_members_need_it(first in member(), steps in steps()) {
        let (mut room, mut world) = room(&first);
        for step in steps {
            if take(&mut room, &mut world, step) {
                world.check(&room);
            }
        }
    }

    #[test]
    fn what_changes_nothing_has_no_effect(first in member(), steps in steps()) {
        let (mut room, mut world) = room(&first);
        for step in steps {
            take(&mut room, &mut world, step);
        }
        let mut effects = Vec::new();
        // Newly admitted members may be told, what had to wait is done, and what rests is stopped.
        for _ in 0..3 {
            effects.clear();
            world.now += Duration::from_secs(10);
            room.settle(world.now, &mut effects);
        }
        prop_assert!(effects.is_empty() , "{effects:?}");
        prop_assert_eq!(room.due(), None);
        let speaking = room.speaking.clone();
        let views = room.participants();
        for same in [
            Input::Speaking(speaking),
            Input::Mute(PeerId::from_bits(99), true),
            Input::Watch(PeerId::from_bits(99), Wanted::Audio),
            Input::Peer(PeerId::from_bits(99), PeerNotice::Connected),
            Input::Peer(PeerId::from_bits(99), PeerNotice::Gone(CloseReason::Left)),
        ] {
            let effects = room.decide(world.now, same.clone());
            prop_assert!(effects.is_empty(), "{same:?}: {effects:?}");
        }
        prop_assert_eq!(views, room.participants());
    }

    #[test]
    fn nobody_is_told_the_same_twice(first in member(), steps in steps()) {
        let (mut room, mut world) = room(&first);
        let mut told: BTreeMap<PeerId, Vec<ParticipantView>> = BTreeMap::new();
        for (pause, step) in steps {
            world.now += pause;
            if world.ended || !can_happen(&room, &step) {
                continue;
            }
            let effects = match step {
                Step::Admit(peer, member) => { room.admit(peer, *member).unwrap(); continue; }
                Step::Entered(_) => continue,
                Step::Input(input) => {
                    if let Input::Peer(peer, PeerNotice::Gone(_)) = &input {
                        told.remove(peer);
                        world.forget(*peer);
                    }
                    room.decide(world.now, input)
                }
            };
            world.follow(&room, &effects);
            for effect in effects {
                if let Effect::Tell(peer, Event::Speaking { speaking }) = &effect {
                    prop_assert!(told.contains_key(peer), "{peer} hears who speaks before it knows who is there");
                    prop_assert_eq!(speaking, &room.speaking);
                }
                if let Effect::Tell(peer, Event::Participants { participants, .. }) = effect {
                    told.insert(peer, participants);
                }
            }
        }
    }
}

/// A second of a room's time.
fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

#[test]
fn a_room_without_participants_waits_as_long_as_it_is_told() {
    let viewer = Member::new("Ada".to_owned(), Intent::View, Wanted::Auto);
    let (mut room, mut world) = room(&viewer);
    for (second, closes) in [(100, false), (129, false), (130, true)] {
        let effects = room.decide(at(second), Input::Tick);
        world.follow(&room, &effects);
        assert_eq!(effects.contains(&Effect::Close(PeerId::from_bits(1), CloseReason::RoomEnded)), closes, "{second}");
        assert_eq!(world.ended, closes, "whether the viewers' tasks still work or not");
    }
}

#[test]
fn a_participant_in_time_keeps_the_room() {
    let (mut room, _) = room(&Member::new("Ada".to_owned(), Intent::View, Wanted::Auto));
    let closes = |effects: Vec<Effect>| effects.iter().any(|effect| matches!(effect, Effect::Close(..)));
    assert!(!closes(room.decide(at(100), Input::Tick)));
    let late = PeerId::from_bits(2);
    room.admit(late, Member::new("Bo".to_owned(), Intent::Participate, Wanted::Auto)).unwrap();
    assert!(!closes(room.decide(at(200), Input::Tick)));
    room.decide(at(200), Input::Peer(late, PeerNotice::Gone(CloseReason::Left)));
    assert!(!closes(room.decide(at(210), Input::Tick)), "the wait begins anew");
    assert!(closes(room.decide(at(240), Input::Tick)));
}

#[test]
fn who_is_put_out_leaves_nothing_behind() {
    let mut room = rates::watching(2);
    let (gone, other) = (PeerId::from_bits(1), PeerId::from_bits(2));
    room.decide(at(1), Input::Speaking(vec![gone]));
    let effects = room.decide(at(2), Input::Peer(gone, PeerNotice::Gone(CloseReason::Removed)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Show(scene) if scene.len() == 1)), "{effects:?}");
    assert_eq!(room.participants().iter().map(|view| view.id).collect::<Vec<_>>(), [other]);
    // Its own last words, and the mixer's on it, come late.
    room.decide(at(3), Input::Speaking(vec![gone]));
    room.decide(at(3), Input::Peer(gone, PeerNotice::Connected));
    assert_eq!(room.decide(at(4), Input::Peer(gone, PeerNotice::Gone(CloseReason::Removed))), []);
    assert!(room.speaking().is_empty());
}

#[test]
fn sound_is_protected_as_long_as_any_line_is_lossy() {
    let member = |name: &str| Member::new(name.to_owned(), Intent::Participate, Wanted::Auto);
    let (ada, bo) = (PeerId::from_bits(1), PeerId::from_bits(2));
    let (mut room, _) = room(&member("Ada"));
    room.admit(bo, member("Bo")).unwrap();
    let mut changes = |peer, notice| {
        let protects = |effect| if let Effect::ProtectVoices(lossy) = effect { Some(lossy) } else { None };
        room.decide(Duration::ZERO, Input::Peer(peer, notice)).into_iter().find_map(protects)
    };
    changes(ada, PeerNotice::Connected);
    assert_eq!(changes(ada, PeerNotice::Lossy(true)), Some(true));
    assert_eq!(changes(bo, PeerNotice::Lossy(true)), None);
    assert_eq!(changes(ada, PeerNotice::Lossy(false)), Some(false), "the other is not connected");
    assert_eq!(changes(bo, PeerNotice::Connected), Some(true));
    assert_eq!(changes(bo, PeerNotice::Gone(CloseReason::Left)), Some(false));
}

#[test]
fn a_newcomer_gets_the_codec_that_is_encoded_whatever_others_send() {
    let member = |codec, receives_video, connected| Member {
        codec: Some(codec),
        receives_video,
        connected,
        ..Member::new("Ada".to_owned(), Intent::Participate, Wanted::Auto)
    };
    let (mut room, _) = room(&member(Codec::H264, false, true));
    let mut next = 2..;
    let mut admit = |room: &mut RoomState, member| room.admit(PeerId::from_bits(next.next().unwrap()), member).unwrap();
    let both = [Codec::Vp8, Codec::H264];
    assert_eq!(room.choose_codec(&both), Some(Codec::Vp8), "nothing is encoded: as the peer likes it");
    admit(&mut room, member(Codec::H264, true, false));
    assert_eq!(room.choose_codec(&both), Some(Codec::H264), "soon to be encoded");
    admit(&mut room, member(Codec::Vp8, true, true));
    admit(&mut room, member(Codec::H264, true, false));
    assert_eq!(room.choose_codec(&both), Some(Codec::Vp8), "encoded already");
    assert_eq!(room.choose_codec(&[Codec::H264]), Some(Codec::H264));
    assert_eq!(room.choose_codec(&[]), None);
}
