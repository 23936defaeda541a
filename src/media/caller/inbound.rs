//! What arrives in a call: decoded and handed out, or only counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use tokio::sync::broadcast;

use super::reports::Reports;
use super::{CallError, Receive, element, host_time};
use crate::media::clock::RoomClock;
use crate::media::guarded;
use crate::media::insides::{hasten_feedback, on_rtcp, report_capture_time, set_rtcp_interval};
use crate::media::keyframe_requests;
use crate::media::template::Templates;
use crate::probe::SAMPLE_RATE;
use crate::probe::picture::{Picture, Plane};

/// Frames that wait for a reader; a slower one loses the oldest and is told how many.
const FRAMES: usize = 4;

/// How often who only counts reports: Chromium sent 3.9 RTCP packets a second for a mix that it watched, Firefox 3.2.
const REPORTS: Duration = Duration::from_millis(250);

/// How much of what was heard is kept.
const HEARD: Duration = Duration::from_secs(10);

/// A decoded frame.
#[derive(Debug)]
pub struct Frame {
    video: gst_video::VideoFrame<gst_video::video_frame::Readable>,
    /// When it was decoded, since the Unix epoch.
    pub arrived: Duration,
}

impl Frame {
    fn new(sample: &gst::Sample) -> Option<Self> {
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let video = gst_video::VideoFrame::from_buffer_readable(sample.buffer_owned()?, &info).ok()?;
        let frame = Self { video, arrived: host_time() };
        frame.planes().is_some().then_some(frame)
    }

    fn planes(&self) -> Option<Picture<'_>> {
        let (width, height) = (self.video.width() as usize, self.video.height() as usize);
        let plane = |index: u32, width, height| {
            let stride = usize::try_from(*self.video.plane_stride().get(index as usize)?).ok()?;
            Plane::new(self.video.plane_data(index).ok()?, stride, width, height)
        };
        Some(Picture {
            y: plane(0, width, height)?,
            u: plane(1, width.div_ceil(2), height.div_ceil(2))?,
            v: plane(2, width.div_ceil(2), height.div_ceil(2))?,
        })
    }

    pub fn picture(&self) -> Picture<'_> {
        self.planes().expect("a frame whose planes do not fit its size is not made")
    }
}

/// A stretch of what was heard, at 48,000 samples per second, one channel.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub samples: Vec<f32>,
    /// When pieces of it arrived: the index of their first sample, and the time since the Unix epoch.
    pub arrivals: Vec<(usize, Duration)>,
}

impl Heard {
    /// When the sample at this (fractional) index could be played: with its piece.
    pub fn time_of(&self, index: f64) -> Option<Duration> {
        let (first, arrived) = self.arrivals.iter().rev().find(|(first, _)| *first as f64 <= index)?;
        Some(*arrived + Duration::from_secs_f64((index - *first as f64) / f64::from(SAMPLE_RATE)))
    }
}

/// What was counted since the call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub video_packets: u64,
    pub video_bytes: u64,
    /// Frames of which the last packet came.
    pub video_frames: u64,
    pub video_decoded: u64,
    pub audio_packets: u64,
    pub audio_bytes: u64,
    /// Packets that the jitter buffers waited for in vain.
    pub lost: u64,
    /// Packets and bytes of RTP sent, sound and pictures.
    pub sent_packets: u64,
    pub sent_bytes: u64,
    /// Keyframes sent: the first one, and those that were asked for.
    pub sent_keyframes: u64,
}

#[derive(Debug, Default)]
struct Counters {
    video_packets: AtomicU64,
    video_bytes: AtomicU64,
    video_frames: AtomicU64,
    video_decoded: AtomicU64,
    audio_packets: AtomicU64,
    audio_bytes: AtomicU64,
    sent_packets: AtomicU64,
    sent_bytes: AtomicU64,
    sent_keyframes: AtomicU64,
}

/// What arrives. All of its functions return at once.
#[derive(Debug)]
pub struct Inbound {
    receive: Receive,
    counters: Counters,
    frames: broadcast::Sender<Arc<Frame>>,
    last: Mutex<Option<Arc<Frame>>>,
    first_video: OnceLock<Instant>,
    first_audio: OnceLock<Instant>,
    heard: Mutex<VecDeque<(Vec<f32>, Duration)>>,
    jitter_buffers: Mutex<Vec<gst::glib::WeakRef<gst::Element>>>,
    reports: Mutex<Reports>,
    failed: AtomicBool,
}

