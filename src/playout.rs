//! The playout of one inbound voice: packets in as they arrive, 20 ms frames out on a steady clock.
//!
//! An adaptive jitter buffer. It delays a voice by just what the line needs (see [`line`]), replaces what is missing by
//! in-band FEC or concealment, and lets the delay follow the line and the drift of the sender's clock by [`splice`]s of
//! 2.5 to 10 ms where they cannot be heard; where nothing is to be corrected, what was decoded passes bit for bit. What a
//! voice has to wait beyond that, for its picture, is held back at the end (see [`hold`]).
//! Pure: time is a parameter and the codec a trait. One owner calls it, from any thread; no call blocks or fails.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::lips::MAX_HOLD;
use crate::pcm::{FRAME_SAMPLES, Frame, SAMPLE_RATE, SILENCE, level_dbfs, samples_in};

mod delay;
mod envelope;
mod hold;
mod line;
mod splice;
mod timeline;

use delay::{Correction, Delay};
use envelope::Envelope;
use hold::Hold;
use line::Line;
use timeline::{Place, Timeline};

/// Longest packet that Opus has, in samples: 120 ms (RFC 6716, section 2.1.4).
pub const MAX_PACKET_SAMPLES: usize = 5760;

const FRAME: i64 = FRAME_SAMPLES as i64;
/// Concealment and recovery go in steps of 2.5 ms, the shortest Opus frame.
const CONCEAL_STEP: i64 = 120;
/// The largest packet that makes sense: 120 ms at 510 kbit/s.
const MAX_PAYLOAD: usize = 8 * 1024;
/// Packets that wait at most: a second and more of the shortest.
const MAX_WAITING: usize = 512;
/// A packet this short says that the sender is silent and sends nothing for a while (DTX).
const MAX_DTX_PAYLOAD: usize = 2;
/// Without packets for this long a voice is idle, in samples: 2 s.
const IDLE_AFTER: i64 = 2 * SAMPLE_RATE as i64;

/// What decodes a voice's packets.
pub trait Decode {
    /// How many samples a packet has, or `None` if it is garbage.
    fn samples(&self, packet: &[u8]) -> Option<usize>;

    /// Decodes a packet to the beginning of `out` (room for 120 ms) and returns the samples, or `None` if it is garbage.
    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Option<usize>;

    /// Fills `out` with what `next` tells of the packet before it (in-band FEC). `false` if it tells nothing and `out`
    /// is concealed instead.
    fn recover(&mut self, next: &[u8], out: &mut [f32]) -> bool;

    /// Fills `out` with a continuation of what was decoded before. A multiple of 2.5 ms.
    fn conceal(&mut self, out: &mut [f32]);
}

/// What a frame consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Of what the sender said.
    Played,
    /// At least in part of concealment.
    Concealed,
    /// Of exact silence: nothing comes from the sender.
    Idle,
}

/// What happened to a voice's packets since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutCounters {
    /// All packets that arrived.
    pub received: u64,
    /// Packets that arrived again.
    pub duplicate: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that never came, or came late.
    pub lost: u64,
    /// Packets of the lost that were recovered by FEC.
    pub recovered: u64,
    /// Samples that were made up.
    pub concealed: u64,
    /// Packets given up because more waited than makes sense.
    pub dropped: u64,
    /// Packets that fit nowhere or are not Opus.
    pub invalid: u64,
    /// Times that the sender began anew.
    pub restarts: u64,
    /// Splices made to follow the line and the sender's clock.
    pub splices: u64,
    /// Samples that splices put in.
    pub inserted: u64,
    /// Samples that splices took out.
    pub removed: u64,
}

#[derive(Debug)]
struct Packet {
    timestamp: i64,
    payload: Vec<u8>,
}

/// The playout of one voice.
#[derive(Debug)]
pub struct Playout {
    timeline: Timeline,
    line: Line,
    delay: Delay,
    waiting: BTreeMap<i64, Packet>,
    /// Decoded and not yet played.
    ready: Vec<f32>,
    /// The timestamp after the last sample of `ready`.
    head: i64,
    /// The sequence number that belongs there.
    next_seq: i64,
    /// False until enough waits to begin, and again after the voice went idle.
    playing: bool,
    /// Samples before `head` made up because nothing waited. A packet of that time is not late yet: it is played, and the
    /// delay has grown.
    starved: i64,
    /// The last packet announced a silence, whose noise the decoder makes.
    silence_announced: bool,
    /// Made up and real sound are joined by this.
    envelope: Envelope,
    /// Duration of the sender's packets.
    packet: i64,
    /// That of the last one alone.
    last_packet: i64,
    scratch: Vec<f32>,
    hold: Hold,
    reached: Option<u32>,
    counters: PlayoutCounters,
}

