//! The door of a decoder: every whole coded frame of a peer's picture passes here, or does not.
//!
//! [`PictureLimit`] says what is too much, [`Intake`] what is worth decoding. All of it happens on the decoder's one
//! streaming thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::clock::RoomClock;
use super::coded_frame::CodedFrame;
use super::coded_size::announced;
use super::decoder::DecoderEvent;
use super::graph::{Graph, GraphError};
use super::guarded;
use super::intake::{Arrival, Decision, Intake, Shown};
use super::kept::{Cost, Kept};
use super::keyframe_requests::{self, lock};
use super::picture::PictureSlot;
use super::picture_limit::PictureLimit;
use crate::control::{Codec, PictureRefusal, RefusedPicture};

/// The name of the event that tells the streaming thread that somebody looks.
const LOOKED_AT: &str = "looked-at";

/// Frames with an earlier timestamp are not shown; of this one, none is.
const NEVER: u64 = u64::MAX;

/// What stands before a decoder.
pub(super) struct Door {
    codec: Codec,
    clock: RoomClock,
    slot: Arc<PictureSlot>,
    requests: keyframe_requests::Shared,
    /// A std mutex, which only the streaming thread takes.
    inside: Mutex<Inside>,
    events: Box<dyn Fn(DecoderEvent) + Send + Sync>,
    /// What comes was let through before.
    open: AtomicBool,
    /// The timestamp from which on frames are shown, in nanoseconds.
    shown_from: AtomicU64,
    dropped: AtomicU64,
    span: tracing::Span,
}

