//! The bots' voices: one pure tone for each, and the level of a tone in what is heard.

use std::f64::consts::TAU;
use std::time::Duration;

use super::SAMPLE_RATE;

/// Bursts fade in and out over this time, so that they do not click.
const RAMP_SAMPLES: u64 = SAMPLE_RATE as u64 * 5 / 1000;

/// Tones that can be told apart; bots beyond that many use them again.
pub const TONES: usize = 24;

/// The frequency of the bot with this index, in Hz: far enough from each other, and from the second and third harmonics
/// of each other (which clipping makes), to be told apart in 100 ms of audio.
pub const fn frequency(index: usize) -> u32 {
    397 + 149 * (index % TONES) as u32
}

/// When a bot speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    Always,
    Never,
    /// From every whole multiple of `period` since the epoch, for `length` each time.
    Bursts {
        period: Duration,
        length: Duration,
    },
}

/// A voice: a tone and when it is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voice {
    /// Hz.
    pub frequency: u32,
    /// Of the peaks, 0 to 1.
    pub amplitude: f32,
    pub speech: Speech,
}

impl Voice {
    /// The samples from `start` on, counted in samples since the epoch. The phase depends on that count alone, so
    /// that pieces which follow each other join without a step.
    pub fn fill(&self, start: u64, samples: &mut [f32]) {
        let rate = u64::from(SAMPLE_RATE);
        for (position, sample) in (start..).zip(samples) {
            let gain = self.gain(position);
            // In whole numbers, because the count of samples since the epoch leaves a float no precision.
            let phase = (position % rate) * u64::from(self.frequency) % rate;
            *sample = if gain == 0.0 {
                0.0
            } else {
                (f64::from(self.amplitude) * gain * (TAU * phase as f64 / rate as f64).sin()) as f32
            };
        }
    }

    /// 0 in silence, 1 in speech; a raised cosine between them, whose middle is the instant of the onset.
    fn gain(&self, position: u64) -> f64 {
        let (period, length) = match self.speech {
            Speech::Always => return 1.0,
            Speech::Never => return 0.0,
            Speech::Bursts { period, length } => (samples(period).max(1), samples(length)),
        };
        let since_onset = (position + RAMP_SAMPLES / 2) % period;
        let ramp = |at: u64| 0.5 - 0.5 * (TAU / 2.0 * at.min(RAMP_SAMPLES) as f64 / RAMP_SAMPLES as f64).cos();
        ramp(since_onset) * ramp((length + RAMP_SAMPLES).saturating_sub(since_onset))
    }
}

/// A duration in samples.
pub fn samples(duration: Duration) -> u64 {
    let rate = u64::from(SAMPLE_RATE);
    duration.as_secs() * rate + u64::from(duration.subsec_nanos()) * rate / 1_000_000_000
}

/// The level of the tone at `frequency` Hz in `window`, in dB of full scale (a full-scale sine has 0), by Goertzel's
/// algorithm under a Hann window. 100 ms tell tones apart that are 60 Hz from each other. Silence has -200.
pub fn level_db(window: &[f32], frequency: u32) -> f64 {
    let count = window.len() as f64;
    let coefficient = 2.0 * (TAU * f64::from(frequency) / f64::from(SAMPLE_RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for (index, &sample) in window.iter().enumerate() {
        let hann = 0.5 - 0.5 * (TAU * (index as f64 + 0.5) / count).cos();
        let next = f64::from(sample) * hann + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    // A sine of amplitude 1 has the magnitude count / 4 under a Hann window, whose mean is 1/2.
    let amplitude = 4.0 * power.max(0.0).sqrt() / count.max(1.0);
    20.0 * amplitude.max(1e-10).log10()
}

/// The root mean square of `window`, in dB of full scale. Silence has -200.
pub fn rms_db(window: &[f32]) -> f64 {
    let power: f64 = window.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    20.0 * (power / window.len().max(1) as f64).sqrt().max(1e-10).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21, in samples since the epoch: where a float's precision has run out.
    const NOW: u64 = 1_795_000_000 * SAMPLE_RATE as u64;

    fn voice(index: usize, speech: Speech) -> Voice {
        Voice { frequency: frequency(index), amplitude: 0.25, speech }
    }

    fn samples_of(voice: Voice, start: u64, count: usize) -> Vec<f32> {
        let mut samples = vec![0.0; count];
        voice.fill(start, &mut samples);
        samples
    }

    #[test]
    fn each_voice_is_heard_at_its_own_frequency_only() {
        for index in 0..TONES {
            let window = samples_of(voice(index, Speech::Always), NOW, 4800);
            for other in 0..TONES {
                let level = level_db(&window, frequency(other));
                if other == index {
                    assert!((level + 12.04).abs() < 0.1, "{index} at {level} dB");
                } else {
                    assert!(level < -65.0, "{index} at {other}'s frequency: {level} dB");
                }
            }
        }
    }

    #[test]
    fn no_voice_sits_on_a_harmonic_of_another() {
        for (low, high) in
            (0..TONES).flat_map(|low| (low + 1..TONES).map(move |high| (frequency(low), frequency(high))))
        {
            assert!((2 * low).abs_diff(high) >= 40 && (3 * low).abs_diff(high) >= 40, "{low} and {high} Hz");
        }
    }

    #[test]
    fn pieces_join_without_a_step() {
        let voice = voice(3, Speech::Always);
        let whole = samples_of(voice, NOW, 1920);
        let pieces = [samples_of(voice, NOW, 960), samples_of(voice, NOW + 960, 960)].concat();
        assert_eq!(whole, pieces);
    }

    #[test]
    fn bursts_begin_at_their_instants_without_a_click() {
        let speech = Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(200) };
        let second = samples_of(voice(0, speech), NOW - 4800, 48_000);
        assert!(second[..4800 - 120].iter().all(|&sample| sample == 0.0), "silent before the onset");
        assert!((level_db(&second[6000..12_000], frequency(0)) + 12.04).abs() < 0.1);
        assert!(second[4800 + 9600 + 240..].iter().all(|&sample| sample == 0.0), "silent after the burst");
        let step = second.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step < 0.25 * 397.0 * std::f32::consts::TAU / 48_000.0 * 1.1, "a step of {step}");
    }

    #[test]
    fn silence_is_silent() {
        let silence = samples_of(voice(0, Speech::Never), NOW, 4800);
        assert_eq!(level_db(&silence, 397), -200.0);
        assert_eq!(rms_db(&silence), -200.0);
        assert_eq!(rms_db(&[]), -200.0);
        assert!((rms_db(&samples_of(voice(0, Speech::Always), 0, 48_000)) + 15.05).abs() < 0.01);
    }
}
