//! What one peer is sent: the frames of the rendition that it watches, switched only where a keyframe allows it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_app as gst_app;

use super::clock::clock_time;
use super::colour::Unsaid;
use super::rendition::{EncodedFrame, RenditionKey};
use crate::bucket::TokenBucket;
use crate::id::PeerId;

/// Bytes that may wait for a peer's transport: a second at 4 Mbit/s. A transport that does not take them loses frames up
/// to the next keyframe.
const MAX_QUEUED_BYTES: u64 = 500_000;

/// A peer may ask for this many keyframes at once, and for so many a second.
const KEYFRAME_BURST: f64 = 4.0;
const KEYFRAME_RATE: f64 = 0.5;

/// A keyframe that is waited for is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What a sender tells its peer. Called on streaming threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderEvent {
    /// Frames of this rendition are now what the peer gets; it needs none of the one before.
    Switched(RenditionKey),
    /// The peer needs a keyframe of this rendition.
    WantsKeyframe(RenditionKey),
}

/// The video that goes to one peer.
pub struct VideoSender {
    peer: PeerId,
    source: gst_app::AppSrc,
    unsaid: Unsaid,
    events: Box<dyn Fn(SenderEvent) + Send + Sync>,
    began: Instant,
    state: Mutex<State>,
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl std::fmt::Debug for VideoSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoSender").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    /// Whether the transport is up and verified.
    open: bool,
    current: Option<RenditionKey>,
    /// Takes over with its next keyframe.
    awaited: Option<RenditionKey>,
    /// Nothing is sent before a keyframe: at the start and after a drop.
    wants_keyframe: bool,
    last_pts: Option<gst::ClockTime>,
    /// What the peer's own requests may cost.
    allowance: TokenBucket,
    /// When a keyframe was last asked for on the server's own account.
    asked: Option<Instant>,
}

impl State {
    /// Whether it is time to ask (again) for the keyframe that is waited for.
    fn ask(&mut self, now: Instant) -> bool {
        let due = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= ASK_AGAIN);
        if due {
            self.asked = Some(now);
        }
        due
    }
}

