//! The 16 and 32 bit numbers of RTP packets made into counts that never wrap, and the senders that begin anew found out.

use crate::pcm::SAMPLE_RATE;

/// Further ahead than this, a sequence number belongs to another run of the sender (RFC 3550, appendix A.1).
const MAX_AHEAD: i64 = 3000;
/// Further behind than this as well; some 10 s of 20 ms packets.
const MAX_BEHIND: i64 = 500;
/// How far timestamp and arrival may part before the timestamps are those of another run, in samples.
const MAX_SKEW: i64 = 2 * SAMPLE_RATE as i64;

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the run that plays.
    Here { seq: i64, timestamp: i64 },
    /// The first of a new run: what was known of the old one is void.
    Anew { seq: i64, timestamp: i64 },
    /// It fits nowhere; a new run, if its successor follows, and a stray otherwise.
    Astray,
}

/// One sender's numbering.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    newest: Option<Newest>,
    stray: Option<(u16, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    seq: i64,
    timestamp: i64,
    arrived: i64,
}

impl Timeline {
    /// Places a packet that arrived at `now` (in samples). A jump in either number begins a new run only with the
    /// second packet that agrees with it, so that one forged or broken packet does not stop a voice.
    pub(super) fn place(&mut self, now: i64, seq: u16, timestamp: u32) -> Place {
        let Some(newest) = self.newest else {
            let (seq, timestamp) = (i64::from(seq), i64::from(timestamp));
            self.newest = Some(Newest { seq, timestamp, arrived: now });
            return Place::Anew { seq, timestamp };
        };
        let long_seq = newest.seq + i64::from(seq.wrapping_sub(newest.seq as u16) as i16);
        let long_timestamp = newest.timestamp + i64::from(timestamp.wrapping_sub(newest.timestamp as u32) as i32);
        let skew = (now - newest.arrived) - (long_timestamp - newest.timestamp);
        if (-MAX_BEHIND..=MAX_AHEAD).contains(&(long_seq - newest.seq)) && skew.abs() <= MAX_SKEW {
            self.stray = None;
            if long_seq > newest.seq {
                self.newest = Some(Newest { seq: long_seq, timestamp: long_timestamp, arrived: now });
            }
            return Place::Here { seq: long_seq, timestamp: long_timestamp };
        }
        let follows = |(stray_seq, stray_timestamp): (u16, u32)| {
            let step = timestamp.wrapping_sub(stray_timestamp) as i32;
            seq == stray_seq.wrapping_add(1) && i64::from(step).abs() <= MAX_SKEW
        };
        if self.stray.take().is_some_and(follows) {
            self.newest = None;
            return self.place(now, seq, timestamp);
        }
        self.stray = Some((seq, timestamp));
        Place::Astray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_over_their_wraps() {
        let mut timeline = Timeline::default();
        let first = timeline.place(0, 65_534, u32::MAX - 1000);
        assert_eq!(first, Place::Anew { seq: 65_534, timestamp: i64::from(u32::MAX) - 1000 });
        for n in 1..200_000i64 {
            let (seq, timestamp) = (65_534 + n, i64::from(u32::MAX) - 1000 + n * 960);
            assert_eq!(timeline.place(n * 960, seq as u16, timestamp as u32), Place::Here { seq, timestamp });
        }
    }

    #[test]
    fn a_jump_counts_once_a_second_packet_confirms_it() {
        let mut timeline = Timeline::default();
        timeline.place(0, 10, 0);
        assert_eq!(timeline.place(960, 40_000, 960), Place::Astray);
        assert_eq!(timeline.place(960, 11, 960), Place::Here { seq: 11, timestamp: 960 });
        assert_eq!(timeline.place(1920, 40_000, 1 << 30), Place::Astray);
        let anew = timeline.place(2880, 40_001, (1 << 30) + 960);
        assert_eq!(anew, Place::Anew { seq: 40_001, timestamp: (1 << 30) + 960 });
    }

    #[test]
    fn a_pause_is_no_jump_as_long_as_the_timestamps_kept_time() {
        let mut timeline = Timeline::default();
        timeline.place(0, 1, 0);
        let hour = 3600 * 48_000;
        assert_eq!(timeline.place(hour, 2, hour as u32), Place::Here { seq: 2, timestamp: hour });
    }
}
