//! A voice's way into the mix: the gate that keeps silent ones out of it altogether, and mute.

use crate::pcm::{Frame, level_dbfs};

/// An opening gate comes in over this, in samples: 2.5 ms. The frame is known before it is played, so what opens it is
/// heard from its beginning but for these.
const OPEN: f32 = 120.0;
/// Everything else goes over this, in samples: 10 ms.
const RAMP: f32 = 480.0;
/// Ticks that a gate stays open after the voice was last above the threshold: 1 s, longer than the pauses in speech.
const HOLD: u32 = 50;
/// The loudest 5 ms of a frame count, so that speech that begins at its end opens the gate.
const PART: usize = 240;

/// Gate and mute of one voice.
#[derive(Clone, Debug)]
pub struct Strip {
    threshold_dbfs: f32,
    muted: bool,
    hold: u32,
    gain: f32,
}

impl Strip {
    /// The strip of a voice that is mixed from `threshold_dbfs` (RMS) on.
    pub fn new(threshold_dbfs: f32) -> Self {
        Self { threshold_dbfs, muted: false, hold: 0, gain: 0.0 }
    }

    /// Takes the voice out of the mix, or back in, over 10 ms.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Whether the voice is muted.
    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Makes `frame` what the voice contributes. `false`: nothing at all, and the frame is not to be mixed.
    pub fn process(&mut self, frame: &mut Frame) -> bool {
        let loud = frame.chunks(PART).any(|part| level_dbfs(part) >= self.threshold_dbfs);
        let opens = loud && self.hold == 0;
        self.hold = if loud { HOLD } else { self.hold.saturating_sub(1) };
        let target = if self.hold > 0 && !self.muted { 1.0 } else { 0.0 };
        if target == 0.0 && self.gain == 0.0 {
            return false;
        }
        let step = if opens { 1.0 / OPEN } else { 1.0 / RAMP };
        for sample in frame.iter_mut() {
            if self.gain == target {
                if target == 1.0 {
                    break;
                }
            } else {
                self.gain = if target > self.gain { (self.gain + step).min(1.0) } else { (self.gain - step).max(0.0) };
            }
            *sample *= self.gain;
        }
        true
    }
}