impl VideoSender {
    /// A sender into `source`, closed until [`open`](Self::open).
    pub(super) fn new(
        peer: PeerId,
        source: gst_app::AppSrc,
        unsaid: Unsaid,
        events: impl Fn(SenderEvent) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            peer,
            source,
            unsaid,
            events: Box::new(events),
            began: Instant::now(),
            state: Mutex::new(State {
                open: false,
                current: None,
                awaited: None,
                wants_keyframe: true,
                last_pts: None,
                allowance: TokenBucket::new(KEYFRAME_RATE, KEYFRAME_BURST, Duration::ZERO),
                asked: None,
            }),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the peer takes colours of which nothing is said.
    pub(super) fn unsaid(&self) -> Unsaid {
        self.unsaid
    }

    /// Whose it is.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// From now on frames are sent: the transport is up.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// Sends this rendition as soon as its next keyframe comes, and what is sent now until then. `None` stops video.
    pub fn switch_to(&self, rendition: Option<RenditionKey>) {
        let mut state = self.lock();
        match rendition {
            None => {
                state.current = None;
                state.awaited = None;
            }
            Some(key) if state.current.as_ref() == Some(&key) => state.awaited = None,
            Some(key) => state.awaited = Some(key),
        }
    }

    /// Frames of `rendition` come from another encoder from now on: if it is what is sent already, then on from a keyframe
    /// of that one, as a decoder can make nothing of the frames between.
    pub(super) fn follow_another(&self, rendition: &RenditionKey) {
        let mut state = self.lock();
        if state.current.as_ref() == Some(rendition) {
            state.wants_keyframe = true;
        }
    }

    /// The peer's decoder asks for a keyframe (PLI, FIR). What is too much is not passed on.
    pub(super) fn keyframe_requested(&self) {
        let wanted = {
            let mut state = self.lock();
            let granted = state.allowance.take(self.began.elapsed()).is_ok();
            state.awaited.clone().or_else(|| state.current.clone()).filter(|_| granted)
        };
        if let Some(key) = wanted {
            (self.events)(SenderEvent::WantsKeyframe(key));
        }
    }

    /// A frame of a rendition that this peer is a watcher of. Called on that encoder's thread; never blocks.
    pub(super) fn frame(&self, from: &RenditionKey, frame: &EncodedFrame) {
        let mut event = None;
        {
            let mut state = self.lock();
            if !state.open {
                return;
            }
            if state.awaited.as_ref() == Some(from) && frame.keyframe {
                state.current = state.awaited.take();
                state.wants_keyframe = true;
                event = Some(SenderEvent::Switched(from.clone()));
            }
            if state.current.as_ref() == Some(from) {
                if let Some(wants) = self.send(&mut state, frame) {
                    event = event.or(Some(wants));
                }
            } else if state.awaited.as_ref() == Some(from) && state.ask(Instant::now()) {
                // The keyframe that was made for it went by, for it was not open yet.
                event = Some(SenderEvent::WantsKeyframe(from.clone()));
            }
        }
        if let Some(event) = event {
            (self.events)(event);
        }
    }

    /// Sends a frame of the current rendition, or drops it. Answers what the peer must ask for.
    fn send(&self, state: &mut State, frame: &EncodedFrame) -> Option<SenderEvent> {
        let full = self.source.current_level_bytes() > MAX_QUEUED_BYTES;
        if full || (state.wants_keyframe && !frame.keyframe) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            state.wants_keyframe = true;
            let ask = !full && state.ask(Instant::now());
            return state.current.clone().filter(|_| ask).map(SenderEvent::WantsKeyframe);
        }
        // A copy of the bytes, too: memory that many buffers share keeps a list of them all, which costs more than that.
        let Ok(mut buffer) = frame.buffer.copy_deep() else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            state.wants_keyframe = true;
            return None;
        };
        // Timestamps never run backwards, also where two encoders differ in delay.
        let pts = buffer.pts().max(state.last_pts.map(|last| last + gst::ClockTime::from_mseconds(1)));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(pts);
            if state.wants_keyframe {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        state.wants_keyframe = false;
        state.last_pts = pts;
        if self.source.push_buffer(buffer).is_ok() {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// Frames sent and frames dropped so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

/// Where the mixer's Opus packets for one peer go in.
#[derive(Clone, Debug)]
pub struct AudioSender {
    source: gst_app::AppSrc,
    dropped: Arc<AtomicU64>,
    /// Whether the transport is up and verified.
    open: Arc<AtomicBool>,
}

impl AudioSender {
    pub(super) fn new(source: gst_app::AppSrc, open: Arc<AtomicBool>) -> Self {
        Self { source, dropped: Arc::default(), open }
    }

    /// Packets that may wait for a transport: a fifth of a second. Older ones would only be delay.
    const MAX_QUEUED: u64 = 10;

    /// Packets that the transport did not take.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Hands over a packet of running time `pts`. Never blocks; drops and counts what the transport does not take.
    pub fn push(&self, pts: Duration, data: bytes::Bytes) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        if self.source.current_level_buffers() >= Self::MAX_QUEUED {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut buffer = gst::Buffer::from_slice(data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock_time(pts));
            buffer.set_duration(gst::ClockTime::from_mseconds(20));
        }
        // It fails only while the pipeline goes down.
        let _ = self.source.push_buffer(buffer);
    }
}

#[cfg(test)]
mod tests {
    use gstreamer::prelude::*;

    use super::*;

    fn frame(pts: u64, keyframe: bool) -> EncodedFrame {
        let mut buffer = gst::Buffer::from_slice([0u8; 10]);
        {
            let buffer = buffer.get_mut().unwrap();
            buffer.set_pts(gst::ClockTime::from_mseconds(pts));
            if !keyframe {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        EncodedFrame { buffer, keyframe }
    }

    fn key(name: &str) -> RenditionKey {
        RenditionKey { codec: crate::control::Codec::Vp8, name: name.to_owned(), single_nal: false }
    }

    fn running_source() -> (gst::Pipeline, gst_app::AppSrc) {
        gst::init().unwrap();
        let source = gst_app::AppSrc::builder().format(gst::Format::Time).build();
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source).unwrap();
        // PAUSED and unlinked: what is pushed stays in the queue, to be counted.
        pipeline.set_state(gst::State::Ready).unwrap();
        (pipeline, source)
    }

    #[test]
    fn a_switch_waits_for_the_keyframe_and_time_never_runs_backwards() {
        let (pipeline, source) = running_source();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let sender =
            VideoSender::new(PeerId::from_bits(1), source, Unsaid::Bt601, move |e| seen.lock().unwrap().push(e));
        sender.open();
        sender.switch_to(Some(key("high")));
        sender.frame(&key("high"), &frame(10, true));
        sender.frame(&key("high"), &frame(40, false));
        sender.switch_to(Some(key("low")));
        sender.frame(&key("low"), &frame(35, false));
        sender.frame(&key("high"), &frame(70, false));
        sender.frame(&key("low"), &frame(65, true));
        sender.frame(&key("high"), &frame(100, false));
        let state = sender.lock();
        assert_eq!(state.current, Some(key("low")));
        assert_eq!(state.last_pts, Some(gst::ClockTime::from_mseconds(71)));
        drop(state);
        let told = [
            SenderEvent::Switched(key("high")),
            // A frame of the awaited one came that cannot be begun with.
            SenderEvent::WantsKeyframe(key("low")),
            SenderEvent::Switched(key("low")),
        ];
        assert_eq!(*events.lock().unwrap(), told);
        pipeline.set_state(gst::State::Null).unwrap();
    }

    #[test]
    fn after_a_change_of_the_encoder_the_same_rendition_goes_on_with_a_keyframe() {
        let (pipeline, source) = running_source();
        let sender = VideoSender::new(PeerId::from_bits(1), source, Unsaid::Bt601, |_| {});
        sender.open();
        sender.switch_to(Some(key("high")));
        sender.frame(&key("high"), &frame(10, true));
        sender.frame(&key("high"), &frame(40, false));
        assert_eq!(sender.counts(), (2, 0));
        sender.follow_another(&key("low"));
        sender.frame(&key("high"), &frame(70, false));
        assert_eq!(sender.counts(), (3, 0), "another rendition is of no concern");
        sender.follow_another(&key("high"));
        sender.switch_to(Some(key("high")));
        sender.frame(&key("high"), &frame(100, false));
        assert_eq!(sender.counts(), (3, 1));
        sender.frame(&key("high"), &frame(130, true));
        sender.frame(&key("high"), &frame(160, false));
        assert_eq!(sender.counts(), (5, 1));
        pipeline.set_state(gst::State::Null).unwrap();
    }

    #[test]
    fn keyframe_requests_of_a_peer_are_limited() {
        let (pipeline, source) = running_source();
        let asked = Arc::new(AtomicU64::new(0));
        let counted = asked.clone();
        let sender = VideoSender::new(PeerId::from_bits(1), source, Unsaid::Bt601, move |event| {
            if matches!(event, SenderEvent::WantsKeyframe(_)) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        sender.open();
        sender.switch_to(Some(key("high")));
        let start = Instant::now();
        for _ in 0..1_000 {
            sender.keyframe_requested();
        }
        let allowed = KEYFRAME_BURST + start.elapsed().as_secs_f64() * KEYFRAME_RATE;
        let granted = asked.load(Ordering::Relaxed) as f64;
        assert!((KEYFRAME_BURST..=allowed).contains(&granted), "{granted} of 1,000");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
