//! The size of a coded picture, by what announces it: the header of a VP8 keyframe, the parameter sets of H.264.

use crate::control::Codec;

/// A size in pixels, as it is coded: cropping is not taken off.
pub(super) type CodedSize = (u64, u64);

/// The largest size that this frame announces, if it announces any. Whatever else it holds, a frame that announces nothing
/// is decoded with the size announced before.
pub(super) fn announced(codec: Codec, frame: &[u8]) -> Option<CodedSize> {
    match codec {
        Codec::Vp8 => vp8(frame),
        Codec::H264 => {
            parameter_sets(frame).map(|set| h264(set).unwrap_or(UNREADABLE)).max_by_key(|(w, h)| w.saturating_mul(*h))
        }
    }
}

/// Whether an H.264 access unit brings the parameter sets that it is decoded with.
pub(super) fn has_parameter_sets(unit: &[u8]) -> bool {
    parameter_sets(unit).next().is_some()
}

/// What a decoder may make of a parameter set that cannot be read here is not known.
const UNREADABLE: CodedSize = (u32::MAX as u64, u32::MAX as u64);

/// The uncompressed header of a keyframe (RFC 6386, section 9.1): a frame tag, a start code, and two sides of 14 bits.
fn vp8(frame: &[u8]) -> Option<CodedSize> {
    let [tag, _, _, _, _, _, w0, w1, h0, h1, ..] = *frame else { return None };
    let side = |low, high| u64::from(u16::from_le_bytes([low, high]) & 0x3fff);
    (tag & 1 == 0).then(|| (side(w0, w1), side(h0, h1)))
}

/// The sequence parameter sets of an access unit in byte-stream format (ITU-T H.264, annex B), without their first byte.
fn parameter_sets(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    const SPS: u8 = 7;
    const SUBSET_SPS: u8 = 15;
    let starts = unit.windows(3).enumerate().filter(|(_, three)| *three == [0, 0, 1]).map(|(at, _)| at + 3);
    starts.filter_map(|start| {
        let (first, rest) = unit[start..].split_first()?;
        matches!(first & 0x1f, SPS | SUBSET_SPS).then_some(rest)
    })
}

/// The size in a sequence parameter set (ITU-T H.264, section 7.3.2.1.1), up to which everything has to be read.
fn h264(set: &[u8]) -> Option<CodedSize> {
    const WITH_CHROMA_FORMAT: [u32; 13] = [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];
    const CHROMA_444: u32 = 3;
    let mut bits = Bits::new(set);
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.exp_golomb()?;
    if WITH_CHROMA_FORMAT.contains(&profile) {
        let chroma = bits.exp_golomb()?;
        if chroma == CHROMA_444 {
            bits.take(1)?;
        }
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for list in 0..if chroma == CHROMA_444 { 12 } else { 8 } {
                if bits.take(1)? == 1 {
                    scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => drop(bits.exp_golomb()?),
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()? {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    bits.exp_golomb()?;
    bits.take(1)?;
    let (width, height) = (u64::from(bits.exp_golomb()?) + 1, u64::from(bits.exp_golomb()?) + 1);
    // Of fields, two make a frame.
    let fields = 2 - u64::from(bits.take(1)?);
    Some((width * 16, height * fields * 16))
}

/// Section 7.3.2.1.1.1; what it says is of no use here.
fn scaling_list(bits: &mut Bits, length: usize) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..length {
        if next != 0 {
            let code = i64::from(bits.exp_golomb()?);
            let delta = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// The bits of a NAL unit, without the bytes that keep start codes out of it (section 7.4.1.1).
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(unit: &[u8]) -> Self {
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

    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// An unsigned number (section 9.1); of a signed one it is the code.
    fn exp_golomb(&mut self) -> Option<u32> {
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

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use gstreamer_app as gst_app;
    use proptest::prelude::*;

    use super::*;

    /// The first frame of this encoder, of this size.
    fn frame(encoder: &str, (width, height): (u64, u64)) -> Vec<u8> {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width={width},height={height} ! {encoder} \
             ! appsink name=out sync=false"
        ));
        let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
        let out: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let sample = out.pull_sample().unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        sample.buffer().unwrap().map_readable().unwrap().to_vec()
    }

    #[test]
    fn encoders_announce_their_size() {
        for size in [(64, 32), (640, 352), (1920, 1072), (1072, 1920)] {
            assert_eq!(announced(Codec::Vp8, &frame("vp8enc deadline=1", size)), Some(size));
            for profile in ["constrained-baseline", "main", "high"] {
                let encoder = format!(
                    "x264enc speed-preset=ultrafast tune=zerolatency option-string=cqm=jvt \
                     ! video/x-h264,profile={profile},stream-format=byte-stream,alignment=au"
                );
                let encoder = if profile == "high" { encoder } else { encoder.replace("option-string=cqm=jvt ", "") };
                assert_eq!(announced(Codec::H264, &frame(&encoder, size)), Some(size), "{profile}");
            }
        }
        // Whole macroblocks, of which the rest is cropped.
        let encoder = "x264enc speed-preset=ultrafast ! video/x-h264,stream-format=byte-stream,alignment=au";
        assert_eq!(announced(Codec::H264, &frame(encoder, (1920, 1080))), Some((1920, 1088)));
    }

    #[test]
    fn a_frame_between_keyframes_announces_nothing() {
        assert_eq!(announced(Codec::Vp8, &[1, 0, 0, 0x9d, 1, 0x2a, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(announced(Codec::Vp8, &[0, 0, 0, 0x9d, 1, 0x2a, 0xff, 0xff, 0xff, 0xff]), Some((16_383, 16_383)));
        assert_eq!(announced(Codec::H264, &[0, 0, 0, 1, 0x41, 0x9a, 1, 2, 3]), None);
    }

    #[test]
    fn one_parameter_set_does_not_hide_behind_another() {
        let unit = |size| {
            let encoder = "x264enc speed-preset=ultrafast ! video/x-h264,stream-format=byte-stream,alignment=au";
            frame(encoder, size)
        };
        let (small, large) = (unit((64, 32)), unit((640, 352)));
        for both in [[small.clone(), large.clone()].concat(), [large, small.clone()].concat()] {
            assert_eq!(announced(Codec::H264, &both), Some((640, 352)));
        }
        let cut = [&small[..], &[0, 0, 1, 0x67, 66]].concat();
        assert_eq!(announced(Codec::H264, &cut), Some(UNREADABLE), "nor behind what cannot be read");
    }

    proptest! {
        #[test]
        fn nothing_panics(set in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut frame = vec![0, 0, 1, 0x67];
            frame.extend(&set);
            for codec in [Codec::Vp8, Codec::H264] {
                announced(codec, &frame);
                announced(codec, &set);
            }
        }
    }
}