impl Inbound {
    pub(super) fn new(receive: Receive) -> Self {
        Self {
            receive,
            counters: Counters::default(),
            frames: broadcast::Sender::new(FRAMES),
            last: Mutex::default(),
            first_video: OnceLock::new(),
            first_audio: OnceLock::new(),
            heard: Mutex::default(),
            jitter_buffers: Mutex::default(),
            reports: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    /// Takes what `webrtc` receives from now on.
    pub(super) fn attach(self: &Arc<Self>, home: &gst::Bin, webrtc: &gst::Element, templates: &Templates) {
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            let only_counts = self.receive == Receive::Count;
            let weak = Arc::downgrade(self);
            bin.connect_deep_element_added(move |_, _, element| {
                if element.factory().is_none_or(|factory| factory.name() != "rtpsession") {
                    return;
                }
                if only_counts {
                    set_rtcp_interval(element, REPORTS);
                } else {
                    hasten_feedback(element);
                }
                report_capture_time(element);
                let weak = weak.clone();
                on_rtcp(element, move |packet| {
                    if let Some(inbound) = weak.upgrade() {
                        lock(&inbound.reports).report(packet);
                    }
                });
            });
        }
        if let Some(rtpbin) = webrtc.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("rtpbin")) {
            let weak = Arc::downgrade(self);
            rtpbin.connect("new-jitterbuffer", false, move |values| {
                let buffer = values.get(1).and_then(|value| value.get::<gst::Element>().ok())?;
                // Without this the first packet waits for the whole latency.
                buffer.set_property("faststart-min-packets", 1u32);
                lock(&weak.upgrade()?.jitter_buffers).push(buffer.downgrade());
                None
            });
        }
        let (weak, home, templates) = (Arc::downgrade(self), home.downgrade(), templates.clone());
        webrtc.connect_pad_added(move |_, pad| {
            let (Some(inbound), Some(home)) = (weak.upgrade(), home.upgrade()) else { return };
            if pad.direction() == gst::PadDirection::Src
                && let Err(error) = inbound.receive(&home, pad, &templates)
            {
                tracing::warn!(%error, "a bot does not receive a track");
                inbound.fail();
            }
        });
    }

