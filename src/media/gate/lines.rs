//! The m-lines that a peer sends on, and what becomes of each packet that comes. Pure; times are running times.

use std::time::Duration;

use rtp_types::RtpPacket;

use super::super::transport::{Kind, Track};
use super::choice::{Choice, Standing};
use super::continuity::{Continuity, Place};
use super::frame::{Fit, Frame};
use crate::bucket::TokenBucket;

/// Packets that a peer may send at once, and a second: several times what a 4K screen takes.
const PACKETS_BURST: f64 = 8_000.0;
const PACKETS_RATE: f64 = 6_000.0;

/// The clock of the packets that are only counted, in Hz. Nobody reads their timestamps.
const ANY_CLOCK: u32 = 90_000;

/// SSRCs of what a peer sends, as our RTP session knows it: of an m-line's media, of its retransmissions, of packets that
/// are only counted, and of a peer's RTCP where it speaks in the name of neither. Ours begin with a zero bit.
pub(super) const COUNTED: u32 = 0xffff_ff00;
pub(super) const OTHER: u32 = 0xffff_ff01;
const MEDIA: [(Kind, u32); 2] = [(Kind::Audio, 0xffff_ff10), (Kind::Video, 0xffff_ff20)];
const REPAIR: u32 = 1;

/// The SSRC that our RTP session knows the media of this kind by, whoever sends it.
pub(in super::super) fn ssrc(kind: Kind) -> u32 {
    MEDIA.iter().find(|(of, _)| *of == kind).map_or(OTHER, |(_, ssrc)| *ssrc)
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the jitterbuffer. `fresh`: it does not go on where the last one ended.
    In { kind: Kind, fresh: Option<u16> },
    /// Only to the RTP session, whose feedback tells the sender that it came; its congestion control would take it for
    /// lost. It goes no further.
    Counted,
    /// Nowhere.
    Refused,
}

/// One m-line that the peer sends on.
#[derive(Debug)]
pub(super) struct Line {
    kind: Kind,
    payload: u8,
    rtx: Option<u8>,
    choice: Choice,
    media: Continuity,
    /// Retransmissions have numbers of their own.
    repair: Continuity,
    repair_ssrc: Option<u32>,
    frame: Option<Frame>,
    /// The next packet does not go on where the last one ended, whatever its number says.
    broken: bool,
    /// When the last packet of its media came.
    last: Duration,
    /// Its source said goodbye, and nothing of it came since.
    ended: bool,
}

impl Line {
    fn new(track: &Track) -> Self {
        let sources = &track.sources;
        Self {
            kind: track.kind,
            payload: track.payload,
            rtx: track.rtx,
            choice: Choice::new(sources.primary().to_vec(), sources.preferred()),
            media: Continuity::new(track.clock_rate()),
            repair: Continuity::new(ANY_CLOCK),
            repair_ssrc: None,
            frame: track.codec.map(Frame::new),
            broken: false,
            last: Duration::ZERO,
            ended: false,
        }
    }

    /// A packet of its media.
    fn media(&mut self, packet: &RtpPacket<'_>, now: Duration) -> Option<Place> {
        let (source, number, timestamp) = (packet.ssrc(), packet.sequence_number(), packet.timestamp());
        let standing = self.choice.packet(source, now);
        if standing == Standing::Left {
            return None;
        }
        self.last = now;
        self.ended = false;
        if let Some(frame) = &mut self.frame
            && (standing == Standing::TakenOver || self.media.is_newer(number))
        {
            if standing == Standing::TakenOver {
                frame.reset();
            }
            match frame.packet(timestamp, packet.marker_bit(), packet.payload()) {
                Fit::Fits => {}
                Fit::Resumes => self.broken = true,
                Fit::Over => return None,
            }
        }
        let place = match standing {
            Standing::TakenOver => self.media.begin(source, number, timestamp, now),
            _ => self.media.place(number, timestamp, now)?,
        };
        let fresh = std::mem::take(&mut self.broken) || place.fresh;
        Some(Place { fresh, ..place })
    }

    /// A retransmission: its place, and the number of the packet that it repeats.
    fn repair(&mut self, packet: &RtpPacket<'_>, now: Duration) -> Option<(Place, u16)> {
        let original = self.media.ours(u16::from_be_bytes(*packet.payload().first_chunk()?))?;
        let (source, number) = (packet.ssrc(), packet.sequence_number());
        let place = if self.repair_ssrc.replace(source) == Some(source) {
            self.repair.place(number, packet.timestamp(), now)?
        } else {
            self.repair.begin(source, number, packet.timestamp(), now)
        };
        // Its timestamp is that of what it repeats (RFC 4588, section 4).
        Some((Place { timestamp: self.media.timestamp(packet.timestamp()), ..place }, original))
    }

