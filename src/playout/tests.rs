use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(20);
const PERIOD: i64 = 240; // samples of the test tone: 200 Hz

/// A codec whose packets say at which place of an endless tone they begin and how long they are.
struct ToneCodec {
    at: i64,
}

fn tone(n: i64) -> f32 {
    0.5 * (std::f32::consts::TAU * (n % PERIOD) as f32 / PERIOD as f32).sin()
}

fn packet(start: i64, samples: i64) -> Vec<u8> {
    [start.to_be_bytes(), samples.to_be_bytes()].concat()
}

impl ToneCodec {
    fn fill(&mut self, start: i64, out: &mut [f32]) {
        self.at = start + out.len() as i64;
        for (n, sample) in (start..).zip(out) {
            *sample = tone(n);
        }
    }
}

impl Decode for ToneCodec {
    fn samples(&self, packet: &[u8]) -> Option<usize> {
        Some(i64::from_be_bytes(packet.get(8..16)?.try_into().ok()?) as usize)
    }

    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Option<usize> {
        if packet.len() == MAX_DTX_PAYLOAD {
            self.fill(self.at, &mut out[..FRAME_SAMPLES]);
            return Some(FRAME_SAMPLES);
        }
        let start = i64::from_be_bytes(packet.get(..8)?.try_into().ok()?);
        let samples = i64::from_be_bytes(packet.get(8..16)?.try_into().ok()?) as usize;
        self.fill(start, out.get_mut(..samples)?);
        Some(samples)
    }

    fn recover(&mut self, next: &[u8], out: &mut [f32]) -> bool {
        let Some(start) = next.get(..8).and_then(|start| start.try_into().ok()).map(i64::from_be_bytes) else {
            return false;
        };
        self.fill(start - out.len() as i64, out);
        true
    }

    fn conceal(&mut self, out: &mut [f32]) {
        assert_eq!(out.len() % 120, 0, "Opus conceals multiples of 2.5 ms");
        self.fill(self.at, out);
    }
}

/// A playout on a simulated line.
struct Line {
    playout: Playout,
    codec: ToneCodec,
    now: Duration,
    heard: Vec<f32>,
}

impl Line {
    fn new() -> Self {
        Self { playout: Playout::new(), codec: ToneCodec { at: 0 }, now: Duration::ZERO, heard: Vec::new() }
    }

    /// Plays packets, in the order of their arrival, and `ticks` frames.
    fn play(&mut self, packets: impl IntoIterator<Item = Sent>, ticks: u64) {
        let mut packets = packets.into_iter().peekable();
        for _ in 0..ticks {
            self.now += TICK;
            while let Some(sent) = packets.next_if(|sent| sent.arrives <= self.now) {
                self.playout.push(sent.arrives, sent.seq as u16, sent.timestamp as u32, sent.payload);
            }
            let mut frame = SILENCE;
            self.playout.pull(self.now, &mut self.codec, &mut frame);
            self.heard.extend_from_slice(&frame);
        }
    }

    fn counters(&self) -> PlayoutCounters {
        self.playout.counters()
    }

    fn delay_ms(&self) -> u128 {
        self.playout.delay(self.now).as_millis()
    }

    /// The largest step from one sample to the next; that of the tone is 0.0131.
    fn steepest(&self) -> f32 {
        self.heard.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }
}

#[derive(Clone, Debug)]
struct Sent {
    arrives: Duration,
    seq: i64,
    timestamp: i64,
    payload: Vec<u8>,
}

fn us(us: f64) -> Duration {
    Duration::from_micros(us.max(0.0) as u64)
}

