//! Opus (RFC 6716) for the mixer: a decoder for each voice, an encoder for each mix that somebody hears.

use std::collections::VecDeque;

use bytes::Bytes;
use opus::{Application, Bitrate, Channels};

use crate::pcm::{Frame, SAMPLE_RATE};
use crate::playout::Decode;

use super::downmix::Downmix;

/// Largest packet that an encoder is asked for: the largest of one Opus frame (RFC 6716, section 3.4).
const MAX_PACKET: usize = 1276;
/// How far decoded sound may leave ±1: a decoder overshoots a little, a forged packet without bound.
const MAX_SAMPLE: f32 = 2.0;
/// What a protected encoder assumes to be lost on the listeners' lines, in percent; sets how much of each packet is FEC.
/// More than the 5 from which on Opus prefers FEC to bandwidth and codes any sound by its speech layer.
const ASSUMED_LOSS: i32 = 10;
/// Of 0 to 10. More would gain under 0.6 dB on real sound and cost up to twice as much. Above 2, moreover, the encoder
/// adapts in ways that two encoders of the same sound do differently (from 5 on the pitch filter): of some tones a change
/// between them is heard.
const COMPLEXITY: i32 = 2;
/// The same for the speech layer, which gains 2 dB up to here and 1 dB beyond.
const PROTECTED_COMPLEXITY: i32 = 4;

/// Encodes one mix.
///
/// For `Audio`, as `Voip` would filter the mix once more (each sender did that to its voice) and its error was 8 to 15 dB
/// greater.
///
/// Unprotected at first: FEC, which only the speech layer of Opus has, makes an encode three times as dear, and a change
/// between two encoders is then not quite inaudible.
#[derive(Debug)]
pub(super) struct Encoder {
    opus: opus::Encoder,
    lossy: bool,
}

impl Encoder {
    /// An encoder of `bitrate` bit/s, unprotected.
    pub(super) fn new(bitrate: u32) -> Result<Self, opus::Error> {
        let mut opus = opus::Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Audio)?;
        opus.set_bitrate(Bitrate::Bits(i32::try_from(bitrate).unwrap_or(i32::MAX)))?;
        opus.set_complexity(COMPLEXITY)?;
        opus.set_inband_fec(true)?;
        opus.set_packet_loss_perc(0)?;
        opus.set_dtx(false)?;
        Ok(Self { opus, lossy: false })
    }

    /// Puts FEC into the packets from the next one on, or no more.
    pub(super) fn protect(&mut self, lossy: bool) -> Result<(), opus::Error> {
        if lossy != self.lossy {
            self.opus.set_complexity(if lossy { PROTECTED_COMPLEXITY } else { COMPLEXITY })?;
            // FEC stays allowed: where no loss is assumed, Opus writes none and chooses its mode as if it were not.
            self.opus.set_packet_loss_perc(if lossy { ASSUMED_LOSS } else { 0 })?;
            self.lossy = lossy;
        }
        Ok(())
    }

    /// An encoder in about the state of one that encoded `history`, so that its packets can follow that one's.
    pub(super) fn warmed_up<'a>(
        bitrate: u32,
        lossy: bool,
        history: impl IntoIterator<Item = &'a Frame>,
    ) -> Result<Self, opus::Error> {
        let mut encoder = Self::new(bitrate)?;
        encoder.protect(lossy)?;
        for frame in history {
            encoder.encode(frame)?;
        }
        Ok(encoder)
    }

    /// Encodes the next 20 ms for a decoder that was fed by another encoder of the same sound until now.
    ///
    /// The speech layer predicts from the very samples that it encoded before, so it must not: little of such a packet
    /// depends on them, at some cost in quality. Unprotected packets predict no more than loudness, of which both encoders
    /// think alike, and are better left as they are.
    pub(super) fn encode_after_another(&mut self, frame: &Frame) -> Result<Bytes, opus::Error> {
        self.opus.set_prediction_disabled(self.lossy)?;
        let packet = self.encode(frame);
        self.opus.set_prediction_disabled(false)?;
        packet
    }

    /// Encodes the next 20 ms.
    pub(super) fn encode(&mut self, frame: &Frame) -> Result<Bytes, opus::Error> {
        let mut packet = [0; MAX_PACKET];
        let length = self.opus.encode_float(frame, &mut packet)?;
        Ok(Bytes::copy_from_slice(&packet[..length]))
    }
}

/// Packets that a decoder of two channels goes through before it takes over: 100 ms of the usual ones.
const WARM_UP: usize = 5;
/// Over how many samples it does: 5 ms.
const TAKE_OVER: usize = 240;

