//! What a peer's reports say of the packets that it was sent (RFC 3550, section 6.4.1): how many of them it lost.
//!
//! They suffice for both that is decided by them, the rung of `auto` and FEC. Transport-wide feedback would say the same
//! ten times a second, and would cost as much as half of the packets that it is about.

use std::time::Duration;

use rtcp_types::{Compound, Packet, ReportBlock};

use crate::ladder::LineReport;

/// How often a peer that sends nothing hears of us: for the round trip, and for sound and pictures to be in step.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Fewer packets say nothing of a line: one lost of three is no loss of a third.
const MIN_EXPECTED: u32 = 20;

/// More than this between two reports is no progress but nonsense.
const MAX_EXPECTED: u32 = 100_000;

/// The reports about the streams that a peer is sent. Pure.
#[derive(Debug, Default)]
pub(super) struct ReceiverReports {
    streams: Vec<Stream>,
    /// Since the last [`line_report`](Self::line_report).
    expected: u32,
    lost: i32,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    last: Option<Counts>,
}

/// Counts since a stream's first packet.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Highest sequence number, extended by its wraps.
    highest: u32,
    /// Negative where more packets were repeated than lost.
    lost: i32,
}

impl ReceiverReports {
    /// Of the streams with these synchronisation sources; what is said of others is ignored.
    pub(super) fn of(ssrcs: impl IntoIterator<Item = u32>) -> Self {
        let streams = ssrcs.into_iter().map(|ssrc| Stream { ssrc, last: None }).collect();
        Self { streams, ..Self::default() }
    }

    /// Takes a compound packet as it came from the peer; what cannot be understood of it is skipped.
    pub(super) fn take(&mut self, rtcp: &[u8]) {
        for packet in Compound::parse(rtcp).into_iter().flatten().flatten() {
            match packet {
                Packet::Sr(report) => report.report_blocks().for_each(|block| self.add(&block)),
                Packet::Rr(report) => report.report_blocks().for_each(|block| self.add(&block)),
                _ => {}
            }
        }
    }

    fn add(&mut self, block: &ReportBlock<'_>) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == block.ssrc()) else { return };
        // A signed number of 24 bits.
        let lost = (block.cumulative_lost() << 8).cast_signed() >> 8;
        let now = Counts { highest: block.extended_sequence_number(), lost };
        let before = stream.last.replace(now).unwrap_or(now);
        let expected = now.highest.wrapping_sub(before.highest);
        if expected <= MAX_EXPECTED {
            self.expected = self.expected.saturating_add(expected);
            self.lost = self.lost.saturating_add(now.lost - before.lost);
        }
    }

    /// How the line was since this was last answered; nothing while too few packets were reported on.
    pub(super) fn line_report(&mut self) -> Option<LineReport> {
        if self.expected < MIN_EXPECTED {
            return None;
        }
        // Both are counts of packets of some seconds, far below 2^24.
        let loss = (self.lost as f32 / self.expected as f32).clamp(0.0, 1.0);
        (self.expected, self.lost) = (0, 0);
        Some(LineReport { loss })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtcp_types::{CompoundBuilder, ReceiverReport, RtcpPacketWriter, RtcpPacketWriterExt, Sdes, SenderReport};

    use super::*;

    fn block(ssrc: u32, highest: u32, lost: u32) -> rtcp_types::ReportBlockBuilder {
        ReportBlock::builder(ssrc).extended_sequence_number(highest).cumulative_lost(lost)
    }

    fn bytes(compound: &CompoundBuilder<'_>) -> Vec<u8> {
        let mut bytes = vec![0; compound.calculate_size().unwrap()];
        compound.write_into(&mut bytes).unwrap();
        bytes
    }

    fn report(blocks: impl IntoIterator<Item = (u32, u32, u32)>) -> Vec<u8> {
        let report = blocks.into_iter().fold(ReceiverReport::builder(9), |report, (ssrc, highest, lost)| {
            report.add_report_block(block(ssrc, highest, lost))
        });
        bytes(&Compound::builder().add_packet(report).add_packet(Sdes::builder()))
    }

    #[test]
    fn loss_is_that_of_all_streams_since_the_last_answer() {
        let mut reports = ReceiverReports::of([1, 2]);
        reports.take(&report([(1, 70_000, 10), (2, 500, 0)]));
        assert_eq!(reports.line_report(), None, "counts since ever say nothing of now");
        reports.take(&report([(1, 70_060, 13), (2, 550, 5), (3, 9_000, 9_000)]));
        reports.take(&report([(1, 70_100, 20)]));
        assert_eq!(reports.line_report(), Some(LineReport { loss: 15.0 / 150.0 }));
        assert_eq!(reports.line_report(), None);
        reports.take(&report([(1, 70_200, 20)]));
        assert_eq!(reports.line_report(), Some(LineReport { loss: 0.0 }));
    }

    #[test]
    fn who_sends_reports_in_its_sender_reports() {
        let mut reports = ReceiverReports::of([1]);
        for (highest, lost) in [(100, 0), (200, 50)] {
            let report = SenderReport::builder(9).add_report_block(block(1, highest, lost));
            reports.take(&bytes(&Compound::builder().add_packet(report)));
        }
        assert_eq!(reports.line_report(), Some(LineReport { loss: 0.5 }));
    }

    #[test]
    fn few_packets_are_waited_for() {
        let mut reports = ReceiverReports::of([1]);
        for (highest, lost) in [(1, 0), (4, 1), (14, 1)] {
            reports.take(&report([(1, highest, lost)]));
            assert_eq!(reports.line_report(), None);
        }
        reports.take(&report([(1, 21, 1)]));
        assert_eq!(reports.line_report(), Some(LineReport { loss: 1.0 / 20.0 }));
    }

    #[test]
    fn repeated_packets_are_no_loss_and_sequence_numbers_wrap() {
        let mut reports = ReceiverReports::of([1]);
        reports.take(&report([(1, u32::MAX - 9, 3)]));
        reports.take(&report([(1, 90, 0x00ff_fffe)]));
        assert_eq!(reports.line_report(), Some(LineReport { loss: 0.0 }));
    }

    #[test]
    fn a_report_from_the_past_or_of_nonsense_only_begins_anew() {
        let mut reports = ReceiverReports::of([1]);
        for (highest, lost) in [(5_000, 0), (4_000, 800), (3_000_000_000, 0), (3_000_000_100, 1)] {
            reports.take(&report([(1, highest, lost)]));
        }
        assert_eq!(reports.line_report(), Some(LineReport { loss: 0.01 }));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_at_worst_a_loss(
            packets in prop::collection::vec((any::<u32>(), any::<u32>(), 0..64usize, any::<u8>()), 1..20),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut reports = ReceiverReports::of([1]);
            reports.take(&noise);
            for (highest, lost, place, byte) in packets {
                let mut packet = report([(1, highest, lost & 0x00ff_ffff)]);
                let place = place % packet.len();
                packet[place] = byte;
                reports.take(&packet);
                if let Some(LineReport { loss }) = reports.line_report() {
                    prop_assert!((0.0..=1.0).contains(&loss));
                }
            }
        }
    }
}