/// Packets of `samples`, from a clock that runs `ppm` too fast, each arriving `late(n)` ms after it was complete.
fn sent(samples: i64, ppm: f64, late: impl Fn(i64) -> f64) -> impl Iterator<Item = Sent> {
    (0..).map(move |n| {
        let complete = ((n + 1) * samples) as f64 / 48_000.0 * 1e6 / (1.0 + ppm * 1e-6);
        Sent {
            arrives: us(complete + 1000.0 * late(n)),
            seq: 65_000 + n,
            timestamp: i64::from(u32::MAX) - 100_000 + n * samples,
            payload: packet(n * samples, samples),
        }
    })
}

/// Noise between 0 and 1 that is always the same.
fn noise(n: i64) -> f64 {
    let x = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x ^ (x >> 32)) >> 11) as f64 / (1u64 << 53) as f64
}

/// As jitter moves packets past one another, the simulated line must sort them.
fn by_arrival(packets: impl Iterator<Item = Sent>, count: usize) -> Vec<Sent> {
    let mut packets: Vec<Sent> = packets.take(count).collect();
    packets.sort_by_key(|sent| sent.arrives);
    packets
}

#[test]
fn a_clean_line_passes_bit_for_bit_and_waits_little() {
    for (samples, most) in [(120, 26), (240, 26), (480, 26), (960, 26), (1920, 50), (2880, 66), (5760, 126)] {
        for phase in [0.0, 3.0, 9.0, 17.0] {
            let mut line = Line::new();
            let mut packets = sent(samples, 0.0, |_| phase).peekable();
            // Voices begin at a tick; what short packets then wait too long is corrected within the first seconds.
            line.play(std::iter::from_fn(|| packets.next_if(|sent| sent.arrives <= 150 * TICK)), 150);
            let begun = line.counters();
            line.heard.clear();
            line.play(packets, 2850);
            let counters = line.counters();
            assert_eq!((counters.concealed, counters.late), (0, 0), "{samples} {phase}");
            assert_eq!(counters.splices, begun.splices, "{samples} {phase}");
            assert!(begun.splices == 0 || samples < 960, "{samples} {phase}: {begun:?}");
            let begin = (0..PERIOD).find(|&n| line.heard[..2] == [tone(n), tone(n + 1)]).unwrap();
            for (n, &x) in (begin..).zip(&line.heard) {
                assert_eq!(x, tone(n), "{samples} {phase}");
            }
            assert!(line.delay_ms() <= most, "{samples} {phase}: {} ms", line.delay_ms());
        }
    }
}

#[test]
fn drift_is_absorbed_for_hours() {
    for ppm in [-300.0, 300.0, 1000.0] {
        let mut line = Line::new();
        let mut packets = sent(960, ppm, |_| 2.0);
        for _minute in 0..120 {
            line.heard.clear();
            let until = line.now + 3000 * TICK;
            let of_this_minute: Vec<Sent> = packets.by_ref().take_while(|sent| sent.arrives <= until).collect();
            // The packet that ended the minute is lost to it, as any other may be.
            line.play(of_this_minute, 3000);
            assert!(line.delay_ms() <= 60, "{ppm} ppm: {} ms", line.delay_ms());
            assert!(line.steepest() < 0.014, "{ppm} ppm: {}", line.steepest());
        }
        let counters = line.counters();
        let moved = counters.removed as f64 - counters.inserted as f64;
        let drifted = 120.0 * 60.0 * 48_000.0 * ppm * 1e-6;
        assert!((moved - drifted).abs() < 0.02 * drifted.abs() + 3000.0, "{ppm} ppm: {moved} of {drifted}");
        assert!(counters.concealed <= 121 * 960, "{ppm} ppm: {counters:?}");
    }
}

