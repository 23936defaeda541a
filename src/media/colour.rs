//! Which colours the numbers of a picture mean, and how they become the canvas's.
//!
//! The canvas is BT.601 in limited range, and so is all that comes onto it: stills, and every picture in a slot. It is what
//! VP8 means (RFC 6386, section 9.2), which has no way to say anything else, and what browsers make of it and take it for
//! at any size (seen with Chromium 156 and Firefox 153): what usually comes is copied as it is, and what usually goes out
//! needs no word. H.264 says it in its VUI.
//!
//! Not everybody keeps to it. GStreamer, and players like it, take what does not say for BT.709 where it is of HD's size,
//! and send it so. Who they are is told by what browsers and their kin offer and others do not: feedback of the kind
//! `goog-remb`.
//!
//! Matrix and range are minded. Primaries and transfer are not: BT.601's and BT.709's look alike, and what is wider is
//! rare in a conference.

use std::str::FromStr;

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::picture::Frame;
use super::sdp::Media;
use crate::control::Codec;

/// The canvas's colours as GStreamer's caps name them.
pub(super) const CANVAS_COLORIMETRY: &str = "bt601";

/// The highest picture that is taken for SD by who guesses.
const SD_HEIGHT: u32 = 576;

/// Fixed point of the luma's factors, in bits: half of 255 times a factor is within 16 bits.
const LUMA_BITS: u32 = 7;
/// And of the chroma's.
const CHROMA_BITS: u32 = 12;

/// What a peer takes a picture for whose stream does not say it, and makes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// BT.601, at any size: browsers.
    Bt601,
    /// BT.709 where it is of HD's size: GStreamer.
    BySize,
}

impl Unsaid {
    /// By the m-line that a peer offers.
    pub(super) fn of(video: &Media) -> Self {
        if video.payload().feedback.goog_remb { Self::Bt601 } else { Self::BySize }
    }

    fn matrix(self, height: u32) -> Matrix {
        match self {
            Self::BySize if height > SD_HEIGHT => Matrix::BT709,
            Self::BySize | Self::Bt601 => Matrix::BT601,
        }
    }
}

/// The weights of red and blue in luma.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Matrix {
    red: f64,
    blue: f64,
}

impl Matrix {
    const BT601: Self = Self { red: 0.299, blue: 0.114 };
    const BT709: Self = Self { red: 0.2126, blue: 0.0722 };
    const BT2020: Self = Self { red: 0.2627, blue: 0.0593 };
    const SMPTE240M: Self = Self { red: 0.212, blue: 0.087 };
    const FCC: Self = Self { red: 0.3, blue: 0.11 };

    /// Nothing where it is not said, or not of luma and chroma.
    fn said(matrix: gst_video::VideoColorMatrix) -> Option<Self> {
        match matrix {
            gst_video::VideoColorMatrix::Bt601 => Some(Self::BT601),
            gst_video::VideoColorMatrix::Bt709 => Some(Self::BT709),
            gst_video::VideoColorMatrix::Bt2020 => Some(Self::BT2020),
            gst_video::VideoColorMatrix::Smpte240m => Some(Self::SMPTE240M),
            gst_video::VideoColorMatrix::Fcc => Some(Self::FCC),
            _ => None,
        }
    }
}

/// What the numbers of an 8-bit picture mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colours {
    matrix: Matrix,
    /// 0 to 255 instead of 16 to 235 (luma) and 240 (chroma).
    full: bool,
}

impl Colours {
    /// The canvas's.
    pub(super) const CANVAS: Self = Self { matrix: Matrix::BT601, full: false };

    /// Those of a stream of `codec` that decodes to pictures of these caps.
    pub(super) fn of_stream(codec: Codec, caps: &gst::CapsRef, height: u32, unsaid: Unsaid) -> Self {
        // What stands there of VP8 is the decoder's guess.
        let said =
            caps.structure(0).filter(|_| codec == Codec::H264).and_then(|caps| caps.get::<&str>("colorimetry").ok());
        let said = said.and_then(|said| gst_video::VideoColorimetry::from_str(said).ok());
        Self {
            matrix: said.and_then(|said| Matrix::said(said.matrix())).unwrap_or_else(|| unsaid.matrix(height)),
            full: said.is_some_and(|said| said.range() == gst_video::VideoColorRange::Range0_255),
        }
    }

    /// Those of a JPEG (JFIF).
    pub(super) const JPEG: Self = Self { matrix: Matrix::BT601, full: true };

    /// What a picture of this height is taken for by who guesses.
    pub(super) fn guessed(height: u32) -> Self {
        Self { matrix: Unsaid::BySize.matrix(height), full: false }
    }

    /// Steps of luma from black to white, steps of chroma from end to end, and where black is.
    fn range(self) -> (f64, f64, f64) {
        if self.full { (255.0, 255.0, 0.0) } else { (219.0, 224.0, 16.0) }
    }
}

/// A change of what the numbers mean, for pictures in I420: linear in luma and chroma, for the transfer is not touched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    /// Luma: of the luma, of U, of V, and what is added. All are counted from the middle, 128.
    luma: i16,
    luma_of_u: i32,
    luma_of_v: i32,
    luma_offset: i32,
    /// U: of U, of V.
    u: [i32; 2],
    /// V: of U, of V.
    v: [i32; 2],
}