    /// Continues a new track of `webrtcbin`'s. Runs on its streaming thread.
    fn receive(self: &Arc<Self>, home: &gst::Bin, pad: &gst::Pad, templates: &Templates) -> Result<(), CallError> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let field = |name| caps.structure(0)?.get::<String>(name).ok();
        let video = field("media").as_deref() == Some("video");
        let template = match (self.receive, video, field("encoding-name").as_deref()) {
            (Receive::Decode, false, Some("OPUS")) => "bot-receive-audio",
            (Receive::Decode, true, Some("VP8")) => "bot-receive-vp8",
            (Receive::Decode, true, Some("H264")) => "bot-receive-h264",
            _ => "bot-count",
        };
        self.count_received(pad, video);
        let branch = templates.bin(template, &[], true)?;
        if let Ok(decoder) = element::<gst::Element>(&branch, "decoder") {
            let frames = decoder.static_pad("sink").ok_or(CallError::Missing("the decoder's sink pad"))?;
            let packets = branch.static_pad("sink").ok_or(CallError::Missing("sink pad"))?;
            let track = pad.downgrade();
            keyframe_requests::watch(&packets, &frames, RoomClock::start(), move || {
                if let Some(track) = track.upgrade() {
                    track.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
                }
            });
        }
        if let Ok(sink) = element::<gst_app::AppSink>(&branch, "out") {
            let weak = Arc::downgrade(self);
            let new_sample = move |sink: &gst_app::AppSink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let inbound = weak.upgrade().ok_or(gst::FlowError::Eos)?;
                if video {
                    inbound.take_frame(&sample)
                } else {
                    inbound.take_sound(&sample)
                }
                Ok(gst::FlowSuccess::Ok)
            };
            sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        }
        home.add(&branch).map_err(|_| CallError::Missing("branch"))?;
        let started = branch.sync_state_with_parent();
        started.map_err(|_| CallError::Negotiation { step: "receiving", detail: "state change".to_owned() })?;
        let sink = branch.static_pad("sink").ok_or(CallError::Missing("sink pad"))?;
        pad.link(&sink).map(drop).map_err(|_| CallError::Missing("link from webrtcbin"))
    }

    fn take_frame(&self, sample: &gst::Sample) {
        let Some(frame) = Frame::new(sample).map(Arc::new) else { return };
        self.counters.video_decoded.fetch_add(1, Relaxed);
        self.first_video.get_or_init(Instant::now);
        *lock(&self.last) = Some(Arc::clone(&frame));
        // An error only means that nobody reads.
        let _ = self.frames.send(frame);
    }

    fn take_sound(&self, sample: &gst::Sample) {
        let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) else { return };
        let floats = map.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        self.first_audio.get_or_init(Instant::now);
        let (mut heard, now) = (lock(&self.heard), host_time());
        heard.push_back((floats, now));
        while heard.front().is_some_and(|(_, arrived)| *arrived + HEARD < now) {
            heard.pop_front();
        }
    }

    fn count_received(self: &Arc<Self>, pad: &gst::Pad, video: bool) {
        let weak = Arc::downgrade(self);
        count_buffers(pad, move |buffer| {
            let Some(inbound) = weak.upgrade() else { return };
            let counters = &inbound.counters;
            let (packets, bytes) = if video {
                (&counters.video_packets, &counters.video_bytes)
            } else {
                (&counters.audio_packets, &counters.audio_bytes)
            };
            packets.fetch_add(1, Relaxed);
            bytes.fetch_add(buffer.size() as u64, Relaxed);
            lock(&inbound.reports).packet(buffer, video, host_time());
            if video && ends_frame(buffer) {
                counters.video_frames.fetch_add(1, Relaxed);
                // Where frames are decoded, the first one of them counts.
                if inbound.receive == Receive::Count {
                    inbound.first_video.get_or_init(Instant::now);
                }
            }
        });
    }

    /// Counts what leaves through `pad`.
    pub(super) fn count_sent(self: &Arc<Self>, pad: &gst::Pad) {
        let weak = Arc::downgrade(self);
        count_buffers(pad, move |buffer| {
            if let Some(inbound) = weak.upgrade() {
                inbound.counters.sent_packets.fetch_add(1, Relaxed);
                inbound.counters.sent_bytes.fetch_add(buffer.size() as u64, Relaxed);
            }
        });
    }

    /// Counts the keyframes of `encoder`.
    pub(super) fn count_keyframes(self: &Arc<Self>, encoder: &gst::Element) {
        let weak = Arc::downgrade(self);
        let Some(pad) = encoder.static_pad("src") else { return };
        count_buffers(&pad, move |buffer| {
            if let Some(inbound) = weak.upgrade()
                && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
            {
                inbound.counters.sent_keyframes.fetch_add(1, Relaxed);
            }
        });
    }

    pub(super) fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    /// Whether the call is over by itself: its pipeline or its connection failed, or the other side closed it.
    pub fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Frames as they are decoded, from now on.
    pub fn frames(&self) -> broadcast::Receiver<Arc<Frame>> {
        self.frames.subscribe()
    }

    /// The frame that was decoded last.
    pub fn last_frame(&self) -> Option<Arc<Frame>> {
        lock(&self.last).clone()
    }

    /// When the first frame was there: decoded, or complete where they are only counted.
    pub fn first_video(&self) -> Option<Instant> {
        self.first_video.get().copied()
    }

    /// When the first sound was decoded.
    pub fn first_audio(&self) -> Option<Instant> {
        self.first_audio.get().copied()
    }

    /// The last `window` of what was heard, at most 10 s; less where less came.
    pub fn heard(&self, window: Duration) -> Heard {
        let wanted = crate::probe::tone::samples(window) as usize;
        let pieces = lock(&self.heard);
        let mut count = 0;
        let pieces = pieces.iter().rev().take_while(|(piece, _)| {
            let taken = count < wanted;
            count += piece.len();
            taken
        });
        let mut heard = Heard::default();
        for (piece, arrived) in pieces.collect::<Vec<_>>().into_iter().rev() {
            heard.arrivals.push((heard.samples.len(), *arrived));
            heard.samples.extend_from_slice(piece);
        }
        heard
    }

    /// How much later than it was captured each of the last packets came, by the sender's own reports and in ms: of pictures
    /// or of sound. What came before the first report is left out.
    pub fn reported_ages_ms(&self, video: bool) -> Vec<f64> {
        lock(&self.reports).ages_ms(video)
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let counters = &self.counters;
        let buffers: Vec<gst::Element> =
            lock(&self.jitter_buffers).iter().filter_map(gst::glib::WeakRef::upgrade).collect();
        let lost = |buffer: &gst::Element| {
            buffer.property::<gst::Structure>("stats").get::<u64>("num-lost").unwrap_or_default()
        };
        Counts {
            lost: buffers.iter().map(lost).sum(),
            video_packets: counters.video_packets.load(Relaxed),
            video_bytes: counters.video_bytes.load(Relaxed),
            video_frames: counters.video_frames.load(Relaxed),
            video_decoded: counters.video_decoded.load(Relaxed),
            audio_packets: counters.audio_packets.load(Relaxed),
            audio_bytes: counters.audio_bytes.load(Relaxed),
            sent_packets: counters.sent_packets.load(Relaxed),
            sent_bytes: counters.sent_bytes.load(Relaxed),
            sent_keyframes: counters.sent_keyframes.load(Relaxed),
        }
    }
}

/// Calls `count` for every buffer that passes `pad`, alone or in a list.
fn count_buffers(pad: &gst::Pad, count: impl Fn(&gst::BufferRef) + Send + Sync + 'static) {
    guarded::probe(pad, gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => count(buffer),
            Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(&count),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether this is the last packet of a frame: the marker bit of RTP's header (RFC 3550, section 5.1).
fn ends_frame(packet: &gst::BufferRef) -> bool {
    guarded::bytes(packet, 0).is_some_and(|[_, marked]| marked & 0x80 != 0)
}

/// A panic of another holder leaves nothing half-written behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
