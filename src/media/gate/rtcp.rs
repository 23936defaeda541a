//! RTCP between a peer and our RTP session (RFC 3550, section 6; RFC 4585), which know what the peer sends by different
//! SSRCs and numbers. Pure; times are running times.
//!
//! Of what comes, only that is let through which something is done with: reports, what is asked of us, and no more of it
//! than we can afford to answer. All else would only give a peer more of the session's code to play with.

use std::time::Duration;

use rtcp_types::{Compound, Packet, SdesItem};

use super::lines::{Lines, OTHER};
use crate::bucket::TokenBucket;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of feedback (RFC 4585, section 6; RFC 5104, section 4.3).
const NACK: u8 = 1;
/// draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1.
const TRANSPORT_WIDE: u8 = 15;
const PLI: u8 = 1;
const FIR: u8 = 4;

/// What GStreamer says that it is.
const GSTREAMER: &[u8] = b"GStreamer";
/// A goodbye of its that comes after so long without a packet is not meant: it says one for each source that had nothing
/// to send for 5 s or more, as that of a picture that stands still, and goes on with it later.
const IDLE: Duration = Duration::from_secs(4);

const HEADER: usize = 4;
const BLOCK: usize = 24; // bytes of a report block
const SENDER_INFO: usize = 20;
const REQUEST: usize = 4; // bytes of a NACK's or FIR's entry, without a FIR's command

/// RTCP packets that a peer may send at once, and a second.
const PACKETS_BURST: f64 = 300.0;
const PACKETS_RATE: f64 = 150.0;
/// Retransmissions that a peer may ask for at once, and a second: the packets of a large keyframe, and half of the 900
/// packets a second of 8 Mbit/s. A line that loses more than that takes no such rendition.
const REPAIRS_BURST: f64 = 1_000.0;
const REPAIRS_RATE: f64 = 500.0;

/// One packet of a compound.
struct Part<'a> {
    kind: u8,
    /// Report blocks, or the format of feedback.
    count: u8,
    /// After the header.
    body: &'a [u8],
}

/// The packets of a compound, up to the first that is none.
fn parts(mut compound: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let [first, kind, high, low] = *compound.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([high, low])) * 4;
        let body = compound.get(HEADER..HEADER + length).filter(|_| first >> 6 == 2)?;
        compound = &compound[HEADER + length..];
        // Padding is the last packet's, and only ever cut off here.
        let padding = if first & 0x20 == 0 { 0 } else { usize::from(body.last().copied().unwrap_or(0)) };
        let body = body.get(..body.len().checked_sub(padding)?)?;
        Some(Part { kind, count: first & 0x1f, body })
    })
}

/// Appends a packet whose body is a multiple of four bytes long.
fn append(out: &mut Vec<u8>, kind: u8, count: u8, body: &[u8]) {
    let words = u16::try_from(body.len() / 4).unwrap_or(u16::MAX);
    out.extend([0x80 | count, kind]);
    out.extend(words.to_be_bytes());
    out.extend(body);
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// What a peer may still ask for.
#[derive(Debug)]
pub(super) struct Allowance {
    packets: TokenBucket,
    repairs: TokenBucket,
    refused: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            packets: TokenBucket::new(PACKETS_RATE, PACKETS_BURST, Duration::ZERO),
            repairs: TokenBucket::new(REPAIRS_RATE, REPAIRS_BURST, Duration::ZERO),
            refused: 0,
        }
    }
}

impl Allowance {
    /// Requests that were not passed on: packets that a NACK named, and RTCP packets.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn take(&mut self, count: u32, now: Duration) -> bool {
        let granted = self.repairs.take_many(count, now).is_ok();
        self.refused += if granted { 0 } else { count.into() };
        granted
    }
}

