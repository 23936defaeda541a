//! What one participant sends: its packets, led to the decoder of its picture and to its voice in the audio mixer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer_rtp as gst_rtp;

use super::audio_mixer::Voice;
use super::clock::RoomClock;
use super::colour::Unsaid;
use super::decoder::{DecoderEvent, VideoDecoder};
use super::graph::GraphError;
use super::picture::PictureSlot;
use super::template::Templates;
use super::transport::Kind;
use crate::budget::Permit;
use crate::config::Fit;
use crate::control::Codec;

/// What it takes to decode a frame and to scale it, or a little more.
const DECODED_WITHIN: Duration = Duration::from_millis(5);

/// The receiving half of a participant.
#[derive(Debug)]
pub(super) struct Inbound {
    clock: RoomClock,
    slot: Arc<PictureSlot>,
    /// A std mutex: held while a packet's reference is handed on, and while a failed decoder is exchanged.
    video: Mutex<Video>,
    voice: Option<Voice>,
    /// What the process granted for the peer.
    permit: Option<Arc<Permit>>,
    invalid: AtomicU64,
    /// When the last packet came, in milliseconds plus one; zero before the first.
    last: AtomicU64,
}

#[derive(Debug)]
struct Video {
    decoder: Option<VideoDecoder>,
    /// The caps of the stream, for a decoder that starts in the middle of it.
    caps: Option<gst::Caps>,
    tile: Option<(u32, u32)>,
    /// H.264 parameter sets that the offer had, for every decoder.
    parameter_sets: Option<Vec<u8>>,
}

