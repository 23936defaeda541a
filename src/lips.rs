//! Lips: which of a sender's two tracks comes later than the other, and how long the earlier one waits for it.
//!
//! A sender's reports say which RTP timestamp of a track belongs to which instant of the sender's clock (RFC 3550, section
//! 6.4.1). So of everything that comes it is known when it was captured, up to a difference between the sender's clock and
//! ours that is the same for both tracks; and from how late each of them is, the later one in the middle of what came
//! lately, how much later one is than the other. As long as that is too little to be seen nothing is done, and nobody
//! waits for what is not known: without reports from both tracks, or with reports that contradict each other.
//!
//! What a client claims here costs at most [`MAX_HOLD`] of its own delay. Pure: time is a parameter, in running time.

use std::collections::VecDeque;
use std::time::Duration;

/// The earlier track waits so long at most; what is beyond that stays.
pub const MAX_HOLD: Duration = Duration::from_millis(500);
/// Sound that is early by no more than this, or late by no more than that, in µs, is left as it is. Early by 45 ms it begins
/// to be noticed, late by 125 (ITU-R BT.1359-1); a chain should stay within 40 and 60 (EBU R37). And it usually is late by
/// some 45, by its packets and the wait for them: to wait for that would make every picture later than it has to be.
const EARLY: i64 = 25_000;
const LATE: i64 = 60_000;
/// Nobody waits any more where the tracks are nearer to each other than those bounds by so much, in µs.
const MARGIN: i64 = 10_000;
/// Tracks that are further apart are not of one clock: the reports of one of them are nonsense.
const ABSURD: i64 = 10_000_000; // µs
/// What the codecs add to the sound and no timestamp tells (twice the look-ahead of Opus), less what our encoder and a
/// decoder add to the picture, in µs.
const CODECS: i64 = 13_000 - 10_000;
/// A report that contradicts the one before by more than this is believed if the next one agrees with it, in µs.
const CONTRADICTION: i64 = 50_000;
/// A report is good for this long: Chromium's come each 1 to 5 s.
const REPORT_LASTS: Duration = Duration::from_secs(60);
/// How late a track is, is the middle of this many frames or ticks, some 2 s…
const LATENESSES: usize = 64;
/// …and not known from fewer than these.
const FEWEST: usize = 10;
/// How often it is decided.
const PERIOD: Duration = Duration::from_millis(200);
/// A track that has become later is waited for after this long; one that has become earlier, no more after that long.
const WAIT_AFTER: Duration = Duration::from_millis(400);
const RELEASE_AFTER: Duration = Duration::from_secs(3);
/// Nobody waits any more for a track of which nothing was known for so long: pauses in speech and still pictures are
/// shorter.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
/// The picture's wait changes by this much of the time that goes by: it runs by a fifth slower or faster until it is right.
const SLEW: f64 = 0.2;
/// Reports of sources of which no packet came yet that are kept.
const KEPT: usize = 8;

/// What a sender says of the time of one of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// NTP timestamp: seconds since 1900 in units of 2^-32 s. Zero means that the sender has no clock.
    pub ntp: u64,
    /// The RTP timestamp of the same instant.
    pub rtp: u32,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Voice,
    Picture,
}

/// The two tracks of one sender.
#[derive(Debug)]
pub struct Lips {
    voice: Track,
    picture: Track,
    /// The last ones of sources that belong to no track.
    reports: VecDeque<(SenderReport, Duration)>,
    /// How long the voice waits, in µs; below zero, the picture.
    hold: i64,
    /// Since when that is not right.
    wrong: Option<Duration>,
    decided: Option<Duration>,
    /// When it was last known how far the tracks are apart.
    known: Duration,
    /// What the picture waits at the moment, in µs, and when that was so.
    picture_hold: (i64, Duration),
}

impl Default for Lips {
    fn default() -> Self {
        Self {
            voice: Track::new(48_000),
            picture: Track::new(90_000),
            reports: VecDeque::new(),
            hold: 0,
            wrong: None,
            decided: None,
            known: Duration::ZERO,
            picture_hold: (0, Duration::ZERO),
        }
    }
}

