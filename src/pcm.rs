//! Mono sound at 48 kHz in frames of 20 ms: the only shape in which voices are mixed.

use std::time::Duration;

/// Samples a second; also the clock of Opus RTP timestamps, whatever the sender's own rate (RFC 7587, section 4.1).
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples of a [`Frame`].
pub const FRAME_SAMPLES: usize = 960;
/// What a [`Frame`] lasts.
pub const FRAME_DURATION: Duration = Duration::from_millis(20);

/// 20 ms of sound; full scale is ±1.
pub type Frame = [f32; FRAME_SAMPLES];

/// 20 ms of nothing.
pub const SILENCE: Frame = [0.0; FRAME_SAMPLES];

/// The level of nothing at all, in dBFS: below everything that a 24-bit converter tells apart.
pub const FLOOR_DBFS: f32 = -150.0;

/// A time as a number of whole samples.
pub fn samples_in(time: Duration) -> i64 {
    let samples = time.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000;
    i64::try_from(samples).unwrap_or(i64::MAX)
}

/// The RMS level in dBFS, where a square wave at full scale has 0 (a sine -3.01); never under [`FLOOR_DBFS`].
pub fn level_dbfs(samples: &[f32]) -> f32 {
    let energy: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let mean = energy / samples.len().max(1) as f64;
    ((10.0 * mean.log10()) as f32).max(FLOOR_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_rms_relative_to_full_scale() {
        assert_eq!(level_dbfs(&SILENCE), FLOOR_DBFS);
        assert_eq!(level_dbfs(&[]), FLOOR_DBFS);
        assert!((level_dbfs(&[1.0, -1.0]) - 0.0).abs() < 1e-4);
        assert!((level_dbfs(&[0.1; 960]) + 20.0).abs() < 1e-4);
    }

    #[test]
    fn a_frame_lasts_what_it_says() {
        assert_eq!(samples_in(FRAME_DURATION), FRAME_SAMPLES as i64);
        assert_eq!(samples_in(Duration::from_secs(86_400)), 86_400 * 48_000);
    }
}
