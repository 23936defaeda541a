//! Making sound a little shorter or longer where it resembles itself, so that nobody hears it: the overlap-add of WSOLA
//! at a single place.

use crate::pcm::level_dbfs;

/// Shortest piece taken out or put in, in samples: 2.5 ms.
pub(super) const MIN_LAG: usize = 120;
/// Longest: 10 ms, a period of the lowest voices.
pub(super) const MAX_LAG: usize = 480;
/// What is compared, in samples: 10 ms.
const WINDOW: usize = 480;
/// Over how much the two are blended, in samples: 5 ms.
const BLEND: usize = 240;
/// Below this everything resembles everything.
pub(super) const SILENT_DBFS: f32 = -55.0;

/// A place after which sound repeats itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repeat {
    /// After how many samples.
    pub(super) lag: usize,
    /// How well: 1 is exactly, 0 not at all.
    pub(super) likeness: f32,
}

/// The lag, at most `longest`, at which the sound is most like its own beginning. In silence the longest is as good as
/// any. `None` if there is not enough sound to tell or no lag is that short.
pub(super) fn find_repeat(sound: &[f32], longest: usize) -> Option<Repeat> {
    let longest = longest.min(MAX_LAG);
    if longest < MIN_LAG || sound.len() < longest + WINDOW {
        return None;
    }
    if level_dbfs(&sound[..longest + WINDOW]) < SILENT_DBFS {
        return Some(Repeat { lag: longest, likeness: 1.0 });
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let beginning = &sound[..WINDOW];
    let energy = dot(beginning, beginning);
    let likeness = |lag: usize| {
        let later = &sound[lag..lag + WINDOW];
        dot(beginning, later) / (energy * dot(later, later)).sqrt().max(f32::MIN_POSITIVE)
    };
    (MIN_LAG..=longest)
        .map(|lag| Repeat { lag, likeness: likeness(lag) })
        .max_by(|a, b| a.likeness.total_cmp(&b.likeness))
}

/// Takes out `lag` samples at the beginning.
pub(super) fn shorten(sound: &mut Vec<f32>, lag: usize) {
    let blend = BLEND.min(sound.len().saturating_sub(lag));
    for i in 0..blend {
        sound[i + lag] = blended(sound[i], sound[i + lag], i, blend);
    }
    sound.drain(..lag.min(sound.len()));
}

/// Plays the first `lag` samples twice.
pub(super) fn lengthen(sound: &mut Vec<f32>, lag: usize) {
    let lag = lag.min(sound.len());
    let blend = BLEND.min(sound.len() - lag);
    let again: Vec<f32> = sound[..lag].to_vec();
    let onward: Vec<f32> = sound[lag..lag + blend].to_vec();
    sound.splice(..0, again);
    for (i, &was) in onward.iter().enumerate() {
        sound[lag + i] = blended(was, sound[lag + i], i, blend);
    }
}

fn blended(from: f32, to: f32, i: usize, over: usize) -> f32 {
    let share = (i + 1) as f32 / (over + 1) as f32;
    from + (to - from) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| 0.5 * (std::f32::consts::TAU * hz * n as f32 / 48_000.0).sin()).collect()
    }

    /// The largest step from sample to sample, against which a click would stand out.
    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_repeat_of_a_tone_is_a_whole_number_of_periods() {
        let repeat = find_repeat(&tone(200.0, MAX_LAG + WINDOW), MAX_LAG).expect("there is enough sound");
        assert_eq!(repeat.lag % 240, 0, "{repeat:?}");
        assert!(repeat.likeness > 0.999);
    }

    #[test]
    fn a_splice_changes_the_length_and_leaves_the_tone() {
        for hz in [110.0, 200.0, 437.0, 1234.0] {
            let whole = tone(hz, 2000);
            let lag = find_repeat(&whole, MAX_LAG).expect("there is enough sound").lag;
            let (mut short, mut long) = (whole.clone(), whole.clone());
            shorten(&mut short, lag);
            lengthen(&mut long, lag);
            assert_eq!((short.len(), long.len()), (2000 - lag, 2000 + lag));
            for spliced in [&short, &long] {
                assert!(steepest(spliced) < 1.1 * steepest(&whole), "{hz} Hz");
                assert!((level_dbfs(spliced) - level_dbfs(&whole)).abs() < 0.2, "{hz} Hz");
            }
            assert_eq!(short[BLEND..], whole[lag + BLEND..], "nothing else is touched");
            assert_eq!(long[lag + BLEND..], whole[BLEND..], "nothing else is touched");
        }
    }

    #[test]
    fn too_little_sound_has_no_repeat() {
        assert_eq!(find_repeat(&tone(200.0, WINDOW + MIN_LAG - 1), MIN_LAG), None);
        assert_eq!(find_repeat(&tone(200.0, MAX_LAG + WINDOW), MIN_LAG - 1), None);
    }
}
