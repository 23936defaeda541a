//! Senders of two channels: nothing of them is lost in the mono mix, whatever they have in which channel.

use std::time::Duration;

use super::room::{Ear, Room};
use super::sound::{amplitude, db, tone};
use crate::id::PeerId;
use crate::media::audio_mixer::codec::Decoder;
use crate::media::audio_mixer::inbox::{Arrival, Inbox};
use crate::pcm::FRAME_SAMPLES;
use crate::playout::Decode;

const AMPLITUDE: f64 = 0.25;

/// Packets of 20 ms, whose frame `n` has these channels.
fn packets(count: usize, channels: opus::Channels, mut frame: impl FnMut(usize) -> [f32; 2]) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Stereo, opus::Application::Audio).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(96_000)).unwrap();
    encoder.set_force_channels(Some(channels)).unwrap();
    let mut packet = |at: usize| {
        let stereo: Vec<f32> = (0..FRAME_SAMPLES).flat_map(|n| frame(at * FRAME_SAMPLES + n)).collect();
        encoder.encode_vec_float(&stereo, 1275).unwrap()
    };
    (0..count).map(&mut packet).collect()
}

/// What a listener hears of one voice that sends these.
fn heard(packets: Vec<Vec<u8>>) -> Vec<f32> {
    let mut room = Room::new();
    let inbox = std::sync::Arc::new(Inbox::default());
    room.mixing.add_voice(PeerId::from_bits(1), inbox.clone()).unwrap();
    let mut ear = Ear::join(&mut room, PeerId::from_bits(2));
    let mut heard = Vec::new();
    for (number, payload) in (0u16..).zip(packets) {
        let at = room.now + Duration::from_millis(5);
        inbox.put(Arrival { at, seq: number, timestamp: u32::from(number) * FRAME_SAMPLES as u32, payload });
        room.tick();
        heard.extend(ear.hear());
    }
    heard
}

#[test]
fn a_voice_in_one_channel_or_in_antiphase_is_as_loud_as_one_in_both() {
    for hz in [200.0, 1_000.0, 3_000.0] {
        for [left, right] in [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [-0.5, 1.0]] {
            let sent = packets(60, opus::Channels::Stereo, |n| {
                let sample = tone(hz, AMPLITUDE, n);
                [left * sample, right * sample]
            });
            let lost = db(AMPLITUDE / amplitude(&heard(sent)[24_000..48_000], hz));
            assert!(lost.abs() < 1.0, "{hz} Hz in ({left}, {right}): {lost} dB");
        }
    }
}

#[test]
fn a_decoder_of_two_channels_takes_over_without_a_click() {
    let (mono, stereo) = (opus::Channels::Mono, opus::Channels::Stereo);
    let frame = |n| [tone(400.0, AMPLITUDE, n); 2];
    let mut encoder = opus::Encoder::new(48_000, stereo, opus::Application::Audio).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(96_000)).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut sound = Vec::new();
    for at in 0..100 {
        encoder.set_force_channels(Some(if (40..70).contains(&at) { stereo } else { mono })).unwrap();
        let samples: Vec<f32> = (0..FRAME_SAMPLES).flat_map(|n| frame(at * FRAME_SAMPLES + n)).collect();
        let packet = encoder.encode_vec_float(&samples, 1275).unwrap();
        let mut out = [0.0; FRAME_SAMPLES];
        assert_eq!(decoder.decode(&packet, &mut out), Some(FRAME_SAMPLES));
        sound.extend_from_slice(&out);
    }
    let steepest = sound[4_800..].windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    assert!(steepest < 0.0131 * 1.2, "{steepest}, of which the tone itself has 0.0131");
    for part in sound[4_800..].chunks_exact(FRAME_SAMPLES) {
        let lost = db(AMPLITUDE / amplitude(part, 400.0));
        assert!(lost.abs() < 2.0, "{lost} dB");
    }
}

#[test]
fn one_channel_passes_as_opus_decodes_it() {
    let mut plain = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let mut decoder = Decoder::new().unwrap();
    for packet in packets(50, opus::Channels::Mono, |n| [tone(440.0, AMPLITUDE, n); 2]) {
        let (mut expected, mut out) = ([0.0; FRAME_SAMPLES], [0.0; FRAME_SAMPLES]);
        plain.decode_float(&packet, &mut expected, false).unwrap();
        decoder.decode(&packet, &mut out);
        assert_eq!(out, expected);
    }
}

/// What is lost or broken is made up of two channels as of one.
#[test]
fn losses_and_garbage_of_two_channels_are_concealed() {
    let mut decoder = Decoder::new().unwrap();
    let sent = packets(60, opus::Channels::Stereo, |n| [tone(440.0, AMPLITUDE, n), -tone(440.0, AMPLITUDE, n)]);
    for (n, packet) in sent.iter().enumerate() {
        let mut out = [0.0; FRAME_SAMPLES];
        match n % 10 {
            3 => decoder.conceal(&mut out[..480]),
            6 => drop(decoder.recover(packet, &mut out)),
            7 => drop(decoder.decode(&packet[..packet.len() / 2], &mut out)),
            8 => assert_eq!(decoder.decode(&[4, 1, 2], &mut out[..100]), None, "longer than there is room"),
            _ => assert_eq!(decoder.decode(packet, &mut out), Some(FRAME_SAMPLES)),
        }
        assert!(out.iter().all(|x| x.is_finite() && x.abs() <= 2.0));
    }
}
