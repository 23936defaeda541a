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
        let report = SenderReport { ssrc, ntp: ((time << 32) / 1_000) as u64, rtp: Self::timestamp(self.now, rate) };
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
                let picture =
                    self.lips.picture(ms(self.now), Self::timestamp(self.now - self.picture_late, 90_000), SHOWN_AFTER);
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
    for apart in [-59, -45, 0, 24] {
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
fn who_was_waited_for_at_first_is_not_where_it_comes_nearer_than_is_noticed() {
    let mut sender = Sender::new(30 + 75 + WAYS, 30);
    sender.run(6_000);
    assert!(sender.holds().1 > 60, "{:?}", sender.holds());
    sender.voice_late = 30 + 45 + WAYS;
    sender.run(10_000);
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
