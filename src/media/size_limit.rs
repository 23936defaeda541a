//! A bound on the pictures that are decoded: a few bytes can announce one of 16383x16383, which takes gigabytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::coded_size::{CodedSize, announced};
use super::graph::{Graph, GraphError};
use crate::control::Codec;

/// The largest picture, in pixels: on either side (phones send 1080x1920) and in all (4096x2304).
const MAX_SIDE: u64 = 4_096;
const MAX_AREA: u64 = 4_096 * 2_304;

/// Keeps pictures that are too large away from a decoder. What it dropped can be asked from any thread.
#[derive(Debug, Default)]
pub(super) struct SizeLimit {
    /// What comes now is too large.
    closed: AtomicBool,
    told: AtomicBool,
    dropped: AtomicU64,
}

impl SizeLimit {
    /// Stands before the element of this name, which takes whole frames: of H.264, in byte-stream format.
    pub(super) fn before(graph: &Graph, element: &str, codec: Codec) -> Result<Arc<Self>, GraphError> {
        let pad = graph.pad(element, "sink")?;
        let limit = Arc::<Self>::default();
        let (looks, span) = (limit.clone(), tracing::Span::current());
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
            let _entered = span.enter();
            let passes = match &info.data {
                Some(gst::PadProbeData::Buffer(frame)) => looks.passes(codec, frame),
                Some(gst::PadProbeData::BufferList(frames)) => frames.iter().all(|frame| looks.passes(codec, frame)),
                _ => true,
            };
            // Not Drop: with that the bindings leave no frame for GStreamer to free, which it complains of.
            if passes { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
        });
        Ok(limit)
    }

    /// Whether this frame may be decoded.
    fn passes(&self, codec: Codec, frame: &gst::BufferRef) -> bool {
        // Memory that cannot be read is none that could be decoded.
        let Ok(bytes) = frame.map_readable() else { return false };
        if let Some(size) = announced(codec, &bytes) {
            self.announce(size);
        }
        let passes = !self.closed.load(Ordering::Relaxed);
        self.dropped.fetch_add(u64::from(!passes), Ordering::Relaxed);
        passes
    }

    /// What comes from now on has this size.
    fn announce(&self, (width, height): CodedSize) {
        let fits = fits((width, height));
        self.closed.store(!fits, Ordering::Relaxed);
        if !fits && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(width, height, "a picture is too large to be decoded");
        }
    }

    /// Frames that were too large.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn fits((width, height): CodedSize) -> bool {
    width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_AREA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_a_camera_fits_and_one_that_takes_the_memory_does_not() {
        for (width, height) in
            [(0, 0), (640, 360), (1920, 1080), (1080, 1920), (1920, 1088), (3840, 2160), (2160, 3840), (4096, 2304)]
        {
            assert!(fits((width, height)), "{width}x{height}");
        }
        for (width, height) in
            [(4096, 4096), (4097, 16), (16, 4097), (16_383, 16_383), (u32::MAX.into(), u32::MAX.into())]
        {
            assert!(!fits((width, height)), "{width}x{height}");
        }
    }

    #[test]
    fn what_is_too_large_is_dropped_until_the_size_is_fine_again() {
        gst::init().unwrap();
        let limit = SizeLimit::default();
        let keyframe = |[w0, w1]: [u8; 2]| gst::Buffer::from_slice([0, 0, 0, 0x9d, 1, 0x2a, w0, w1, 64, 0]);
        let between = gst::Buffer::from_slice([1u8, 0, 0, 0]);
        let passes = |frame: &gst::Buffer| limit.passes(Codec::Vp8, frame);
        assert!(passes(&between));
        for _ in 0..2 {
            let (large, fine) = (keyframe(4_097u16.to_le_bytes()), keyframe(640u16.to_le_bytes()));
            assert!(!passes(&large) && !passes(&between));
            assert!(passes(&fine) && passes(&between));
        }
        assert_eq!(limit.dropped(), 4);
    }
}