#[test]
fn jitter_is_waited_for_and_forgotten() {
    let mut line = Line::new();
    let packets = by_arrival(sent(960, 0.0, |n| if n < 3000 { 80.0 * noise(n) } else { 1.0 }), 9000);
    let mut packets = packets.into_iter().peekable();
    line.play(std::iter::from_fn(|| packets.next_if(|sent| sent.arrives <= Duration::from_secs(30))), 1500);
    let settled = line.counters();
    assert!((70..=130).contains(&line.delay_ms()), "{} ms", line.delay_ms());
    line.play(std::iter::from_fn(|| packets.next_if(|sent| sent.arrives <= Duration::from_secs(60))), 1500);
    let concealed = line.counters().concealed - settled.concealed;
    assert!(concealed < 30 * 48_000 / 50, "{concealed} samples of 30 s were made up");
    line.play(packets, 4500);
    assert!(line.delay_ms() <= 30, "{} ms after the line was clean again", line.delay_ms());
}

#[test]
fn single_losses_are_recovered_once_the_line_is_known_to_lose() {
    let mut line = Line::new();
    let packets = sent(960, 0.0, |_| 5.0).filter(|sent| sent.seq % 20 != 7);
    line.play(packets, 6000);
    let counters = line.counters();
    assert!(counters.lost >= 295, "{counters:?}");
    assert!(counters.recovered * 100 >= counters.lost * 90, "{counters:?}");
    assert!(line.delay_ms() <= 50, "{} ms", line.delay_ms());
}

#[test]
fn concealment_fades_to_silence_and_the_voice_comes_back_without_a_click() {
    let mut line = Line::new();
    line.play(sent(960, 0.0, |_| 5.0).filter(|sent| !(65_050..65_075).contains(&sent.seq)), 200);
    let silent = line.heard.chunks(960).skip(10).take(150).filter(|frame| **frame == SILENCE).count();
    assert!((18..=22).contains(&silent), "{silent} frames of the 25 are silent");
    assert!(line.steepest() < 0.016, "{}", line.steepest());
    assert_eq!(line.counters().lost, 25);
    assert!(line.delay_ms() <= 50, "{} ms", line.delay_ms());
}

#[test]
fn a_stall_of_the_line_does_not_leave_a_delay() {
    let mut line = Line::new();
    // From 2 s to 3.5 s nothing comes, then all of it at once.
    let stall = |n: i64| if (100..175).contains(&n) { (175 - n) as f64 * 20.0 } else { 1.0 };
    line.play(by_arrival(sent(960, 0.0, stall), 3000), 2900);
    assert!(line.counters().dropped > 40, "{:?}", line.counters());
    assert!(line.delay_ms() <= 30, "{} ms", line.delay_ms());
}

#[test]
fn a_sender_that_begins_anew_is_followed() {
    let mut line = Line::new();
    line.play(sent(960, 0.0, |_| 5.0).take(100), 100);
    let anew = sent(960, 0.0, |_| 5.0).skip(100).map(|mut sent| {
        sent.seq += 20_000;
        sent.timestamp += 1 << 30;
        sent
    });
    line.play(anew, 200);
    assert_eq!(line.counters().restarts, 1);
    assert!(line.heard.chunks(960).rev().take(180).all(|frame| crate::pcm::level_dbfs(frame) > -10.0));
    assert!(line.steepest() < 0.016, "{}", line.steepest());
}

#[test]
fn a_packet_that_claims_to_be_longer_than_it_is_harms_no_other() {
    // The packet after it is there already as it is played, or comes when it is being played, or anything.
    for (late, jitter, others_harmed) in [(0.0, 0.0, 0), (3.0, 0.0, 0), (3.0, 60.0, 30)] {
        let mut line = Line::new();
        let liar = |mut sent: Sent| {
            if sent.seq % 20 == 7 {
                sent.payload[8..].copy_from_slice(&(MAX_PACKET_SAMPLES as i64).to_be_bytes());
            }
            sent
        };
        line.play(by_arrival(sent(960, 0.0, |n| late + jitter * noise(n)).map(liar), 1500), 1490);
        let counters = line.counters();
        assert!(counters.late + counters.lost <= others_harmed, "{counters:?}");
        assert!(counters.concealed <= (75 + others_harmed) * 960, "{counters:?}");
        line.heard.drain(..4_800);
        assert!(line.steepest() < 0.016, "{}", line.steepest());
        assert!(line.delay_ms() <= 50 + jitter as u128, "{} ms", line.delay_ms());
    }
}