impl Inbound {
    pub(super) fn new(clock: RoomClock, voice: Option<Voice>, permit: Option<Arc<Permit>>) -> Self {
        Self {
            clock,
            permit,
            slot: Arc::default(),
            video: Mutex::new(Video { decoder: None, caps: None, tile: None, parameter_sets: None }),
            voice,
            invalid: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Running time when the last packet came.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    fn video(&self) -> MutexGuard<'_, Video> {
        self.video.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the pictures are.
    pub(super) fn slot(&self) -> &Arc<PictureSlot> {
        &self.slot
    }

    /// What decoders that start from now on are given before the stream.
    pub(super) fn set_parameter_sets(&self, sets: Option<Vec<u8>>) {
        self.video().parameter_sets = sets;
    }

    /// Starts a decoder, in the place of one that failed if there was one. Blocks for the state change.
    pub(super) fn start_decoder(
        &self,
        templates: &Templates,
        codec: Codec,
        fit: Fit,
        unsaid: Unsaid,
        clock: RoomClock,
        events: impl Fn(DecoderEvent) + Send + Sync + 'static,
    ) -> Result<(), GraphError> {
        let mut decoder = VideoDecoder::start(templates, codec, fit, unsaid, clock, self.slot.clone(), events)?;
        if let Some(permit) = &self.permit {
            decoder.hold(permit.clone());
        }
        let mut video = self.video();
        if let Some(sets) = video.parameter_sets.clone() {
            decoder.lead_in(sets)?;
        }
        if let Some((width, height)) = video.tile {
            decoder.set_tile(width, height);
        }
        if let Some(caps) = &video.caps {
            decoder.set_caps(caps);
        }
        let failed = video.decoder.replace(decoder);
        drop(video);
        drop(failed);
        Ok(())
    }

    /// Stops decoding: what comes is dropped.
    pub(super) fn stop_decoder(&self) {
        let stopped = self.video().decoder.take();
        drop(stopped);
    }

    /// The size of the participant's tile.
    pub(super) fn set_tile(&self, width: u32, height: u32) {
        let mut video = self.video();
        video.tile = Some((width, height));
        if let Some(decoder) = &video.decoder {
            decoder.set_tile(width, height);
        }
    }

    /// A packet, on a streaming thread. Whatever it holds, it is handed on, or dropped and counted.
    pub(super) fn packet(&self, kind: Kind, caps: Option<&gst::Caps>, packet: gst::Buffer) {
        let now = self.clock.now();
        self.last.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(1), Ordering::Relaxed);
        match kind {
            Kind::Video => {
                let mut video = self.video();
                let Video { decoder, caps: known, .. } = &mut *video;
                if let Some(caps) = caps {
                    *known = Some(caps.clone());
                }
                let Some(decoder) = decoder else { return };
                if let Some(caps) = caps {
                    decoder.set_caps(caps);
                }
                self.follow_lips(&packet);
                if self.slot.is_seen(now) && has_payload(&packet) {
                    self.slot.expect(now);
                }
                decoder.push(packet);
            }
            Kind::Audio => {
                let Some(voice) = &self.voice else { return };
                match gst_rtp::RTPBuffer::from_buffer_readable(&packet) {
                    Ok(rtp) => match rtp.payload() {
                        Ok(payload) => {
                            voice.source(rtp.ssrc());
                            voice.push(rtp.seq(), rtp.timestamp(), payload);
                        }
                        Err(_) => drop(self.invalid.fetch_add(1, Ordering::Relaxed)),
                    },
                    Err(_) => drop(self.invalid.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
    }

    /// Tells the voice of a frame of the picture that is complete, and has it wait for the voice where that is later.
    fn follow_lips(&self, packet: &gst::Buffer) {
        if let Some(voice) = &self.voice
            && let Ok(rtp) = gst_rtp::RTPBuffer::from_buffer_readable(packet)
            && rtp.is_marker()
        {
            let shown_after = DECODED_WITHIN + self.slot.shown_after();
            self.slot.hold(voice.picture(rtp.ssrc(), rtp.timestamp(), shown_after));
        }
    }

    /// A compound RTCP packet of the peer's, on a streaming thread.
    pub(super) fn report(&self, rtcp: &[u8]) {
        if let Some(voice) = &self.voice {
            voice.report(rtcp);
        }
    }

    /// Packets that were not RTP, video packets dropped because the decoder did not follow, and pictures because too many
    /// waited for their voice.
    pub(super) fn dropped(&self) -> u64 {
        let late = self.slot.overflowed();
        late + self.invalid.load(Ordering::Relaxed) + self.video().decoder.as_ref().map_or(0, VideoDecoder::dropped)
    }
}

/// Whether there is something of a picture in it: to find out what a line carries, browsers send packets of padding.
fn has_payload(packet: &gst::Buffer) -> bool {
    gst_rtp::RTPBuffer::from_buffer_readable(packet).is_ok_and(|rtp| rtp.payload_size() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::decoder::tests::{self, FRAMES, packets};
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn wait_for(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_picture_that_nobody_looks_at_is_not_decoded_and_is_there_at_once_when_somebody_does() {
        gst::init().unwrap();
        for codec in [Codec::Vp8, Codec::H264] {
            let clock = RoomClock::start();
            let inbound = Inbound::new(clock, None, None);
            inbound
                .start_decoder(&Templates::load(None).unwrap(), codec, Fit::Fill, Unsaid::Bt601, clock, |_| {})
                .unwrap();
            let (caps, frames) = packets(codec);
            let push = |frame: usize| {
                for packet in &frames[frame] {
                    inbound.packet(Kind::Video, Some(&caps), packet.clone());
                }
            };
            let slot = inbound.slot();
            let kept = || inbound.video().decoder.as_ref().map_or(0, tests::kept);
            // The second keyframe is in the middle.
            let seen = FRAMES / 4;
            (0..seen).for_each(push);
            wait_for("who is new is decoded at once", || slot.frames() == seen as u64);
            wait_for("nobody looked for long", || !slot.is_seen(clock.now()));

            let unseen = clock.now();
            for (until, whole) in [(FRAMES / 2 - 2, FRAMES / 2 - 2 - seen), (FRAMES - 2, FRAMES / 2 - 2)] {
                let from = if until < FRAMES / 2 { seen } else { FRAMES / 2 - 2 };
                (from..until).for_each(push);
                wait_for("it is kept from the last keyframe on", || kept() == whole);
                assert!(slot.is_awaited(clock.now()) && slot.last() >= Some(unseen), "{codec}: it is known to come");
            }
            assert_eq!(slot.frames(), seen as u64, "{codec}: nobody looks");

            // Without another packet.
            slot.look(clock.now());
            wait_for("somebody looks", || slot.frames() > seen as u64);
            let whole = tests::decode(codec, &caps, &frames[..FRAMES - 2]);
            assert!(tests::newest(slot, clock.now()) == whole.last, "{codec}: it is not the newest");
            assert_eq!((slot.frames(), kept()), (seen as u64 + 1, 0), "{codec}: and no older one");
            (FRAMES - 2..FRAMES).for_each(push);
            wait_for("it goes on", || slot.frames() == seen as u64 + 3);
        }
    }
}
