//! Who speaks, for the eyes: quick to notice, slow to forget.

/// Ticks in a row above the level until a voice speaks: 60 ms, longer than a click.
const ATTACK: u32 = 3;
/// Ticks below it until it does not: 400 ms, longer than the gaps between words.
const RELEASE: u32 = 20;
/// A voice begins to speak at this RMS level…
const SPEECH_DBFS: f32 = -45.0;
/// …and goes on down to this.
const PAUSE_DBFS: f32 = -50.0;

/// Tells speech from silence by level, with hysteresis.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpeechDetector {
    loud: u32,
    quiet: u32,
    speaking: bool,
}

impl SpeechDetector {
    /// Takes the level of the next 20 ms and returns whether the voice speaks.
    pub fn update(&mut self, dbfs: f32) -> bool {
        let over = dbfs >= if self.speaking { PAUSE_DBFS } else { SPEECH_DBFS };
        (self.loud, self.quiet) = if over { (self.loud + 1, 0) } else { (0, self.quiet + 1) };
        self.loud = self.loud.min(ATTACK);
        self.quiet = self.quiet.min(RELEASE);
        self.speaking = if self.speaking { self.quiet < RELEASE } else { self.loud >= ATTACK };
        self.speaking
    }

    /// What the last update returned.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(detector: &mut SpeechDetector, dbfs: f32, ticks: u32) -> bool {
        (0..ticks).map(|_| detector.update(dbfs)).last().unwrap_or(detector.is_speaking())
    }

    #[test]
    fn speech_is_noticed_after_60_ms_and_forgotten_after_400() {
        let mut detector = SpeechDetector::default();
        assert!(!after(&mut detector, -30.0, ATTACK - 1));
        assert!(after(&mut detector, -30.0, 1));
        assert!(after(&mut detector, -90.0, RELEASE - 1));
        assert!(!after(&mut detector, -90.0, 1));
    }

    #[test]
    fn a_click_is_no_speech_and_a_gap_between_words_no_end() {
        let mut detector = SpeechDetector::default();
        assert!(!after(&mut detector, -10.0, 2));
        assert!(!after(&mut detector, -90.0, 1));
        assert!(!after(&mut detector, -10.0, 2));
        assert!(after(&mut detector, -10.0, 1));
        for _ in 0..20 {
            assert!(after(&mut detector, -90.0, RELEASE / 2));
            assert!(after(&mut detector, -30.0, 1));
        }
    }

    #[test]
    fn a_level_between_the_two_keeps_what_is() {
        let mut detector = SpeechDetector::default();
        assert!(!after(&mut detector, -47.0, 100));
        assert!(after(&mut detector, -40.0, 3));
        assert!(after(&mut detector, -47.0, 100));
    }
}
