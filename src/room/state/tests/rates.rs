//! How often a room tells, switches and starts something, whatever its members do.

use super::*;

/// A room of members that receive VP8, with these numbers, all connected.
pub(super) fn watching(count: u64) -> RoomState {
    let member = |number| {
        let mut member = Member::new(format!("{number}"), Intent::Participate, Wanted::Named("high".to_owned()));
        (member.codec, member.receives, member.receives_video) = (Some(Codec::Vp8), true, true);
        member
    };
    let (mut room, _) = room(&member(1));
    for number in 1..=count {
        if number > 1 {
            room.admit(PeerId::from_bits(number), member(number)).unwrap();
        }
        room.decide(Duration::ZERO, Input::Peer(PeerId::from_bits(number), PeerNotice::Connected));
    }
    live(&mut room, []);
    room
}

/// Lets inputs happen at their times, and what is due in between and after them; all effects, with their times.
fn live(room: &mut RoomState, inputs: impl IntoIterator<Item = (Duration, Input)>) -> Vec<(Duration, Effect)> {
    let mut effects = Vec::new();
    let mut decide = |room: &mut RoomState, now, input| {
        effects.extend(room.decide(now, input).into_iter().map(|effect| (now, effect)));
    };
    for (now, input) in inputs {
        while let Some(due) = room.due().filter(|due| *due < now) {
            decide(room, due, Input::Tick);
        }
        decide(room, now, input);
    }
    while let Some(due) = room.due() {
        decide(room, due, Input::Tick);
    }
    effects
}

fn every(pause_ms: u64, until: Duration) -> impl Iterator<Item = Duration> {
    (0..).map(move |number| Duration::from_millis(1_000 + number * pause_ms)).take_while(move |now| *now < until)
}

#[test]
fn a_flood_of_states_is_told_at_a_bounded_rate_and_the_newest_wins() {
    let mut room = watching(3);
    let (noisy, other) = (PeerId::from_bits(1), PeerId::from_bits(2));
    let flood = every(4, at(13)).enumerate().flat_map(|(number, now)| {
        let size = u32::try_from(number).unwrap();
        [
            (now, Input::Mute(noisy, number % 2 == 0)),
            (now, Input::Peer(noisy, PeerNotice::Picture { width: size, height: size })),
            (now, Input::Speaking(if number % 3 == 0 { vec![noisy] } else { Vec::new() })),
        ]
    });
    let effects = live(&mut room, flood);
    let told: Vec<_> = effects
        .iter()
        .filter_map(|(now, effect)| match effect {
            Effect::Tell(peer, Event::Participants { participants, .. }) if *peer == other => Some((now, participants)),
            _ => None,
        })
        .collect();
    assert!((40..=63).contains(&told.len()), "told {} times in 12 s", told.len());
    assert_eq!(*told[0].0, Duration::from_secs(1), "at once, after a quiet moment");
    let lasting = |views: &[ParticipantView]| -> Vec<ParticipantView> {
        views.iter().map(|view| ParticipantView { speaking: false, ..view.clone() }).collect()
    };
    assert_eq!(lasting(told.last().unwrap().1), lasting(&room.participants()), "in the end all know what is");
    let speaking =
        effects.iter().filter(|(_, it)| matches!(it, Effect::Tell(peer, Event::Speaking { .. }) if *peer == other));
    assert!(speaking.count() <= 63);
    let shown = effects.iter().filter(|(_, effect)| matches!(effect, Effect::Show(_))).count();
    assert!(shown <= 63, "labels are drawn {shown} times");
    let mutes = effects.iter().filter(|(_, effect)| matches!(effect, Effect::MuteVoice(..))).count();
    assert!(mutes > 2_500, "what is heard changes at once");
}

#[test]
fn who_flaps_between_renditions_gets_the_newest_now_and_then() {
    let mut room = watching(2);
    let flapper = PeerId::from_bits(1);
    let names = ["low", "high", "medium"];
    let wishes = every(20, at(21))
        .enumerate()
        .map(|(number, now)| (now, Input::Watch(flapper, Wanted::Named(names[number % names.len()].to_owned()))));
    let effects = live(&mut room, wishes.chain([(at(21), Input::Watch(flapper, Wanted::Named("low".to_owned())))]));
    let count = |is: fn(&Effect) -> bool| effects.iter().filter(|(_, effect)| is(effect)).count();
    let switches = count(|effect| matches!(effect, Effect::Subscribe(..)));
    assert!((8..=15).contains(&switches), "{switches} switches in 20 s");
    assert!(count(|effect| matches!(effect, Effect::StartRendition(_))) <= switches);
    let low = RenditionKey { codec: Codec::Vp8, name: "low".to_owned(), single_nal: false };
    assert_eq!(room.member(flapper).unwrap().given, Some(low), "the last wish is granted");
    assert_eq!(room.due(), None);
}

#[test]
fn who_comes_and_goes_finds_its_encoder_running() {
    let mut room = watching(1);
    let viewer = PeerId::from_bits(1);
    let wishes = every(500, at(61)).enumerate().map(|(number, now)| {
        (now, Input::Watch(viewer, if number % 2 == 0 { Wanted::Audio } else { Wanted::Named("high".to_owned()) }))
    });
    let effects = live(&mut room, wishes.chain([(at(61), Input::Watch(viewer, Wanted::Audio))]));
    let count = |is: fn(&Effect) -> bool| effects.iter().filter(|(_, effect)| is(effect)).count();
    assert_eq!(count(|effect| matches!(effect, Effect::StartRendition(_))), 0);
    let (rests, wakes) = (
        count(|effect| matches!(effect, Effect::RestRendition(_))),
        count(|effect| matches!(effect, Effect::WakeRendition(_))),
    );
    assert!(wakes > 20 && rests == wakes + 1, "{rests} rests, {wakes} wakes");
    let stopped = effects.iter().filter(|(_, effect)| matches!(effect, Effect::StopRendition(_))).collect::<Vec<_>>();
    assert!(stopped.len() == 1 && stopped[0].0 > at(63), "{stopped:?}");
}
