//! Senders whose clocks run fast or slow, with real Opus, over half an hour: no click, no gap, and a delay that stays.

use std::time::Duration;

use super::super::codec::Decoder;
use super::sound::{db, tone_frame};
use crate::pcm::{FRAME_DURATION, FRAME_SAMPLES, SAMPLE_RATE, SILENCE};
use crate::playout::{Playout, PlayoutCounters};

const TICKS: u64 = 30 * 60 * 50;
const HZ: f64 = 440.0;

/// What is left of 10 ms of a tone when the sine and cosine that fit best are taken out, in dB of the tone.
fn residual(sound: &[f32]) -> f64 {
    let step = std::f64::consts::TAU * HZ / f64::from(SAMPLE_RATE);
    let (mut ss, mut sc, mut cc, mut sx, mut cx, mut xx) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, &x) in sound.iter().enumerate() {
        let ((s, c), x) = ((step * n as f64).sin_cos(), f64::from(x));
        (ss, sc, cc, sx, cx, xx) = (ss + s * s, sc + s * c, cc + c * c, sx + s * x, cx + c * x, xx + x * x);
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((cc * sx - sc * cx) / determinant, (ss * cx - sc * sx) / determinant);
    let left = xx - a * sx - b * cx;
    db((left.max(0.0) / xx).sqrt())
}

struct Outcome {
    counters: PlayoutCounters,
    /// The worst 10 ms.
    residual: f64,
    /// Level of the loudest and the quietest 10 ms.
    levels: (f64, f64),
    longest: Duration,
}

fn half_an_hour(ppm: f64) -> Outcome {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Audio).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(48_000)).unwrap();
    encoder.set_complexity(0).unwrap();
    let (mut playout, mut decoder) = (Playout::new(), Decoder::new().unwrap());
    let mut sent = 0u64;
    let complete = |n: u64| Duration::from_secs_f64((n + 1) as f64 * 0.02 / (1.0 + ppm * 1e-6));
    let mut outcome = Outcome {
        counters: PlayoutCounters::default(),
        residual: f64::NEG_INFINITY,
        levels: (f64::NEG_INFINITY, f64::INFINITY),
        longest: Duration::ZERO,
    };
    for tick in 1..=TICKS {
        let now = FRAME_DURATION * tick as u32;
        while complete(sent) <= now {
            let frame = tone_frame(HZ, 0.3, sent as usize * FRAME_SAMPLES);
            let packet = encoder.encode_vec_float(&frame, 1275).unwrap();
            playout.push(complete(sent), sent as u16, (sent * FRAME_SAMPLES as u64) as u32, packet);
            sent += 1;
        }
        let mut frame = SILENCE;
        playout.pull(now, &mut decoder, &mut frame);
        if tick > 50 {
            for part in frame.chunks(480) {
                outcome.residual = outcome.residual.max(residual(part));
                let level = db(super::sound::rms(part) / 0.3 * 2.0f64.sqrt());
                outcome.levels = (outcome.levels.0.max(level), outcome.levels.1.min(level));
            }
            outcome.longest = outcome.longest.max(playout.delay(now));
        }
    }
    outcome.counters = playout.counters();
    outcome
}

#[test]
fn a_fast_clock_is_followed_for_half_an_hour() {
    check(200.0);
}

#[test]
fn a_slow_clock_is_followed_for_half_an_hour() {
    check(-200.0);
}

fn check(ppm: f64) {
    let Outcome { counters, residual, levels, longest } = half_an_hour(ppm);
    println!("{ppm} ppm: {counters:?}, residual {residual:.1} dB, levels {levels:.2?} dB, at most {longest:?}");
    assert_eq!((counters.concealed, counters.lost, counters.late, counters.dropped), (0, 0, 0, 0));
    let moved = counters.removed as f64 - counters.inserted as f64;
    let drifted = TICKS as f64 * FRAME_SAMPLES as f64 * ppm * 1e-6;
    assert!((moved - drifted).abs() < 960.0, "{moved} of {drifted} samples");
    // Opus alone leaves -51 dB; a click, or a gap of 1 ms, would be above -10 dB.
    assert!(residual < -30.0, "{residual:.1} dB");
    assert!(levels.0 < 0.5 && levels.1 > -0.5, "{levels:.2?} dB");
    assert!(longest <= Duration::from_millis(40), "{longest:?}");
}