#[test]
fn duplicates_and_reordering_are_sorted_out() {
    let mut line = Line::new();
    // Pairs change places on the way, and each packet comes twice.
    let swap = |n: i64| if n % 2 == 0 { 26.0 } else { 5.0 };
    let mut packets = by_arrival(sent(960, 0.0, swap), 1000);
    packets = packets.into_iter().flat_map(|sent| [sent.clone(), sent]).collect();
    line.play(packets, 990);
    let counters = line.counters();
    assert!(counters.duplicate + counters.late >= 900, "{counters:?}");
    assert!(counters.concealed < 20 * 960, "{counters:?}");
    line.heard.drain(..48_000);
    assert!(line.steepest() < 0.016, "{}", line.steepest());
}

#[test]
fn an_announced_silence_is_filled_with_its_noise() {
    let mut line = Line::new();
    // Every 400 ms a packet, of which the last announced the silence (DTX).
    let packets = sent(960, 0.0, |_| 5.0).filter_map(|mut sent| {
        let n = sent.seq - 65_000;
        if n > 50 && n % 20 == 11 {
            sent.payload.truncate(2);
        }
        (n <= 50 || n % 20 == 10 || n % 20 == 11).then_some(sent)
    });
    let mut seq = 0;
    let contiguous = packets.map(|mut sent| {
        seq += 1;
        sent.seq = seq;
        sent
    });
    line.play(contiguous, 300);
    assert_eq!(line.counters().lost, 0, "{:?}", line.counters());
    let silent = line.heard.chunks(960).skip(5).filter(|frame| **frame == SILENCE).count();
    assert_eq!(silent, 0);
}

#[test]
fn a_voice_without_packets_is_idle() {
    let mut line = Line::new();
    line.play(sent(960, 0.0, |_| 5.0).take(50), 200);
    let mut frame = SILENCE;
    line.now += TICK;
    assert_eq!(line.playout.pull(line.now, &mut line.codec, &mut frame), Pulled::Idle);
    assert_eq!(frame, SILENCE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever arrives, every frame is made, is finite and keeps within the tone's level, and nothing grows.
    #[test]
    fn nothing_that_arrives_breaks_it(
        packets in prop::collection::vec((0u64..60, any::<u16>(), any::<u32>(), 0u8..8, any::<u8>()), 1..600),
    ) {
        let mut line = Line::new();
        let (mut seq, mut timestamp) = (0u16, 0u32);
        let mut at = 0;
        let mut all = Vec::new();
        for (gap, wild_seq, wild_timestamp, kind, length) in packets {
            at += gap;
            let samples = [120, 240, 480, 960, 1920, 2880, 5760, 960][usize::from(length % 8)];
            match kind {
                0 => seq = wild_seq,
                1 => timestamp = wild_timestamp,
                2 => (seq, timestamp) = (wild_seq, wild_timestamp),
                3 => timestamp = timestamp.wrapping_add(wild_timestamp % 200_000),
                _ => {}
            }
            let payload = if kind == 4 { vec![0; usize::from(length)] } else { packet(i64::from(timestamp), samples) };
            all.push(Sent { arrives: Duration::from_millis(at), seq: seq.into(), timestamp: timestamp.into(), payload });
            seq = seq.wrapping_add(1);
            timestamp = timestamp.wrapping_add(samples as u32);
        }
        line.play(all, at / 20 + 200);
        prop_assert!(line.heard.iter().all(|x| x.is_finite() && x.abs() <= 1.0));
        prop_assert!(line.playout.waiting.len() <= MAX_WAITING);
        prop_assert!(line.playout.ready.len() <= MAX_PACKET_SAMPLES + 2 * FRAME_SAMPLES);
    }
}