impl Default for Playout {
    fn default() -> Self {
        Self::new()
    }
}

impl Playout {
    /// The playout of a voice of which nothing arrived yet.
    pub fn new() -> Self {
        Self {
            timeline: Timeline::default(),
            line: Line::new(),
            delay: Delay::default(),
            waiting: BTreeMap::new(),
            ready: Vec::with_capacity(MAX_PACKET_SAMPLES + 2 * FRAME_SAMPLES),
            head: 0,
            next_seq: 0,
            playing: false,
            starved: 0,
            silence_announced: false,
            envelope: Envelope::default(),
            packet: FRAME,
            last_packet: FRAME,
            scratch: vec![0.0; MAX_PACKET_SAMPLES],
            hold: Hold::default(),
            reached: None,
            counters: PlayoutCounters::default(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> PlayoutCounters {
        self.counters
    }

    /// How long the next sample to be played will have waited at `now`, beyond what the fastest packet of late had to.
    pub fn delay(&self, now: Duration) -> Duration {
        if !self.playing {
            return Duration::ZERO;
        }
        let samples = samples_in(now) - self.line.floor() - self.position() + self.hold.held() as i64;
        Duration::from_secs_f64(samples.max(0) as f64 / f64::from(SAMPLE_RATE))
    }

    /// Holds the voice back by this much, at most [`MAX_HOLD`], as soon as that can be done without being heard.
    pub fn set_hold(&mut self, hold: Duration) {
        // No negative number, and 24,000 at most.
        self.hold.set(samples_in(hold.min(MAX_HOLD)) as usize);
    }

    /// The RTP timestamp at which the last frame would have begun had it not been held back, while it is the sender's.
    pub fn reached(&self) -> Option<u32> {
        self.reached
    }

    /// Takes a packet that arrived at `now`: the sequence number, timestamp and payload of its RTP. Any may be nonsense.
    pub fn push(&mut self, now: Duration, seq: u16, timestamp: u32, payload: Vec<u8>) {
        self.counters.received += 1;
        if payload.is_empty() || payload.len() > MAX_PAYLOAD {
            self.counters.invalid += 1;
            return;
        }
        let now = samples_in(now);
        let (seq, timestamp) = match self.timeline.place(now, seq, timestamp) {
            Place::Here { seq, timestamp } => (seq, timestamp),
            Place::Anew { seq, timestamp } => {
                self.begin_anew();
                (seq, timestamp)
            }
            Place::Astray => {
                self.counters.invalid += 1;
                return;
            }
        };
        self.line.observe(now, timestamp);
        if self.playing && seq < self.next_seq {
            self.counters.late += 1;
            return;
        }
        match self.waiting.entry(seq) {
            Entry::Vacant(place) => _ = place.insert(Packet { timestamp, payload }),
            Entry::Occupied(_) => self.counters.duplicate += 1,
        }
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_first();
            self.counters.dropped += 1;
        }
    }

    /// Fills `out` with the next 20 ms. To be called once for each 20 ms of `now`, which is the same clock as that of
    /// [`Playout::push`].
    pub fn pull(&mut self, now: Duration, decoder: &mut impl Decode, out: &mut Frame) -> Pulled {
        *out = SILENCE;
        let pulled = self.next(samples_in(now), decoder, out);
        // RTP's timestamps have 32 bits.
        self.reached = (pulled == Pulled::Played).then_some((self.position() - FRAME) as u32);
        self.hold.pass(out, pulled)
    }

    /// The next 20 ms as the line lets them be.
    fn next(&mut self, now: i64, decoder: &mut impl Decode, out: &mut Frame) -> Pulled {
        self.skip_what_waited_too_long(now);
        if !self.playing && !self.begin(now, decoder) {
            return self.drain(out);
        }
        self.end_where_the_next_begins();
        let concealed = self.counters.concealed;
        while self.ready.len() < FRAME_SAMPLES {
            self.advance(decoder);
        }
        let made_up = self.counters.concealed > concealed;
        if !made_up {
            self.correct(now, decoder);
        }
        out.copy_from_slice(&self.ready[..FRAME_SAMPLES]);
        self.ready.drain(..FRAME_SAMPLES);
        if self.starved >= IDLE_AFTER {
            self.playing = false;
            self.ready.clear();
        }
        if made_up { Pulled::Concealed } else { Pulled::Played }
    }

    /// The timestamp of the next sample to be played.
    fn position(&self) -> i64 {
        self.head - self.ready.len() as i64
    }

    fn begin_anew(&mut self) {
        if self.playing || !self.waiting.is_empty() {
            self.counters.restarts += 1;
        }
        self.counters.dropped += self.waiting.len() as u64;
        self.waiting.clear();
        self.line = Line::new();
        self.delay = Delay::default();
        self.playing = false;
        self.cut();
    }

    /// Begins once the first packet has waited for what the line needs.
    fn begin(&mut self, now: i64, decoder: &impl Decode) -> bool {
        let Some((&seq, first)) = self.waiting.first_key_value() else { return false };
        if let Some(samples @ 1..=MAX_PACKET_SAMPLES) = decoder.samples(&first.payload) {
            (self.packet, self.last_packet) = (samples as i64, samples as i64);
        }
        let waited = now - self.line.floor() - first.timestamp;
        if waited < self.delay.before_begin(&self.line, self.packet) {
            return false;
        }
        self.next_seq = seq;
        self.head = first.timestamp;
        self.starved = 0;
        self.playing = true;
        true
    }

    /// Plays what is left of a run that ended.
    fn drain(&mut self, out: &mut Frame) -> Pulled {
        let left = self.ready.len().min(FRAME_SAMPLES);
        out[..left].copy_from_slice(&self.ready[..left]);
        self.ready.clear();
        if left > 0 { Pulled::Concealed } else { Pulled::Idle }
    }

    /// After a stall of the line packets come at once: only the newest are worth playing.
    fn skip_what_waited_too_long(&mut self, now: i64) {
        let target = self.delay.target(&self.line, self.packet);
        let waited = |packet: &Packet| now - self.line.floor() - packet.timestamp;
        let mut dropped = 0;
        while let Some(first) = self.waiting.first_entry()
            && waited(first.get()) > target + if dropped == 0 { delay::EXCESS } else { FRAME }
            && self.waiting.len() > 1
        {
            self.waiting.pop_first();
            dropped += 1;
        }
        if dropped > 0 {
            self.counters.dropped += dropped;
            self.cut();
            if let Some((&seq, first)) = self.waiting.first_key_value() {
                self.next_seq = seq;
                self.head = first.timestamp;
                self.starved = 0;
            }
        }
    }

    /// Lets what is ready fade out, and what comes next fade in.
    fn cut(&mut self) {
        Envelope::fade_out(&mut self.ready);
        self.envelope.close();
    }

    /// Cuts off what a packet lasted beyond its successor's beginning: it was not what the sender made.
    fn end_where_the_next_begins(&mut self) {
        let Some((_, first)) = self.waiting.first_key_value() else { return };
        let overlap = self.head - first.timestamp;
        if overlap >= CONCEAL_STEP && overlap <= self.ready.len() as i64 {
            self.ready.truncate(self.ready.len() - overlap as usize);
            self.head = first.timestamp;
        }
    }

    /// Adds to `ready` what belongs at `head`: a packet, what stands in for a missing one, or a part of that.
    fn advance(&mut self, decoder: &mut impl Decode) {
        let Some((&seq, first)) = self.waiting.first_key_value() else {
            let missing = FRAME - self.ready.len() as i64;
            let steps = (missing + CONCEAL_STEP - 1) / CONCEAL_STEP;
            self.starved += steps * CONCEAL_STEP;
            return self.conceal(steps * CONCEAL_STEP, decoder);
        };
        let gap = first.timestamp - self.head;
        if gap <= -CONCEAL_STEP && -gap > self.starved {
            // Its time is over although its number is not: a sender that lies about either.
            self.waiting.pop_first();
            self.next_seq = seq + 1;
            self.counters.late += 1;
            return;
        }
        let lost = seq - self.next_seq;
        if gap < CONCEAL_STEP {
            self.decode_first(decoder);
        } else if lost > 0 && gap == self.packet {
            let scratch = &mut self.scratch[..gap as usize];
            let recovered = decoder.recover(&first.payload, scratch);
            if recovered {
                self.counters.recovered += 1;
                self.envelope.real(scratch);
                self.append(gap as usize);
            } else {
                self.made_up(gap);
            }
        } else {
            let before_recoverable = if lost > 0 && gap > self.packet { gap - self.packet } else { gap };
            let most = before_recoverable.clamp(CONCEAL_STEP, FRAME);
            self.conceal(most / CONCEAL_STEP * CONCEAL_STEP, decoder);
        }
    }

    fn decode_first(&mut self, decoder: &mut impl Decode) {
        let Some((seq, packet)) = self.waiting.pop_first() else { return };
        let lost = (seq - self.next_seq).max(0);
        self.counters.lost += lost as u64;
        self.delay.note_loss(lost);
        self.next_seq = seq + 1;
        self.head = packet.timestamp;
        self.starved = 0;
        // What would last beyond its successor's beginning is garbage, and would leave the decoder in a state to match.
        let room = self.waiting.first_key_value().filter(|&(&next, _)| next == seq + 1);
        let room = room.map_or(i64::MAX, |(_, next)| next.timestamp - packet.timestamp);
        let fits = decoder.samples(&packet.payload).is_none_or(|samples| samples as i64 <= room);
        match fits.then(|| decoder.decode(&packet.payload, &mut self.scratch)).flatten() {
            Some(samples) if (1..=MAX_PACKET_SAMPLES).contains(&samples) => {
                // Garbage has any duration; two in a row that agree are the sender's.
                if self.last_packet == samples as i64 {
                    self.packet = self.last_packet;
                }
                self.last_packet = samples as i64;
                self.silence_announced = packet.payload.len() <= MAX_DTX_PAYLOAD;
                self.envelope.real(&mut self.scratch[..samples]);
                self.append(samples);
            }
            _ => {
                self.counters.invalid += 1;
                self.conceal(FRAME.min(self.packet), decoder);
            }
        }
    }

    fn conceal(&mut self, samples: i64, decoder: &mut impl Decode) {
        let scratch = &mut self.scratch[..samples as usize];
        if self.envelope.is_closed() {
            scratch.fill(0.0);
        } else {
            decoder.conceal(scratch);
        }
        self.made_up(samples);
    }

    /// Appends what was made up, in `scratch`.
    fn made_up(&mut self, samples: i64) {
        self.counters.concealed += samples as u64;
        self.envelope.made_up(&mut self.scratch[..samples as usize], self.silence_announced);
        self.append(samples as usize);
    }

    fn append(&mut self, samples: usize) {
        self.ready.extend_from_slice(&self.scratch[..samples]);
        self.head += samples as i64;
    }

    /// Makes the delay what the line needs, if need be.
    fn correct(&mut self, now: i64, decoder: &mut impl Decode) {
        let waited = now - self.line.floor() - self.position();
        let to_boundary = self.ready.len() as i64;
        let target = self.delay.target(&self.line, self.packet);
        let silent = level_dbfs(&self.ready[..FRAME_SAMPLES]) < splice::SILENT_DBFS;
        match self.delay.decide(waited, to_boundary, target, self.packet, silent) {
            Correction::None => {}
            Correction::Lengthen { likeness } => {
                let found = splice::find_repeat(&self.ready, splice::MAX_LAG).filter(|it| it.likeness >= likeness);
                if let Some(repeat) = found {
                    splice::lengthen(&mut self.ready, repeat.lag);
                    self.counters.inserted += repeat.lag as u64;
                    self.spliced();
                }
            }
            Correction::Shorten { most, likeness } => {
                let most = (most as usize).min(splice::MAX_LAG);
                while self.ready.len() < FRAME_SAMPLES + most && self.next_waits() {
                    self.decode_first(decoder);
                }
                let most = most.min(self.ready.len() - FRAME_SAMPLES);
                let found = splice::find_repeat(&self.ready, most).filter(|it| it.likeness >= likeness);
                if let Some(repeat) = found {
                    splice::shorten(&mut self.ready, repeat.lag);
                    self.counters.removed += repeat.lag as u64;
                    self.spliced();
                }
            }
        }
    }

    fn spliced(&mut self) {
        self.counters.splices += 1;
        self.delay.spliced();
    }

    /// The packet that belongs at `head` is there.
    fn next_waits(&self) -> bool {
        self.waiting
            .first_key_value()
            .is_some_and(|(&seq, first)| seq == self.next_seq && (first.timestamp - self.head).abs() < CONCEAL_STEP)
    }
}

#[cfg(test)]
mod tests;
