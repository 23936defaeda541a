//! A bound on the pictures that are decoded: a few bytes can announce one of 16383x16383, which takes gigabytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::graph::{Graph, GraphError};

/// The largest picture, in pixels: on either side (phones send 1080x1920) and in all (4096x2304).
const MAX_SIDE: i32 = 4_096;
const MAX_AREA: i32 = 4_096 * 2_304;

/// Keeps pictures that are too large away from a decoder. What it dropped can be asked from any thread.
#[derive(Debug, Default)]
pub(super) struct SizeLimit {
    /// What comes now is too large.
    closed: AtomicBool,
    told: AtomicBool,
    dropped: AtomicU64,
}

impl SizeLimit {
    /// Stands before the element of this name. The size is that of the caps that a depayloader or parser makes of each
    /// keyframe or parameter set, ahead of the frame itself.
    pub(super) fn before(graph: &Graph, decoder: &str) -> Result<Arc<Self>, GraphError> {
        let missing = || GraphError::NoElement { graph: decoder.to_owned(), element: "its sink pad".to_owned() };
        let pad = graph.element::<gst::Element>(decoder)?.static_pad("sink").ok_or_else(missing)?;
        let limit = Arc::<Self>::default();
        let (looks, span) = (limit.clone(), tracing::Span::current());
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let passes = match &info.data {
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::Caps(caps) => span.in_scope(|| looks.announced(size(caps.caps()))),
                    _ => true,
                },
                Some(gst::PadProbeData::Buffer(_)) => looks.passes(),
                _ => true,
            };
            if passes { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
        });
        Ok(limit)
    }

    /// What comes from now on has this size. Answers whether it may be decoded.
    fn announced(&self, (width, height): (i32, i32)) -> bool {
        let fits = fits(width, height);
        self.closed.store(!fits, Ordering::Relaxed);
        if !fits && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(width, height, "a picture is too large to be decoded");
        }
        fits
    }

    fn passes(&self) -> bool {
        let passes = !self.closed.load(Ordering::Relaxed);
        self.dropped.fetch_add(u64::from(!passes), Ordering::Relaxed);
        passes
    }

    /// Frames that were too large.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The size that caps tell of; nothing where they tell of none.
fn size(caps: &gst::CapsRef) -> (i32, i32) {
    let side = |name| caps.structure(0).and_then(|structure| structure.get::<i32>(name).ok()).unwrap_or(0);
    (side("width"), side("height"))
}

fn fits(width: i32, height: i32) -> bool {
    width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_AREA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_a_camera_fits_and_one_that_takes_the_memory_does_not() {
        for (width, height) in
            [(0, 0), (640, 360), (1920, 1080), (1080, 1920), (3840, 2160), (2160, 3840), (4096, 2304)]
        {
            assert!(fits(width, height), "{width}x{height}");
        }
        for (width, height) in [(4096, 4096), (4097, 16), (16, 4097), (16_383, 16_383), (i32::MAX, i32::MAX)] {
            assert!(!fits(width, height), "{width}x{height}");
        }
    }

    #[test]
    fn what_is_too_large_is_dropped_until_the_size_is_fine_again() {
        let limit = SizeLimit::default();
        assert!(limit.passes());
        for _ in 0..2 {
            assert!(!limit.announced((16_383, 16_383)));
            assert!(!limit.passes() && !limit.passes());
            assert!(limit.announced((640, 360)) && limit.passes());
        }
        assert_eq!(limit.dropped(), 4);
    }
}
