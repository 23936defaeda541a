//! Two channels made into one, so that no voice is lost on the way.
//!
//! The plain mean of the channels takes 6 dB from what is in one of them and all of what is in both in antiphase. Here one
//! channel is turned by 90° against the other before they are added: then what is left, right, in the middle or in
//! antiphase comes out within 3 dB of each other, all at once and without a decision that could be wrong. What is left to
//! decide is slow and one number each: a gain that makes the sum as loud as the louder channel, and which way to turn, as
//! a source that is itself turned by 90° would cancel one of the two. Pure; the memory of one voice.

/// Samples that are decided for at a time: 5 ms.
const BLOCK: usize = 240;
/// Levels are means over this many samples: 100 ms. Sound after silence outweighs the past at once.
const MEMORY: f32 = 4_800.0;
/// A change goes over this many samples: 20 ms.
const RAMP: f32 = 960.0;
/// The gain goes as far as one channel alone needs.
const MAX_GAIN: f32 = 2.0;
/// The gain at which both channels have their part: what one needs that is in both alike.
const USUAL_GAIN: f32 = std::f32::consts::SQRT_2;
/// The other turn is taken when this share of what the channels have in common is being cancelled…
const CANCELLED: f32 = 0.3;
/// Below this mean power (-100 dBFS) there is nothing to decide for.
const NOTHING: f32 = 1e-10;

/// Two chains of all-pass sections that differ by 90° (±0.7°) from 30 Hz to beyond what is heard, at 48 kHz: the half-band
/// pair that Olli Niemitalo published for Hilbert transforms (2003). The first is followed by a delay of one sample.
const LEFT: [f32; 4] = [0.692_387_8, 0.936_065_4, 0.988_229_5, 0.998_748_8];
const RIGHT: [f32; 4] = [0.402_192_1, 0.856_171_1, 0.972_291, 0.995_288_5];

/// The mono of one source.
#[derive(Debug)]
pub(super) struct Downmix {
    left: AllPass,
    right: AllPass,
    /// The sample of the left chain before.
    delayed: f32,
    powers: Powers,
    weights: Weights,
    /// The way that the right channel is turned: 1 or -1.
    turn: f32,
}

impl Default for Downmix {
    fn default() -> Self {
        Self {
            left: AllPass::new(LEFT),
            right: AllPass::new(RIGHT),
            delayed: 0.0,
            powers: Powers::default(),
            weights: Weights { left: USUAL_GAIN / 2.0, right: USUAL_GAIN / 2.0 },
            turn: 1.0,
        }
    }
}

impl Downmix {
    /// Mixes `stereo`, two interleaved channels, into `mono`, as far as both go.
    pub(super) fn process(&mut self, stereo: &[f32], mono: &mut [f32]) {
        let (frames, _) = stereo.as_chunks::<2>();
        let frames = &frames[..frames.len().min(mono.len())];
        for (block, mono) in frames.chunks(BLOCK).zip(mono.chunks_mut(BLOCK)) {
            self.block(block, mono);
        }
    }

    fn block(&mut self, block: &[[f32; 2]], mono: &mut [f32]) {
        let mut turned = [[0.0; 2]; BLOCK];
        let mut powers = Powers::default();
        for (&[left, right], turned) in block.iter().zip(&mut turned) {
            let left = std::mem::replace(&mut self.delayed, self.left.next(left));
            let right = self.right.next(right);
            powers.add(left, right);
            *turned = [left, right];
        }
        if powers.left + powers.right == 0.0 {
            // Not only no sound but none left in the chains.
            mono.fill(0.0);
            return;
        }
        let length = block.len() as f32;
        self.powers.age(length);
        self.powers.take(powers);
        let wanted = self.decide();
        // As far as the ramp goes within this block; the rest in the next ones.
        let share = (length / RAMP).min(1.0);
        let step = Weights {
            left: (wanted.left - self.weights.left) * share / length,
            right: (wanted.right - self.weights.right) * share / length,
        };
        for ([left, right], mono) in turned.into_iter().zip(mono) {
            self.weights.left += step.left;
            self.weights.right += step.right;
            *mono = self.weights.left * left + self.weights.right * right;
        }
    }

