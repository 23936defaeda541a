//! The one clock of a room.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

/// All pipelines and mixers of a room count time from here, on the system's monotonic clock, so that a frame's
/// timestamp means the same in each of them.
#[derive(Clone, Copy, Debug)]
pub struct RoomClock {
    base: gst::ClockTime,
}

impl RoomClock {
    /// A clock that starts now. GStreamer must be initialised.
    pub fn start() -> Self {
        Self { base: gst::SystemClock::obtain().time() }
    }

    /// Running time: since the start.
    pub fn now(self) -> Duration {
        let now = gst::SystemClock::obtain().time();
        Duration::from_nanos(now.saturating_sub(self.base).nseconds())
    }

    /// Ties a pipeline to this clock; before it leaves READY.
    pub(super) fn govern(self, pipeline: &gst::Pipeline) {
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(self.base);
        // Nothing here waits for a deadline: frames are handed on as they come. Without this, the jitterbuffer's
        // latency would be added to what the same pipeline sends.
        pipeline.set_latency(gst::ClockTime::ZERO);
    }
}

/// A running time as GStreamer counts it.
pub(super) fn clock_time(time: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
}
