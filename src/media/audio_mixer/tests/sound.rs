//! Sounds to send, and measurements of what was heard.

use std::f64::consts::TAU;

use crate::pcm::{Frame, SAMPLE_RATE};

/// Sample `n` of a tone.
pub(super) fn tone(hz: f64, amplitude: f64, n: usize) -> f32 {
    (amplitude * (TAU * hz * n as f64 / f64::from(SAMPLE_RATE)).sin()) as f32
}

/// A frame of a tone, from sample `start` on.
pub(super) fn tone_frame(hz: f64, amplitude: f64, start: usize) -> Frame {
    std::array::from_fn(|i| tone(hz, amplitude, start + i))
}

/// Sounds like vowels: a buzz of 120 to 150 Hz whose pitch and loudness move, and a little breath.
pub(super) struct Speech {
    phase: f64,
    n: u64,
    noise: u64,
    filter: [f64; 2],
}

impl Default for Speech {
    fn default() -> Self {
        Self { phase: 0.0, n: 0, noise: 0x9e37_79b9_7f4a_7c15, filter: [0.0; 2] }
    }
}

impl Speech {
    pub(super) fn sample(&mut self) -> f32 {
        let seconds = self.n as f64 / f64::from(SAMPLE_RATE);
        self.n += 1;
        self.phase += (135.0 + 15.0 * (TAU * 0.7 * seconds).sin()) / f64::from(SAMPLE_RATE);
        let buzz: f64 = (1..=30).map(|k| (TAU * self.phase * f64::from(k)).sin() / f64::from(k)).sum();
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let breath = ((self.noise >> 33) as f64 / f64::from(1u32 << 31) - 0.5) * 0.2;
        // A formant near 700 Hz.
        let (radius, angle) = (0.97, TAU * 700.0 / f64::from(SAMPLE_RATE));
        let voiced = buzz + breath + 2.0 * radius * angle.cos() * self.filter[0] - radius * radius * self.filter[1];
        self.filter = [voiced, self.filter[0]];
        let loudness = 0.6 + 0.4 * (TAU * 2.3 * seconds).sin();
        (voiced * loudness * 0.005) as f32
    }

    pub(super) fn frame(&mut self) -> Frame {
        std::array::from_fn(|_| self.sample())
    }
}

/// Amplitude of one frequency in a sound: of the sine and cosine that fit best over its whole length.
pub(super) fn amplitude(sound: &[f32], hz: f64) -> f64 {
    let step = TAU * hz / f64::from(SAMPLE_RATE);
    let (mut re, mut im, mut weights) = (0.0, 0.0, 0.0);
    for (n, &x) in sound.iter().enumerate() {
        // A Hann window, so that another tone does not leak in.
        let weight = 1.0 - (TAU * (n as f64 + 0.5) / sound.len() as f64).cos();
        re += weight * f64::from(x) * (step * n as f64).cos();
        im += weight * f64::from(x) * (step * n as f64).sin();
        weights += weight;
    }
    2.0 * re.hypot(im) / weights
}

/// Ratio in dB.
pub(super) fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

pub(super) fn rms(sound: &[f32]) -> f64 {
    (sound.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / sound.len().max(1) as f64).sqrt()
}
