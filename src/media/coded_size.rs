//! The size of a coded picture, by what announces it: the header of a VP8 keyframe, the parameter sets of H.264.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::nal::{self, Bits};
use crate::control::Codec;

/// A size in pixels, as it is coded: cropping is not taken off.
pub(super) type CodedSize = (u64, u64);

/// What a frame announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// The largest size, if there are several.
    pub(super) size: CodedSize,
    /// Another one means that the decoder begins anew, also where only the cropping or the colours are others.
    pub(super) print: u64,
}

/// What this frame announces, if anything. Whatever else it holds, a frame that announces nothing is decoded with the size
/// announced before.
pub(super) fn announced(codec: Codec, frame: &[u8]) -> Option<Announced> {
    match codec {
        Codec::Vp8 => vp8(frame).map(|size| Announced { size, print: 0 }),
        Codec::H264 => {
            let mut print = DefaultHasher::new();
            let sizes = parameter_sets(frame).map(|set| {
                let bits = Bits::new(set);
                bits.hash(&mut print);
                h264(bits).unwrap_or(UNREADABLE)
            });
            let size = sizes.max_by_key(|(w, h)| w.saturating_mul(*h))?;
            Some(Announced { size, print: print.finish() })
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

/// The sequence parameter sets of an access unit, without their first byte.
fn parameter_sets(access_unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal::units(access_unit)
        .filter(|unit| matches!(unit.kind, nal::kind::SPS | nal::kind::SUBSET_SPS))
        .map(|unit| unit.rest)
}

/// The size in a sequence parameter set (ITU-T H.264, section 7.3.2.1.1), up to which everything has to be read.
fn h264(mut bits: Bits) -> Option<CodedSize> {
    const WITH_CHROMA_FORMAT: [u32; 13] = [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];
    const CHROMA_444: u32 = 3;
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

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use gstreamer_app as gst_app;
    use proptest::prelude::*;

    use super::*;

    fn size_of(codec: Codec, frame: &[u8]) -> Option<CodedSize> {
        announced(codec, frame).map(|announced| announced.size)
    }

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
            assert_eq!(size_of(Codec::Vp8, &frame("vp8enc deadline=1", size)), Some(size));
            for profile in ["constrained-baseline", "main", "high"] {
                let encoder = format!(
                    "x264enc speed-preset=ultrafast tune=zerolatency option-string=cqm=jvt \
                     ! video/x-h264,profile={profile},stream-format=byte-stream,alignment=au"
                );
                let encoder = if profile == "high" { encoder } else { encoder.replace("option-string=cqm=jvt ", "") };
                assert_eq!(size_of(Codec::H264, &frame(&encoder, size)), Some(size), "{profile}");
            }
        }
        // Whole macroblocks, of which the rest is cropped.
        let encoder = "x264enc speed-preset=ultrafast ! video/x-h264,stream-format=byte-stream,alignment=au";
        assert_eq!(size_of(Codec::H264, &frame(encoder, (1920, 1080))), Some((1920, 1088)));
    }

    #[test]
    fn a_frame_between_keyframes_announces_nothing() {
        assert_eq!(size_of(Codec::Vp8, &[1, 0, 0, 0x9d, 1, 0x2a, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(size_of(Codec::Vp8, &[0, 0, 0, 0x9d, 1, 0x2a, 0xff, 0xff, 0xff, 0xff]), Some((16_383, 16_383)));
        assert_eq!(size_of(Codec::H264, &[0, 0, 0, 1, 0x41, 0x9a, 1, 2, 3]), None);
    }

    #[test]
    fn one_parameter_set_does_not_hide_behind_another() {
        let unit = |size| {
            let encoder = "x264enc speed-preset=ultrafast ! video/x-h264,stream-format=byte-stream,alignment=au";
            frame(encoder, size)
        };
        let (small, large) = (unit((64, 32)), unit((640, 352)));
        for both in [[small.clone(), large.clone()].concat(), [large, small.clone()].concat()] {
            assert_eq!(size_of(Codec::H264, &both), Some((640, 352)));
        }
        let cut = [&small[..], &[0, 0, 1, 0x67, 66]].concat();
        assert_eq!(size_of(Codec::H264, &cut), Some(UNREADABLE), "nor behind what cannot be read");
    }

    proptest! {
        #[test]
        fn nothing_panics(set in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut frame = vec![0, 0, 1, 0x67];
            frame.extend(&set);
            for codec in [Codec::Vp8, Codec::H264] {
                let _ = announced(codec, &frame);
                let _ = announced(codec, &set);
            }
        }
    }
}