/// A peer's compound packet as our RTP session is to get it; empty where nothing is left of it.
pub(super) fn incoming(compound: &[u8], lines: &mut Lines, allowance: &mut Allowance, now: Duration) -> Vec<u8> {
    let mut out = Vec::with_capacity(compound.len());
    if allowance.packets.take(now).is_err() {
        allowance.refused += 1;
        return out;
    }
    let mut ended = Vec::new();
    for Part { kind, count, body } in parts(compound) {
        let Some(sender) = word(body, 0) else { continue };
        let line = lines.of_source(sender);
        let name = line.map_or(OTHER, |line| line.ours());
        let mut renamed = body.to_vec();
        put(&mut renamed, 0, name);
        let blocks = usize::from(count) * BLOCK;
        match (kind, count) {
            (SENDER_REPORT, _) if body.len() >= 4 + SENDER_INFO + blocks => {
                renamed.truncate(4 + SENDER_INFO + blocks);
                match (line, word(body, 12)) {
                    (Some(line), Some(timestamp)) => {
                        put(&mut renamed, 12, line.numbers().timestamp(timestamp));
                        append(&mut out, SENDER_REPORT, count, &renamed);
                    }
                    // What it says of a source that is not taken is of no use; what it says of us is.
                    _ => {
                        renamed.drain(4..4 + SENDER_INFO);
                        append(&mut out, RECEIVER_REPORT, count, &renamed);
                    }
                }
            }
            (RECEIVER_REPORT, _) if body.len() >= 4 + blocks => {
                renamed.truncate(4 + blocks);
                append(&mut out, RECEIVER_REPORT, count, &renamed);
            }
            (GOODBYE, _) => {
                // Kept from the session, which would take whatever comes after it for a new source.
                ended.extend((0..usize::from(count)).map_while(|n| word(body, n * 4)));
            }
            (TRANSPORT_FEEDBACK, NACK) if body.len() >= 8 + REQUEST => {
                renamed.truncate(8);
                for request in body[8..].chunks_exact(REQUEST) {
                    let more = u16::from_be_bytes([request[2], request[3]]).count_ones();
                    if allowance.take(1 + more, now) {
                        renamed.extend(request);
                    }
                }
                if renamed.len() > 8 {
                    append(&mut out, TRANSPORT_FEEDBACK, NACK, &renamed);
                }
            }
            (PAYLOAD_FEEDBACK, PLI | FIR) if body.len() >= 8 => {
                renamed.truncate(body.len() & !3);
                append(&mut out, kind, count, &renamed);
            }
            _ => {}
        }
    }
    if !ended.is_empty() {
        let idle = if is_from_gstreamer(compound) { IDLE } else { Duration::MAX };
        lines.end(&ended, idle, now);
    }
    out
}

/// Our RTP session's compound packet as the peer is to get it: what is said of its streams, in its own names and numbers.
pub(super) fn outgoing(compound: &[u8], lines: &Lines) -> Vec<u8> {
    let mut out = Vec::with_capacity(compound.len());
    for Part { kind, count, body } in parts(compound) {
        let mut renamed = body.to_vec();
        match (kind, count) {
            (SENDER_REPORT | RECEIVER_REPORT, _) => {
                let start = if kind == SENDER_REPORT { 4 + SENDER_INFO } else { 4 };
                renamed.truncate(start);
                let blocks = body.get(start..).unwrap_or_default().chunks_exact(BLOCK).take(count.into());
                let mut kept = 0;
                for block in blocks {
                    let Some((line, source)) = word(block, 0).and_then(|ours| lines.of_ours(ours)) else { continue };
                    let mut block = block.to_vec();
                    let highest = word(&block, 8).unwrap_or_default();
                    put(&mut block, 0, source);
                    if line.source() == Some(source) {
                        put(&mut block, 8, line.numbers().extended_source(highest));
                    }
                    renamed.extend(block);
                    kept += 1;
                }
                append(&mut out, kind, kept, &renamed);
            }
            (TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK, _) => {
                let found = word(body, 4).and_then(|media| lines.of_ours(media));
                // It is about all that is sent, and names what came first, be that only counted; libwebrtc overlooks it
                // where it names none of its sources.
                let about_all = (kind, count) == (TRANSPORT_FEEDBACK, TRANSPORT_WIDE);
                let source = if about_all { lines.any_source() } else { found.map(|(_, source)| source) };
                if let Some(source) = source {
                    put(&mut renamed, 4, source);
                }
                match (kind, count, found) {
                    (TRANSPORT_FEEDBACK, NACK, Some((line, _))) => {
                        renamed.truncate(8);
                        for request in body[8..].chunks_exact(REQUEST) {
                            let number = u16::from_be_bytes([request[0], request[1]]);
                            // What was another source's cannot be had any more.
                            if let Some(number) = line.numbers().source(number) {
                                renamed.extend(number.to_be_bytes());
                                renamed.extend(&request[2..]);
                            }
                        }
                        if renamed.len() == 8 {
                            continue;
                        }
                    }
                    (PAYLOAD_FEEDBACK, FIR, _) => {
                        for at in (8..renamed.len().saturating_sub(7)).step_by(8) {
                            if let Some((_, source)) = word(body, at).and_then(|media| lines.of_ours(media)) {
                                put(&mut renamed, at, source);
                            }
                        }
                    }
                    _ => {}
                }
                append(&mut out, kind, count, &renamed);
            }
            _ => append(&mut out, kind, count, &renamed),
        }
    }
    out
}

