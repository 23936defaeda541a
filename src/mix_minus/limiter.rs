//! A peak limiter without delay: many voices at once must not clip, one alone must pass untouched.

use crate::pcm::Frame;

/// The gain moves in straight lines of this length, in samples: 2.5 ms.
const PART: usize = 120;
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
        let mut parts = frame.chunks_exact_mut(PART).peekable();
        while let Some(part) = parts.next() {
            // What both this part and the next allow: where they meet, the gain must be right for either.
            let allowed = parts.peek().map_or(1.0, |next| allowed(next)).min(allowed(part));
            let end = allowed.min(self.gain + PART as f32 / RELEASE);
            let start = std::mem::replace(&mut self.gain, end);
            if start == 1.0 && end == 1.0 {
                continue;
            }
            for (i, sample) in part.iter_mut().enumerate() {
                let gain = start + (end - start) * (i + 1) as f32 / PART as f32;
                *sample = (*sample * gain).clamp(-1.0, 1.0);
            }
        }
    }
}

/// The largest gain that keeps all of a part within ±1.
fn allowed(part: &[f32]) -> f32 {
    let peak = part.iter().fold(1.0f32, |peak, x| peak.max(x.abs()));
    1.0 / peak
}
