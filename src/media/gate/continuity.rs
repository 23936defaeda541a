//! The packets of an m-line, from whatever source, as one continuous stream: sequence numbers that go on where they were,
//! timestamps that go with the clock. Pure; times are running times.
//!
//! rtpjitterbuffer makes timers for what it believes to be missing and waits for what it believes to be due, so that a
//! sequence or a clock that jumps costs it time and memory, and pictures. Here jumps are put right before it, as RFC 3550
//! (appendix A.1) tells a restart from a stray packet: by the packet after it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bucket::TokenBucket;

/// A sequence that goes on after more missing packets than this has begun anew: it is more than a second of most streams,
/// and more than any jitterbuffer waits for.
const MAX_MISSING: i16 = 500;
/// A packet that comes later than so many others is of no use any more.
const MAX_LATE: i16 = 1_000;
const LATEST: i16 = -MAX_LATE;
/// A timestamp that is off the clock by more than this, from one packet to the next, is put back on it. A line that stands
/// still delivers late by as much.
const MAX_OFF_CLOCK: f64 = 10.0; // s

/// What may be missing at once, and a second: a line that loses more carries no stream.
const MISSING_BURST: f64 = 1_000.0;
const MISSING_RATE: f64 = 1_000.0;
/// Sequences and clocks that may begin anew at once, and a second.
const RESTARTS_BURST: f64 = 6.0;
const RESTARTS_RATE: f64 = 1.0;

/// Beginnings that are remembered, for what is still said of packets before the last one.
const REMEMBERED: usize = 8;

/// Where a packet stands in the continuous stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// What came before it is of another source, or is missing without a gap that shows it.
    pub(super) fresh: bool,
}

/// A stretch of the stream in which numbers differ from the source's by the same offset.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    ssrc: u32,
    /// Its first number, extended.
    start: u32,
    /// Ours less the source's, of extended sequence numbers.
    offset: u32,
}

/// The newest packet.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// The source's and ours, both extended.
    sequence: u32,
    ours: u32,
    timestamp: u32,
    came: Duration,
}

#[derive(Debug)]
pub(super) struct Continuity {
    clock_rate: u32,
    newest: Option<Newest>,
    stretches: VecDeque<Stretch>,
    /// Our timestamps less the source's.
    ahead: u32,
    /// The number after a packet that did not follow: if this comes next, the sequence began anew.
    expected: Option<u16>,
    missing: TokenBucket,
    restarts: TokenBucket,
}

