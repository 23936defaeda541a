//! Bounds what a frame may hold before it ends: depayloaders collect its packets until then.

use crate::control::Codec;

/// Bytes of one frame: several times a keyframe of the largest picture that is decoded.
const MAX_BYTES: usize = 4 << 20;

/// The frame that a video source is at. Pure.
#[derive(Debug)]
pub(super) struct Frame {
    codec: Codec,
    bytes: usize,
    timestamp: Option<u32>,
    /// It held too much: the rest of it is dropped.
    over: bool,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Fits,
    /// It does not, and neither does the rest of its frame.
    Over,
    /// It begins a frame after one that did not fit.
    Resumes,
}

impl Frame {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, bytes: 0, timestamp: None, over: false }
    }

    /// What comes is of another source.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.codec);
    }

    /// A packet that is newer than all before.
    pub(super) fn packet(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Fit {
        let begins = match self.codec {
            Codec::Vp8 => begins_vp8(payload),
            Codec::H264 => begins_nal(payload) && self.timestamp != Some(timestamp),
        };
        let resumes = self.over && begins && self.timestamp != Some(timestamp);
        if begins && (!self.over || resumes) {
            (self.bytes, self.over) = (0, false);
        }
        if begins || self.timestamp.is_none() {
            self.timestamp = Some(timestamp);
        }
        self.bytes = self.bytes.saturating_add(payload.len());
        if self.over || self.bytes > MAX_BYTES {
            self.over = true;
            return Fit::Over;
        }
        if marker {
            self.bytes = 0;
        }
        if resumes { Fit::Resumes } else { Fit::Fits }
    }
}

/// The first packet of a VP8 frame (RFC 7741, section 4.2): the start of partition 0.
fn begins_vp8(payload: &[u8]) -> bool {
    payload.first().is_some_and(|descriptor| descriptor & 0x17 == 0x10)
}

/// Not the middle of an H.264 NAL unit (RFC 6184, section 5.8).
fn begins_nal(payload: &[u8]) -> bool {
    const FRAGMENTS: [u8; 2] = [28, 29];
    match payload {
        [indicator, header, ..] if FRAGMENTS.contains(&(indicator & 0x1f)) => header & 0x80 != 0,
        [_, ..] => true,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_200;

    fn payload(start: [u8; 2]) -> Vec<u8> {
        let mut payload = vec![0; PACKET];
        payload[..2].copy_from_slice(&start);
        payload
    }

    /// First packet, and one in the middle, of a frame.
    fn packets(codec: Codec) -> (Vec<u8>, Vec<u8>) {
        match codec {
            Codec::Vp8 => (payload([0x10, 0]), payload([0, 0])),
            Codec::H264 => (payload([0x7c, 0x85]), payload([0x7c, 0x05])),
        }
    }

    #[test]
    fn frames_that_end_never_add_up() {
        for codec in [Codec::Vp8, Codec::H264] {
            let (first, middle) = packets(codec);
            let mut frame = Frame::new(codec);
            for n in 0..2_000u32 {
                let last = middle.clone();
                for (part, marker) in [(&first, false), (&middle, false), (&last, true)] {
                    assert_eq!(frame.packet(n * 3_000, marker, part), Fit::Fits, "{codec}");
                }
            }
        }
    }

    #[test]
    fn senders_that_set_no_marker_are_fine_while_their_frames_begin() {
        for codec in [Codec::Vp8, Codec::H264] {
            let (first, middle) = packets(codec);
            let mut frame = Frame::new(codec);
            for n in 0..5_000u32 {
                assert_eq!(frame.packet(n * 3_000, false, &first), Fit::Fits, "{codec}");
                assert_eq!(frame.packet(n * 3_000, false, &middle), Fit::Fits, "{codec}");
            }
        }
    }

    #[test]
    fn a_frame_without_an_end_is_cut_off_and_the_next_one_resumes() {
        for codec in [Codec::Vp8, Codec::H264] {
            // Whether its timestamp stands still or not.
            for step in [0, 3_000] {
                let (first, middle) = packets(codec);
                let mut frame = Frame::new(codec);
                assert_eq!(frame.packet(1, false, &first), Fit::Fits);
                let passed = (0..10_000u32).filter(|n| frame.packet(1 + n * step, false, &middle) == Fit::Fits).count();
                assert_eq!(passed, MAX_BYTES / PACKET - 1, "{codec}");
                assert_eq!(frame.packet(9, true, &middle), Fit::Over, "{codec}: its end is of no use");
                assert_eq!(frame.packet(11, false, &first), Fit::Resumes, "{codec}");
                assert_eq!(frame.packet(11, true, &middle), Fit::Fits, "{codec}");
            }
        }
    }
}
