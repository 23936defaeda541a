//! What a coded frame is to a decoder that has missed what was before it: whether decoding may begin with it.

use super::nal::{self, Bits, NalUnit};
use crate::control::Codec;

/// What decoding may begin with, from the best to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodedFrame {
    /// Nothing before it is needed: a VP8 keyframe, an IDR picture of H.264.
    Keyframe,
    /// From here on the picture becomes whole bit by bit, and is whole after that many more reference frames (recovery
    /// point SEI; ITU-T H.264, section D.2.8): intra refresh, and the I picture of an open group of pictures.
    RecoveryPoint { frames: u32, reference: bool },
    /// It is whole by itself, but promises nothing of the next ones: an I picture of H.264.
    Intra { reference: bool },
    /// It needs what was before.
    Delta { reference: bool },
    /// It has no picture: parameter sets that come alone.
    Headers,
}

impl CodedFrame {
    /// Reads a whole frame: of H.264 an access unit in byte-stream format.
    pub(super) fn read(codec: Codec, frame: &[u8]) -> Self {
        match codec {
            // The first bit of the frame tag (RFC 6386, section 9.1).
            Codec::Vp8 if frame.first().is_some_and(|tag| tag & 1 == 0) => Self::Keyframe,
            Codec::Vp8 => Self::Delta { reference: true },
            Codec::H264 => Self::h264(frame),
        }
    }

    fn h264(access_unit: &[u8]) -> Self {
        let (mut recovery, mut slices, mut intra, mut reference) = (None, 0, 0, false);
        for unit in nal::units(access_unit) {
            match unit.kind {
                nal::kind::IDR_SLICE => return Self::Keyframe,
                nal::kind::SEI => recovery = recovery.or_else(|| recovery_point(unit)),
                nal::kind::SLICE | nal::kind::PARTITION_A => {
                    slices += 1;
                    intra += usize::from(is_intra(unit));
                    reference |= unit.reference;
                }
                _ => {}
            }
        }
        match recovery {
            _ if slices == 0 => Self::Headers,
            Some(frames) => Self::RecoveryPoint { frames, reference },
            None if intra == slices => Self::Intra { reference },
            None => Self::Delta { reference },
        }
    }

    /// Whether later frames may refer to it.
    pub(super) fn is_reference(self) -> bool {
        match self {
            Self::Keyframe => true,
            Self::RecoveryPoint { reference, .. } | Self::Intra { reference } | Self::Delta { reference } => reference,
            Self::Headers => false,
        }
    }
}

/// The recovery_frame_cnt of a SEI unit, if it has one (sections 7.3.2.3.1 and D.1.8).
fn recovery_point(unit: NalUnit<'_>) -> Option<u32> {
    const RECOVERY_POINT: u32 = 6;
    let mut bits = Bits::new(unit.rest);
    loop {
        let (kind, size) = (sei_number(&mut bits)?, sei_number(&mut bits)?);
        if kind == RECOVERY_POINT {
            return bits.exp_golomb();
        }
        bits.skip(usize::try_from(size).ok()?.checked_mul(8)?);
    }
}

/// A number of bytes that add up, of which each but the last is 255.
fn sei_number(bits: &mut Bits) -> Option<u32> {
    let mut sum = 0u32;
    loop {
        let byte = bits.take(8)?;
        sum = sum.checked_add(byte)?;
        if byte != 255 {
            return Some(sum);
        }
    }
}

