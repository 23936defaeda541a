//! A peak limiter without delay: many voices at once must not clip, one alone must pass untouched.

use crate::pcm::Frame;

/// The gain comes down over this, in samples, before a peak: 2.5 ms.
const ATTACK: usize = 120;
/// And goes back up from nothing to 1 over this, in samples: 100 ms. Less than the time in which a listener's mix must
/// equal the full one before it takes that, so their gains are equal by then, too.
const RELEASE: f32 = 4800.0;

/// The limiter of one mix. What stays within ±1 passes bit for bit; nothing that leaves it exceeds ±1.
#[derive(Clone, Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Limits the next frame. A whole frame is known at once, so the gain is down before a peak comes; only for a peak
    /// in the first 2.5 ms is there no time, and what then exceeds ±1 is cut.
    pub fn process(&mut self, frame: &mut Frame) {
        let peak = frame.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        if peak <= 1.0 && self.gain >= 1.0 {
            return;
        }
        let mut allowed = frame.map(|x| if x.abs() > 1.0 { 1.0 / x.abs() } else { 1.0 });
        // Backwards: towards each peak the gain falls by a straight line that ends at what the peak allows.
        let slope = (1.0 - allowed.iter().fold(1.0f32, |least, &gain| least.min(gain))) / ATTACK as f32;
        for i in (0..allowed.len() - 1).rev() {
            allowed[i] = allowed[i].min(allowed[i + 1] + slope);
        }
        for (sample, &allowed) in frame.iter_mut().zip(&allowed) {
            let released = (self.gain + 1.0 / RELEASE).min(1.0);
            let fallen = (self.gain - 1.0 / ATTACK as f32).max(allowed);
            self.gain = released.min(fallen);
            *sample = (*sample * self.gain).clamp(-1.0, 1.0);
        }
    }
}
