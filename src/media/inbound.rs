//! What one participant sends: its packets, led to the decoder of its picture and to its voice in the audio mixer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer_rtp as gst_rtp;

use super::audio_mixer::Voice;
use super::clock::RoomClock;
use super::decoder::{DecoderEvent, VideoDecoder};
use super::graph::GraphError;
use super::picture::PictureSlot;
use super::template::Templates;
use super::transport::Kind;
use crate::config::Fit;
use crate::control::Codec;

/// The receiving half of a participant.
#[derive(Debug)]
pub(super) struct Inbound {
    slot: Arc<PictureSlot>,
    /// A std mutex: held while a packet's reference is handed on, and while a failed decoder is exchanged.
    video: Mutex<Video>,
    voice: Option<Voice>,
    invalid: AtomicU64,
}

#[derive(Debug)]
struct Video {
    decoder: Option<VideoDecoder>,
    /// The caps of the stream, for a decoder that starts in the middle of it.
    caps: Option<gst::Caps>,
    tile: Option<(u32, u32)>,
}

impl Inbound {
    pub(super) fn new(voice: Option<Voice>) -> Self {
        Self {
            slot: Arc::default(),
            video: Mutex::new(Video { decoder: None, caps: None, tile: None }),
            voice,
            invalid: AtomicU64::new(0),
        }
    }

    fn video(&self) -> MutexGuard<'_, Video> {
        self.video.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the pictures are.
    pub(super) fn slot(&self) -> &Arc<PictureSlot> {
        &self.slot
    }

    /// Starts a decoder, in the place of one that failed if there was one. Blocks for the state change.
    pub(super) fn start_decoder(
        &self,
        templates: &Templates,
        codec: Codec,
        fit: Fit,
        clock: RoomClock,
        events: impl Fn(DecoderEvent) + Send + Sync + 'static,
    ) -> Result<(), GraphError> {
        let decoder = VideoDecoder::start(templates, codec, fit, clock, self.slot.clone(), events)?;
        let mut video = self.video();
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
        match kind {
            Kind::Video => {
                let mut video = self.video();
                if let Some(caps) = caps {
                    video.caps = Some(caps.clone());
                    if let Some(decoder) = &video.decoder {
                        decoder.set_caps(caps);
                    }
                }
                if let Some(decoder) = &video.decoder {
                    decoder.push(packet);
                }
            }
            Kind::Audio => {
                let Some(voice) = &self.voice else { return };
                match gst_rtp::RTPBuffer::from_buffer_readable(&packet) {
                    Ok(rtp) => match rtp.payload() {
                        Ok(payload) => voice.push(rtp.seq(), rtp.timestamp(), payload),
                        Err(_) => drop(self.invalid.fetch_add(1, Ordering::Relaxed)),
                    },
                    Err(_) => drop(self.invalid.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
    }

    /// Packets that were not RTP, and video packets dropped because the decoder did not follow.
    pub(super) fn dropped(&self) -> u64 {
        self.invalid.load(Ordering::Relaxed) + self.video().decoder.as_ref().map_or(0, VideoDecoder::dropped)
    }
}
