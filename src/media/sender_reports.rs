//! What a peer's reports say of the time of what it sends (RFC 3550, sections 6.4.1 and 6.5.1).

use rtcp_types::{Compound, Packet, SdesItem};

use crate::lips::{Lips, SenderReport};

/// Takes the sender reports and the canonical names of a compound packet as it came from the peer; what cannot be
/// understood of it is skipped.
pub(super) fn take(rtcp: &[u8], lips: &mut Lips, now: std::time::Duration) {
    for packet in Compound::parse(rtcp).into_iter().flatten().flatten() {
        match packet {
            Packet::Sr(report) => {
                let (ssrc, ntp, rtp) = (report.ssrc(), report.ntp_timestamp(), report.rtp_timestamp());
                lips.report(now, SenderReport { ssrc, ntp, rtp });
            }
            Packet::Sdes(description) => {
                for chunk in description.chunks() {
                    for item in chunk.items().filter(|item| item.type_() == SdesItem::CNAME) {
                        lips.name(chunk.ssrc(), item.value());
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rtcp_types::{RtcpPacketWriter, RtcpPacketWriterExt, Sdes, SdesChunk};

    use super::*;
    use crate::lips::Side;

    /// Reports of the voice (1) and the picture (2), of this time in seconds, each with a name.
    fn reports(seconds: u64, names: [&str; 2]) -> Vec<u8> {
        let mut compound = Compound::builder();
        for (ssrc, rate, name) in [(1, 48_000, names[0]), (2, 90_000, names[1])] {
            let report = rtcp_types::SenderReport::builder(ssrc)
                .ntp_timestamp((3_900_000_000 + seconds) << 32)
                .rtp_timestamp((seconds * rate) as u32);
            let chunk = SdesChunk::builder(ssrc).add_item(SdesItem::builder(SdesItem::CNAME, name));
            compound = compound.add_packet(report).add_packet(Sdes::builder().add_chunk(chunk));
        }
        let mut bytes = vec![0; compound.calculate_size().unwrap()];
        compound.write_into(&mut bytes).unwrap();
        bytes
    }

    /// How long the voice waits in the end for a picture that comes 300 ms later.
    fn voice_waits(names: [&str; 2]) -> Duration {
        let mut lips = Lips::default();
        lips.source(Side::Voice, 1);
        lips.source(Side::Picture, 2);
        let mut waits = Duration::ZERO;
        for tick in 0..400u32 {
            let now = Duration::from_millis(20) * tick;
            if tick % 50 == 0 {
                take(&reports(now.as_secs(), names), &mut lips, now);
            }
            if tick >= 15 {
                lips.picture(now, (tick - 15) * 1800, Duration::ZERO);
            }
            waits = lips.voice(now, Some(tick * 960));
        }
        waits
    }

    #[test]
    fn reports_tell_how_far_the_tracks_are_apart_and_names_whether_they_belong_together() {
        let waits = voice_waits(["peer", "peer"]);
        assert!(waits.abs_diff(Duration::from_millis(287)) < Duration::from_millis(2), "{waits:?}");
        assert_eq!(voice_waits(["peer", "another"]), Duration::ZERO);
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
            let mut packet = reports(1, ["a", "b"]);
            let place = place % packet.len();
            packet[place] = byte;
            take(&packet, &mut lips, Duration::ZERO);
        }
    }
}
