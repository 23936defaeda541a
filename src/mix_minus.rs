//! Mix-minus: everybody but the listener, for every listener, from one sum.
//!
//! Voices in, frames out: each voice goes through its [`Strip`] (gate and mute), all that is left is summed once, and a
//! listener's mix is that sum less its own part. Whoever adds nothing to the sum hears exactly the full mix, and
//! [`Routing`] says so, so that one encode serves all of them. Pure, no clock; a tick is one call of each.

use std::collections::HashMap;
use std::hash::Hash;

use crate::pcm::{FRAME_SAMPLES, Frame};

mod limiter;
mod strip;

pub use limiter::Limiter;
pub use strip::Strip;

/// Ticks that a listener must have added nothing to the mix before it is given the shared one again: 200 ms, in which the
/// encoders of both become alike.
pub const SETTLED_TICKS: u32 = 10;

/// The sum of one tick.
///
/// Kept in `f64`, so that taking a voice out again leaves nothing of it, however loud the others are: in `f32` the
/// rounding of 25 loud voices would be heard under a quiet one.
#[derive(Debug)]
pub struct Sum<Id> {
    total: [f64; FRAME_SAMPLES],
    parts: HashMap<Id, Box<Frame>>,
}

impl<Id: Copy + Eq + Hash> Default for Sum<Id> {
    fn default() -> Self {
        Self { total: [0.0; FRAME_SAMPLES], parts: HashMap::new() }
    }
}

impl<Id: Copy + Eq + Hash> Sum<Id> {
    /// Begins a tick: nothing is summed.
    pub fn clear(&mut self) {
        self.total.fill(0.0);
        self.parts.clear();
    }

    /// Adds what a voice contributes. A second voice of the same owner is added to the first.
    pub fn add(&mut self, owner: Id, frame: &Frame) {
        for (total, &sample) in self.total.iter_mut().zip(frame) {
            *total += f64::from(sample);
        }
        let part = self.parts.entry(owner).or_insert_with(|| Box::new([0.0; FRAME_SAMPLES]));
        for (part, &sample) in part.iter_mut().zip(frame) {
            *part += sample;
        }
    }

    /// Whether this one added anything.
    pub fn contains(&self, owner: Id) -> bool {
        self.parts.contains_key(&owner)
    }

    /// Everybody.
    pub fn full(&self) -> Frame {
        self.total.map(|total| total as f32)
    }

    /// Everybody but `listener`: the very same as [`Sum::full`] if it added nothing.
    pub fn minus(&self, listener: Id) -> Frame {
        let mut frame = self.full();
        if let Some(part) = self.parts.get(&listener) {
            for ((out, &total), &own) in frame.iter_mut().zip(&self.total).zip(part.iter()) {
                *out = (total - f64::from(own)) as f32;
            }
        }
        frame
    }
}

/// Which encode a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// That of the full mix.
    Shared,
    /// One of its own mix-minus.
    Own,
}

/// The route of one listener over time.
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    /// Ticks in a row without a contribution.
    quiet: u32,
}

impl Default for Routing {
    fn default() -> Self {
        Self { quiet: SETTLED_TICKS + 1 }
    }
}

impl Routing {
    /// The route for a tick in which the listener `contributes` to the mix or not.
    pub fn decide(&mut self, contributes: bool) -> Route {
        self.quiet = if contributes { 0 } else { self.quiet.saturating_add(1) };
        if self.quiet > SETTLED_TICKS { Route::Shared } else { Route::Own }
    }
}

#[cfg(test)]
mod tests;