impl Conversion {
    /// Nothing where there is nothing to change.
    pub(super) fn between(from: Colours, to: Colours) -> Option<Self> {
        if from == to {
            return None;
        }
        let (Matrix { red, blue }, Matrix { red: new_red, blue: new_blue }) = (from.matrix, to.matrix);
        let (green, new_green) = (1.0 - red - blue, 1.0 - new_red - new_blue);
        let ((luma, chroma, black), (new_luma, new_chroma, new_black)) = (from.range(), to.range());
        // Red, green and blue are the luma and these parts of the chroma, (of U, of V), both from -1/2 to 1/2.
        let red_of = (0.0, 2.0 * (1.0 - red));
        let blue_of = (2.0 * (1.0 - blue), 0.0);
        let green_of = (-blue / green * blue_of.0, -red / green * red_of.1);
        // The new luma is the old one and these; the new chroma has no part of the old luma, for grey stays grey.
        let luma_of_u = new_red * red_of.0 + new_green * green_of.0 + new_blue * blue_of.0;
        let luma_of_v = new_red * red_of.1 + new_green * green_of.1 + new_blue * blue_of.1;
        let chroma_of = |of: (f64, f64), weight: f64| {
            let scale = new_chroma / chroma / (2.0 * (1.0 - weight));
            [(of.0 - luma_of_u) * scale, (of.1 - luma_of_v) * scale].map(|factor| fixed(factor, CHROMA_BITS))
        };
        let scale = new_luma / luma;
        Some(Self {
            luma: fixed(scale, LUMA_BITS) as i16,
            luma_of_u: fixed(luma_of_u * new_luma / chroma, CHROMA_BITS),
            luma_of_v: fixed(luma_of_v * new_luma / chroma, CHROMA_BITS),
            luma_offset: fixed(new_black - black * scale + 128.0 * scale - 128.0, CHROMA_BITS),
            u: chroma_of(blue_of, new_blue),
            v: chroma_of(red_of, new_red),
        })
    }

    /// The picture in the new colours. Nothing where there is no memory for it.
    pub(super) fn apply(&self, picture: &Frame, info: &gst_video::VideoInfo) -> Option<Frame> {
        let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
        self.write(&picture.as_video_frame_ref(), buffer.get_mut()?, info)?;
        gst_video::VideoFrame::from_buffer_readable(buffer, info).ok().map(std::sync::Arc::new)
    }

    /// Writes the picture in the new colours into a buffer of the same size.
    pub(super) fn write(
        &self,
        picture: &gst_video::VideoFrameRef<&gst::BufferRef>,
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
    ) -> Option<()> {
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info).ok()?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let stride = |plane: usize| usize::try_from(picture.plane_stride()[plane]).ok();
        let rows = |plane: u32| picture.plane_data(plane).ok();
        let [luma, u, v] = [(0, rows(0)?, stride(0)?), (1, rows(1)?, stride(1)?), (2, rows(2)?, stride(2)?)];
        let new = [0, 1, 2].map(|plane| usize::try_from(target.plane_stride()[plane]).unwrap_or(0));
        // What each pixel's luma gets of its chroma, row by row.
        let mut shift = vec![0i16; width];
        for y in 0..height.div_ceil(2) {
            let half = width.div_ceil(2);
            let (u, v) = (u.1.get(y * u.2..)?.get(..half)?, v.1.get(y * v.2..)?.get(..half)?);
            for (shift, (u, v)) in shift.chunks_mut(2).zip(u.iter().zip(v)) {
                let (u, v) = (i32::from(*u) - 128, i32::from(*v) - 128);
                let of = self.luma_offset + self.luma_of_u * u + self.luma_of_v * v;
                // Half a step, so that what is cut off below rounds.
                shift.fill(((of >> (CHROMA_BITS - LUMA_BITS)) + (1 << (LUMA_BITS - 1))) as i16);
            }
            for y in 2 * y..height.min(2 * y + 2) {
                let from = luma.1.get(y * luma.2..)?.get(..width)?;
                let to = target.plane_data_mut(0).ok()?.get_mut(y * new[0]..)?.get_mut(..width)?;
                for ((to, from), shift) in to.iter_mut().zip(from).zip(&shift) {
                    let luma = ((i16::from(*from) - 128) * self.luma + shift) >> LUMA_BITS;
                    *to = (luma + 128).clamp(0, 255) as u8;
                }
            }
            for (plane, [of_u, of_v]) in [(1, self.u), (2, self.v)] {
                let to = target.plane_data_mut(plane).ok()?.get_mut(y * new[plane as usize]..)?.get_mut(..half)?;
                for (to, (u, v)) in to.iter_mut().zip(u.iter().zip(v)) {
                    let sum = of_u * (i32::from(*u) - 128) + of_v * (i32::from(*v) - 128);
                    *to = (((sum + (1 << (CHROMA_BITS - 1))) >> CHROMA_BITS) + 128).clamp(0, 255) as u8;
                }
            }
        }
        Some(())
    }
}

/// A factor of a few units at most, as a fixed-point number.
fn fixed(factor: f64, bits: u32) -> i32 {
    (factor * f64::from(1u32 << bits)).round() as i32
}

/// What is known of a picture of this size on the canvas.
pub(super) fn canvas_info(width: u32, height: u32) -> Option<gst_video::VideoInfo> {
    let colorimetry = gst_video::VideoColorimetry::from_str(CANVAS_COLORIMETRY).ok()?;
    gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height).colorimetry(&colorimetry).build().ok()
}

#[cfg(test)]
mod tests;