struct Inside {
    limit: PictureLimit,
    intake: Intake<gst::Buffer>,
    told: Option<RefusedPicture>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl Door {
    /// Stands before the element of this name, which takes whole frames: of H.264, in byte-stream format. The pipeline has
    /// the elements `rtp-in`, which packets go into, and `decoder`.
    pub(super) fn before(
        graph: &Graph,
        element: &str,
        codec: Codec,
        clock: RoomClock,
        slot: Arc<PictureSlot>,
        events: impl Fn(DecoderEvent) + Send + Sync + 'static,
    ) -> Result<Arc<Self>, GraphError> {
        let source: gst_app::AppSrc = graph.element("rtp-in")?;
        slot.wake_on_look(Waker::from(Arc::new(Bell { source: source.downgrade() })));
        let door = Arc::new(Self {
            codec,
            clock,
            slot,
            requests: keyframe_requests::Shared::default(),
            inside: Mutex::new(Inside { limit: PictureLimit::new(), intake: Intake::new(), told: None }),
            events: Box::new(events),
            open: AtomicBool::new(false),
            shown_from: AtomicU64::new(NEVER),
            dropped: AtomicU64::new(0),
            span: tracing::Span::current(),
        });
        let asks = door.clone();
        let ask = Arc::new(move || (asks.events)(DecoderEvent::WantsKeyframe));
        keyframe_requests::stand_at(&graph.pad("rtp-in", "src")?, clock, &door.requests, ask);

        let stands = door.clone();
        let what = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
        guarded::probe(&graph.pad(element, "sink")?, what, move |pad, info| {
            let _entered = stands.span.enter();
            let passes = match &info.data {
                _ if stands.open.load(Ordering::Relaxed) => true,
                Some(gst::PadProbeData::Buffer(frame)) => stands.frame(pad, frame),
                Some(gst::PadProbeData::BufferList(frames)) => {
                    frames
                        .iter_owned()
                        .filter(|frame| stands.frame(pad, frame))
                        .for_each(|frame| stands.pass(pad, frame));
                    false
                }
                Some(gst::PadProbeData::Event(event)) if event.structure().is_some_and(|it| it.name() == LOOKED_AT) => {
                    stands.look(pad);
                    false
                }
                _ => true,
            };
            // Not Drop: with that the bindings leave no frame for GStreamer to free, which it complains of.
            if passes { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
        });
        let hides = door.clone();
        guarded::probe(&graph.pad("decoder", "src")?, gst::PadProbeType::BUFFER, move |_, info| {
            let from = hides.shown_from.load(Ordering::Relaxed);
            let stamp = info.buffer().and_then(|frame| frame.pts()).map(gst::ClockTime::nseconds);
            let shown = from != NEVER && stamp.is_none_or(|stamp| stamp >= from);
            if shown { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
        });
        Ok(door)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this frame may go on; what has to be decoded before it is.
    fn frame(&self, pad: &gst::Pad, frame: &gst::Buffer) -> bool {
        let now = self.clock.now();
        // Memory that cannot be read is none that could be decoded.
        let Ok(bytes) = frame.map_readable() else { return false };
        let (coded, size) = (CodedFrame::read(self.codec, &bytes), announced(self.codec, &bytes));
        drop(bytes);
        let stamp = frame.pts().map(|stamp| Duration::from_nanos(stamp.nseconds()));
        let seen = self.slot.is_seen(now);
        let mut inside = self.inside();
        let passes = inside.limit.frame(now, stamp, size);
        let news = inside.news();
        let mut requests = lock(&self.requests);
        let decision = if passes {
            let arrival = Arrival {
                now,
                stamp,
                frame: coded,
                after_loss: frame.flags().contains(gst::BufferFlags::DISCONT),
                seen,
                cost: Cost { bytes: frame.size() as u64, pixels: inside.limit.pixels() },
            };
            inside.intake.arrive(&mut requests, arrival, frame)
        } else {
            inside.intake.refuse(&mut requests);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            Decision::default()
        };
        self.show(inside.intake.shown(&requests));
        drop(requests);
        drop(inside);
        if let Some(refused) = news {
            if let Some(RefusedPicture { reason, width, height, .. }) = &refused {
                tracing::warn!(?reason, width, height, "a picture is refused");
            }
            (self.events)(DecoderEvent::Refused(refused));
        }
        if passes && !seen && !decision.decode {
            self.slot.skip(now);
        }
        self.carry_out(pad, decision)
    }

    /// Somebody looks after a while in which nobody did.
    fn look(&self, pad: &gst::Pad) {
        let mut inside = self.inside();
        let mut requests = lock(&self.requests);
        let decision = inside.intake.look(&mut requests, self.clock.now());
        self.show(inside.intake.shown(&requests));
        drop(requests);
        drop(inside);
        self.carry_out(pad, decision);
    }

    fn show(&self, shown: Shown) {
        let from = match shown {
            Shown::Never => NEVER,
            Shown::From(stamp) => u64::try_from(stamp.as_nanos()).unwrap_or(NEVER),
        };
        self.shown_from.store(from, Ordering::Relaxed);
    }

    fn carry_out(&self, pad: &gst::Pad, decision: Decision<gst::Buffer>) -> bool {
        if decision.ask {
            (self.events)(DecoderEvent::WantsKeyframe);
        }
        self.catch_up(pad, decision.catch_up);
        decision.decode
    }

    fn catch_up(&self, pad: &gst::Pad, mut kept: Kept<gst::Buffer>) {
        if kept.is_empty() {
            return;
        }
        let (begun, mut frames) = (self.clock.now(), 0);
        while let Some(frame) = kept.pop() {
            self.pass(pad, frame);
            frames += 1;
        }
        tracing::debug!(frames, took = ?self.clock.now().saturating_sub(begun), "caught up with a picture");
    }

    /// Gives the decoder a frame.
    fn pass(&self, pad: &gst::Pad, frame: gst::Buffer) {
        self.open.store(true, Ordering::Relaxed);
        // It fails only while the pipeline goes down, or with an error that it tells itself.
        let _ = pad.chain(frame);
        self.open.store(false, Ordering::Relaxed);
    }

    /// Frames that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.inside().intake.kept()
    }

    /// Frames that were too much.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Inside {
    /// What the peer is to be told, if it is something new.
    fn news(&mut self) -> Option<Option<RefusedPicture>> {
        let refused = self.limit.refused();
        let same = match (&refused, &self.told) {
            (Some(new), Some(old)) => {
                // Of a size that changes all the time, each is no news.
                let size =
                    |it: &RefusedPicture| (it.reason == PictureRefusal::TooLarge).then_some((it.width, it.height));
                new.reason == old.reason && size(new) == size(old)
            }
            (new, old) => new.is_some() == old.is_some(),
        };
        if same {
            return None;
        }
        self.told.clone_from(&refused);
        Some(refused)
    }
}

/// Rings at the door when somebody looks: into the stream, so that it is heard on its thread.
struct Bell {
    source: glib::WeakRef<gst_app::AppSrc>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if let Some(source) = self.source.upgrade() {
            let event = gst::event::CustomDownstream::new(gst::Structure::new_empty(LOOKED_AT));
            // Without effect while the pipeline goes down.
            source.send_event(event);
        }
    }
}
