//! The voices of a room: the audio mixer, fed with packets as they come off the RTP.

use std::time::Duration;

use opus::{Application, Bitrate, Channels};
use tessera::config;
use tessera::id::PeerId;
use tessera::media::{AudioMixer, RoomClock};
use tessera::probe::SAMPLE_RATE;
use tessera::probe::tone::{Speech, Voice, frequency};

use super::pace;
use crate::crowd;
use crate::failure::Failure;

const PIECE: Duration = Duration::from_millis(20);
const PIECE_SAMPLES: u32 = SAMPLE_RATE / 50;
/// Tones repeat after a second.
const PIECES: u64 = 50;

/// The Opus packets of the bot with this index, of one second.
pub fn packets(index: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let mut encoder = opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(32_000))?;
    let voice = Voice { frequency: frequency(index), amplitude: 0.25, speech: Speech::Always };
    (0..PIECES)
        .map(|number| {
            let mut samples = [0.0; PIECE_SAMPLES as usize];
            voice.fill(number * u64::from(PIECE_SAMPLES), &mut samples);
            Ok(encoder.encode_vec_float(&samples, 1500)?)
        })
        .collect()
}

pub fn run(participants: usize) -> Result<(), Failure> {
    let clock = RoomClock::start();
    let mixer = AudioMixer::start(&crowd::room(), &config::Audio::default(), move || clock.now(), |_| {})?;
    let mut voices = Vec::new();
    let mut listeners = Vec::new();
    for index in 0..participants {
        let peer = PeerId::from_bits(index as u64);
        voices.push((mixer.add_voice(peer), packets(index)?));
        listeners.push(mixer.add_listener(peer, drop));
    }
    pace::every(PIECE, move |number| {
        for (voice, packets) in &voices {
            let timestamp = (number as u32).wrapping_mul(PIECE_SAMPLES);
            voice.push(number as u16, timestamp, &packets[number as usize % packets.len()]);
        }
    })?;
    super::ready()?;
    drop(listeners);
    Ok(())
}
