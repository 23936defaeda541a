use proptest::prelude::*;

use super::*;
use crate::pcm::{FLOOR_DBFS, SILENCE, level_dbfs};

fn frame() -> impl Strategy<Value = Frame> {
    // A tone, noise or nothing, of any loudness that a decoder lets through.
    (0.0f32..2.0, 0.0f32..3.0, any::<u32>(), 0.0f32..1.0).prop_map(|(loudness, step, seed, share)| {
        let mut state = seed;
        std::array::from_fn(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = state as f32 / (u32::MAX / 2) as f32 - 1.0;
            loudness * (share * (step * n as f32).sin() + (1.0 - share) * noise)
        })
    })
}

fn tone(amplitude: f32, hz: f32) -> Frame {
    std::array::from_fn(|n| amplitude * (std::f32::consts::TAU * hz * n as f32 / 48_000.0).sin())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn minus_is_the_sum_of_all_others(voices in prop::collection::vec(frame(), 0..26)) {
        let mut sum = Sum::default();
        for (id, voice) in voices.iter().enumerate() {
            sum.add(id, voice);
        }
        for listener in 0..=voices.len() {
            let minus = sum.minus(listener);
            for n in 0..FRAME_SAMPLES {
                let others: f64 =
                    (0..voices.len()).filter(|&id| id != listener).map(|id| f64::from(voices[id][n])).sum();
                // To the rounding of the result itself: a sum of 25 voices may be as large as 50.
                let tolerance = 1e-6 * others.abs().max(1.0);
                prop_assert!((f64::from(minus[n]) - others).abs() <= tolerance, "{} {}", minus[n], others);
            }
        }
        prop_assert_eq!(sum.minus(voices.len()), sum.full(), "who adds nothing hears the full mix, bit for bit");
    }

    #[test]
    fn ones_own_voice_alone_leaves_exact_silence(voice in frame()) {
        let mut sum = Sum::default();
        sum.add(1, &voice);
        prop_assert_eq!(sum.minus(1), SILENCE);
    }

    #[test]
    fn a_limited_mix_stays_within_full_scale(frames in prop::collection::vec((frame(), 0.0f32..25.0), 1..20)) {
        let mut limiter = Limiter::default();
        for (mut frame, gain) in frames {
            frame.iter_mut().for_each(|x| *x *= gain);
            limiter.process(&mut frame);
            prop_assert!(frame.iter().all(|x| x.abs() <= 1.0));
        }
    }

    #[test]
    fn limiters_that_get_the_same_become_the_same(
        before in prop::collection::vec((frame(), 0.0f32..25.0), 0..10),
        after in prop::collection::vec((frame(), 0.0f32..3.0), SETTLED_TICKS as usize..20),
    ) {
        let (mut one, mut other) = (Limiter::default(), Limiter::default());
        for (mut frame, gain) in before {
            frame.iter_mut().for_each(|x| *x *= gain);
            one.process(&mut frame);
        }
        for (n, (frame, gain)) in after.into_iter().enumerate() {
            let mut heard = [frame.map(|x| x * gain); 2];
            one.process(&mut heard[0]);
            other.process(&mut heard[1]);
            if n >= SETTLED_TICKS as usize - 1 {
                for (a, b) in heard[0].iter().zip(&heard[1]) {
                    prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
                }
            }
        }
    }

    /// Whatever the gate and mute do, a steady sound never jumps: its gain moves by at most a step of the 2.5 ms ramp.
    #[test]
    fn no_ramp_has_a_step(events in prop::collection::vec((any::<bool>(), any::<bool>(), 1usize..60), 1..20)) {
        let mut strip = Strip::new(-60.0);
        let mut last = 0.0f32;
        for (loud, muted, ticks) in events {
            strip.set_muted(muted);
            for _ in 0..ticks {
                // Constant, so that each output sample is the gain itself; the quiet one is under the gate.
                let level = if loud { 0.5f32 } else { 0.0005 };
                let mut frame = [level; FRAME_SAMPLES];
                let gains = if strip.process(&mut frame) { frame.map(|x| x / level) } else { SILENCE };
                for gain in gains {
                    prop_assert!((gain - last).abs() <= 1.0 / 119.0, "{last} to {gain}");
                    last = gain;
                }
            }
        }
    }
}