    /// The source that is taken now.
    pub(super) fn source(&self) -> Option<u32> {
        self.choice.taken()
    }

    /// What our RTP session knows it by.
    pub(super) fn ours(&self) -> u32 {
        ssrc(self.kind)
    }

    /// What it is to the RTP session, in numbers of the peer's.
    pub(super) fn numbers(&self) -> &Continuity {
        &self.media
    }
}

/// All m-lines that a peer sends on.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Vec<Line>,
    counted: u16,
    packets: TokenBucket,
}

impl Lines {
    pub(super) fn new(tracks: &[Track]) -> Self {
        let lines = tracks.iter().filter(|track| track.receives).map(Line::new).collect();
        Self { lines, counted: 0, packets: TokenBucket::new(PACKETS_RATE, PACKETS_BURST, Duration::ZERO) }
    }

    /// A genuine RTP packet; its header is written over for where it goes. CSRCs must have been cut off.
    pub(super) fn packet(&mut self, packet: &mut [u8], now: Duration) -> Way {
        let Ok(header) = RtpPacket::parse(packet) else { return Way::Refused };
        if self.packets.take(now).is_err() {
            return Way::Refused;
        }
        let (payload_type, payload) = (header.payload_type(), header.payload_offset());
        let found = self.lines.iter_mut().find_map(|line| {
            if line.payload == payload_type {
                let place = line.media(&header, now);
                return Some((line.kind, ssrc(line.kind), place, None));
            }
            (line.rtx == Some(payload_type)).then(|| {
                let place = line.repair(&header, now);
                (line.kind, ssrc(line.kind) + REPAIR, place.map(|(place, _)| place), place.map(|(_, number)| number))
            })
        });
        match found {
            None => Way::Refused,
            Some((_, _, None, _)) => {
                self.counted = self.counted.wrapping_add(1);
                write(packet, self.counted, 0, COUNTED);
                Way::Counted
            }
            Some((kind, ssrc, Some(place), original)) => {
                write(packet, place.sequence, place.timestamp, ssrc);
                if let Some(number) = original
                    && let Some(repeated) = packet.get_mut(payload..payload + 2)
                {
                    repeated.copy_from_slice(&number.to_be_bytes());
                }
                let fresh = (place.fresh && original.is_none()).then_some(place.sequence);
                Way::In { kind, fresh }
            }
        }
    }

    /// The m-line whose media comes from this source.
    pub(super) fn of_source(&self, ssrc: u32) -> Option<&Line> {
        self.lines.iter().find(|line| line.source() == Some(ssrc))
    }

    /// The m-line that our RTP session knows by this, and its source; of retransmissions, too.
    pub(super) fn of_ours(&self, ours: u32) -> Option<(&Line, u32)> {
        self.lines.iter().find_map(|line| {
            let base = line.ours();
            let source = if ours == base {
                line.source()
            } else if ours == base + REPAIR {
                line.repair_ssrc
            } else {
                None
            };
            source.map(|source| (line, source))
        })
    }

    /// A source of the peer's that is taken now, of its video if there is one.
    pub(super) fn any_source(&self) -> Option<u32> {
        let of = |kind| self.lines.iter().filter(move |line| line.kind == kind).find_map(Line::source);
        of(Kind::Video).or_else(|| of(Kind::Audio))
    }

    /// These sources said goodbye, which counts where they were silent for less than `idle`.
    pub(super) fn end(&mut self, sources: &[u32], idle: Duration, now: Duration) {
        for line in &mut self.lines {
            let said = line.source().is_some_and(|source| sources.contains(&source));
            line.ended |= said && now.saturating_sub(line.last) < idle;
        }
    }

    /// Whether the source of this kind said goodbye, and nothing of it came since.
    pub(super) fn has_ended(&self, kind: Kind) -> bool {
        self.lines.iter().any(|line| line.kind == kind && line.ended)
    }
}

