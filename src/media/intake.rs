//! What becomes of each coded frame of a picture: decided here, done by [`Door`](super::door::Door).
//!
//! A decoder is given what it can decode. After a loss that is nothing until the next keyframe, or until a recovery point
//! (intra refresh, open groups of pictures), from which the picture becomes whole out of sight. A sender that leaves
//! requests for keyframes unanswered gets something shown all the same: what can be decoded, smeared as it may be.
//!
//! What nobody looks at is not decoded. If its sender makes keyframes when it is asked, it is dropped, and a keyframe asked
//! for when somebody looks. If not, or while that is not known, it is kept, to be caught up with when somebody looks; where
//! too much would have to be kept, it is decoded unseen until the next keyframe.

use std::time::Duration;

use super::coded_frame::CodedFrame;
use super::kept::{Cost, Kept};
use super::keyframe_requests::KeyframeRequests;

/// After so many requests without an answer, one each half second, a picture that was there is shown as it can be decoded.
const SMEARED_AFTER: u32 = 4;
/// One that never was, of which more is missing: it has that long to become whole by itself.
const UNSEEN_UNTIL: u32 = 20;

/// How often a sender is asked, while nobody looks, to see whether it answers.
const PROBES: u32 = 3;

/// A whole coded frame that came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Duration,
    /// When it is to be shown.
    pub(super) stamp: Option<Duration>,
    pub(super) frame: CodedFrame,
    /// Something before it, or a part of it, is missing.
    pub(super) after_loss: bool,
    /// Somebody looks.
    pub(super) seen: bool,
    pub(super) cost: Cost,
}

/// What is to be done, in this order.
#[derive(Debug)]
pub(super) struct Decision<F> {
    /// Ask the sender for a keyframe.
    pub(super) ask: bool,
    /// Decode these.
    pub(super) catch_up: Kept<F>,
    /// Then decode the frame itself.
    pub(super) decode: bool,
}

impl<F> Default for Decision<F> {
    fn default() -> Self {
        Self { ask: false, catch_up: Kept::default(), decode: false }
    }
}

/// How far a decoder that gets what is decided here is from a whole picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// Nothing can be decoded.
    Lost,
    /// After so many more reference frames it is whole.
    Recovering { frames: u32 },
    /// There is no telling.
    Smeared,
    /// Frames from this time on are.
    Whole { from: Duration },
}

/// When decoded frames are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Never,
    /// With a timestamp of this and more.
    From(Duration),
}

/// The state of one picture's frames.
#[derive(Debug)]
pub(super) struct Intake<F> {
    sync: Sync,
    /// The decoder had a whole picture once.
    warm: bool,
    /// The first frame of all has none before it.
    begun: bool,
    /// What is to be shown is not older than this: not what was caught up with.
    newest: Duration,
    kept: Kept<F>,
    probes: u32,
    /// Too much would have to be kept.
    unkept: bool,
}

impl<F: Clone> Intake<F> {
    pub(super) fn new() -> Self {
        Self {
            sync: Sync::Lost,
            warm: false,
            begun: false,
            newest: Duration::ZERO,
            kept: Kept::default(),
            probes: 0,
            unkept: false,
        }
    }

    /// A frame came.
    pub(super) fn arrive(&mut self, requests: &mut KeyframeRequests, arrival: Arrival, frame: &F) -> Decision<F> {
        if arrival.frame == CodedFrame::Headers {
            return Decision { decode: true, ..Decision::default() };
        }
        // Nobody needs the keyframe of a sender that will make one when somebody does.
        requests.mute(!arrival.seen && requests.are_answered());
        self.follow(requests, arrival);
        if self.sync == Sync::Lost {
            return Decision { ask: arrival.seen && requests.request(arrival.now), ..Decision::default() };
        }
        if arrival.seen {
            return Decision { decode: true, ..self.look(requests, arrival.now) };
        }
        if self.unkept {
            return Decision { decode: true, ..Decision::default() };
        }
        if requests.are_answered() {
            self.lose(requests);
            return Decision::default();
        }
        self.kept.push(frame.clone(), arrival.cost, arrival.frame.is_reference());
        let ask = self.probes < PROBES && requests.probe(arrival.now);
        self.probes += u32::from(ask);
        self.unkept = self.kept.is_full();
        let catch_up = if self.unkept { self.catch_up() } else { Kept::default() };
        Decision { ask, catch_up, decode: false }
    }

