//! A full room: 25 voices that come and go.

use std::time::Duration;

use super::room::{Ear, Room, Sender};
use super::sound::{amplitude, db, tone_frame};
use crate::id::PeerId;
use crate::media::audio_mixer::AudioEvent;
use crate::pcm::FRAME_SAMPLES;

fn peer(n: usize) -> PeerId {
    PeerId::from_bits(n as u64)
}

/// Not 50 Hz apart: the error of an encode repeats with its frames.
fn hz(n: usize) -> f64 {
    300.0 + 67.0 * n as f64
}

#[test]
fn everybody_hears_everybody_else_and_not_himself() {
    const PEERS: usize = 4;
    let mut room = Room::new();
    let mut peers: Vec<(Sender, Ear)> =
        (0..PEERS).map(|n| (Sender::join(&mut room, peer(n)), Ear::join(&mut room, peer(n)))).collect();
    let mut silent = Ear::join(&mut room, peer(99));
    for tick in 0..150 {
        for (n, (sender, _)) in peers.iter_mut().enumerate() {
            let packet = sender.say(&tone_frame(hz(n), 0.15, tick * FRAME_SAMPLES));
            sender.send(room.now + Duration::from_millis(4), packet);
        }
        room.tick();
    }
    assert_eq!(room.mixing.view().encoders, PEERS + 1);
    assert_eq!(room.mixing.view().speaking, (0..PEERS).map(peer).collect::<Vec<_>>());
    let everything = silent.hear();
    for (n, (_, ear)) in peers.iter_mut().enumerate() {
        assert!(db(amplitude(&everything[48_000..], hz(n)) / 0.15).abs() < 3.0, "{n}");
        let heard = ear.hear();
        for other in 0..PEERS {
            let level = db(amplitude(&heard[48_000..], hz(other)) / 0.15);
            assert!(if other == n { level < -40.0 } else { level.abs() < 3.0 }, "{n} hears {other} at {level:.1} dB");
        }
    }
}

#[test]
fn the_silent_share_one_encode() {
    let mut room = Room::new();
    let mut sender = Sender::join(&mut room, peer(0));
    let mut ears: Vec<Ear> = (0..50).map(|n| Ear::join(&mut room, peer(n))).collect();
    for tick in 0..50 {
        let packet = sender.say(&tone_frame(440.0, 0.3, tick * FRAME_SAMPLES));
        sender.send(room.now, packet);
        room.tick();
    }
    assert_eq!(room.mixing.view().encoders, 2);
    let all: Vec<_> = ears.iter_mut().map(Ear::packets).collect();
    for other in &all[2..] {
        assert!(other.iter().zip(&all[1]).all(|(a, b)| a.data.as_ptr() == b.data.as_ptr()), "not even copied");
    }
    drop(ears);
    room.tick();
    assert_eq!(room.mixing.view().encoders, 0);
}

#[test]
fn joins_and_leaves_leave_nothing_behind_and_disturb_nobody() {
    let mut room = Room::new();
    let mut steady = Sender::join(&mut room, peer(1000));
    let mut ear = Ear::join(&mut room, peer(1001));
    let mut others: Vec<(usize, Sender, Ear)> = Vec::new();
    let mut heard = Vec::new();
    for tick in 0..600 {
        let packet = steady.say(&tone_frame(440.0, 0.1, tick * FRAME_SAMPLES));
        steady.send(room.now, packet);
        if tick % 3 == 0 && tick < 500 {
            others.push((tick, Sender::join(&mut room, peer(tick)), Ear::join(&mut room, peer(tick))));
        }
        if others.len() > 24 || tick >= 500 && !others.is_empty() {
            others.remove(tick % others.len());
        }
        for (n, sender, ear) in &mut others {
            let packet = sender.say(&tone_frame(2_000.0 + *n as f64, 0.02, tick * FRAME_SAMPLES));
            sender.send(room.now, packet);
            ear.packets();
        }
        room.tick();
        heard.extend(ear.hear());
    }
    let view = room.mixing.view();
    assert_eq!((view.voices.len(), view.listeners, view.encoders), (1, 1, 1));
    assert_eq!((view.voices[0].playout.concealed, view.voices[0].playout.splices), (0, 0));
    for second in heard[48_000..].chunks_exact(48_000) {
        assert!(db(amplitude(second, 440.0) / 0.1).abs() < 3.0);
    }
    let is_live = |event: &&AudioEvent| matches!(event, AudioEvent::VoiceLive(_, true));
    let is_gone = |event: &&AudioEvent| matches!(event, AudioEvent::VoiceLive(_, false));
    assert_eq!(room.events.iter().filter(is_live).count(), room.events.iter().filter(is_gone).count() + 1);
    drop((steady, ear));
    room.tick();
    assert!(room.mixing.is_idle());
}

#[test]
fn a_muted_voice_is_not_heard_and_does_not_speak() {
    let mut room = Room::new();
    let mut sender = Sender::join(&mut room, peer(0));
    let mut ear = Ear::join(&mut room, peer(1));
    for tick in 0..200 {
        if tick == 100 {
            ear.hear();
            room.mixing.set_muted(peer(0), true);
        }
        let packet = sender.say(&tone_frame(440.0, 0.3, tick * FRAME_SAMPLES));
        sender.send(room.now, packet);
        room.tick();
    }
    let heard = ear.hear();
    let level = db(amplitude(&heard[5 * FRAME_SAMPLES..], 440.0) / 0.3);
    assert!(level < -80.0, "{level:.1} dB");
    assert!(room.mixing.view().speaking.is_empty());
}
