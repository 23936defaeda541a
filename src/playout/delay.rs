//! How long a voice should wait, and when to bring its delay there.
//!
//! A frame is mixed at a tick, so a packet is of use only if it is there by the tick that needs its first sample. What
//! counts is thus not the delay itself but the *slack*: how long before that tick the fastest packets arrive. Taking out
//! what lies between a tick and the next packet's beginning costs no slack; beyond that, slack goes by whole ticks.

use crate::pcm::{FRAME_SAMPLES, SAMPLE_RATE};

use super::line::Line;

const FRAME: i64 = FRAME_SAMPLES as i64;
const MILLISECOND: i64 = SAMPLE_RATE as i64 / 1000;
/// Added to the measured jitter: what its resolution of 2 ms leaves out, and as much again.
const MARGIN: i64 = 4 * MILLISECOND;
/// A line that is worse than this is not waited for.
const MAX_TARGET: i64 = 200 * MILLISECOND;
/// Slack is given up only if this much more than the target is left, so that small changes of the jitter do not make the
/// delay go to and fro.
const HYSTERESIS: i64 = 4 * MILLISECOND;
/// And only after it was too much for this many ticks: 1 s.
const PATIENCE: u32 = 50;
/// Slack in excess of this is given up in a hurry.
const MUCH: i64 = 40 * MILLISECOND;
/// Packets that waited longer than the target by this are not played at all.
pub(super) const EXCESS: i64 = 300 * MILLISECOND;
/// Ticks between two splices.
const PAUSE: u32 = 10;
const PAUSE_IN_A_HURRY: u32 = 3;
/// How alike the ends of a splice must be at first; the demand sinks to `LEAST_LIKENESS` over `RELAXED_AFTER` ticks.
const LIKENESS: f32 = 0.95;
const LEAST_LIKENESS: f32 = 0.4;
/// A splice that gains only a few milliseconds has to be as good as none.
const PERFECT_LIKENESS: f32 = 0.99;
const RELAXED_AFTER: f32 = 100.0;
/// Loss is the mean over about this many packets.
const LOSS_MEMORY: f32 = 256.0;
/// From this share of lost packets on, waiting for the packet after a lost one pays, for the FEC that it may carry…
const LOSSY: f32 = 0.01;
/// …until the share is below this.
const CLEAN: f32 = 0.003;

/// What to do to the sound that is about to be played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Correction {
    None,
    /// Put a piece in, if the ends are this alike.
    Lengthen {
        likeness: f32,
    },
    /// Take up to `most` samples out, if the ends are this alike.
    Shorten {
        most: i64,
        likeness: f32,
    },
}

/// The delay of one voice.
#[derive(Debug, Default)]
pub(super) struct Delay {
    /// Ticks in a row with too much slack.
    ample: u32,
    /// Ticks since the last splice.
    since_splice: u32,
    /// Ticks that a correction is being sought.
    sought: u32,
    loss: f32,
    lossy: bool,
}

impl Delay {
    /// How long a first packet has to wait, so that the line has the slack it needs.
    pub(super) fn before_begin(&self, line: &Line, packet: i64) -> i64 {
        self.target(line, packet) + FRAME - gcd(packet, FRAME)
    }

    /// The slack that the line needs, in samples.
    pub(super) fn target(&self, line: &Line, packet: i64) -> i64 {
        let for_fec = if self.lossy { packet } else { 0 };
        (line.jitter() + MARGIN + for_fec).min(MAX_TARGET)
    }

    /// A packet came after `lost` ones that did not.
    pub(super) fn note_loss(&mut self, lost: i64) {
        for _ in 0..lost.min(16) {
            self.loss += (1.0 - self.loss) / LOSS_MEMORY;
        }
        self.loss -= self.loss / LOSS_MEMORY;
        self.lossy = self.loss > if self.lossy { CLEAN } else { LOSSY };
    }

    /// Decides for a tick at which the next sample `waited` so long, the next packet begins `to_boundary` samples after
    /// it, and packets last `packet` samples. In silence a splice needs no pause after the last.
    pub(super) fn decide(
        &mut self,
        waited: i64,
        to_boundary: i64,
        target: i64,
        packet: i64,
        silent: bool,
    ) -> Correction {
        self.since_splice = self.since_splice.saturating_add(1);
        let step = gcd(packet, FRAME);
        let offset = to_boundary.rem_euclid(step);
        let slack = waited - offset - (FRAME - step);
        let surplus = slack - step - target;
        self.ample = if surplus >= HYSTERESIS { self.ample.saturating_add(1) } else { 0 };

        let hurry = slack < target || surplus > MUCH;
        let wanted = if slack < target {
            Correction::Lengthen { likeness: self.likeness() }
        } else if self.ample > PATIENCE || surplus > MUCH {
            Correction::Shorten { most: offset + (slack - target) / step * step, likeness: self.likeness() }
        } else if offset >= super::splice::MIN_LAG as i64 {
            Correction::Shorten { most: offset, likeness: PERFECT_LIKENESS }
        } else {
            self.sought = 0;
            return Correction::None;
        };
        self.sought = self.sought.saturating_add(1);
        let pause = if hurry { PAUSE_IN_A_HURRY } else { PAUSE };
        if silent || self.since_splice >= pause { wanted } else { Correction::None }
    }

    /// A correction was made.
    pub(super) fn spliced(&mut self) {
        self.since_splice = 0;
        self.sought = 0;
    }

    fn likeness(&self) -> f32 {
        let relaxed = (self.sought as f32 / RELAXED_AFTER).min(1.0);
        LIKENESS + (LEAST_LIKENESS - LIKENESS) * relaxed
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