impl Continuity {
    /// Of a stream whose timestamps count in `clock_rate` Hz.
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            newest: None,
            stretches: VecDeque::new(),
            ahead: 0,
            expected: None,
            missing: TokenBucket::new(MISSING_RATE, MISSING_BURST, Duration::ZERO),
            restarts: TokenBucket::new(RESTARTS_RATE, RESTARTS_BURST, Duration::ZERO),
        }
    }

    /// The next packet is of another source than those before.
    pub(super) fn begin(&mut self, ssrc: u32, sequence: u16, timestamp: u32, now: Duration) -> Place {
        self.expected = None;
        // Before the very first one there is room for those that it overtook.
        let (ours, fresh, room) = match self.newest {
            Some(newest) => (newest.ours.wrapping_add(1), true, 0),
            None => (sequence.into(), false, u32::from(MAX_LATE.unsigned_abs())),
        };
        self.ahead = self.now_on_the_clock(now).map_or(0, |due| due.wrapping_sub(timestamp));
        let start = ours.wrapping_sub(room);
        self.stretches.push_back(Stretch { ssrc, start, offset: ours.wrapping_sub(sequence.into()) });
        if self.stretches.len() > REMEMBERED {
            self.stretches.pop_front();
        }
        self.newest = Some(Newest { sequence: sequence.into(), ours, timestamp, came: now });
        Place { sequence: low(ours), timestamp: timestamp.wrapping_add(self.ahead), fresh }
    }

    /// Whether a packet of the source is newer than all before. Nothing is kept of the question.
    pub(super) fn is_newer(&self, sequence: u16) -> bool {
        self.newest.is_none_or(|newest| distance(newest.sequence, sequence) > 0)
    }

    /// A packet of the source that was begun with. `None`: it has no place, and is to be dropped.
    pub(super) fn place(&mut self, sequence: u16, timestamp: u32, now: Duration) -> Option<Place> {
        let (newest, stretch) = (self.newest?, *self.stretches.back()?);
        let expected = self.expected.take();
        match distance(newest.sequence, sequence) {
            late @ LATEST..=0 => {
                let ours = newest.ours.wrapping_add_signed(late.into());
                // Numbers before the stretch are another one's.
                let within = ours.wrapping_sub(stretch.start) <= newest.ours.wrapping_sub(stretch.start);
                let timestamp = timestamp.wrapping_add(self.ahead);
                within.then_some(Place { sequence: low(ours), timestamp, fresh: false })
            }
            step @ 1..=MAX_MISSING if self.missing.take_many(step.unsigned_abs().into(), now).is_ok() => {
                let off_clock = self.is_off_clock(newest, timestamp, now);
                if off_clock && self.restarts.take(now).is_err() {
                    return None;
                }
                if off_clock && let Some(due) = self.now_on_the_clock(now) {
                    self.ahead = due.wrapping_sub(timestamp);
                }
                let ours = newest.ours.wrapping_add_signed(step.into());
                let sequence = newest.sequence.wrapping_add_signed(step.into());
                self.newest = Some(Newest { sequence, ours, timestamp, came: now });
                Some(Place { sequence: low(ours), timestamp: timestamp.wrapping_add(self.ahead), fresh: false })
            }
            _ if expected == Some(sequence) && self.restarts.take(now).is_ok() => {
                Some(self.begin(stretch.ssrc, sequence, timestamp, now))
            }
            _ => {
                self.expected = Some(sequence.wrapping_add(1));
                None
            }
        }
    }

    /// What the timestamp of a packet that comes now should be, in ours.
    fn now_on_the_clock(&self, now: Duration) -> Option<u32> {
        let newest = self.newest?;
        let passed = now.saturating_sub(newest.came).as_secs_f64() * f64::from(self.clock_rate);
        // Timestamps are modulo 2^32.
        let passed = (passed as u64 & u64::from(u32::MAX)) as u32;
        Some(newest.timestamp.wrapping_add(self.ahead).wrapping_add(passed))
    }

    fn is_off_clock(&self, newest: Newest, timestamp: u32, now: Duration) -> bool {
        let said = f64::from(timestamp.wrapping_sub(newest.timestamp).cast_signed()) / f64::from(self.clock_rate);
        let passed = now.saturating_sub(newest.came).as_secs_f64();
        (said - passed).abs() > MAX_OFF_CLOCK
    }

    /// The source's timestamp in ours, for its reports.
    pub(super) fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.ahead)
    }

    /// A recent number of the source in ours, for its retransmissions.
    pub(super) fn ours(&self, sequence: u16) -> Option<u16> {
        let (newest, stretch) = (self.newest?, self.stretches.back()?);
        let ours = newest.ours.wrapping_add_signed(distance(newest.sequence, sequence).into());
        let within = ours.wrapping_sub(stretch.start) <= newest.ours.wrapping_sub(stretch.start);
        within.then_some(low(ours))
    }

    /// A recent number of ours in the source's, for what is asked of it; `None` where it was another source's.
    pub(super) fn source(&self, ours: u16) -> Option<u16> {
        let newest = self.newest?;
        let extended = newest.ours.wrapping_add_signed(distance(newest.ours, ours).into());
        let of = |stretch: &&Stretch| extended.wrapping_sub(stretch.start).cast_signed() >= 0;
        let stretch = self.stretches.iter().rev().find(of)?;
        let now = self.stretches.back()?;
        (stretch.ssrc == now.ssrc).then(|| low(extended.wrapping_sub(stretch.offset)))
    }

    /// An extended number of ours in the source's, for our reports of it.
    pub(super) fn extended_source(&self, ours: u32) -> u32 {
        ours.wrapping_sub(self.stretches.back().map_or(0, |stretch| stretch.offset))
    }
}

/// How far `sequence` is ahead of an extended number.
fn distance(extended: u32, sequence: u16) -> i16 {
    sequence.wrapping_sub(low(extended)).cast_signed()
}

