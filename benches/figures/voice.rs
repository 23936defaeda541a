//! Figure 3: how late a voice is heard, and how little of one's own.
//!
//! All participants speak at once, a burst each two seconds, so that each burst goes through the change from the shared
//! encode to the speaker's own. A burst is late by the time from its onset at the microphone (the middle of its rise) to the
//! instant when the same point of it, decoded, can be played at a receiver without a playout delay of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use tessera::bots::{Bot, Heard};
use tessera::probe::SAMPLE_RATE;
use tessera::probe::onset::onsets;
use tessera::probe::statistics::median;
use tessera::probe::tone::{frequency, level_db};

use crate::crowd::{BURST_LENGTH, BURST_PERIOD};
use crate::report::{Goal, Row};

/// A burst is steady from this long after its onset on.
const STEADY: Duration = Duration::from_millis(300);

/// What bots keep of what they heard is 10 s: it is read more often than that.
pub const READ_EACH: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_secs(10);

/// What all receivers heard.
#[derive(Debug, Default)]
pub struct Hearing {
    /// The latency in ms of each burst, by who heard whom at which burst: windows overlap.
    latencies: BTreeMap<(usize, usize, u64), f64>,
    /// By how many dB one's own voice is below the weakest other one, by who heard that at which burst.
    own_below: BTreeMap<(usize, u64), f64>,
}

impl Hearing {
    /// Takes what the bot `listener` of `count` heard lately.
    pub fn read(&mut self, bot: &Bot, listener: usize, count: usize) {
        let heard = bot.heard(WINDOW);
        for speaker in (0..count).filter(|speaker| *speaker != listener) {
            for onset in onsets(&heard.samples, frequency(speaker)) {
                let Some(played) = heard.time_of(onset) else { continue };
                let period = BURST_PERIOD.as_nanos();
                let (burst, late) = (played.as_nanos() / period, played.as_nanos() % period);
                let (Ok(burst), late) = (u64::try_from(burst), late as f64 / 1e6) else { continue };
                self.latencies.insert((listener, speaker, burst), late);
                if let Some(below) = own_below(&heard, onset, listener, count) {
                    self.own_below.insert((listener, burst), below);
                }
            }
        }
    }

    pub fn rows(&self) -> Vec<Row> {
        let mut latencies: Vec<f64> = self.latencies.values().copied().collect();
        let mut below: Vec<f64> = self.own_below.values().copied().collect();
        vec![
            Row::new(
                "voice, tone in to tone out, median",
                Goal::AtMost(90.0),
                median(&mut latencies).unwrap_or(f64::NAN),
                "ms",
            ),
            Row::new(
                "own voice below the others', median",
                Goal::AtLeast(60.0),
                median(&mut below).unwrap_or(f64::NAN),
                "dB",
            ),
        ]
    }
}

/// Measures the steady part of the burst that sets in at this sample; `None` if not all of it was heard.
fn own_below(heard: &Heard, onset: f64, listener: usize, count: usize) -> Option<f64> {
    let samples = |time: Duration| (time.as_secs_f64() * f64::from(SAMPLE_RATE)) as usize;
    let begin = onset as usize + samples(STEADY);
    let steady = heard.samples.get(begin..onset as usize + samples(BURST_LENGTH - STEADY / 10))?;
    let level = |bot| level_db(steady, frequency(bot));
    let others = (0..count).filter(|bot| *bot != listener).map(level).fold(f64::INFINITY, f64::min);
    Some(others - level(listener))
}
