//! What bots hear: the levels of everybody's tones.

use std::time::Duration;

use tessera::bots::Bot;
use tessera::probe::SAMPLE_RATE;
use tessera::probe::statistics::median;
use tessera::probe::tone::{frequency, level_db, samples};

use crate::server::Server;

/// How loud bots speak.
pub const SENT_DB: f64 = -12.04;

/// Levels are measured in pieces of 200 ms; a gap that a busy machine makes spoils one of them, not the median.
const PIECE: usize = SAMPLE_RATE as usize / 5;

/// So much of what the bot hears, all of it heard after this call.
#[track_caller]
pub fn listen(server: &Server, bot: &Bot, length: Duration) -> Vec<f32> {
    let from = tessera::bots::host_time();
    server.eventually("enough sound", || {
        let heard = bot.heard(length);
        let (_, first) = heard.arrivals.first()?;
        (*first >= from && heard.samples.len() as u64 + 960 >= samples(length)).then_some(heard.samples)
    })
}

/// The median of the levels that the tone of this bot has, in dB of full scale.
pub fn level(samples: &[f32], index: usize) -> f64 {
    let pieces = samples.chunks_exact(PIECE).map(|piece| level_db(piece, frequency(index)));
    median(&mut pieces.collect::<Vec<_>>()).expect("there is at least a piece")
}

/// The same where only a trace of the tone may be: in pieces of a second, which tell it from the noise of Opus.
pub fn trace(samples: &[f32], index: usize) -> f64 {
    let pieces = samples.chunks_exact(PIECE * 5).map(|piece| level_db(piece, frequency(index)));
    median(&mut pieces.collect::<Vec<_>>()).expect("there is at least a second")
}

/// The loudest that it is in any piece of 200 ms.
pub fn loudest(samples: &[f32], index: usize) -> f64 {
    let pieces = samples.chunks_exact(PIECE).map(|piece| level_db(piece, frequency(index)));
    pieces.fold(f64::NEG_INFINITY, f64::max)
}
