//! The 20 ms grid that the mixer runs on.

use std::time::Duration;

use crate::pcm::FRAME_DURATION;

/// Ticks that are made up for if the thread got to run late; older ones are skipped.
const MAX_CATCH_UP: u32 = 3;
/// A clock that is further back than this has been set anew, and the grid with it.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// Deadlines at whole multiples of 20 ms; a late tick does not move those after it.
#[derive(Debug, Default)]
pub(super) struct Grid {
    next: Option<Duration>,
    skipped: u64,
}

impl Grid {
    /// How long it is to the next tick.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_sub(now).min(FRAME_DURATION))
    }

    /// The tick that is due at `now`, if one is. To be called again until none is.
    pub(super) fn due(&mut self, now: Duration) -> Option<Duration> {
        let ticks = now.as_nanos().div_ceil(FRAME_DURATION.as_nanos());
        let on_grid = FRAME_DURATION * u32::try_from(ticks).unwrap_or(u32::MAX);
        let mut tick = match self.next {
            Some(next) if next <= now + MAX_WAIT => next,
            _ => on_grid,
        };
        let late = u32::try_from(now.saturating_sub(tick).as_nanos() / FRAME_DURATION.as_nanos()).unwrap_or(u32::MAX);
        if let Some(skipped) = late.checked_sub(MAX_CATCH_UP) {
            tick += FRAME_DURATION * skipped;
            self.skipped += u64::from(skipped);
        }
        let due = now >= tick;
        self.next = Some(if due { tick + FRAME_DURATION } else { tick });
        due.then_some(tick)
    }

    /// Ticks that were left out.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Forgets the last tick, so that the time until the next is not made up for.
    pub(super) fn pause(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn ticks_are_on_the_grid_however_late_they_come() {
        let mut grid = Grid::default();
        assert_eq!(grid.due(ms(1_007)), None);
        assert_eq!(grid.wait(ms(1_007)), ms(13));
        assert_eq!(grid.due(ms(1_029)), Some(ms(1_020)));
        assert_eq!(grid.due(ms(1_029)), None);
        assert_eq!(grid.due(ms(1_040)), Some(ms(1_040)));
        assert_eq!(grid.skipped(), 0);
    }

    #[test]
    fn a_few_late_ticks_are_made_up_for_and_the_rest_skipped() {
        let mut grid = Grid::default();
        assert_eq!(grid.due(ms(0)), Some(ms(0)));
        let late: Vec<Duration> = std::iter::from_fn(|| grid.due(ms(1_005))).collect();
        assert_eq!(late, [ms(940), ms(960), ms(980), ms(1_000)]);
        assert_eq!(grid.skipped(), 46);
    }

    #[test]
    fn a_clock_set_back_begins_a_new_grid() {
        let mut grid = Grid::default();
        assert_eq!(grid.due(ms(60_000)), Some(ms(60_000)));
        assert_eq!(grid.due(ms(111)), None);
        assert_eq!(grid.due(ms(120)), Some(ms(120)));
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut grid = Grid::default();
        grid.due(ms(0));
        grid.pause();
        assert_eq!(grid.due(ms(60_000)), Some(ms(60_000)));
        assert_eq!(grid.skipped(), 0);
    }
}
