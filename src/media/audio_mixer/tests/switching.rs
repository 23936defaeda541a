//! A listener is moved between the shared and its own encode without hearing it.

use crate::id::PeerId;
use crate::mix_minus::{Strip, Sum};
use crate::pcm::{FRAME_SAMPLES, Frame, SILENCE};

use super::super::encodes::{Encodes, Subscription};
use super::sound::{Speech, amplitude, db, rms, tone_frame};

const BITRATE: u32 = 48_000;
const OTHER: PeerId = PeerId::from_bits(1);
const LISTENER: PeerId = PeerId::from_bits(2);
const BYSTANDER: PeerId = PeerId::from_bits(3);
const OWN_HZ: f64 = 1_000.0;
/// The least that a decoder's output is late by: what its encoder looks ahead.
const LOOKAHEAD: usize = 300;
const TICKS: usize = 3_000;
const FIRST_WORD: usize = 100;

/// What one listener hears in a room of one who always speaks.
struct Run {
    /// What it should hear, aligned with what it heard.
    wanted: Vec<f32>,
    heard: Vec<f32>,
    /// Ticks at which it changed between the encodes.
    switches: Vec<usize>,
}

/// `speaks` says at which ticks the listener's own tone sounds.
fn run(mut other: impl FnMut(usize) -> Frame, speaks: impl Fn(usize) -> bool, bystander: bool, lossy: bool) -> Run {
    let mut encodes = Encodes::new(BITRATE);
    encodes.protect(lossy);
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let (mut listener, mut third) = (Subscription::default(), Subscription::default());
    let mut strip = Strip::new(-60.0);
    let mut sum = Sum::default();
    let (mut wanted, mut heard, mut switches) = (vec![0.0; LOOKAHEAD], Vec::new(), Vec::new());
    let mut owned = false;
    for tick in 0..TICKS {
        sum.clear();
        let sound = other(tick);
        wanted.extend_from_slice(&sound);
        sum.add(OTHER, &sound);
        let mut own = if speaks(tick) { tone_frame(OWN_HZ, 0.3, tick * FRAME_SAMPLES) } else { SILENCE };
        if strip.process(&mut own) {
            sum.add(LISTENER, &own);
        }
        let mut listeners = vec![(LISTENER, &mut listener)];
        if bystander {
            listeners.push((BYSTANDER, &mut third));
        }
        let mut packet = None;
        encodes.tick(&sum, listeners, |place, data| {
            if place == 0 {
                packet = Some(data);
            }
        });
        if listener.is_own() != owned {
            owned = !owned;
            switches.push(tick);
        }
        let mut out = [0.0; FRAME_SAMPLES];
        let samples = decoder.decode_float(&packet.expect("one each tick"), &mut out, false).unwrap();
        assert_eq!(samples, FRAME_SAMPLES);
        heard.extend_from_slice(&out);
    }
    wanted.truncate(heard.len());
    Run { wanted, heard, switches }
}

/// Of the errors in each 5 ms of the 120 ms around the switches: the greatest, and the mean in dB, over what should be
/// heard there.
fn error_around(run: &Run, switches: &[usize], lag: usize) -> (f64, f64) {
    let mut all = Vec::new();
    for &tick in switches {
        let from = (tick - 1) * FRAME_SAMPLES;
        let range = from..from + 6 * FRAME_SAMPLES;
        let wanted = &run.wanted[range.start - lag..range.end - lag];
        let error: Vec<f32> = run.heard[range.clone()].iter().zip(wanted).map(|(a, b)| a - b).collect();
        let level = rms(wanted);
        all.extend(error.chunks(240).map(|part| db(rms(part) / level)));
    }
    let greatest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (greatest, all.iter().sum::<f64>() / all.len() as f64)
}

/// Words of 1.2 s with 1.9 s between them, at a period that does not divide the other's.
fn words(tick: usize) -> bool {
    tick >= FIRST_WORD && (tick - FIRST_WORD) % 157 < 61
}

/// Errors below this, in dB of the sound, are not heard, as those of Opus itself are often greater.
const INAUDIBLE: f64 = -36.0;

/// The greatest and the mean error of a run that switches, over those of one that does not.
fn excess(other: impl Fn() -> Box<dyn FnMut(usize) -> Frame>, bystander: bool, lossy: bool) -> (f64, f64) {
    let switched = run(other(), words, bystander, lossy);
    let control = run(other(), |_| false, bystander, lossy);
    assert!(control.switches.is_empty());
    assert!(switched.switches.len() > 30, "{:?}", switched.switches);
    let mean = |lag| error_around(&control, &switched.switches, lag).1;
    let lag = (0..24).min_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap();
    let (with, without) =
        (error_around(&switched, &switched.switches, lag), error_around(&control, &switched.switches, lag));
    println!("greatest and mean error in dB: {with:.1?} switched, {without:.1?} not");
    (with.0.max(INAUDIBLE) - without.0.max(INAUDIBLE), with.1.max(INAUDIBLE) - without.1.max(INAUDIBLE))
}

fn speech() -> Box<dyn FnMut(usize) -> Frame> {
    let mut speech = Speech::default();
    Box::new(move |_| speech.frame())
}

fn tone(hz: f64) -> Box<dyn FnMut(usize) -> Frame> {
    Box::new(move |tick| tone_frame(hz, 0.3, tick * FRAME_SAMPLES))
}

#[test]
fn whoever_listens_alone_takes_the_encoder_along_and_hears_nothing_of_it() {
    for lossy in [false, true] {
        assert_eq!(excess(speech, false, lossy), (0.0, 0.0));
        assert_eq!(excess(|| tone(440.0), false, lossy), (0.0, 0.0));
    }
}

#[test]
fn speech_goes_on_when_one_of_several_listeners_changes_its_encode() {
    // Unprotected, what two encoders make of a sound varies by as much from frame to frame. The speech layer is not as
    // forgiving, and heard only on lines that lose more than that.
    for (lossy, most, most_on_average) in [(false, 1.5, 0.5), (true, 3.0, 1.5)] {
        let (greatest, mean) = excess(speech, true, lossy);
        assert!(greatest < most && mean < most_on_average, "protected {lossy}: {greatest:.1} dB, {mean:.1} dB");
    }
}

/// The hardest case: each encoder predicts nearly all of a pure tone from what it encoded before.
#[test]
fn a_tone_goes_on_when_one_of_several_listeners_changes_its_encode() {
    for hz in [250.0, 440.0, 600.0, 997.0, 1_310.0, 3_000.0, 6_100.0, 9_000.0] {
        let (greatest, mean) = excess(|| tone(hz), true, false);
        assert!(greatest < 1.5 && mean < 0.5, "{hz} Hz: {greatest:.1} dB, {mean:.1} dB");
    }
    for (hz, most) in [(440.0, 12.0), (997.0, 9.0), (3_000.0, 3.0)] {
        let (greatest, mean) = excess(|| tone(hz), true, true);
        assert!(greatest < most && mean < 3.0, "{hz} Hz, protected: {greatest:.1} dB, {mean:.1} dB");
    }
}

#[test]
fn the_own_voice_is_absent() {
    for bystander in [false, true] {
        let run = run(|tick| tone_frame(440.0, 0.3, tick * FRAME_SAMPLES), words, bystander, false);
        for word in 0..10 {
            let from = (FIRST_WORD + word * 157) * FRAME_SAMPLES;
            let said = &run.heard[from..from + 61 * FRAME_SAMPLES];
            let own = db(amplitude(said, OWN_HZ) / amplitude(said, 440.0));
            assert!(own < -60.0, "{own:.1} dB");
        }
    }
}
