//! The source of a bot without a file: its colour with the time of capture, and its tone, in real time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gstreamer as gst;

use super::feed::{Feed, Stop};
use super::{CallError, Late, Settings, host_time};
use crate::probe::tone::{self, Voice};
use crate::probe::{SAMPLE_RATE, grain, tile, timecode::Timecode};

/// One piece of sound: as long as an Opus frame.
const PIECE: Duration = Duration::from_millis(20);
const PIECE_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// A source that is late by more than this goes on from now instead of making up for it.
const LATE: Duration = Duration::from_millis(500);

/// Keeps a source going; its thread ends when this is dropped, without being waited for.
#[derive(Debug)]
pub(super) struct Running(Arc<Stop>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Starts sending: one thread for the picture and the voice.
pub(super) fn start(
    feed: Feed,
    index: usize,
    grain: bool,
    voice: Voice,
    settings: &Settings,
) -> Result<Running, CallError> {
    let stop = Arc::new(Stop::default());
    let (frame, late) = (Duration::from_secs(1) / settings.fps.max(1), settings.late);
    let source = Synthetic { feed, index, grain, voice, frame, late };
    let until = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("bot-source".to_owned()).spawn(move || source.run(&until));
    thread.map_err(CallError::Thread)?;
    Ok(Running(stop))
}

struct Synthetic {
    feed: Feed,
    index: usize,
    grain: bool,
    voice: Voice,
    frame: Duration,
    late: Late,
}

/// A row of instants at the same distance, and the time stamps that go with them.
struct Ticks {
    next: Instant,
    pts: Duration,
    period: Duration,
}

impl Ticks {
    fn advance(&mut self, now: Instant) {
        // After a stall of the host, what was missed is left out.
        let steps = if now.saturating_duration_since(self.next) > LATE {
            (now - self.next).as_nanos() / self.period.as_nanos().max(1) + 1
        } else {
            1
        };
        let step = self.period * u32::try_from(steps).unwrap_or(u32::MAX);
        self.next += step;
        self.pts += step;
    }
}

impl Synthetic {
    fn run(&self, stop: &Stop) {
        let (begin, begin_host, begin_pts) = (Instant::now(), host_time(), self.feed.clock.now());
        // What is late is made then, too, as it would have been in time.
        let mut pictures = Ticks { next: begin + self.late.picture, pts: begin_pts, period: self.frame };
        // A piece of sound is complete, and is sent, when its last sample has been spoken.
        let spoken_for = PIECE + self.late.voice;
        let mut pieces = Ticks { next: begin + spoken_for, pts: begin_pts, period: PIECE };
        loop {
            let due = match (self.feed.has_picture(), self.feed.has_voice()) {
                (true, true) => pictures.next.min(pieces.next),
                (true, false) => pictures.next,
                (false, _) => pieces.next,
            };
            if stop.wait_until(due) {
                return;
            }
            let now = Instant::now();
            if self.feed.has_picture() && pictures.next <= now {
                self.picture(pictures.pts);
                pictures.advance(now);
            }
            if self.feed.has_voice() && pieces.next <= now {
                let spoken = begin_host + (pieces.next - spoken_for).saturating_duration_since(begin);
                self.voice(tone::samples(spoken), pieces.pts);
                pieces.advance(now);
            }
        }
    }

    fn picture(&self, pts: Duration) {
        if self.feed.controls.paused() {
            return;
        }
        let size = self.feed.controls.size();
        let (width, height) = (size.0 as usize, size.1 as usize);
        let mut data = vec![0; width * height + 2 * width.div_ceil(2) * height.div_ceil(2)];
        let captured = host_time().saturating_sub(self.late.picture);
        let now = u64::try_from(captured.as_millis()).unwrap_or(u64::MAX);
        tile::paint(&mut data, width, height, self.index, Timecode::at(now));
        if self.grain {
            grain::draw(&mut data, width, width, height, now);
        }
        self.feed.push_picture(gst::Buffer::from_mut_slice(data), size, pts);
    }

    fn voice(&self, start: u64, pts: Duration) {
        let mut samples = [0.0; PIECE_SAMPLES];
        if !self.feed.controls.muted() {
            self.voice.fill(start, &mut samples);
        }
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.feed.push_voice(gst::Buffer::from_mut_slice(bytes), pts);
    }
}