/// The number as a packet has it.
fn low(extended: u32) -> u16 {
    (extended & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 90_000;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn ticks(milliseconds: u64) -> u32 {
        u32::try_from(milliseconds).unwrap().wrapping_mul(90)
    }

    #[test]
    fn one_source_in_order_is_left_as_it_is() {
        let mut stream = Continuity::new(RATE);
        assert_eq!(stream.begin(7, 65_530, 4_294_000_000, ms(0)).sequence, 65_530);
        for n in 1..1_000u64 {
            let (sequence, timestamp) = ((65_530 + n) as u16, 4_294_000_000u32.wrapping_add(ticks(n * 33)));
            let place = stream.place(sequence, timestamp, ms(n * 33)).unwrap();
            assert_eq!(place, Place { sequence, timestamp, fresh: false });
            assert_eq!((stream.ours(sequence), stream.source(sequence)), (Some(sequence), Some(sequence)));
        }
        // Late ones and gaps, too; and a pause however long.
        let at = |time| 4_294_000_000u32.wrapping_add(ticks(time));
        assert_eq!(stream.place(950, at(31_000), ms(33_000)).map(|place| place.sequence), Some(950));
        assert_eq!(stream.place(1_100, at(33_000), ms(33_000)).map(|place| place.sequence), Some(1_100));
        let later = 33_000 + 4_000_000;
        assert_eq!(stream.place(1_101, at(later), ms(later)).map(|place| place.timestamp), Some(at(later)));
        assert_eq!(stream.extended_source(70_000), 70_000);
    }

    #[test]
    fn a_new_source_goes_on_where_the_old_one_was() {
        let mut stream = Continuity::new(RATE);
        stream.begin(7, 100, 5_000, ms(0));
        stream.place(101, 5_000 + ticks(40), ms(40)).unwrap();
        let place = stream.begin(8, 60_000, 77, ms(80));
        assert_eq!(place, Place { sequence: 102, timestamp: 5_000 + ticks(80), fresh: true });
        let place = stream.place(60_001, 77 + ticks(40), ms(120)).unwrap();
        assert_eq!(place, Place { sequence: 103, timestamp: 5_000 + ticks(120), fresh: false });
        assert_eq!((stream.source(103), stream.source(101)), (Some(60_001), None));
        assert_eq!((stream.ours(60_000), stream.ours(59_999)), (Some(102), None));
        assert_eq!(stream.place(59_999, 77, ms(121)), None, "it would be the old one's");
        assert_eq!(stream.timestamp(77), 5_000 + ticks(80));
        assert_eq!(stream.extended_source(65_536 + 103), 65_536 + 60_001);
    }

    #[test]
    fn a_sequence_that_jumps_is_one_stray_packet_or_a_new_beginning() {
        let mut stream = Continuity::new(RATE);
        stream.begin(7, 100, 0, ms(0));
        assert_eq!(stream.place(9_000, 90, ms(1)), None);
        assert_eq!(stream.place(101, 180, ms(2)).unwrap().sequence, 101, "it was a stray one");
        assert_eq!(stream.place(9_001, 270, ms(3)), None);
        let place = stream.place(9_002, 360, ms(4)).unwrap();
        assert_eq!(place, Place { sequence: 102, timestamp: 360, fresh: true });
        assert_eq!(stream.source(102), Some(9_002));
        assert_eq!(stream.source(101), Some(101), "it is the same source");
    }

    #[test]
    fn a_clock_that_jumps_is_put_back_on_the_time() {
        let mut stream = Continuity::new(RATE);
        stream.begin(7, 1, 1_000, ms(0));
        let far = 3_000_000_000;
        let place = stream.place(2, far, ms(40)).unwrap();
        assert_eq!(place.timestamp, 1_000 + ticks(40));
        assert_eq!(stream.place(3, far + ticks(40), ms(80)).unwrap().timestamp, 1_000 + ticks(80));
        // One that stood still over a pause.
        assert_eq!(stream.place(4, far + ticks(80), ms(60_080)).unwrap().timestamp, 1_000 + ticks(60_080));
    }

    proptest! {
        #[test]
        fn whatever_comes_what_leaves_is_near_what_left_before(
            packets in prop::collection::vec((0u64..50, any::<u16>(), any::<u32>(), 0u32..3), 1..400),
        ) {
            let mut stream = Continuity::new(RATE);
            let (mut source, mut now, mut newest) = (None, 0, None::<(u16, u32, u64)>);
            for (pause, sequence, timestamp, ssrc) in packets {
                now += pause;
                let place = if source == Some(ssrc) {
                    stream.place(sequence, timestamp, ms(now))
                } else {
                    source = Some(ssrc);
                    Some(stream.begin(ssrc, sequence, timestamp, ms(now)))
                };
                let Some(place) = place else { continue };
                if let Some((last, said, at)) = newest {
                    let step = place.sequence.wrapping_sub(last).cast_signed();
                    prop_assert!((-MAX_LATE..=MAX_MISSING).contains(&step), "{}", step);
                    if step > 0 {
                        let ahead = f64::from(place.timestamp.wrapping_sub(said).cast_signed()) / f64::from(RATE);
                        let off = ahead - ms(now - at).as_secs_f64();
                        prop_assert!(off.abs() <= MAX_OFF_CLOCK + 0.001, "{}", off);
                        newest = Some((place.sequence, place.timestamp, now));
                    }
                } else {
                    newest = Some((place.sequence, place.timestamp, now));
                }
                // What is asked for goes to the source in its own numbers.
                prop_assert!(stream.source(place.sequence).is_some_and(|number| stream.ours(number).is_some()));
            }
        }
    }
}
