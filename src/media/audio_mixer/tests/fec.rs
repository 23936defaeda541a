//! FEC is in everybody's packets while the mix is protected, and in nobody's otherwise.

use bytes::Bytes;

use super::super::codec::carries_fec;
use super::super::encodes::{Encodes, Subscription};
use super::sound::{amplitude, db, tone_frame};
use crate::id::PeerId;
use crate::mix_minus::Sum;
use crate::pcm::{FRAME_SAMPLES, Frame};

const OTHER: PeerId = PeerId::from_bits(1);
const SPEAKER: PeerId = PeerId::from_bits(2);
const SILENT: PeerId = PeerId::from_bits(3);
/// Configurations from here on are of CELT alone, which has no FEC (RFC 6716, section 3.1).
const FIRST_CELT_CONFIG: u8 = 16;

/// A melody of 60 ms notes: what the first packet of one was cannot be guessed from the one before.
fn note(tick: usize) -> f64 {
    [400.0, 900.0, 600.0, 1_300.0][tick / 3 % 4]
}

fn melody(tick: usize) -> Frame {
    tone_frame(note(tick), 0.3, tick * FRAME_SAMPLES)
}

/// The packets of the shared encode and of one's own while the mix is protected at these ticks.
fn packets(ticks: usize, protected: impl Fn(usize) -> bool) -> [Vec<Bytes>; 2] {
    let mut encodes = Encodes::new(48_000);
    let (mut silent, mut speaker) = (Subscription::default(), Subscription::default());
    let mut sum = Sum::default();
    let mut packets = [Vec::new(), Vec::new()];
    for tick in 0..ticks {
        sum.clear();
        sum.add(OTHER, &melody(tick));
        sum.add(SPEAKER, &tone_frame(2_000.0, 0.001, tick * FRAME_SAMPLES));
        encodes.protect(protected(tick));
        let listeners = vec![(SILENT, &mut silent), (SPEAKER, &mut speaker)];
        encodes.tick(&sum, listeners, |place, packet| packets[place].push(packet));
    }
    assert!(speaker.is_own() && !silent.is_own());
    packets
}

/// What a decoder makes of the beginning of each note if its first packet is lost and the second there: how loud is the
/// note, and how loud the one before, in the last 10 ms of the 20 and in dB of what was said.
fn recovered(packets: &[Bytes]) -> Vec<(f64, f64)> {
    let mut heard = Vec::new();
    for lost in (30..packets.len() - 3).step_by(3) {
        let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
        let mut out = [0.0; FRAME_SAMPLES];
        for packet in &packets[lost - 30..lost] {
            decoder.decode_float(packet, &mut out, false).unwrap();
        }
        decoder.decode_float(&packets[lost + 1], &mut out, true).unwrap();
        let level = |hz| db(amplitude(&out[480..], hz) / 0.3);
        heard.push((level(note(lost)), level(note(lost - 1))));
    }
    heard
}

#[test]
fn a_lost_packet_is_in_the_next_one_of_a_protected_mix() {
    for packets in packets(150, |_| true) {
        assert!(packets[1..].iter().all(|packet| carries_fec(packet)));
        for (note, before) in recovered(&packets) {
            assert!(note.abs() < 4.0 && before < -20.0, "{note:.1} dB, the note before {before:.1} dB");
        }
    }
}

#[test]
fn an_unprotected_mix_spends_nothing_on_fec() {
    for packets in packets(150, |_| false) {
        assert!(packets.iter().all(|packet| packet[0] >> 3 >= FIRST_CELT_CONFIG));
        for (note, before) in recovered(&packets) {
            assert!(note < -40.0 && before.abs() < 4.0, "{note:.1} dB, the note before {before:.1} dB");
        }
    }
}

#[test]
fn protection_begins_and_ends_with_a_tick() {
    for packets in packets(300, |tick| (100..200).contains(&tick)) {
        // A packet's FEC is of the one before, which the speech layer must have encoded; a change of layers takes one
        // more packet on its way back.
        let with: Vec<usize> = (0..300).filter(|&tick| carries_fec(&packets[tick])).collect();
        assert!(with == (101..200).collect::<Vec<_>>() || with == (101..201).collect::<Vec<_>>(), "{with:?}");
        assert!(packets[201..].iter().all(|packet| packet[0] >> 3 >= FIRST_CELT_CONFIG));
    }
}