/// Sequence number, timestamp and SSRC (RFC 3550, section 5.1) of a packet that has all of its fixed header.
fn write(packet: &mut [u8], sequence: u16, timestamp: u32, ssrc: u32) {
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::sdp::Sources;
    use super::*;
    use crate::control::Codec;

    pub(in super::super) const AUDIO: u32 = 41;
    pub(in super::super) const VIDEO: u32 = 42;
    const REPAIRS: u32 = 43;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Opus as 111, VP8 as 96 with retransmissions as 97.
    pub(in super::super) fn lines() -> Lines {
        let track = |kind, codec, payload, rtx| Track {
            kind,
            codec,
            payload,
            rtx,
            sends: true,
            receives: true,
            ssrc: 3,
            sources: Sources::default(),
            single_nal: false,
            extensions: Vec::new(),
        };
        Lines::new(&[track(Kind::Audio, None, 111, None), track(Kind::Video, Some(Codec::Vp8), 96, Some(97))])
    }

    fn packet(payload_type: u8, ssrc: u32, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        write(&mut packet, sequence, timestamp, ssrc);
        packet.extend(payload);
        packet
    }

    /// A whole frame.
    pub(in super::super) fn video_packet(ssrc: u32, sequence: u16, timestamp: u32) -> Vec<u8> {
        packet(0x80 | 96, ssrc, sequence, timestamp, &[0x10, 1, 2])
    }

    /// Way, SSRC and number of a packet.
    fn pass(lines: &mut Lines, mut packet: Vec<u8>, at: u64) -> (Way, u32, u16) {
        let way = lines.packet(&mut packet, ms(at));
        let header = RtpPacket::parse(&packet).unwrap();
        (way, header.ssrc(), header.sequence_number())
    }

    #[test]
    fn each_m_line_is_one_stream_whoever_sends_it() {
        let mut lines = lines();
        let way = |kind, fresh| Way::In { kind, fresh };
        let sound = packet(111, AUDIO, 8, 960, &[1]);
        assert_eq!(pass(&mut lines, sound, 0), (way(Kind::Audio, None), ssrc(Kind::Audio), 8));
        assert_eq!(pass(&mut lines, video_packet(7, 100, 0), 0), (way(Kind::Video, None), ssrc(Kind::Video), 100));
        let changed = pass(&mut lines, video_packet(VIDEO, 9_000, 0), 40);
        assert_eq!(changed, (way(Kind::Video, Some(101)), ssrc(Kind::Video), 101));
        let (way, ssrc, _) = pass(&mut lines, video_packet(7, 101, 0), 41);
        assert_eq!((way, ssrc), (Way::Counted, COUNTED), "the old one is reported on, and goes no further");
    }

    #[test]
    fn a_retransmission_repeats_what_our_session_knows() {
        let mut lines = lines();
        pass(&mut lines, video_packet(7, 100, 0), 0);
        for number in 9_000..9_004 {
            pass(&mut lines, video_packet(VIDEO, number, 3_600), 40);
        }
        let mut repeated = packet(97, REPAIRS, 5, 3_600, &[0x23, 0x2a, 0x10, 1, 2]);
        assert_eq!(lines.packet(&mut repeated, ms(60)), Way::In { kind: Kind::Video, fresh: None });
        let header = RtpPacket::parse(&repeated).unwrap();
        assert_eq!(header.ssrc(), ssrc(Kind::Video) + REPAIR);
        assert_eq!(header.payload(), [0, 103, 0x10, 1, 2], "9,002 is 103");
        for useless in [&[0x23, 0x27, 0x10][..], &[0x23], &[]] {
            let (way, ssrc, _) = pass(&mut lines, packet(97, REPAIRS, 6, 0, useless), 61);
            assert_eq!((way, ssrc), (Way::Counted, COUNTED), "{useless:?}");
        }
    }

    #[test]
    fn what_was_not_agreed_is_refused_and_so_is_a_flood() {
        let mut lines = lines();
        assert_eq!(lines.packet(&mut packet(98, VIDEO, 1, 1, &[0x10, 1]), ms(0)), Way::Refused);
        assert_eq!(lines.packet(&mut [0x80, 96], ms(0)), Way::Refused);
        let passed = (0..50_000u32).filter(|n| {
            let number = (n & 0xffff) as u16;
            lines.packet(&mut video_packet(VIDEO, number, n * 90), ms(u64::from(*n) / 50)) != Way::Refused
        });
        let passed = passed.count() as f64;
        assert!(passed <= PACKETS_BURST + PACKETS_RATE, "{passed} in a second");
    }

    #[test]
    fn after_a_frame_without_end_the_next_one_is_fresh() {
        let mut lines = lines();
        let piece = |start: u8| [&[start, 1][..], &[0; 1_200]].concat();
        let mut refused = 0;
        for n in 0..6_000u16 {
            let packet = packet(96, VIDEO, n, 90, &piece(if n == 0 { 0x10 } else { 0 }));
            refused += u32::from(pass(&mut lines, packet, u64::from(n)).0 == Way::Counted);
        }
        assert!(refused > 2_000, "{refused}");
        // It is found again by two packets in a row, for what lies between is more than is ever waited for.
        let next = packet(96, VIDEO, 6_000, 180, &piece(0x10));
        pass(&mut lines, next, 6_000);
        let (way, ..) = pass(&mut lines, packet(96, VIDEO, 6_001, 270, &piece(0x10)), 6_001);
        assert!(matches!(way, Way::In { fresh: Some(_), .. }), "{way:?}");
    }
}
