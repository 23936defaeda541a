//! What GStreamer calls, guarded: a bug in it costs packets, not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

/// Panics after which a probe lets nothing pass any more, unasked: each is a line in the log.
const PANICS: u32 = 100;

/// Has `look` see what passes `pad` and is `what`, on a streaming thread. A panic must not unwind into GStreamer, for which Rust would end the
/// process: it costs what was looked at.
#[expect(clippy::disallowed_methods, reason = "all others use this one")]
pub(super) fn probe(
    pad: &gst::Pad,
    what: gst::PadProbeType,
    look: impl Fn(&gst::Pad, &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn + Send + Sync + 'static,
) {
    let panics = AtomicU32::new(0);
    pad.add_probe(what, move |pad, info| {
        if panics.load(Ordering::Relaxed) >= PANICS {
            return gst::PadProbeReturn::Handled;
        }
        call(|| look(pad, info)).unwrap_or_else(|| {
            panics.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Handled
        })
    });
}

/// Calls `f`, which C code called and which must not unwind into it. Nothing if it panicked, which is a bug; the hook for
/// panics has told it. What `f` changes must be whole at every moment at which it may panic.
pub(super) fn call<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

/// `N` bytes of a packet, from `at`; nothing if it has not so many. (`copy_to_slice` panics then.)
#[expect(clippy::disallowed_methods, reason = "all others use this one")]
pub(super) fn bytes<const N: usize>(packet: &gst::BufferRef, at: usize) -> Option<[u8; N]> {
    if packet.size() < at.checked_add(N)? {
        return None;
    }
    let mut bytes = [0; N];
    packet.copy_to_slice(at, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_panic_costs_the_packet() {
        gst::init().unwrap();
        let source = gst::Pad::builder(gst::PadDirection::Src).build();
        let passed = Arc::new(Mutex::new(Vec::new()));
        let arrived = passed.clone();
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(move |_, _, packet| {
                arrived.lock().unwrap().push(packet.size());
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        probe(&source, gst::PadProbeType::BUFFER, |_, info| {
            assert!(info.buffer().unwrap().size() != 3, "a bug");
            gst::PadProbeReturn::Ok
        });
        source.set_active(true).unwrap();
        sink.set_active(true).unwrap();
        source.link(&sink).unwrap();
        source.push_event(gst::event::StreamStart::new("packets"));
        source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        for size in 1..=5 {
            source.push(gst::Buffer::from_slice(vec![0; size])).unwrap();
        }
        assert_eq!(*passed.lock().unwrap(), [1, 2, 4, 5]);
        for _ in 0..PANICS {
            source.push(gst::Buffer::from_slice([0; 3])).unwrap();
        }
        source.push(gst::Buffer::from_slice([0; 1])).unwrap();
        assert_eq!(passed.lock().unwrap().len(), 4, "it is not asked any more");
    }

    #[test]
    fn bytes_that_are_not_there_are_none() {
        gst::init().unwrap();
        let packet = gst::Buffer::from_slice([1, 2, 3, 4]);
        assert_eq!(bytes(&packet, 0), Some([1, 2, 3, 4]));
        assert_eq!(bytes(&packet, 2), Some([3, 4]));
        assert_eq!(bytes::<2>(&packet, 3), None);
        assert_eq!(bytes::<1>(&packet, 4), None);
        assert_eq!(bytes::<1>(&packet, usize::MAX), None);
        assert_eq!(bytes::<1>(&gst::Buffer::new(), 0), None);
    }
}
