//! When a tone sets in: the instant of an onset within what was heard, more exactly than the frames it came in.

use std::f64::consts::TAU;

use super::SAMPLE_RATE;

/// Length of the window that slides over the samples: 20 ms tell the bots' tones from each other well enough.
const WINDOW: usize = SAMPLE_RATE as usize / 50;
/// The window goes on by 1 ms at a time; what is between two steps is interpolated.
const STEP: usize = SAMPLE_RATE as usize / 1000;
/// A tone below this amplitude (-46 dB of full scale) is none.
const FLOOR: f64 = 0.005;

/// The positions in `samples` (in samples) at which the tone at `frequency` Hz sets in: where it passes half of its
/// loudest amplitude upwards. A tone that sounds from the first sample on has no onset there.
pub fn onsets(samples: &[f32], frequency: u32) -> Vec<f64> {
    let envelope = envelope(samples, frequency);
    let threshold = envelope.iter().copied().fold(0.0, f64::max) / 2.0;
    if threshold < FLOOR {
        return Vec::new();
    }
    envelope
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < threshold && pair[1] >= threshold)
        .map(|(index, pair)| {
            let between = (threshold - pair[0]) / (pair[1] - pair[0]);
            (WINDOW / 2) as f64 + (index as f64 + between) * STEP as f64
        })
        .collect()
}

/// The amplitude of the tone, every [`STEP`] samples, in Hann windows. The first one is centred on `WINDOW / 2`.
fn envelope(samples: &[f32], frequency: u32) -> Vec<f64> {
    let hann: Vec<f64> =
        (0..WINDOW).map(|index| 0.5 - 0.5 * (TAU * (index as f64 + 0.5) / WINDOW as f64).cos()).collect();
    let turn = TAU * f64::from(frequency) / f64::from(SAMPLE_RATE);
    let carrier: Vec<(f64, f64)> = (0..WINDOW).map(|index| (turn * index as f64).sin_cos()).collect();
    samples
        .windows(WINDOW)
        .step_by(STEP)
        .map(|window| {
            let (mut sine, mut cosine) = (0.0, 0.0);
            for ((&sample, weight), (sin, cos)) in window.iter().zip(&hann).zip(&carrier) {
                let weighted = f64::from(sample) * weight;
                sine += weighted * sin;
                cosine += weighted * cos;
            }
            4.0 * sine.hypot(cosine) / WINDOW as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::probe::tone::{Speech, Voice, frequency};

    fn bursts(index: usize, start: u64, count: usize) -> Vec<f32> {
        let speech = Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(300) };
        let mut samples = vec![0.0; count];
        Voice { frequency: frequency(index), amplitude: 0.25, speech }.fill(start, &mut samples);
        samples
    }

    #[test]
    fn onsets_are_found_to_the_fraction_of_a_millisecond() {
        for shift in [0, 100, 777, 20_001] {
            let found = onsets(&bursts(4, 24_000 + shift, 100_000), frequency(4));
            let expected = [24_000.0 - shift as f64, 72_000.0 - shift as f64];
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 24.0, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn another_voice_does_not_disturb() {
        let mut mix = bursts(4, 24_000, 48_000);
        let mut other = vec![0.0; mix.len()];
        Voice { frequency: frequency(5), amplitude: 0.25, speech: Speech::Always }.fill(0, &mut other);
        mix.iter_mut().zip(&other).for_each(|(sample, other)| *sample += other);
        let found = onsets(&mix, frequency(4));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((found[0] - 24_000.0).abs() < 48.0, "{found:?}");
    }

    #[test]
    fn silence_has_no_onset() {
        assert!(onsets(&[0.0; 48_000], 430).is_empty());
        assert!(onsets(&[0.1; 100], 430).is_empty(), "too short");
    }
}