#[test]
fn within_full_scale_a_mix_passes_bit_for_bit() {
    let loud = tone(1.0, 440.0);
    let mut frame = loud;
    Limiter::default().process(&mut frame);
    assert_eq!(frame, loud);
}

#[test]
fn a_mix_that_is_too_loud_is_turned_down_rather_than_cut() {
    let mut limiter = Limiter::default();
    for n in 0..10 {
        let mut frame: Frame = std::array::from_fn(|i| 3.0 * (0.05 * (n * FRAME_SAMPLES + i) as f32).sin());
        limiter.process(&mut frame);
        let cut = frame.windows(2).filter(|w| w[0].abs() == 1.0 && w[0] == w[1]).count();
        assert!(n == 0 || cut == 0, "{cut} samples were cut in frame {n}");
    }
}

#[test]
fn a_silent_voice_is_not_mixed_at_all() {
    let mut strip = Strip::new(-60.0);
    let mut frame = tone(0.0005, 440.0);
    assert!(level_dbfs(&frame) < -60.0 && level_dbfs(&frame) > FLOOR_DBFS);
    assert!(!strip.process(&mut frame));
}

#[test]
fn an_onset_is_heard_but_for_the_first_2_5_ms_of_its_frame() {
    let said = tone(0.3, 440.0);
    let mut frame = said;
    assert!(Strip::new(-60.0).process(&mut frame));
    assert_eq!(frame[120..], said[120..]);

    let mut at_the_end = SILENCE;
    at_the_end[FRAME_SAMPLES - 96..].copy_from_slice(&said[..96]);
    let mut frame = at_the_end;
    assert!(Strip::new(-60.0).process(&mut frame), "2 ms of speech open the gate");
    assert_eq!(frame, at_the_end);
}

#[test]
fn the_gate_holds_a_second_and_closes_over_10_ms() {
    let mut strip = Strip::new(-60.0);
    assert!(strip.process(&mut tone(0.3, 440.0)));
    let quiet = [0.0005; FRAME_SAMPLES];
    for tick in 1..50 {
        let mut frame = quiet;
        assert!(strip.process(&mut frame));
        assert_eq!(frame, quiet, "tick {tick}");
    }
    let mut frame = quiet;
    assert!(strip.process(&mut frame));
    assert!(frame[..470].iter().all(|&x| x > 0.0) && frame[480..] == SILENCE[480..]);
    assert!(!strip.process(&mut quiet.clone()), "from here on nothing is mixed");
}

#[test]
fn mute_takes_10_ms_either_way_and_then_is_exact() {
    let said = [0.5; FRAME_SAMPLES];
    let mut strip = Strip::new(-60.0);
    strip.process(&mut said.clone());
    strip.set_muted(true);
    let mut frame = said;
    assert!(strip.process(&mut frame));
    assert!(frame[..470].iter().all(|&x| x > 0.0) && frame[480..] == SILENCE[480..]);
    assert!(!strip.process(&mut said.clone()));
    strip.set_muted(false);
    let mut frame = said;
    assert!(strip.process(&mut frame));
    assert!(frame[..470].iter().all(|&x| x < 0.5) && frame[480..] == said[480..]);
}

#[test]
fn the_way_back_to_the_shared_mix_takes_200_ms_of_silence() {
    let mut routing = Routing::default();
    assert_eq!(routing.decide(false), Route::Shared);
    assert_eq!(routing.decide(true), Route::Own);
    for _ in 0..SETTLED_TICKS {
        assert_eq!(routing.decide(false), Route::Own);
    }
    assert_eq!(routing.decide(false), Route::Shared);
}