    /// The weights that what was heard lately asks for.
    fn decide(&mut self) -> Weights {
        let Powers { left, right, common } = self.powers;
        if left.max(right) < NOTHING * MEMORY {
            return self.weights;
        }
        if common * self.turn < -CANCELLED * (left * right).sqrt() {
            self.turn = -self.turn;
        }
        // Of the turn as it is now, on its way to the other or not.
        let turn = self.weights.right / self.weights.left.max(f32::MIN_POSITIVE);
        let mean = (left + turn * turn * right + 2.0 * turn * common) / 4.0;
        let gain = (left.max(right) / mean.max(f32::MIN_POSITIVE)).sqrt().min(MAX_GAIN);
        Weights { left: gain / 2.0, right: self.turn * gain / 2.0 }
    }
}

/// What the channels are multiplied by.
#[derive(Clone, Copy, Debug)]
struct Weights {
    left: f32,
    right: f32,
}

/// Sums of the channels' squares and products, after the turn.
#[derive(Clone, Copy, Debug, Default)]
struct Powers {
    left: f32,
    right: f32,
    common: f32,
}

impl Powers {
    fn add(&mut self, left: f32, right: f32) {
        self.left += left * left;
        self.right += right * right;
        self.common += left * right;
    }

    fn take(&mut self, other: Self) {
        self.left += other.left;
        self.right += other.right;
        self.common += other.common;
    }

    fn age(&mut self, samples: f32) {
        let kept = MEMORY / (MEMORY + samples);
        self.left *= kept;
        self.right *= kept;
        self.common *= kept;
    }
}

/// A chain of all-pass sections of two samples each: `y[n] = c² (x[n] + y[n-2]) - x[n-2]`.
#[derive(Debug)]
struct AllPass {
    squares: [f32; 4],
    /// The last two samples before each section and after the last one, the older first.
    past: [[f32; 2]; 5],
}

/// A tail that is weaker than this is none: it would end in numbers that take the processor long.
const TAIL: f32 = 1e-15;

impl AllPass {
    fn new(coefficients: [f32; 4]) -> Self {
        Self { squares: coefficients.map(|c| c * c), past: [[0.0; 2]; 5] }
    }