    /// Somebody looks again.
    pub(super) fn look(&mut self, requests: &mut KeyframeRequests, now: Duration) -> Decision<F> {
        (self.probes, self.unkept) = (0, false);
        requests.mute(false);
        let ask = self.begun && self.sync == Sync::Lost && requests.request(now);
        Decision { ask, catch_up: self.catch_up(), decode: false }
    }

    /// Frames are refused: what comes next lacks them.
    pub(super) fn refuse(&mut self, requests: &mut KeyframeRequests) {
        self.lose(requests);
        requests.mute(true);
    }

    /// Which frames are shown, of those that the decoder brings from now on.
    pub(super) fn shown(&self, requests: &KeyframeRequests) -> Shown {
        match self.sync {
            Sync::Lost | Sync::Recovering { .. } => Shown::Never,
            Sync::Smeared if self.warm || requests.unanswered() >= UNSEEN_UNTIL => Shown::From(Duration::ZERO),
            Sync::Smeared => Shown::Never,
            Sync::Whole { from } => Shown::From(from),
        }
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// What was kept, of which only the newest is worth showing.
    fn catch_up(&mut self) -> Kept<F> {
        let kept = std::mem::take(&mut self.kept);
        if let Sync::Whole { from } = &mut self.sync
            && !kept.is_empty()
        {
            *from = self.newest;
        }
        kept
    }

    /// Follows how far the picture is from being whole.
    fn follow(&mut self, requests: &mut KeyframeRequests, arrival: Arrival) {
        let Arrival { now, frame, .. } = arrival;
        let stamp = arrival.stamp.unwrap_or(now);
        let lost = arrival.after_loss && self.begun;
        self.begun = true;
        self.newest = stamp;
        if lost && frame != CodedFrame::Keyframe {
            if self.sync != Sync::Smeared {
                self.lose(requests);
            }
            return;
        }
        match (frame, self.sync) {
            (CodedFrame::Keyframe, _) => {
                requests.keyframe(now);
                self.begin(Sync::Whole { from: stamp });
            }
            (CodedFrame::RecoveryPoint { frames, .. }, Sync::Lost) => self.begin(Sync::Recovering { frames }),
            (CodedFrame::RecoveryPoint { frames: 0, .. } | CodedFrame::Intra { .. }, Sync::Smeared) => {
                requests.settle();
                self.begin(Sync::Whole { from: stamp });
            }
            (CodedFrame::RecoveryPoint { frames, .. }, _) if !arrival.seen => {
                self.unkept = false;
                self.kept.recovery_point(frames);
            }
            (_, Sync::Lost) if requests.unanswered() >= SMEARED_AFTER => self.sync = Sync::Smeared,
            _ => {}
        }
        match &mut self.sync {
            Sync::Recovering { frames: 0 } => {
                requests.settle();
                self.sync = Sync::Whole { from: stamp };
            }
            Sync::Recovering { frames } => *frames -= u32::from(frame.is_reference()),
            _ => {}
        }
        self.warm |= matches!(self.sync, Sync::Whole { .. });
    }

    /// Decoding begins anew: what came before is of no use any more.
    fn begin(&mut self, sync: Sync) {
        self.sync = sync;
        self.kept = Kept::default();
        self.unkept = false;
    }

    fn lose(&mut self, requests: &mut KeyframeRequests) {
        if self.sync != Sync::Lost {
            requests.begin();
        }
        self.begin(Sync::Lost);
    }
}

#[cfg(test)]
mod tests;
