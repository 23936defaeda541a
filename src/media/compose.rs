//! The composite: pictures that already have their tile's size, copied onto one canvas.
//!
//! Why not the `compositor` element: with tiles at their size compositing is a copy of rows, which costs the same here
//! and there. What the element adds is a live aggregator, which holds each output frame until its latency deadline as
//! soon as one sender is silent, and whose request pads are not safe against joins and leaves in GStreamer 1.22.0. Here
//! the mixer's tick takes what is there and never waits.

use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::picture::Frame;

/// Luma and chroma of the canvas where no tile is: a dark grey.
const BACKGROUND: [u8; 3] = [24, 128, 128];

/// Fills the canvas (I420) with the background.
pub(super) fn clear(canvas: &mut gst_video::VideoFrameRef<&mut gst_video::gst::BufferRef>) {
    for (plane, value) in (0u32..).zip(BACKGROUND) {
        if let Ok(data) = canvas.plane_data_mut(plane) {
            data.fill(value);
        }
    }
}

/// Copies `picture` onto the canvas with its top left corner at (`x`, `y`), both even; what lies outside is cut.
pub(super) fn copy(
    canvas: &mut gst_video::VideoFrameRef<&mut gst_video::gst::BufferRef>,
    picture: &Frame,
    (x, y): (u32, u32),
) {
    let (canvas_width, canvas_height) = (canvas.width(), canvas.height());
    let width = picture.width().min(canvas_width.saturating_sub(x));
    let height = picture.height().min(canvas_height.saturating_sub(y));
    for plane in 0..3u32 {
        // I420: chroma planes have half the size each way, rounded up.
        let halve = |length: u32| if plane == 0 { length as usize } else { length.div_ceil(2) as usize };
        let from = picture.plane_stride()[plane as usize].unsigned_abs() as usize;
        let to = canvas.plane_stride()[plane as usize].unsigned_abs() as usize;
        let (Ok(source), Ok(target)) = (picture.plane_data(plane), canvas.plane_data_mut(plane)) else { return };
        let above = (halve(y) * to).min(target.len());
        let target = &mut target[above..];
        for (target, source) in target.chunks_mut(to).zip(source.chunks(from)).take(halve(height)) {
            let left = halve(x);
            let wide = halve(width).min(source.len()).min(target.len().saturating_sub(left));
            if wide > 0 {
                target[left..left + wide].copy_from_slice(&source[..wide]);
            }
        }
    }
}
