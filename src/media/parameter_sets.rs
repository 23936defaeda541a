//! Parameter sets that came by SDP, put in front of the stream that lacks them.

use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::coded_size;

/// Puts `sets`, a byte stream, in front of the first access unit that passes `pad`, unless that has its own. What looks at
/// the units there must be added after this.
pub(super) fn lead_in(pad: &gst::Pad, sets: Vec<u8>) {
    let done = AtomicBool::new(false);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(unit)) = &mut info.data
            && !done.swap(true, Ordering::Relaxed)
            && !unit.map_readable().is_ok_and(|bytes| coded_size::has_parameter_sets(&bytes))
        {
            unit.make_mut().prepend_memory(gst::Memory::from_slice(sets.clone()));
        }
        gst::PadProbeReturn::Ok
    });
}