/// Whether a slice refers to no other picture, by its slice_type (section 7.4.3: I and SI).
fn is_intra(slice: NalUnit<'_>) -> bool {
    // Two numbers, of which the first takes five bytes at most.
    let mut bits = Bits::new(&slice.rest[..slice.rest.len().min(8)]);
    let kind = bits.exp_golomb().and_then(|_| bits.exp_golomb());
    kind.is_some_and(|kind| matches!(kind, 2 | 4 | 7 | 9))
}

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use gstreamer_app as gst_app;
    use proptest::prelude::*;

    use super::*;

    /// What an encoder makes of 40 frames.
    fn frames(codec: Codec, encoder: &str) -> Vec<CodedFrame> {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc pattern=ball num-buffers=40 ! video/x-raw,format=I420,width=160,height=96 ! {encoder} \
             ! appsink name=out sync=false"
        ));
        let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
        let out: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut frames = Vec::new();
        while let Ok(sample) = out.pull_sample() {
            frames.push(CodedFrame::read(codec, &sample.buffer().unwrap().map_readable().unwrap()));
        }
        pipeline.set_state(gst::State::Null).unwrap();
        frames
    }

    fn x264(options: &str) -> Vec<CodedFrame> {
        let encoder = format!("x264enc speed-preset=ultrafast key-int-max=20 bframes=0 threads=1 {options}");
        frames(Codec::H264, &format!("{encoder} ! video/x-h264,stream-format=byte-stream,alignment=au"))
    }

    #[test]
    fn keyframes_are_found() {
        for frames in [frames(Codec::Vp8, "vp8enc deadline=1 keyframe-max-dist=20"), x264("option-string=scenecut=0")] {
            for (index, frame) in frames.iter().enumerate() {
                let wanted = if index % 20 == 0 { CodedFrame::Keyframe } else { CodedFrame::Delta { reference: true } };
                assert_eq!(*frame, wanted, "{index}");
            }
        }
    }

    #[test]
    fn intra_refresh_says_when_the_picture_is_whole() {
        let frames = x264("intra-refresh=true");
        assert_eq!(frames[0], CodedFrame::Keyframe);
        assert!(frames[1..].iter().all(|frame| *frame != CodedFrame::Keyframe));
        let CodedFrame::RecoveryPoint { frames: count, reference: true } = frames[20] else { panic!("{frames:?}") };
        // A column of macroblocks with each frame, of which there are ten.
        assert!((5..20).contains(&count), "{count}");
        assert_eq!(frames[21], CodedFrame::Delta { reference: true });
    }

    #[test]
    fn an_open_group_of_pictures_begins_with_a_recovery_point() {
        let frames = x264("bframes=2 b-adapt=false option-string=open-gop=1:scenecut=0");
        assert!(frames.contains(&CodedFrame::RecoveryPoint { frames: 0, reference: true }), "{frames:?}");
        assert!(frames.contains(&CodedFrame::Delta { reference: false }), "of B frames, some are no reference");
    }

    #[test]
    fn an_intra_picture_that_promises_nothing_and_headers_that_come_alone_are_told_apart() {
        // first_mb_in_slice 0 and slice_type 7 and 5, as Exp-Golomb codes.
        let (intra, inter) = ([0, 0, 1, 0x61, 0b1000_1000, 0xff], [0, 0, 1, 0x61, 0b1001_1000, 0xff]);
        let sps = [0, 0, 1, 0x67, 66, 0, 30];
        let read = |units: &[&[u8]]| CodedFrame::read(Codec::H264, &units.concat());
        assert_eq!(read(&[&sps, &intra]), CodedFrame::Intra { reference: true });
        assert_eq!(read(&[&intra, &inter]), CodedFrame::Delta { reference: true });
        assert_eq!(read(&[&sps]), CodedFrame::Headers);
        // Behind another message, of which the size takes two bytes.
        let long = [&[0, 0, 1, 6, 5, 255, 1][..], &[7; 256], &[6, 1, 0b0010_0100, 0x80]].concat();
        assert_eq!(read(&[&long, &inter]), CodedFrame::RecoveryPoint { frames: 3, reference: true });
        assert_eq!(read(&[&long[..200], &inter]), CodedFrame::Delta { reference: true }, "cut off");
    }

    proptest! {
        #[test]
        fn nothing_panics(kind in 0u8..32, unit in prop::collection::vec(any::<u8>(), 0..80)) {
            let frame = [&[0, 0, 1, 0x60 | kind][..], &unit].concat();
            for codec in [Codec::Vp8, Codec::H264] {
                CodedFrame::read(codec, &frame);
                CodedFrame::read(codec, &unit);
            }
        }
    }
}