impl Lips {
    /// Takes a report that came at `now`. Anything may stand in it.
    pub fn report(&mut self, now: Duration, report: SenderReport) {
        if report.ntp == 0 {
            return;
        }
        match [&mut self.voice, &mut self.picture].into_iter().find(|track| track.ssrc == Some(report.ssrc)) {
            Some(track) => track.report(now, &report),
            None => {
                self.reports.retain(|(kept, _)| kept.ssrc != report.ssrc);
                self.reports.push_back((report, now));
                if self.reports.len() > KEPT {
                    self.reports.pop_front();
                }
            }
        }
    }

    /// The source that this track is sent from; to be told with each packet.
    pub fn source(&mut self, side: Side, ssrc: u32) {
        let track = match side {
            Side::Voice => &mut self.voice,
            Side::Picture => &mut self.picture,
        };
        if track.ssrc == Some(ssrc) {
            return;
        }
        *track = Track { ssrc: Some(ssrc), ..Track::new(track.rate) };
        if let Some(place) = self.reports.iter().position(|(report, _)| report.ssrc == ssrc)
            && let Some((report, heard)) = self.reports.remove(place)
        {
            track.report(heard, &report);
        }
    }

    /// The last packet of a frame with this timestamp came at `now`, and the canvas shows it `shown_after` that, if it waits
    /// for nothing. How long it is to wait.
    pub fn picture(&mut self, now: Duration, timestamp: u32, shown_after: Duration) -> Duration {
        self.picture.came(now, timestamp, shown_after);
        let (before, at) = self.picture_hold;
        let step = micros(now.saturating_sub(at)) as f64 * SLEW;
        // At most MAX_HOLD either way.
        let step = step.min(micros(MAX_HOLD) as f64) as i64;
        let hold = before + ((-self.hold).max(0) - before).clamp(-step, step);
        self.picture_hold = (hold, now);
        Duration::from_micros(hold.unsigned_abs())
    }

    /// A tick of the mix at `now` would begin with this timestamp of the voice, if nothing were waited for; `None` where
    /// the sender says nothing. How long the voice should wait.
    pub fn voice(&mut self, now: Duration, timestamp: Option<u32>) -> Duration {
        if let Some(timestamp) = timestamp {
            self.voice.came(now, timestamp, Duration::ZERO);
        }
        if self.decided.is_none_or(|decided| now.saturating_sub(decided) >= PERIOD) {
            self.decided = Some(now);
            self.decide(now);
        }
        Duration::from_micros(self.hold.max(0).unsigned_abs())
    }

    fn decide(&mut self, now: Duration) {
        let Some(apart) = self.apart(now) else {
            self.wrong = None;
            let is_forgotten = now.saturating_sub(self.known) > FORGOTTEN_AFTER;
            if is_forgotten || self.voice.is_timeless() || self.picture.is_timeless() {
                self.hold = 0;
            }
            return;
        };
        self.known = now;
        let most = micros(MAX_HOLD);
        let wanted = if is_together(apart, 0) { 0 } else { apart.clamp(-most, most) };
        let waits_in_vain = self.hold != 0 && is_together(apart, MARGIN);
        if is_together(apart.clamp(-most, most) - self.hold, 0) && !waits_in_vain {
            self.wrong = None;
            return;
        }
        let since = *self.wrong.get_or_insert(now);
        let patience = if wanted.abs() > self.hold.abs() { WAIT_AFTER } else { RELEASE_AFTER };
        if now.saturating_sub(since) >= patience {
            self.hold = wanted;
            self.wrong = None;
        }
    }

    /// How much later than the voice the picture is where they leave the mix, in µs, if that is known.
    fn apart(&self, now: Duration) -> Option<i64> {
        // A clock that was set moves both tracks, but not at once.
        let newest = self.voice.set.max(self.picture.set);
        let (voice, picture) = (self.voice.lateness(now, newest)?, self.picture.lateness(now, newest)?);
        let apart = picture - voice - CODECS;
        (apart.abs() <= ABSURD).then_some(apart)
    }
}