    fn next(&mut self, sample: f32) -> f32 {
        let mut sample = sample;
        for (section, square) in self.squares.iter().enumerate() {
            let before = self.past[section][0];
            let after = square * (sample + self.past[section + 1][0]) - before;
            self.past[section] = [self.past[section][1], sample];
            sample = if after.abs() < TAIL { 0.0 } else { after };
        }
        self.past[4] = [self.past[4][1], sample];
        sample
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::{FRAC_PI_2, PI, TAU};

    use super::*;
    use crate::pcm::level_dbfs;

    const SECOND: usize = 48_000;

    /// A tone of each channel's amplitude, the right one ahead by `phase`.
    fn tone(hz: f32, amplitudes: [f32; 2], phase: impl Fn(usize) -> f32, from: usize, samples: usize) -> Vec<f32> {
        let sample = |n: usize| {
            let turn = TAU * ((n as f64 * f64::from(hz) / 48_000.0).fract() as f32);
            [amplitudes[0] * turn.sin(), amplitudes[1] * (turn + phase(n)).sin()]
        };
        (from..from + samples).flat_map(sample).collect()
    }

    /// Noise that is always the same, as loud as a tone of amplitude 0.3.
    fn noise(seed: u32, samples: usize) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.367 * (state as f32 / (u32::MAX / 2) as f32 - 1.0)
        };
        (0..samples).map(next).collect()
    }

    fn interleaved(left: &[f32], right: &[f32]) -> Vec<f32> {
        left.iter().zip(right).flat_map(|(&left, &right)| [left, right]).collect()
    }

    fn mixed(downmix: &mut Downmix, stereo: &[f32]) -> Vec<f32> {
        let mut mono = vec![0.0; stereo.len() / 2];
        // In packets of 20 ms, as they come.
        for (stereo, mono) in stereo.chunks(1920).zip(mono.chunks_mut(960)) {
            downmix.process(stereo, mono);
        }
        mono
    }

    fn channel(stereo: &[f32], number: usize) -> Vec<f32> {
        stereo.iter().skip(number).step_by(2).copied().collect()
    }

    /// The level of what one tone leaves, in dB, by correlation with it at any phase.
    fn level_of(hz: f32, sound: &[f32]) -> f32 {
        let (mut sine, mut cosine) = (0.0f64, 0.0f64);
        for (n, &x) in sound.iter().enumerate() {
            let turn = std::f64::consts::TAU * n as f64 * f64::from(hz) / 48_000.0;
            sine += f64::from(x) * turn.sin();
            cosine += f64::from(x) * turn.cos();
        }
        (20.0 * (2.0 * sine.hypot(cosine) / sound.len() as f64).log10()) as f32
    }

    /// What a source in both channels, in one, or in antiphase loses, from 60 ms after its onset on.
    #[test]
    fn a_source_is_as_loud_as_the_louder_channel_wherever_it_is() {
        for hz in [60.0, 110.0, 440.0, 1_000.0, 7_000.0, 15_000.0] {
            for (amplitudes, phase) in [
                ([0.3, 0.3], 0.0),
                ([0.3, 0.0], 0.0),
                ([0.0, 0.3], 0.0),
                ([0.3, 0.3], PI),
                ([0.3, 0.1], 0.0),
                ([0.1, 0.3], PI),
                ([0.3, 0.3], FRAC_PI_2),
                ([0.3, 0.3], -FRAC_PI_2),
            ] {
                let mono = mixed(&mut Downmix::default(), &tone(hz, amplitudes, |_| phase, 0, SECOND));
                let whole = level_dbfs(&channel(&tone(hz, [0.3; 2], |_| 0.0, 0, SECOND), 0));
                for part in mono[2880..].chunks_exact(9600) {
                    let lost = whole - level_dbfs(part);
                    assert!(lost.abs() < 0.7, "{hz} Hz, {amplitudes:?}, {phase}: {lost} dB");
                }
            }
        }
    }

    #[test]
    fn sources_in_different_places_are_all_kept_at_once() {
        let places = [([0.1, 0.1], 0.0), ([0.1, 0.1], PI), ([0.1, 0.0], 0.0), ([0.0, 0.1], 0.0)];
        let tones: Vec<_> = places
            .iter()
            .zip([300.0, 700.0, 1_100.0, 1_900.0])
            .map(|(&(amplitudes, phase), hz)| (hz, tone(hz, amplitudes, |_| phase, 0, 2 * SECOND)))
            .collect();
        let all: Vec<f32> = (0..4 * SECOND).map(|n| tones.iter().map(|(_, tone)| tone[n]).sum()).collect();
        let mono = mixed(&mut Downmix::default(), &all);
        for (hz, _) in &tones {
            let lost = -20.0 - level_of(*hz, &mono[SECOND..]);
            // Together they are louder than the louder channel, which is what the sum is made to be.
            assert!((-2.0..5.0).contains(&lost), "{hz} Hz: {lost} dB");
        }
    }

    #[test]
    fn a_quiet_voice_in_antiphase_is_heard_beside_a_loud_one_in_the_middle() {
        let (loud, quiet) =
            (tone(440.0, [0.3, 0.3], |_| 0.0, 0, 2 * SECOND), tone(1_000.0, [0.03, 0.03], |_| PI, 0, 2 * SECOND));
        let both: Vec<f32> = loud.iter().zip(&quiet).map(|(a, b)| a + b).collect();
        let mono = mixed(&mut Downmix::default(), &both);
        let ratio = level_of(440.0, &mono[SECOND..]) - level_of(1_000.0, &mono[SECOND..]);
        assert!((ratio - 20.0).abs() < 0.5, "{ratio} dB instead of 20");
    }

    /// Two microphones whose distance from the speaker changes, at up to one turn a second.
    #[test]
    fn a_source_that_drifts_in_phase_hardly_drops() {
        for (turns_per_second, most) in [(0.1, 2.0), (0.4, 2.5), (1.0, 6.0)] {
            for hz in [200.0, 1_000.0] {
                let drift = |n: usize| TAU * turns_per_second * n as f32 / SECOND as f32;
                let mono = mixed(&mut Downmix::default(), &tone(hz, [0.3; 2], drift, 0, 10 * SECOND));
                let whole = level_dbfs(&channel(&tone(hz, [0.3; 2], |_| 0.0, 0, SECOND), 0));
                for (n, part) in mono[2880..].chunks_exact(960).enumerate() {
                    let lost = whole - level_dbfs(part);
                    assert!((-most..most).contains(&lost), "{hz} Hz, {turns_per_second}/s, at {n} x 20 ms: {lost} dB");
                }
            }
        }
    }

    #[test]
    fn a_source_that_changes_its_place_at_once_does_not_click_and_is_not_lost() {
        let places = [([0.3, 0.3], 0.0), ([0.3, 0.3], PI), ([0.3, 0.0], 0.0), ([0.0, 0.3], 0.0), ([0.3, 0.3], PI)];
        let mut stereo = Vec::new();
        for (n, &(amplitudes, phase)) in places.iter().enumerate() {
            // A whole number of periods, so that each channel begins and ends at 0.
            stereo.extend(tone(400.0, amplitudes, |_| phase, n * SECOND, SECOND));
        }
        let mono = mixed(&mut Downmix::default(), &stereo);
        let steepest = mono.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        // The tone itself has 0.0157, and more where the gain is still that of the place before; a click has 0.1.
        assert!(steepest < 0.05, "{steepest}");
        for (n, part) in mono[2880..].chunks_exact(960).enumerate() {
            let lost = -13.47 - level_dbfs(part);
            assert!((-4.0..6.5).contains(&lost), "at {n} x 20 ms: {lost} dB");
        }
    }

    #[test]
    fn real_stereo_keeps_its_loudness_and_its_colour() {
        let (middle, left, right) = (noise(1, 2 * SECOND), noise(2, 2 * SECOND), noise(3, 2 * SECOND));
        let mix = |side: &[f32]| -> Vec<f32> { middle.iter().zip(side).map(|(m, s)| 0.7 * m + 0.5 * s).collect() };
        let stereo = interleaved(&mix(&left), &mix(&right));
        let mono = mixed(&mut Downmix::default(), &stereo);
        let lost = level_dbfs(&channel(&stereo[SECOND..], 0)) - level_dbfs(&mono[SECOND / 2..]);
        assert!(lost.abs() < 0.5, "{lost} dB");
        // Noise is white; a comb, or a gain that goes to and fro, would colour it.
        for hz in [100.0f32, 500.0, 2_000.0, 9_000.0] {
            let band = |sound: &[f32]| {
                let powers = sound.chunks_exact(2400).map(|part| 10f32.powf(level_of(hz, part) / 10.0));
                10.0 * (powers.sum::<f32>() / (sound.len() / 2400) as f32).log10()
            };
            let lost = band(&channel(&stereo[SECOND..], 0)) - band(&mono[SECOND / 2..]);
            assert!(lost.abs() < 3.0, "{hz} Hz: {lost} dB");
        }
    }

    #[test]
    fn an_onset_after_silence_has_its_level_within_20_ms() {
        let mut downmix = Downmix::default();
        mixed(&mut downmix, &tone(440.0, [0.3; 2], |_| 0.0, 0, SECOND));
        mixed(&mut downmix, &vec![0.0; 2 * SECOND]);
        let mono = mixed(&mut downmix, &tone(440.0, [0.3, 0.0], |_| 0.0, 0, SECOND));
        let lost = -13.47 - level_dbfs(&mono[1920..3840]);
        assert!(lost.abs() < 1.0, "{lost} dB");
    }

    #[test]
    fn nothing_that_is_decoded_breaks_it_and_silence_ends_exactly() {
        let mut downmix = Downmix::default();
        let wild: Vec<f32> = noise(7, 96_000).into_iter().map(|x| (x * 40.0).clamp(-2.0, 2.0)).collect();
        let mono = mixed(&mut downmix, &wild);
        assert!(mono.iter().all(|x| x.is_finite() && x.abs() <= 8.0));
        let mono = mixed(&mut downmix, &vec![0.0; 10 * SECOND]);
        assert!(mono[mono.len() - 960..].iter().all(|&x| x == 0.0));
        downmix.process(&[0.1], &mut [0.0; 3]);
        downmix.process(&[0.1; 7], &mut []);
    }
}
