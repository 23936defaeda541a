//! Figures 1 and 2: what each receiver sees, how smoothly and how late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tessera::bots::{Bot, Frame, tiles};
use tessera::control::RoomView;
use tessera::id::PeerId;
use tessera::probe::freshness::Freshness;
use tessera::probe::statistics::{median, percentile};
use tessera::probe::tile::Fit;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use crate::report::{Goal, Row};

/// A tile is fresh in a frame if what it shows was captured no longer ago than this.
const FRESH_MS: u16 = 150;

/// What one receiver saw.
#[derive(Debug, Default)]
pub struct Sight {
    frames: u64,
    /// Frames in which all tiles are fresh.
    fresh: u64,
    /// Frames that were decoded while this program was too busy to read them.
    missed: u64,
    arrivals: Vec<Duration>,
    tiles: BTreeMap<PeerId, Freshness>,
    seconds: f64,
}

impl Sight {
    /// From capture to decoded composite, of all tiles in all frames, in ms.
    pub fn ages(&self) -> Vec<f64> {
        self.tiles.values().flat_map(|tile| tile.ages_ms().iter().copied()).collect()
    }

    /// Frames per second in which all tiles are fresh.
    pub fn fresh_rate(&self) -> f64 {
        // Those that were not read count as the others were.
        let share = self.fresh as f64 / (self.frames.max(1)) as f64;
        share * (self.frames + self.missed) as f64 / self.seconds
    }

    /// The longest time in which no frame came or a tile showed nothing new, in ms.
    fn longest_gap(&self) -> f64 {
        let frames = self.arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1000.0);
        let now = self.arrivals.last().map_or(0, |last| millis(*last));
        let tiles = self.tiles.values().filter_map(|tile| tile.longest_gap_ms(now));
        frames.chain(tiles).fold(0.0, f64::max)
    }
}

/// Watches what `bot` decodes, for `length`.
pub fn watch(bot: &Bot, room: RoomView, length: Duration) -> impl Future<Output = Sight> + Send + use<> {
    let mut frames = bot.frames();
    async move {
        let mut sight = Sight { seconds: length.as_secs_f64(), ..Sight::default() };
        let deadline = Instant::now() + length;
        loop {
            match timeout_at(deadline, frames.recv()).await {
                Ok(Ok(frame)) => look(&mut sight, &room, &frame),
                Ok(Err(RecvError::Lagged(missed))) => sight.missed += missed,
                Ok(Err(RecvError::Closed)) | Err(_) => return sight,
            }
        }
    }
}

fn look(sight: &mut Sight, room: &RoomView, frame: &Arc<Frame>) {
    let now = millis(frame.arrived);
    let readings = tiles::read(&frame.picture(), room, Fit::Auto);
    let fresh = |age: u16| age <= FRESH_MS;
    sight.frames += 1;
    sight.fresh +=
        u64::from(readings.iter().all(|(_, reading)| reading.timecode.is_some_and(|time| fresh(time.age_ms(now)))));
    sight.arrivals.push(frame.arrived);
    for (peer, reading) in readings {
        sight.tiles.entry(peer).or_default().frame(reading.timecode, now);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The figures of all receivers.
pub fn rows(sights: &[Sight]) -> Vec<Row> {
    let mut ages: Vec<f64> = sights.iter().flat_map(Sight::ages).collect();
    let least = sights.iter().map(Sight::fresh_rate).fold(f64::INFINITY, f64::min);
    let gap = sights.iter().map(Sight::longest_gap).fold(0.0, f64::max);
    let unreadable: u64 = sights.iter().flat_map(|sight| sight.tiles.values()).map(Freshness::unreadable).sum();
    let missed: u64 = sights.iter().map(|sight| sight.missed).sum();
    if unreadable + missed > 0 {
        println!("  ({unreadable} tiles could not be read; {missed} frames went by unread)");
    }
    vec![
        Row::new("frame rate at the receiver who gets fewest, all tiles fresh", Goal::AtLeast(29.0), least, "fps"),
        Row::new("longest gap of any tile at any receiver", Goal::AtMost(150.0), gap, "ms"),
        Row::new(
            "capture to decoded composite, median",
            Goal::AtMost(70.0),
            median(&mut ages).unwrap_or(f64::NAN),
            "ms",
        ),
        Row::new(
            "capture to decoded composite, 95th percentile",
            Goal::AtMost(110.0),
            percentile(&mut ages, 95.0).unwrap_or(f64::NAN),
            "ms",
        ),
    ]
}