/// One track, and what is known of its time.
#[derive(Debug)]
struct Track {
    /// Of its timestamps, in Hz.
    rate: i64,
    ssrc: Option<u32>,
    clock: Option<SenderClock>,
    /// The last report, where it contradicts the clock.
    doubt: Option<SenderClock>,
    /// When the clock was last found to have been set.
    set: Option<Duration>,
    /// Our time less the sender's, in µs, of what came lately.
    latenesses: VecDeque<i64>,
    newest: Duration,
}

/// An instant on the sender's clock, in µs, and its timestamp.
#[derive(Clone, Copy, Debug)]
struct SenderClock {
    time: i64,
    timestamp: u32,
    heard: Duration,
}

impl SenderClock {
    /// The sender's time at a timestamp, which is before or after.
    fn time_of(&self, timestamp: u32, rate: i64) -> i64 {
        self.time + i64::from(timestamp.wrapping_sub(self.timestamp).cast_signed()) * 1_000_000 / rate
    }
}

impl Track {
    fn new(rate: i64) -> Self {
        Self {
            rate,
            ssrc: None,
            clock: None,
            doubt: None,
            set: None,
            latenesses: VecDeque::with_capacity(LATENESSES),
            newest: Duration::ZERO,
        }
    }

    fn report(&mut self, now: Duration, report: &SenderReport) {
        // 32 bits of seconds are below 2^52 µs.
        let time = ((u128::from(report.ntp) * 1_000_000) >> 32) as i64;
        let new = SenderClock { time, timestamp: report.rtp, heard: now };
        let agrees = |clock: SenderClock| (clock.time_of(new.timestamp, self.rate) - new.time).abs() <= CONTRADICTION;
        if self.clock.map_or(self.doubt.is_none(), agrees) {
            self.clock = Some(new);
            self.doubt = None;
        } else if let Some(doubt) = self.doubt.filter(|doubt| agrees(*doubt)) {
            self.set = Some(doubt.heard);
            self.clock = Some(new);
            self.doubt = None;
            self.latenesses.clear();
        } else {
            // Two in a row that agree with nothing: this sender does not know its time.
            if self.doubt.replace(new).is_some() {
                self.clock = None;
            }
        }
    }

    /// What has this timestamp is there at `now`, and leaves the mix after `path`.
    fn came(&mut self, now: Duration, timestamp: u32, path: Duration) {
        let Some(clock) = self.clock.filter(|_| self.doubt.is_none()) else { return };
        if self.latenesses.len() == LATENESSES {
            self.latenesses.pop_front();
        }
        self.latenesses.push_back(micros(now + path) - clock.time_of(timestamp, self.rate));
        self.newest = now;
    }

    /// Its reports are nonsense.
    fn is_timeless(&self) -> bool {
        self.clock.is_none() && self.doubt.is_some()
    }

    /// How late the track is, if its clock was heard of after `set`.
    fn lateness(&self, now: Duration, set: Option<Duration>) -> Option<i64> {
        let clock = self.clock.filter(|_| self.doubt.is_none())?;
        let is_known = set.is_none_or(|set| clock.heard > set) && now.saturating_sub(clock.heard) <= REPORT_LASTS;
        let is_fresh = now.saturating_sub(self.newest) <= FORGOTTEN_AFTER;
        if !is_known || !is_fresh || self.latenesses.len() < FEWEST {
            return None;
        }
        let mut sorted: Vec<i64> = self.latenesses.iter().copied().collect();
        let middle = sorted.len() / 2;
        Some(*sorted.select_nth_unstable(middle).1)
    }
}

/// Whether nobody sees that the picture is this much later than the sound, by `margin` more than is needed; in µs.
fn is_together(apart: i64, margin: i64) -> bool {
    (margin - LATE..=EARLY - margin).contains(&apart)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
