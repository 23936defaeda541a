//! What is known of a peer's line by what comes over it and by time: is it up, is it silent, what does it carry.
//!
//! Silence says nothing by itself. A peer that is muted and has no camera sends nothing but reports, and those come when
//! they like: libwebrtc makes them each second where there are pictures, and each 2.5 to 7.5 s where there is only sound;
//! RFC 3550 (section 6.2) says 5 s, half of it to one and a half. (The consent checks of ICE, RFC 7675, stay inside
//! libnice, which tells nobody of them.) So what is expected of a peer depends on what it does now: whoever sent media up
//! to the moment at which it fell silent, and reports, should be heard again soon, and is gone if it is not. Whoever had
//! stopped sending before may have nothing to say.
//!
//! Pure; times are running times of the room.

use std::collections::VecDeque;
use std::time::Duration;

use super::loss::Loss;
use crate::control::CloseReason;
use crate::ladder::{Ladder, LineReport};

/// A peer that is not connected by then never will be.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

/// After this silence the tile of somebody who was sending is taken off the canvas at the earliest…
const SILENT_AFTER: Duration = Duration::from_millis(3_500);
/// …where its reports do not come more seldom. The pauses between them are random, and this many times the longest seen
/// is not too short.
const LONGEST_PAUSES: u32 = 2;
/// Of so many pauses the longest counts; with fewer than these nothing is known, and without a picture silence means nothing
/// before its end.
const PAUSES: usize = 8;
const PAUSES_TO_KNOW: usize = 3;

/// Media that came last so long before the last sign of life had stopped before.
const TOGETHER: Duration = Duration::from_secs(1);

/// After this silence the peer is closed. (RFC 7675 gives consent 30 s; a browser that comes back joins anew.)
const VANISHED_AFTER: Duration = Duration::from_secs(12);

/// What is seen of a peer at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) now: Duration,
    /// When something was last heard of it.
    pub(super) heard: Duration,
    /// When media last came from it.
    pub(super) sent: Option<Duration>,
    /// When it last reported (RTCP).
    pub(super) reported: Option<Duration>,
    /// Whether it has a picture to show.
    pub(super) live: bool,
    pub(super) report: Option<LineReport>,
}

/// How often a peer reports.
#[derive(Debug, Default)]
struct Reports {
    last: Option<Duration>,
    pauses: VecDeque<Duration>,
}

impl Reports {
    /// The last report came at this time, which may be known already.
    fn note(&mut self, reported: Option<Duration>) {
        let Some(reported) = reported.filter(|reported| self.last != Some(*reported)) else { return };
        if let Some(last) = self.last.replace(reported) {
            self.pauses.push_back(reported.saturating_sub(last));
            if self.pauses.len() > PAUSES {
                self.pauses.pop_front();
            }
        }
    }

    /// How long the silence of a peer with such reports, and with or without a picture, means nothing.
    fn patience(&self, live: bool) -> Duration {
        match self.pauses.iter().max() {
            Some(longest) if self.pauses.len() >= PAUSES_TO_KNOW => SILENT_AFTER.max(*longest * LONGEST_PAUSES),
            // Where there are pictures, reports come each second.
            _ if live => SILENT_AFTER,
            _ => VANISHED_AFTER,
        }
    }
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
    reports: Reports,
    ladder: Ladder,
    loss: Loss,
}

impl Line {
    /// On rung `best` of `rungs`, the best that the peer may get.
    pub(super) fn new(rungs: usize, best: usize) -> Self {
        let (ladder, loss) = (Ladder::new(rungs, best), Loss::default());
        let reports = Reports::default();
        Self { connected: false, began: None, heard: true, live: false, reports, ladder, loss }
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
        self.reports.note(sight.reported);
        let was_sending = sight.sent.is_some_and(|sent| sight.heard.saturating_sub(sent) <= TOGETHER);
        let heard = !was_sending || silence < self.reports.patience(sight.live);
        if heard != self.heard {
            self.heard = heard;
            findings.push(Finding::Heard(heard));
        }
        if sight.live != self.live {
            self.live = sight.live;
            findings.push(Finding::VideoLive(sight.live));
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

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Of a peer that sends and reports all the time, or did until `heard`.
    fn sight(now: u64, heard: u64) -> Sight {
        let last = Some(ms(heard));
        Sight { now: ms(now), heard: ms(heard), sent: last, reported: last, live: true, report: None }
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

    /// What is found of a peer that is looked at twice a second, sends until `muted`, and of which something is heard
    /// last at `end`; it reports with this pause. Each finding with its time.
    fn found(pause: u64, muted: u64, end: u64, until: u64) -> Vec<(u64, Finding)> {
        let mut line = Line::new(1, 0);
        line.set_connected();
        let mut found = Vec::new();
        for now in (0..until).step_by(500) {
            let sent = now.min(muted).min(end);
            let reported = now.min(end) / pause * pause;
            let (sent, reported, heard) = (Some(ms(sent)), Some(ms(reported)), ms(sent.max(reported)));
            let findings = line.look(Sight { now: ms(now), heard, sent, reported, live: false, report: None });
            let gone = findings.iter().any(|finding| matches!(finding, Finding::Gone(_)));
            found.extend(findings.into_iter().map(|finding| (now, finding)));
            if gone {
                break;
            }
        }
        found
    }

    const NEVER: u64 = 1_000_000;

    #[test]
    fn who_vanishes_while_it_sends_loses_its_tile_soon() {
        let gone = |at| (at, Finding::Gone(CloseReason::Vanished));
        assert_eq!(found(1_000, NEVER, 10_000, 60_000), [(13_500, Finding::Heard(false)), gone(22_000)]);
        assert_eq!(found(100, NEVER, 10_000, 60_000), [(13_500, Finding::Heard(false)), gone(22_000)]);
        assert_eq!(found(5_000, NEVER, 30_000, 60_000), [(40_000, Finding::Heard(false)), gone(42_000)]);
        assert_eq!(found(1_000, NEVER, 1_000, 60_000), [gone(13_000)], "how often it reports is not known yet");
    }

    #[test]
    fn who_is_muted_keeps_its_tile_however_seldom_it_reports() {
        for pause in [100, 1_000, 2_500, 5_000, 7_500, 10_000, 11_500] {
            for muted in (0..30_000).step_by(700) {
                assert_eq!(found(pause, muted, NEVER, 120_000), [], "reports each {pause} ms, muted after {muted} ms");
            }
        }
    }

    #[test]
    fn who_is_heard_again_has_its_tile_again() {
        let mut line = Line::new(1, 0);
        line.set_connected();
        for now in (0..5_000).step_by(500) {
            line.look(Sight { live: false, ..sight(now, now) });
        }
        assert_eq!(line.look(sight(5_000, 5_000)), [Finding::VideoLive(true)]);
        assert_eq!(line.look(sight(8_400, 5_000)), []);
        assert_eq!(
            line.look(Sight { live: false, ..sight(8_500, 5_000) }),
            [Finding::Heard(false), Finding::VideoLive(false)]
        );
        assert_eq!(line.look(sight(9_000, 8_900)), [Finding::Heard(true), Finding::VideoLive(true)]);
        assert_eq!(line.look(sight(20_900, 8_900)), [Finding::Gone(CloseReason::Vanished)]);
    }
}
