//! What an access unit of H.264 is made of: NAL units in byte-stream format (ITU-T H.264, annex B), and their bits.

/// The types of NAL units that are of interest here (table 7-1).
pub(super) mod kind {
    pub(in crate::media) const SLICE: u8 = 1;
    pub(in crate::media) const PARTITION_A: u8 = 2;
    pub(in crate::media) const IDR_SLICE: u8 = 5;
    pub(in crate::media) const SEI: u8 = 6;
    pub(in crate::media) const SPS: u8 = 7;
    pub(in crate::media) const SUBSET_SPS: u8 = 15;
}

/// A NAL unit. What follows it in the stream is not cut off: [`Bits`] ends where the next one starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct NalUnit<'a> {
    pub(super) kind: u8,
    /// Whether later pictures may refer to it.
    pub(super) reference: bool,
    /// What comes behind its first byte.
    pub(super) rest: &'a [u8],
}

/// The NAL units of an access unit, in their order.
pub(super) fn units(access_unit: &[u8]) -> impl Iterator<Item = NalUnit<'_>> {
    let starts = access_unit.windows(3).enumerate().filter(|(_, three)| *three == [0, 0, 1]).map(|(at, _)| at + 3);
    starts.filter_map(|start| {
        let (first, rest) = access_unit[start..].split_first()?;
        Some(NalUnit { kind: first & 0x1f, reference: first & 0x60 != 0, rest })
    })
}

/// The bits of a NAL unit, without the bytes that keep start codes out of it (section 7.4.1.1).
#[derive(Hash)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    pub(super) fn new(unit: &[u8]) -> Self {
        let mut bytes = Vec::new();
        let mut zeros = 0;
        for byte in unit {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            // A start code: another unit.
            if zeros >= 2 && *byte == 1 {
                break;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// Goes on that many bits later.
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// An unsigned number (section 9.1); of a signed one it is the code.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros == 32 {
                return None;
            }
        }
        let tail = self.take(zeros)?;
        Some(((1u64 << zeros) - 1) as u32 + tail)
    }
}
