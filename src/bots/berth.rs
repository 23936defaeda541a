//! The place of one bot in a crew, which it comes back to: whoever loses its connection joins again, later each time that
//! it fails, until the server refuses it for good.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::backoff::Backoff;
use super::{Bot, BotConfig, BotError, Counts, SignallingError};
use crate::media::Templates;

/// The mix has sound all the time. A bot that gets nothing for this long has no server any more, whatever ICE says.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// A bot that was in for so long was well received; what befalls it then is a failure of its own.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Where the bot of a place is.
#[derive(Debug)]
enum Whereabouts {
    /// On its way.
    Joining(JoinHandle<Result<Bot, BotError>>),
    /// In the room, since then; and when something last came.
    In { bot: Box<Bot>, since: Instant, heard: Instant },
    /// Waits for its next attempt.
    Waiting(Instant),
    /// The server will not have it.
    Refused,
}

/// What came and went over a while: frames, bytes, packets lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) frames: u64,
    pub(super) down: u64,
    pub(super) up: u64,
    pub(super) lost: u64,
}

/// What happened to a bot since it was last looked after.
#[derive(Debug)]
pub(super) enum Change {
    Joined,
    /// It was in, and is no more.
    Lost,
    /// It did not get in, and tries again.
    Failed(BotError),
    /// It did not get in, and never will.
    Refused(BotError),
}

#[derive(Debug)]
pub(super) struct Berth {
    config: BotConfig,
    whereabouts: Whereabouts,
    backoff: Backoff,
    /// As last counted.
    last: Counts,
}

impl Berth {
    pub(super) fn new(config: BotConfig) -> Self {
        let (whereabouts, backoff) = (Whereabouts::Waiting(Instant::now()), Backoff::default());
        Self { config, whereabouts, backoff, last: Counts::default() }
    }

    pub(super) fn config(&self) -> &BotConfig {
        &self.config
    }

    /// The bot, where it is in the room.
    pub(super) fn bot(&self) -> Option<&Bot> {
        match &self.whereabouts {
            Whereabouts::In { bot, .. } if !bot.ended() => Some(bot),
            _ => None,
        }
    }

    /// Whether its last attempt was the first one to fail.
    pub(super) fn is_first_failure(&self) -> bool {
        self.backoff.failures() == 1
    }

    pub(super) fn is_joining(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Joining(_))
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Refused)
    }

    /// Whether it is time to send it (again).
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.whereabouts, Whereabouts::Waiting(until) if now >= until)
    }

    /// Sends it.
    pub(super) fn join(&mut self, templates: &Templates) {
        let (config, templates) = (self.config.clone(), templates.clone());
        self.whereabouts = Whereabouts::Joining(tokio::spawn(async move { Bot::join(config, &templates).await }));
    }

    /// Sees what became of it. Waits for nothing.
    pub(super) async fn look(&mut self, now: Instant) -> Option<Change> {
        match &mut self.whereabouts {
            Whereabouts::Joining(joining) if joining.is_finished() => {
                let joined = joining.await.unwrap_or(Err(BotError::Aborted));
                Some(self.arrived(joined, now))
            }
            Whereabouts::In { bot, since, heard } => {
                let counts = bot.counts();
                if (counts.audio_packets, counts.video_packets) != (self.last.audio_packets, self.last.video_packets) {
                    *heard = now;
                }
                if !bot.ended() && now.saturating_duration_since(*heard) < SILENT_FOR {
                    return None;
                }
                if now.saturating_duration_since(*since) >= SETTLED_AFTER {
                    self.backoff.succeed();
                }
                let wait = self.wait(now);
                let lost = std::mem::replace(&mut self.whereabouts, wait);
                // Its pipelines take their time.
                tokio::task::spawn_blocking(move || drop(lost));
                self.last = Counts::default();
                Some(Change::Lost)
            }
            _ => None,
        }
    }

    fn arrived(&mut self, joined: Result<Bot, BotError>, now: Instant) -> Change {
        match joined {
            Ok(bot) => {
                self.whereabouts = Whereabouts::In { bot: Box::new(bot), since: now, heard: now };
                Change::Joined
            }
            Err(error) if is_final(&error) => {
                self.whereabouts = Whereabouts::Refused;
                Change::Refused(error)
            }
            Err(error) => {
                self.whereabouts = self.wait(now);
                Change::Failed(error)
            }
        }
    }

    fn wait(&mut self, now: Instant) -> Whereabouts {
        Whereabouts::Waiting(now + self.backoff.fail(rand::random()))
    }

    /// What it counted since this was last asked.
    pub(super) fn traffic(&mut self) -> Traffic {
        let now = self.bot().map(Bot::counts).unwrap_or_default();
        let last = std::mem::replace(&mut self.last, now);
        let since = |field: fn(&Counts) -> u64| field(&now).saturating_sub(field(&last));
        Traffic {
            frames: since(|counts| counts.video_frames),
            down: since(|counts| counts.video_bytes + counts.audio_bytes),
            up: since(|counts| counts.sent_bytes),
            lost: since(|counts| counts.lost),
        }
    }

    /// The bot, to leave; one that is on its way is awaited.
    pub(super) async fn into_bot(self) -> Option<Bot> {
        match self.whereabouts {
            Whereabouts::Joining(joining) => joining.await.ok()?.ok(),
            Whereabouts::In { bot, .. } => Some(*bot),
            Whereabouts::Waiting(_) | Whereabouts::Refused => None,
        }
    }
}

/// Whether trying again does not heal it: the server answered, and it is the request that it does not like. A room that is
/// not there yet (409), too much at a time (429) and whatever is the server's own fault pass.
fn is_final(error: &BotError) -> bool {
    let BotError::Signalling(SignallingError::Refused { status, .. }) = error else { return false };
    matches!(status, 400..500) && !matches!(status, 408 | 409 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_or_full_is_tried_again_and_a_refusal_is_final() {
        let refused = |status| is_final(&SignallingError::Refused { status, detail: String::new() }.into());
        assert!([400, 401, 403, 404, 415, 422].into_iter().all(refused));
        assert!(![408, 409, 429, 500, 502, 503].into_iter().any(refused));
        assert!(!is_final(&SignallingError::Malformed("a Location").into()) && !is_final(&BotError::Aborted));
    }
}
