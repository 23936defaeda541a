//! A room of real Opus senders, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::config;
use crate::id::PeerId;
use crate::media::audio_mixer::inbox::{Arrival, Closed, Inbox};
use crate::media::audio_mixer::mixing::Mixing;
use crate::media::audio_mixer::{AudioEvent, OpusPacket};
use crate::pcm::{FRAME_DURATION, FRAME_SAMPLES, Frame};

/// A room that ticks when it is told to.
pub(super) struct Room {
    pub(super) mixing: Mixing,
    pub(super) now: Duration,
    pub(super) events: Vec<AudioEvent>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { mixing: Mixing::new(&config::Audio::default()), now: Duration::ZERO, events: Vec::new() }
    }

    pub(super) fn tick(&mut self) {
        self.now += FRAME_DURATION;
        self.mixing.tick(self.now, |event| self.events.push(event));
    }
}

/// Somebody with a voice, who leaves when dropped.
pub(super) struct Sender {
    inbox: Arc<Inbox>,
    encoder: opus::Encoder,
    seq: u16,
    timestamp: u32,
}

impl Sender {
    pub(super) fn join(room: &mut Room, peer: PeerId) -> Self {
        let inbox = Arc::new(Inbox::default());
        room.mixing.add_voice(peer, Arc::clone(&inbox)).unwrap();
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        encoder.set_inband_fec(true).unwrap();
        encoder.set_packet_loss_perc(10).unwrap();
        Self { inbox, encoder, seq: 65_500, timestamp: u32::MAX - 50_000 }
    }

    /// The next packet, and its numbers.
    pub(super) fn say(&mut self, frame: &Frame) -> (u16, u32, Vec<u8>) {
        let packet = self.encoder.encode_vec_float(frame, 1275).unwrap();
        let numbered = (self.seq, self.timestamp, packet);
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        numbered
    }

    pub(super) fn send(&self, at: Duration, (seq, timestamp, payload): (u16, u32, Vec<u8>)) {
        self.inbox.put(Arrival { at, seq, timestamp, payload });
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.inbox.closed.set();
    }
}

/// Somebody who listens, until dropped.
pub(super) struct Ear {
    packets: Arc<Mutex<Vec<OpusPacket>>>,
    closed: Closed,
    decoder: opus::Decoder,
}

impl Ear {
    pub(super) fn join(room: &mut Room, peer: PeerId) -> Self {
        let packets = Arc::new(Mutex::new(Vec::new()));
        let closed = Closed::default();
        let sink = Arc::clone(&packets);
        room.mixing.add_listener(peer, Box::new(move |packet| sink.lock().unwrap().push(packet)), closed.clone());
        Self { packets, closed, decoder: opus::Decoder::new(48_000, opus::Channels::Mono).unwrap() }
    }

    /// What came since the last call.
    pub(super) fn packets(&mut self) -> Vec<OpusPacket> {
        std::mem::take(&mut self.packets.lock().unwrap())
    }

    /// The same, as sound.
    pub(super) fn hear(&mut self) -> Vec<f32> {
        let mut heard = Vec::new();
        for packet in self.packets() {
            let mut out = [0.0; FRAME_SAMPLES];
            assert_eq!(self.decoder.decode_float(&packet.data, &mut out, false).unwrap(), FRAME_SAMPLES);
            heard.extend_from_slice(&out);
        }
        heard
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.closed.set();
    }
}
