//! What is known of a peer's line by what comes over it and by time: is it up, is it silent, what does it carry.
//!
//! Pure; times are running times of the room.

use std::time::Duration;

use super::loss::Loss;
use crate::control::CloseReason;
use crate::ladder::{Ladder, LineReport};

/// A peer that is not connected by then never will be.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// After this silence a participant's tile is taken off the canvas: it is very likely gone. Peers that send do so all the
/// time, those that receive pictures report each second.
const SILENT_AFTER: Duration = Duration::from_millis(3_500);

/// The same for who never sent anything: libwebrtc reports on sound alone each 2.5 to 7.5 s.
const SILENT_LISTENER_AFTER: Duration = Duration::from_secs(8);

/// After this silence the peer is closed. (RFC 7675 gives consent 30 s; a browser that comes back joins anew.)
const VANISHED_AFTER: Duration = Duration::from_secs(12);

/// Without a picture for this long the video counts as paused.
const PAUSED_AFTER: Duration = Duration::from_secs(3);

/// What is seen of a peer at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) now: Duration,
    /// Whether it ever sent media.
    pub(super) sends: bool,
    /// When something was last heard of it.
    pub(super) heard: Duration,
    /// When its last picture came.
    pub(super) pictured: Option<Duration>,
    pub(super) report: Option<LineReport>,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Heard(bool),
    VideoLive(bool),
    Rung(usize),
    Lossy(bool),
    Gone(CloseReason),
}

#[derive(Debug)]
pub(super) struct Line {
    connected: bool,
    began: Option<Duration>,
    heard: bool,
    live: bool,
    ladder: Ladder,
    loss: Loss,
}

impl Line {
    /// On rung `best` of `rungs`, the best that the peer may get.
    pub(super) fn new(rungs: usize, best: usize) -> Self {
        let (ladder, loss) = (Ladder::new(rungs, best), Loss::default());
        Self { connected: false, began: None, heard: true, live: false, ladder, loss }
    }

    pub(super) fn set_connected(&mut self) {
        self.connected = true;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn look(&mut self, sight: Sight) -> Vec<Finding> {
        let began = *self.began.get_or_insert(sight.now);
        if !self.connected {
            let late = sight.now.saturating_sub(began) >= CONNECT_DEADLINE;
            return if late { vec![Finding::Gone(CloseReason::NotConnected)] } else { Vec::new() };
        }
        let silence = sight.now.saturating_sub(sight.heard);
        if silence >= VANISHED_AFTER {
            return vec![Finding::Gone(CloseReason::Vanished)];
        }
        let mut findings = Vec::new();
        let heard = silence < if sight.sends { SILENT_AFTER } else { SILENT_LISTENER_AFTER };
        if heard != self.heard {
            self.heard = heard;
            findings.push(Finding::Heard(heard));
        }
        let live = sight.pictured.is_some_and(|at| sight.now.saturating_sub(at) < PAUSED_AFTER);
        if live != self.live {
            self.live = live;
            findings.push(Finding::VideoLive(live));
        }
        if let Some(report) = sight.report {
            if self.ladder.report(sight.now, report) {
                findings.push(Finding::Rung(self.ladder.rung()));
            }
            if self.loss.report(sight.now, report) {
                findings.push(Finding::Lossy(self.loss.is_lossy()));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(now: u64, heard: u64) -> Sight {
        Sight {
            now: Duration::from_millis(now),
            sends: true,
            heard: Duration::from_millis(heard),
            pictured: Some(Duration::from_millis(heard)),
            report: None,
        }
    }

    #[test]
    fn a_peer_that_never_connects_is_given_up() {
        let mut line = Line::new(1, 0);
        assert_eq!(line.look(sight(1_000, 0)), []);
        assert_eq!(line.look(sight(15_999, 0)), []);
        assert_eq!(line.look(sight(16_000, 0)), [Finding::Gone(CloseReason::NotConnected)]);
    }

    #[test]
    fn loss_is_found_as_it_begins_and_ends() {
        let mut line = Line::new(1, 0);
        line.set_connected();
        let mut found = Vec::new();
        for second in 0..60 {
            let loss = if second < 10 { 0.05 } else { 0.0 };
            let now = second * 1_000;
            let findings = line.look(Sight { report: Some(LineReport { loss }), ..sight(now, now) });
            found.extend(findings.into_iter().filter(|it| matches!(it, Finding::Lossy(_))).map(|it| (second, it)));
        }
        assert_eq!(found, [(1, Finding::Lossy(true)), (30, Finding::Lossy(false))]);
    }

    #[test]
    fn silence_hides_the_tile_before_it_ends_the_peer() {
        let mut line = Line::new(1, 0);
        line.set_connected();
        assert_eq!(line.look(sight(1_000, 1_000)), [Finding::VideoLive(true)]);
        assert_eq!(line.look(sight(4_200, 1_000)), [Finding::VideoLive(false)]);
        assert_eq!(line.look(sight(4_500, 1_000)), [Finding::Heard(false)]);
        assert_eq!(line.look(sight(5_000, 4_900)), [Finding::Heard(true), Finding::VideoLive(true)]);
        assert_eq!(line.look(sight(16_900, 4_900)), [Finding::Gone(CloseReason::Vanished)]);
    }

    #[test]
    fn who_only_listens_is_seldom_heard_and_keeps_its_tile() {
        let mut line = Line::new(1, 0);
        line.set_connected();
        let listener = |now, heard| Sight { sends: false, pictured: None, ..sight(now, heard) };
        assert_eq!(line.look(listener(7_500, 0)), []);
        assert_eq!(line.look(listener(8_000, 0)), [Finding::Heard(false)]);
        assert_eq!(line.look(listener(12_000, 0)), [Finding::Gone(CloseReason::Vanished)]);
    }
}
