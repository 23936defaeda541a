//! Pictures that wait until they are due, for the voice that belongs to them.

use std::collections::VecDeque;
use std::time::Duration;

/// Pictures that wait at most: half a second at 60 a second, with room for a burst.
const MAX_PICTURES: usize = 48;
/// What they take at most. Half a second of 1280x720 at 30 frames a second is 21 MB.
const MAX_BYTES: usize = 32 << 20;

/// A queue of pictures, the earliest first.
#[derive(Debug)]
pub(super) struct Held<T> {
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    picture: T,
    due: Duration,
    bytes: usize,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, dropped: 0 }
    }
}

impl<T> Held<T> {
    /// Keeps a picture until it is `due`, and not before those that came before it. Where there is no room it is dropped.
    pub(super) fn keep(&mut self, picture: T, bytes: usize, due: Duration) {
        if self.waiting.len() >= MAX_PICTURES || self.bytes + bytes > MAX_BYTES {
            self.dropped += 1;
            return;
        }
        self.bytes += bytes;
        self.waiting.push_back(Waiting { picture, due, bytes });
    }

    /// The newest picture that is due at `now`, and since when it is. Those before it are gone.
    pub(super) fn due(&mut self, now: Duration) -> Option<(T, Duration)> {
        let mut newest = None;
        while self.waiting.front().is_some_and(|first| first.due <= now)
            && let Some(first) = self.waiting.pop_front()
        {
            self.bytes -= first.bytes;
            newest = Some((first.picture, first.due));
        }
        newest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Pictures that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn pictures_are_due_in_their_order_and_the_newest_counts() {
        let mut held = Held::default();
        for (picture, due) in [(1, 100), (2, 140), (3, 120), (4, 180)] {
            held.keep(picture, 10, ms(due));
        }
        assert_eq!(held.due(ms(99)), None);
        assert_eq!(held.due(ms(130)), Some((1, ms(100))));
        assert_eq!(held.due(ms(150)), Some((3, ms(120))), "the one before it was due later");
        assert_eq!(held.due(ms(150)), None);
        assert_eq!(held.due(ms(180)), Some((4, ms(180))));
        assert!(held.is_empty() && held.bytes == 0 && held.dropped() == 0);
    }

    #[test]
    fn they_are_bounded_in_number_and_in_bytes() {
        let mut held = Held::default();
        for n in 0..60 {
            held.keep(n, 1, ms(n));
        }
        assert_eq!(held.dropped(), 12);
        held.due(ms(60));
        for n in 0..4 {
            held.keep(n, MAX_BYTES / 3, ms(n));
        }
        assert_eq!(held.dropped(), 13);
        assert!(held.due(ms(4)).is_some() && held.bytes == 0);
        held.keep(0, MAX_BYTES / 3, ms(0));
        assert!(!held.is_empty(), "there is room again");
    }
}
