//! Real Opus over bad lines: what arrives in the mix, and what the counters say of it.

use std::time::Duration;

use super::room::{Ear, Room, Sender};
use super::sound::{Speech, db, rms, tone_frame};
use crate::id::PeerId;
use crate::pcm::{FRAME_DURATION, FRAME_SAMPLES};
use crate::playout::PlayoutCounters;

const SPEAKER: PeerId = PeerId::from_bits(1);
const LISTENER: PeerId = PeerId::from_bits(2);
const TICKS: usize = 1500;

/// Speech over a line that loses a share of the packets and delays each by up to `jitter`.
fn over_a_line(loss: f64, jitter: Duration, garbage: f64) -> (Vec<f32>, PlayoutCounters) {
    let (mut random, mut speech) = (Noise(1), Speech::default());
    let mut room = Room::new();
    let mut sender = Sender::join(&mut room, SPEAKER);
    let mut ear = Ear::join(&mut room, LISTENER);
    let mut on_the_way = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..TICKS {
        let sent = room.now + Duration::from_millis(7);
        let mut packet = sender.say(&speech.frame());
        if random.next() < garbage {
            packet.2 = (0..(random.next() * 40.0) as usize + 1).map(|_| (random.next() * 256.0) as u8).collect();
        }
        if random.next() >= loss {
            on_the_way.push((sent + jitter.mul_f64(random.next()), packet));
        }
        on_the_way.sort_by_key(|(arrives, _)| *arrives);
        let later = on_the_way.partition_point(|(arrives, _)| *arrives <= room.now + FRAME_DURATION);
        for (arrives, packet) in on_the_way.drain(..later) {
            sender.send(arrives, packet);
        }
        room.tick();
        heard.extend(ear.hear());
    }
    let counters = room.mixing.view().voices[0].playout;
    (heard, counters)
}

/// The share of 20 ms pieces that are more than 6 dB under the level of the same time without any loss.
fn gaps(heard: &[f32]) -> f64 {
    let (whole, _) = over_a_line(0.0, Duration::ZERO, 0.0);
    // Delays differ by a few frames, in which speech may begin or end: the least of the neighbours is the measure.
    let levels = |sound: &[f32]| sound.chunks(FRAME_SAMPLES).map(|piece| db(rms(piece))).collect::<Vec<_>>();
    let (heard, whole) = (levels(heard), levels(&whole));
    let pieces = 50..TICKS - 10;
    let is_gap = |n: &usize| {
        let least = whole[n - 8..n + 4].iter().copied().fold(f64::INFINITY, f64::min);
        heard[*n] < least - 6.0
    };
    pieces.clone().filter(is_gap).count() as f64 / pieces.len() as f64
}

#[test]
fn lost_packets_are_recovered_or_concealed() {
    for loss in [0.05, 0.1, 0.2] {
        let (heard, counters) = over_a_line(loss, Duration::ZERO, 0.0);
        let lost = counters.lost as f64 / TICKS as f64;
        assert!((lost - loss).abs() < 0.03, "{counters:?}");
        // Whatever is lost alone or last in a row may be in the packet after it, if it was speech to its encoder, once the
        // line is known to lose.
        assert!(counters.recovered as f64 > 0.6 * (1.0 - loss) * counters.lost as f64, "{counters:?}");
        let gaps = gaps(&heard);
        assert!(gaps < loss / 4.0, "{gaps} of the speech is missing at {loss} loss");
    }
}

#[test]
fn jitter_of_80_ms_is_smoothed() {
    let (heard, counters) = over_a_line(0.0, Duration::from_millis(80), 0.0);
    assert!(counters.concealed < 48_000, "{counters:?}");
    let gaps = gaps(&heard);
    assert!(gaps < 0.03, "{gaps}");
}

#[test]
fn garbage_costs_no_more_than_what_it_replaces() {
    let (heard, counters) = over_a_line(0.0, Duration::ZERO, 0.05);
    // The mix keeps within ±1; its encode overshoots a little.
    assert!(heard.iter().all(|x| x.is_finite() && x.abs() <= 1.5));
    assert!(counters.received as usize >= TICKS - 2);
    let gaps = gaps(&heard);
    assert!(gaps < 0.02, "{gaps}");
    assert_eq!((counters.lost, counters.late, counters.dropped), (0, 0, 0), "{counters:?}");
    assert!((counters.concealed as f64) < 0.06 * (TICKS * FRAME_SAMPLES) as f64, "{counters:?}");
}

#[test]
fn a_clean_line_is_heard_within_the_promised_time() {
    // From the first sample of a word at the sender to the same in what the listener decodes.
    let mut delays = Vec::new();
    for phase in [0, 3, 8, 13, 19] {
        let mut room = Room::new();
        let mut sender = Sender::join(&mut room, SPEAKER);
        let mut ear = Ear::join(&mut room, LISTENER);
        let mut heard = Vec::new();
        for n in 0..400 {
            // Captured from n·20 ms on, complete and sent 20 ms later, at this phase of the tick.
            let frame = if n < 200 { [0.0; FRAME_SAMPLES] } else { tone_frame(440.0, 0.3, n * FRAME_SAMPLES) };
            let packet = sender.say(&frame);
            sender.send(room.now + Duration::from_millis(phase), packet);
            room.tick();
            heard.extend(ear.hear());
        }
        // The packet of the tick at t is heard from t on; the first tick was at 20 ms, the first capture at phase - 20.
        let began = heard.iter().position(|x| x.abs() > 0.05).unwrap() as f64 / 48.0 + 20.0;
        let said = 200.0 * 20.0 + phase as f64 - 20.0;
        delays.push(began - said);
    }
    println!("tone in to tone out, ms: {delays:.1?}");
    assert!(delays.iter().all(|&ms| (20.0..75.0).contains(&ms)), "{delays:.1?}");
}

#[test]
fn speech_comes_through_with_its_level() {
    let mut room = Room::new();
    let mut sender = Sender::join(&mut room, SPEAKER);
    let mut ear = Ear::join(&mut room, LISTENER);
    let (mut speech, mut said, mut heard) = (Speech::default(), Vec::new(), Vec::new());
    for _ in 0..500 {
        let frame = speech.frame();
        said.extend_from_slice(&frame);
        let packet = sender.say(&frame);
        sender.send(room.now + Duration::from_millis(5), packet);
        room.tick();
        heard.extend(ear.hear());
    }
    let change = db(rms(&heard[48_000..]) / rms(&said[48_000..]));
    assert!(change.abs() < 3.0, "{change:.2} dB");
}

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