/// Decodes one voice to one channel. Most have no more. For others a decoder of two takes over with the first packet that
/// has two (RFC 6716, section 3.1: the flag `s`), since Opus's own mono is the channels' mean, which loses what they have
/// in antiphase.
#[derive(Debug)]
pub(super) struct Decoder {
    opus: opus::Decoder,
    stereo: Option<Stereo>,
    /// The last packets of one channel.
    before: VecDeque<Vec<u8>>,
}

/// Makes one channel of two.
#[derive(Debug)]
struct Stereo {
    downmix: Downmix,
    channels: Vec<f32>,
}

impl Decoder {
    pub(super) fn new() -> Result<Self, opus::Error> {
        let opus = opus::Decoder::new(SAMPLE_RATE, Channels::Mono)?;
        Ok(Self { opus, stereo: None, before: VecDeque::with_capacity(WARM_UP) })
    }

    fn decoded(&mut self, packet: &[u8], out: &mut [f32], fec: bool) -> Option<usize> {
        let samples = match &mut self.stereo {
            None => self.opus.decode_float(packet, out, fec).ok()?.min(out.len()),
            Some(Stereo { downmix, channels }) => {
                channels.resize(2 * out.len(), 0.0);
                let samples = self.opus.decode_float(packet, channels, fec).ok()?.min(out.len());
                channels[..2 * samples].iter_mut().for_each(|sample| *sample = bounded(*sample));
                downmix.process(&channels[..2 * samples], out);
                samples
            }
        };
        out[..samples].iter_mut().for_each(|sample| *sample = bounded(*sample));
        Some(samples)
    }

    /// Decodes two channels from now on, beginning with `packet`.
    fn widen(&mut self, packet: &[u8], out: &mut [f32]) -> Option<usize> {
        let Ok(opus) = opus::Decoder::new(SAMPLE_RATE, Channels::Stereo) else {
            return self.decoded(packet, out, false);
        };
        let mut narrow = std::mem::replace(&mut self.opus, opus);
        self.stereo = Some(Stereo { downmix: Downmix::default(), channels: Vec::new() });
        let before = std::mem::take(&mut self.before);
        for packet in &before {
            self.decoded(packet, out, false);
        }
        let samples = self.decoded(packet, out, false)?;
        if !before.is_empty() {
            let mut old = vec![0.0; out.len()];
            let old_samples = narrow.decode_float(packet, &mut old, false).unwrap_or(0);
            let both = samples.min(old_samples).min(TAKE_OVER);
            for (n, (new, old)) in out[..both].iter_mut().zip(old).enumerate() {
                *new = bounded(old) + (*new - bounded(old)) * (n + 1) as f32 / TAKE_OVER as f32;
            }
        }
        Some(samples)
    }
}

fn bounded(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-MAX_SAMPLE, MAX_SAMPLE) } else { 0.0 }
}

/// Whether the packet has two channels.
fn is_stereo(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & 4 != 0)
}

impl Decode for Decoder {
    fn samples(&self, packet: &[u8]) -> Option<usize> {
        self.opus.get_nb_samples(packet).ok()
    }

    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Option<usize> {
        if self.stereo.is_some() {
            return self.decoded(packet, out, false);
        }
        if is_stereo(packet) {
            return self.widen(packet, out);
        }
        let mut kept = if self.before.len() == WARM_UP { self.before.pop_front() } else { None }.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(packet);
        self.before.push_back(kept);
        self.decoded(packet, out, false)
    }

    fn recover(&mut self, next: &[u8], out: &mut [f32]) -> bool {
        let tells = carries_fec(next);
        match self.decoded(next, out, true) {
            Some(samples) if samples == out.len() => tells,
            _ => {
                self.conceal(out);
                false
            }
        }
    }

    fn conceal(&mut self, out: &mut [f32]) {
        let samples = self.decoded(&[], out, false).unwrap_or(0);
        out[samples..].fill(0.0);
    }
}

/// Whether a packet has a low bit-rate redundancy (LBRR) frame of the one before it: the flag that follows the voice
/// activity flags, one of each 20 ms, of a SILK or hybrid frame's mid channel (RFC 6716, sections 4.2.3 and 4.2.4).
pub(super) fn carries_fec(packet: &[u8]) -> bool {
    const FIRST_CELT_CONFIG: u8 = 16;
    let Ok(parsed) = opus::packet::parse(packet) else { return false };
    if parsed.toc >> 3 >= FIRST_CELT_CONFIG {
        return false;
    }
    let Ok(samples) = opus::packet::get_samples_per_frame(packet, SAMPLE_RATE) else { return false };
    let activity_flags = (samples / 960).max(1);
    parsed.frames.first().and_then(|frame| frame.first()).is_some_and(|byte| byte >> (7 - activity_flags) & 1 == 1)
}
