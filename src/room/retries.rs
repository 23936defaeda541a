//! When what failed is started again: soon, and later each time that it fails again soon. Time is a parameter.

use std::collections::HashMap;
use std::time::Duration;

use crate::media::RenditionKey;

/// The first pause, and the longest.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Who runs this long without a failure begins with the shortest pause again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// The encoders that failed lately.
#[derive(Debug, Default)]
pub(super) struct Retries {
    failures: HashMap<RenditionKey, Failure>,
}

#[derive(Debug)]
struct Failure {
    at: Duration,
    pause: Duration,
    /// It was not started again yet.
    waits: bool,
}

impl Retries {
    /// It failed at `now`. Answers how long it has to wait.
    pub(super) fn note(&mut self, key: RenditionKey, now: Duration) -> Duration {
        self.failures.retain(|_, failure| failure.waits || now.saturating_sub(failure.at) < HEALTHY_AFTER);
        let pause = self.failures.get(&key).map_or(SHORTEST, |before| (before.pause * 2).min(LONGEST));
        self.failures.insert(key, Failure { at: now, pause, waits: true });
        pause
    }

    /// Whether it failed and its time has not come yet.
    pub(super) fn waits(&self, key: &RenditionKey) -> bool {
        self.failures.get(key).is_some_and(|failure| failure.waits)
    }

    /// Those whose time has come; they wait no more.
    pub(super) fn due(&mut self, now: Duration) -> Vec<RenditionKey> {
        let due = self.failures.iter_mut().filter(|(_, it)| it.waits && now >= it.at + it.pause);
        due.map(|(key, failure)| {
            failure.waits = false;
            key.clone()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Codec;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn key(name: &str) -> RenditionKey {
        RenditionKey { codec: Codec::Vp8, name: name.to_owned(), single_nal: false }
    }

    #[test]
    fn one_that_always_fails_is_started_ever_more_seldom_and_never_given_up() {
        let mut retries = Retries::default();
        let (mut now, mut pauses) = (ms(1_000), Vec::new());
        for _ in 0..8 {
            let pause = retries.note(key("high"), now);
            assert!(retries.waits(&key("high")) && !retries.waits(&key("low")));
            assert_eq!(retries.due(now + pause - ms(1)), []);
            now += pause;
            assert_eq!(retries.due(now), [key("high")]);
            assert_eq!(retries.due(now), [], "it is started once");
            assert!(!retries.waits(&key("high")));
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
        assert_eq!(retries.note(key("low"), now), SHORTEST, "another one is not to blame");
    }

    #[test]
    fn a_failure_is_forgotten_after_a_healthy_while() {
        let mut retries = Retries::default();
        retries.note(key("high"), ms(0));
        retries.due(ms(500));
        assert_eq!(retries.note(key("high"), ms(59_000)), ms(1_000));
        retries.due(ms(60_000));
        assert_eq!(retries.note(key("high"), ms(119_000)), ms(500));
    }
}