/// Whether GStreamer's RTP session says this; it describes itself in each report (RFC 3550, section 6.5.6).
fn is_from_gstreamer(compound: &[u8]) -> bool {
    Compound::parse(compound).into_iter().flatten().flatten().any(|packet| match packet {
        Packet::Sdes(sdes) => sdes
            .chunks()
            .flat_map(|chunk| chunk.items())
            .any(|item| item.type_() == SdesItem::TOOL && item.value() == GSTREAMER),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lines::tests::{AUDIO, VIDEO, lines, video_packet};
    use super::super::lines::{COUNTED, ssrc};
    use super::*;
    use crate::media::transport::Kind;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn packet(kind: u8, count: u8, body: &[u32]) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, kind, count, &words(body));
        out
    }

    /// Lines whose video came from source 7 with the number 100 and the time 5,000, and then from `VIDEO` with 9,000 and 0.
    fn changed() -> Lines {
        let mut lines = lines();
        for (at, ssrc, number, time) in [(0, 7, 100, 5_000), (40, VIDEO, 9_000, 0), (80, VIDEO, 9_001, 3_600)] {
            lines.packet(&mut video_packet(ssrc, number, time), ms(at));
        }
        lines
    }

    #[test]
    fn a_report_of_the_source_that_is_taken_is_translated_and_one_of_another_is_about_us_only() {
        let mut lines = changed();
        let block = [3, 0, 70_000, 0, 0, 0];
        let report = |source: u32| [&[source, 1, 2, 3_600, 4, 5], &block[..], &[0xdead]].concat();
        let mut take = |compound: &[u8]| incoming(compound, &mut lines, &mut Allowance::default(), ms(100));
        let ours = take(&packet(SENDER_REPORT, 1, &report(VIDEO)));
        let expected = [&[ssrc(Kind::Video), 1, 2, 5_000 + 3_600 + 3_600, 4, 5], &block[..]].concat();
        assert_eq!(ours, packet(SENDER_REPORT, 1, &expected));
        let ours = take(&packet(SENDER_REPORT, 1, &report(7)));
        assert_eq!(ours, packet(RECEIVER_REPORT, 1, &[&[OTHER], &block[..]].concat()));
        assert_eq!(take(&packet(RECEIVER_REPORT, 0, &[AUDIO, 1])), packet(RECEIVER_REPORT, 0, &[OTHER]));
    }

    #[test]
    fn of_the_rest_only_what_is_asked_of_us_is_let_through() {
        let mut lines = changed();
        let nack = packet(TRANSPORT_FEEDBACK, NACK, &[VIDEO, 3, 0x0064_0001]);
        let compound = [
            packet(202, 1, &[VIDEO, 0x0103_6161, 0x6100_0000]),
            packet(204, 0, &[VIDEO, 0x4142_4344]),
            packet(207, 0, &[VIDEO, 1, 2]),
            packet(TRANSPORT_FEEDBACK, 15, &[VIDEO, 3, 0x0001_0001, 0, 0]),
            nack,
            packet(PAYLOAD_FEEDBACK, PLI, &[9, 3]),
            packet(PAYLOAD_FEEDBACK, 15, &[VIDEO, 0, 0x5245_4d42]),
            packet(PAYLOAD_FEEDBACK, FIR, &[VIDEO, 0, 3, 0x0100_0000]),
        ];
        let ours = incoming(&compound.concat(), &mut lines, &mut Allowance::default(), ms(100));
        let video = ssrc(Kind::Video);
        let expected = [
            packet(TRANSPORT_FEEDBACK, NACK, &[video, 3, 0x0064_0001]),
            packet(PAYLOAD_FEEDBACK, PLI, &[OTHER, 3]),
            packet(PAYLOAD_FEEDBACK, FIR, &[video, 0, 3, 0x0100_0000]),
        ];
        assert_eq!(ours, expected.concat());
    }

    #[test]
    fn a_goodbye_ends_the_source_until_it_is_heard_again() {
        let mut lines = changed();
        let ours = incoming(&packet(GOODBYE, 2, &[7, 5]), &mut lines, &mut Allowance::default(), ms(100));
        assert!(ours.is_empty() && !lines.has_ended(Kind::Video), "it was another one's");
        let ours = incoming(&packet(GOODBYE, 2, &[5, VIDEO]), &mut lines, &mut Allowance::default(), ms(100));
        assert!(ours.is_empty() && lines.has_ended(Kind::Video) && !lines.has_ended(Kind::Audio));
        lines.packet(&mut video_packet(VIDEO, 9_002, 7_200), ms(120));
        assert!(!lines.has_ended(Kind::Video));
    }

    #[test]
    fn a_goodbye_of_gstreamer_for_an_idle_source_ends_nothing() {
        let ends = |tool: &[u8], at: u64| {
            let mut items = VIDEO.to_be_bytes().to_vec();
            items.extend([SdesItem::TOOL, u8::try_from(tool.len()).unwrap()]);
            items.extend(tool);
            items.resize((items.len() + 1).next_multiple_of(4), 0);
            let mut out = packet(RECEIVER_REPORT, 0, &[VIDEO]);
            append(&mut out, 202, 1, &items);
            append(&mut out, GOODBYE, 1, &VIDEO.to_be_bytes());
            let mut lines = changed();
            incoming(&out, &mut lines, &mut Allowance::default(), ms(at));
            lines.has_ended(Kind::Video)
        };
        assert!(ends(GSTREAMER, 100), "it goes");
        assert!(!ends(GSTREAMER, 5_100), "nothing to send for 5 s");
        assert!(ends(b"another", 5_100) && ends(b"", 60_100));
    }

    #[test]
    fn retransmissions_are_bounded_and_so_is_rtcp() {
        let mut allowance = Allowance::default();
        let nack = packet(TRANSPORT_FEEDBACK, NACK, &[&[VIDEO, 3][..], &[0x0064_ffff; 30]].concat());
        let (mut asked, mut passed) = (0, 0);
        for n in 0..1_000 {
            let ours = incoming(&nack, &mut lines(), &mut allowance, ms(n * 10));
            asked += 30 * 17;
            passed += ours.len().saturating_sub(12) / 4 * 17;
        }
        let allowed = (REPAIRS_BURST + 10.0 * REPAIRS_RATE) as usize;
        assert!(passed <= allowed && passed > allowed * 9 / 10, "{passed} of {asked}");
        assert!(allowance.refused() as usize >= asked - passed);
        let report = packet(RECEIVER_REPORT, 0, &[VIDEO]);
        let passed = (0..10_000).filter(|_| !incoming(&report, &mut lines(), &mut allowance, ms(20_000)).is_empty());
        assert_eq!(passed.count(), PACKETS_BURST as usize);
    }

    #[test]
    fn what_we_say_of_the_peer_s_streams_is_in_its_names_and_numbers() {
        let lines = changed();
        let block = |ssrc: u32, highest: u32| [ssrc, 0x0500_0001, highest, 7, 8, 9];
        let report =
            |blocks: &[[u32; 6]]| packet(RECEIVER_REPORT, blocks.len() as u8, &[&[1], &blocks.concat()[..]].concat());
        let said = report(&[block(ssrc(Kind::Video), 102), block(COUNTED, 5), block(ssrc(Kind::Audio), 6)]);
        assert_eq!(outgoing(&said, &lines), report(&[block(VIDEO, 9_001)]));
        let video = ssrc(Kind::Video);
        let asked = [
            packet(PAYLOAD_FEEDBACK, PLI, &[1, video]),
            packet(PAYLOAD_FEEDBACK, FIR, &[1, 0, video, 0x0100_0000]),
            // 101 and the one after; and 100, which was another source's.
            packet(TRANSPORT_FEEDBACK, NACK, &[1, video, 0x0065_0001]),
            packet(TRANSPORT_FEEDBACK, NACK, &[1, video, 0x0064_0000]),
            packet(TRANSPORT_FEEDBACK, 15, &[1, video, 0x0001_0001, 2, 3]),
            packet(TRANSPORT_FEEDBACK, 15, &[1, COUNTED, 0x0001_0001, 2, 3]),
            packet(202, 1, &[1, 0x0103_6161, 0x6100_0000]),
        ];
        let expected = [
            packet(PAYLOAD_FEEDBACK, PLI, &[1, VIDEO]),
            packet(PAYLOAD_FEEDBACK, FIR, &[1, 0, VIDEO, 0x0100_0000]),
            packet(TRANSPORT_FEEDBACK, NACK, &[1, VIDEO, 0x2328_0001]),
            packet(TRANSPORT_FEEDBACK, 15, &[1, VIDEO, 0x0001_0001, 2, 3]),
            packet(TRANSPORT_FEEDBACK, 15, &[1, VIDEO, 0x0001_0001, 2, 3]),
            packet(202, 1, &[1, 0x0103_6161, 0x6100_0000]),
        ];
        assert_eq!(outgoing(&asked.concat(), &lines), expected.concat());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_compound_or_nothing(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            compound in prop::collection::vec(
                (198u8..210, 0u8..32, prop::collection::vec(any::<u32>(), 0..40)), 0..8),
        ) {
            let mut bytes: Vec<u8> = compound.iter().flat_map(|(kind, count, body)| packet(*kind, *count, body)).collect();
            bytes.extend(noise);
            let mut lines = changed();
            for out in [
                incoming(&bytes, &mut lines, &mut Allowance::default(), ms(100)),
                outgoing(&bytes, &lines),
            ] {
                prop_assert!(out.len() <= bytes.len() && out.len() % 4 == 0);
                prop_assert_eq!(parts(&out).map(|part| HEADER + part.body.len()).sum::<usize>(), out.len());
            }
        }
    }
}
