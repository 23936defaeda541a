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
/// to be noticed, late by 125 (ITU-R BT.1359-1); and it usually is late, by its packets and codecs.
const EARLY: i64 = 25_000;
const LATE: i64 = 40_000;
/// Tracks that are further apart are not of one clock: the reports of one of them are nonsense.
const ABSURD: i64 = 10_000_000; // µs
/// What the sender's encoder and ours add to the sound, in µs: twice the look-ahead of Opus, of which no timestamp tells.
const CODECS: i64 = 13_000;
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
        let wanted = if is_together(apart) { 0 } else { apart.clamp(-most, most) };
        if is_together(apart.clamp(-most, most) - self.hold) {
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
        let time = (u128::from(report.ntp) * 1_000_000 >> 32) as i64;
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

/// Whether nobody sees that the picture is this much later than the sound, in µs.
fn is_together(apart: i64) -> bool {
    (-LATE..=EARLY).contains(&apart)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VOICE: u32 = 11;
    const PICTURE: u32 = 22;

    fn ms(ms: i64) -> Duration {
        Duration::from_millis(ms.unsigned_abs())
    }

    /// A sender whose clock is far from ours, on a simulated line.
    struct Sender {
        lips: Lips,
        now: i64,
        /// How much later than it was captured each track comes, in ms.
        voice_late: i64,
        picture_late: i64,
        /// The sender's clock at our zero, in ms since 1900, for the reports of either track.
        clock: [i64; 2],
        report_every: i64,
        holds: (Duration, Duration),
    }

    impl Sender {
        fn new(voice_late: i64, picture_late: i64) -> Self {
            let (mut lips, clock) = (Lips::default(), [3_900_000_000_000; 2]);
            lips.source(Side::Voice, VOICE);
            lips.source(Side::Picture, PICTURE);
            Self { lips, now: 0, voice_late, picture_late, clock, report_every: 1_000, holds: Default::default() }
        }

        /// Timestamps that wrap soon.
        fn timestamp(ms: i64, rate: i64) -> u32 {
            (ms * rate / 1_000 - 90_000 * 3) as u32
        }

        fn report(&mut self, ssrc: u32, clock: i64) {
            let time = (self.now + clock) as u128;
            let rate = if ssrc == VOICE { 48_000 } else { 90_000 };
            let report =
                SenderReport { ssrc, ntp: ((time << 32) / 1_000) as u64, rtp: Self::timestamp(self.now, rate) };
            self.lips.report(ms(self.now), report);
        }

        fn run(&mut self, length: i64) {
            for _ in 0..length / 20 {
                self.now += 20;
                if self.report_every > 0 && self.now % self.report_every == 0 {
                    self.report(VOICE, self.clock[0]);
                    self.report(PICTURE, self.clock[1]);
                }
                let voice = self.lips.voice(ms(self.now), Some(Self::timestamp(self.now - self.voice_late, 48_000)));
                if self.now % 40 == 0 {
                    let picture = self.lips.picture(
                        ms(self.now),
                        Self::timestamp(self.now - self.picture_late, 90_000),
                        SHOWN_AFTER,
                    );
                    self.holds.1 = picture;
                }
                self.holds.0 = voice;
            }
        }

        /// How long the voice waits and the picture, in ms.
        fn holds(&self) -> (u128, u128) {
            (self.holds.0.as_millis(), self.holds.1.as_millis())
        }
    }

    /// From a frame's last packet to the canvas.
    const SHOWN_AFTER: Duration = Duration::from_millis(20);
    /// What the ends of the two ways have between them, in ms.
    const WAYS: i64 = 20 - CODECS / 1_000;

    #[test]
    fn the_earlier_one_waits_for_the_later_and_no_longer_than_the_bound() {
        for (voice_late, picture_late, holds) in [
            (30, 30 + 400 - WAYS, (400, 0)),
            (30 + 400 + WAYS, 30, (0, 400)),
            (30, 900, (500, 0)),
            (30, 9_000, (500, 0)),
            (1_500, 30, (0, 500)),
            (30, 30 + 60 - WAYS, (60, 0)),
        ] {
            let mut sender = Sender::new(voice_late, picture_late);
            sender.run(8_000);
            let (voice, picture) = sender.holds();
            assert!(voice.abs_diff(holds.0) <= 1 && picture.abs_diff(holds.1) <= 1, "{voice} {picture}: {holds:?}");
        }
    }

    #[test]
    fn what_is_together_waits_for_nothing() {
        for apart in [-39, 0, 24] {
            let mut sender = Sender::new(40, 40 - WAYS + apart);
            sender.run(20_000);
            assert_eq!(sender.holds(), (0, 0), "{apart}");
        }
    }

    #[test]
    fn the_first_reports_suffice_and_the_picture_slows_down_by_a_fifth() {
        let mut sender = Sender::new(430, 30);
        sender.run(1_000);
        assert_eq!(sender.holds(), (0, 0));
        sender.run(1_100);
        let before = sender.holds().1;
        assert!(before > 0, "it has begun");
        sender.run(1_000);
        assert!((190..=210).contains(&(sender.holds().1 - before)), "{before}, {:?}", sender.holds());
    }

    #[test]
    fn a_track_that_comes_nearer_is_waited_for_less_after_a_while() {
        let mut sender = Sender::new(30, 330);
        sender.run(6_000);
        let waited = sender.holds().0;
        // One that is late for a second changes nothing, either way.
        sender.picture_late = 30;
        sender.run(1_000);
        sender.picture_late = 330;
        sender.run(3_000);
        assert_eq!(sender.holds().0, waited);
        sender.picture_late = 30;
        sender.run(6_000);
        assert_eq!(sender.holds(), (0, 0));
    }

    #[test]
    fn without_reports_of_both_nobody_waits() {
        let mut sender = Sender::new(30, 430);
        sender.report_every = 0;
        sender.run(5_000);
        sender.report(PICTURE, sender.clock[1]);
        sender.run(5_000);
        assert_eq!(sender.holds(), (0, 0));
        let mut timeless = Sender::new(30, 430);
        timeless.lips.report(ms(0), SenderReport { ssrc: VOICE, ntp: 0, rtp: 0 });
        timeless.report_every = 0;
        timeless.report(PICTURE, timeless.clock[1]);
        timeless.run(5_000);
        assert_eq!(timeless.holds(), (0, 0));
    }

    #[test]
    fn a_report_may_come_before_the_first_packet() {
        let mut sender = Sender::new(30, 430);
        sender.lips = Lips::default();
        sender.report_every = 0;
        for ssrc in [1, 2, VOICE, PICTURE, 3] {
            sender.report(ssrc, sender.clock[0]);
        }
        sender.lips.source(Side::Voice, VOICE);
        sender.lips.source(Side::Picture, PICTURE);
        sender.run(3_000);
        assert!(sender.holds().0 > 380, "{:?}", sender.holds());
    }

    #[test]
    fn one_wrong_report_changes_nothing() {
        let mut sender = Sender::new(30, 330);
        sender.run(6_000);
        let right = sender.holds();
        for wrong in [100, -3_000, 3_600_000, -3_900_000_000_000] {
            sender.report(PICTURE, sender.clock[1] + wrong);
            sender.run(5_000);
            assert_eq!(sender.holds(), right, "{wrong}");
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_nobody_even_if_one_track_tells_of_it_much_later() {
        for step in [300, -300, 86_400_000, -2_000_000] {
            let mut sender = Sender::new(30, 330);
            sender.run(6_000);
            let right = sender.holds();
            sender.clock[1] += step;
            // The voice reports each 5 s.
            sender.report_every = 0;
            for second in 0..15 {
                sender.report(PICTURE, sender.clock[1]);
                if second % 5 == 4 {
                    sender.clock[0] = sender.clock[1];
                    sender.report(VOICE, sender.clock[0]);
                }
                sender.run(1_000);
                assert_eq!(sender.holds(), right, "{step} ms, after {second} s");
            }
        }
    }

    /// As those of GStreamer 1.22 whose pipeline was told of no latency: its timestamps run at twice their rate.
    #[test]
    fn reports_that_never_agree_are_given_up() {
        let mut sender = Sender::new(30, 330);
        sender.run(6_000);
        assert!(sender.holds().0 > 0);
        for _ in 0..3 {
            sender.clock[1] -= 1_000;
            sender.run(1_000);
        }
        assert_eq!(sender.holds(), (0, 0));
        sender.run(10_000);
        assert!(sender.holds().0 > 0, "it has made up its mind");
    }

    #[test]
    fn clocks_that_have_nothing_to_do_with_each_other_are_left_alone() {
        let mut sender = Sender::new(30, 30);
        sender.clock[1] = 1;
        sender.run(20_000);
        assert_eq!(sender.holds(), (0, 0));
    }

    #[test]
    fn another_source_begins_anew_and_what_is_gone_is_forgotten_in_time() {
        let mut sender = Sender::new(30, 330);
        sender.run(6_000);
        let right = sender.holds();
        sender.lips.source(Side::Picture, 33);
        sender.run(10_000);
        assert_eq!(sender.holds(), right, "a while without a report");
        sender.run(25_000);
        assert_eq!(sender.holds(), (0, 0));
    }

    #[test]
    fn jitter_of_the_picture_moves_nobody() {
        let mut sender = Sender::new(30, 130);
        sender.run(4_000);
        let right = sender.holds().0;
        for n in 0..400 {
            sender.picture_late = 130 + (n * 37) % 41 - 20 + if n % 50 == 0 { 300 } else { 0 };
            sender.run(40);
            assert_eq!(sender.holds().0, right);
        }
    }

    #[test]
    fn a_sender_that_drifts_is_followed() {
        let mut sender = Sender::new(30, 230);
        sender.run(6_000);
        for _ in 0..600 {
            sender.picture_late += i64::from(sender.now % 3_000 == 0);
            sender.run(1_000);
            let apart = sender.picture_late + WAYS - sender.voice_late - sender.holds().0 as i64;
            assert!(apart.abs() <= 40, "{apart} ms");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_reported_costs_no_more_than_the_bound(
            events in prop::collection::vec((0u8..5, any::<u64>(), any::<u32>(), 0u64..2_000), 1..400),
        ) {
            let mut lips = Lips::default();
            let mut now = Duration::ZERO;
            for (kind, ntp, rtp, gap) in events {
                now += Duration::from_millis(gap);
                let ssrc = rtp % 5;
                match kind {
                    0 => lips.source(Side::Voice, ssrc),
                    1 => lips.source(Side::Picture, ssrc),
                    2 => lips.report(now, SenderReport { ssrc, ntp, rtp }),
                    3 => prop_assert!(lips.picture(now, rtp, Duration::from_secs(gap)) <= MAX_HOLD),
                    _ => prop_assert!(lips.voice(now, Some(rtp)) <= MAX_HOLD),
                }
                prop_assert!(lips.reports.len() <= KEPT);
                prop_assert!(lips.voice.latenesses.len() <= LATENESSES);
            }
        }
    }
}
