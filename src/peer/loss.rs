//! Whether a line loses so many packets that its peer's sound needs FEC.
//!
//! Pure; time is a parameter. Quick to say so, as loss is heard at once, and slow to take it back: what is put into the
//! packets costs all encodes of the room, and to change it to and fro is worse than to keep it for a while.

use std::time::Duration;

use crate::ladder::LineReport;

/// Loss above this is heard in spite of concealment.
const LOSSY: f32 = 0.02;
/// So many reports in a row decide: one alone may be a short burst.
const LOSSY_REPORTS: u32 = 2;
/// Loss below this is what concealment hides…
const CLEAN: f32 = 0.01;
/// …if it stays there for this long.
const CLEAN_FOR: Duration = Duration::from_secs(20);

/// The loss of one peer's line, with hysteresis.
#[derive(Debug, Default)]
pub(super) struct Loss {
    lossy: bool,
    bad: u32,
    clean_since: Option<Duration>,
}

impl Loss {
    pub(super) fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Takes a report of time `now`; true if it made a difference.
    pub(super) fn report(&mut self, now: Duration, report: LineReport) -> bool {
        let before = self.lossy;
        self.bad = if report.loss > LOSSY { self.bad.saturating_add(1) } else { 0 };
        if report.loss >= CLEAN {
            self.clean_since = None;
            self.lossy |= self.bad >= LOSSY_REPORTS;
        } else {
            let since = *self.clean_since.get_or_insert(now);
            self.lossy &= now.saturating_sub(since) < CLEAN_FOR;
        }
        self.lossy != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports every half second, and when (in s) the line became lossy or clean.
    fn changes(losses: impl IntoIterator<Item = f32>) -> Vec<(f64, bool)> {
        let mut loss = Loss::default();
        let mut changes = Vec::new();
        for (n, reported) in losses.into_iter().enumerate() {
            let now = Duration::from_millis(500 * n as u64);
            if loss.report(now, LineReport { loss: reported }) {
                changes.push((now.as_secs_f64(), loss.is_lossy()));
            }
        }
        changes
    }

    fn for_seconds(seconds: usize, loss: f32) -> impl Iterator<Item = f32> {
        std::iter::repeat_n(loss, 2 * seconds)
    }

    #[test]
    fn two_bad_reports_make_a_line_lossy_and_20_clean_seconds_end_it() {
        assert_eq!(changes(for_seconds(10, 0.03).chain(for_seconds(60, 0.005))), [(0.5, true), (30.0, false)]);
    }

    #[test]
    fn single_bursts_do_not_count() {
        assert_eq!(changes((0..400).map(|n| if n % 2 == 0 { 0.5 } else { 0.0 })), []);
    }

    #[test]
    fn loss_between_the_two_keeps_what_is() {
        assert_eq!(changes(for_seconds(100, 0.015)), []);
        assert_eq!(changes(for_seconds(1, 0.03).chain(for_seconds(100, 0.015))), [(0.5, true)]);
    }

    #[test]
    fn a_line_that_loses_now_and_then_stays_lossy() {
        let now_and_then = (0..400).map(|n| if n % 30 == 0 { 0.1 } else { 0.0 });
        assert_eq!(changes(for_seconds(1, 0.1).chain(now_and_then)), [(0.5, true)]);
    }

    #[test]
    fn nonsense_is_no_loss() {
        assert_eq!(changes([f32::NAN, f32::NAN, f32::NAN, -1.0]), []);
    }
}
