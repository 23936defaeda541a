//! The loudness of concealment: full at first, gone when there is nothing left to guess from, and back without a click.

/// Concealment is played at full level for this long, in samples: 40 ms.
const HOLD: u32 = 1920;
/// From there it takes this long to silence, in samples: 60 ms, 100 ms in all.
const DECAY: f32 = 2880.0;
/// The same for the background noise of a sender that said it would be silent (DTX): 1 s, more than twice the 400 ms
/// after which it sends the next sample of its noise.
const ANNOUNCED_HOLD: u32 = 48_000;
/// Real sound comes back over this, in samples: 5 ms.
const RETURN: f32 = 240.0;
/// What is cut off ends over this, in samples: 5 ms.
const CUT: usize = 240;

/// A gain that follows whether sound is real or made up; exactly 1 as long as all is real.
#[derive(Debug)]
pub(super) struct Envelope {
    gain: f32,
    made_up: u32,
}

impl Default for Envelope {
    fn default() -> Self {
        Self { gain: 1.0, made_up: 0 }
    }
}

impl Envelope {
    /// Passes decoded sound.
    pub(super) fn real(&mut self, sound: &mut [f32]) {
        self.made_up = 0;
        for sample in sound {
            if self.gain >= 1.0 {
                return;
            }
            *sample *= self.gain;
            self.gain = (self.gain + 1.0 / RETURN).min(1.0);
        }
    }

    /// Passes made up sound; `announced` if the sender said that it would fall silent.
    pub(super) fn made_up(&mut self, sound: &mut [f32], announced: bool) {
        let hold = if announced { ANNOUNCED_HOLD } else { HOLD };
        for sample in sound {
            self.made_up = self.made_up.saturating_add(1);
            if self.made_up > hold {
                self.gain = (self.gain - 1.0 / DECAY).max(0.0);
            }
            *sample *= self.gain;
        }
    }

    /// Nothing made up is heard any more.
    pub(super) fn is_closed(&self) -> bool {
        self.gain == 0.0
    }

    /// What comes next comes in from silence.
    pub(super) fn close(&mut self) {
        self.gain = 0.0;
    }

    /// Leaves of a sound that is cut off a short end.
    pub(super) fn fade_out(sound: &mut Vec<f32>) {
        sound.truncate(CUT);
        let length = sound.len() as f32;
        for (i, sample) in sound.iter_mut().enumerate() {
            *sample *= 1.0 - (i + 1) as f32 / length;
        }
    }
}
