//! What a peer's reports say of the time of what it sends (RFC 3550, section 6.4.1). Its two tracks are of one clock: all
//! that a peer connection sends has the same CNAME (RFC 8834, section 4.9).

use std::time::Duration;

use rtcp_types::{Compound, Packet};

use crate::lips::{Lips, SenderReport};

/// Takes the sender reports of a compound packet as it came from the peer at `now`; what cannot be understood of it is
/// skipped.
pub(super) fn take(rtcp: &[u8], lips: &mut Lips, now: Duration) {
    for packet in Compound::parse(rtcp).into_iter().flatten().flatten() {
        if let Packet::Sr(report) = packet {
            let (ssrc, ntp, rtp) = (report.ssrc(), report.ntp_timestamp(), report.rtp_timestamp());
            lips.report(now, SenderReport { ssrc, ntp, rtp });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtcp_types::{RtcpPacketWriter, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem};

    use super::*;
    use crate::lips::Side;

    /// Reports of the voice (1) and the picture (2), of this time in seconds.
    fn reports(seconds: u64) -> Vec<u8> {
        let mut compound = Compound::builder();
        for (ssrc, rate) in [(1, 48_000), (2, 90_000)] {
            let report = rtcp_types::SenderReport::builder(ssrc)
                .ntp_timestamp((3_900_000_000 + seconds) << 32)
                .rtp_timestamp((seconds * rate) as u32);
            let chunk = SdesChunk::builder(ssrc).add_item(SdesItem::builder(SdesItem::CNAME, "peer"));
            compound = compound.add_packet(report).add_packet(Sdes::builder().add_chunk(chunk));
        }
        let mut bytes = vec![0; compound.calculate_size().unwrap()];
        compound.write_into(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn reports_tell_how_far_the_tracks_are_apart() {
        let mut lips = Lips::default();
        lips.source(Side::Voice, 1);
        lips.source(Side::Picture, 2);
        let mut waits = Duration::ZERO;
        for tick in 0..400u32 {
            let now = Duration::from_millis(20) * tick;
            if tick % 50 == 0 {
                take(&reports(now.as_secs()), &mut lips, now);
            }
            // The picture comes 300 ms later than it was captured, the voice at once.
            if tick >= 15 {
                lips.picture(now, (tick - 15) * 1800, Duration::ZERO);
            }
            waits = lips.voice(now, Some(tick * 960));
        }
        assert!((Duration::from_millis(280)..Duration::from_millis(301)).contains(&waits), "{waits:?}");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_skipped_at_worst(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            place in 0..200usize,
            byte in any::<u8>(),
        ) {
            let mut lips = Lips::default();
            take(&noise, &mut lips, Duration::ZERO);
            let mut packet = reports(1);
            let place = place % packet.len();
            packet[place] = byte;
            take(&packet, &mut lips, Duration::ZERO);
        }
    }
}
