//! Two participants who do nothing wrong. Whatever happens beside them, they see each other's pictures, fresh and in their
//! tiles, and hear each other's tones and not their own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tessera::bots::{Bot, Frame, host_time};
use tessera::layout;
use tessera::probe::SAMPLE_RATE;
use tessera::probe::freshness::Freshness;
use tessera::probe::picture::Rect;
use tessera::probe::statistics::median;
use tessera::probe::tile::{self, Fit, Reading};
use tessera::probe::tone::{frequency, level_db};
use tokio::sync::broadcast::error::RecvError;

use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

/// They join first, so these are their tiles and their indices.
const COUNT: usize = 2;
/// More are never in the room of these tests.
const MOST: usize = 5;
const CANVAS: (u32, u32) = (1280, 720);

/// How often it is listened, and to how much.
const LISTEN: Duration = Duration::from_millis(250);
const PIECE: Duration = Duration::from_millis(300);
/// A tone is said at -12 dB of full scale. Well below that it is interrupted, far below it is not there.
const HEARD_DB: f64 = -24.0;
const UNHEARD_DB: f64 = -40.0;

/// A frozen picture is one that shows nothing new for so long. Generous: the machine has other work.
const FROZEN_MS: f64 = 2_000.0;
const OLD_MS: f64 = 1_000.0;

/// What a frame shows in tile `index` of `count`.
pub fn tile_of(frame: &Frame, index: usize, count: usize) -> Reading {
    let picture = frame.picture();
    let area = layout::grid(CANVAS, count)[index];
    let area = Rect::new(area.x.into(), area.y.into(), area.width.into(), area.height.into());
    let (x, y) = (picture.width() as f64 / f64::from(CANVAS.0), picture.height() as f64 / f64::from(CANVAS.1));
    tile::read(&picture, tile::place(320, 180, area.scaled(x, y), Fit::Cover))
}

/// Whether the frame shows these bots, in this order, and nobody else.
pub fn shows(frame: &Frame, bots: &[usize]) -> bool {
    bots.iter().enumerate().all(|(index, bot)| tile_of(frame, index, bots.len()).bot == Some(*bot))
}

/// What one of them saw and heard since it was last asked.
#[derive(Default)]
struct Impressions {
    /// Of each bystander's tile, wherever the layout has it.
    tiles: [Freshness; COUNT],
    frames: usize,
    /// Levels of the tones of the first [`MOST`] bots, one row for each time it was listened.
    levels: Vec<[f64; MOST]>,
    /// Bots beside the bystanders that were seen in a frame.
    strangers: Vec<usize>,
}

impl Impressions {
    fn see(&mut self, frame: &Frame) {
        self.frames += 1;
        let now = u64::try_from(frame.arrived.as_millis()).unwrap();
        for (index, freshness) in self.tiles.iter_mut().enumerate() {
            // How many share the canvas at this moment shows by where the tile is found.
            let readings = (index.max(1) + 1..=MOST).map(|count| tile_of(frame, index, count));
            let timecode = readings.filter(|reading| reading.bot == Some(index)).find_map(|reading| reading.timecode);
            freshness.frame(timecode, now);
        }
        let strangers = (COUNT..MOST).map(|index| tile_of(frame, COUNT, index.max(COUNT + 1)).bot);
        self.strangers.extend(strangers.flatten().filter(|bot| (COUNT..MOST).contains(bot)));
    }

    fn hear(&mut self, bot: &Bot) {
        let heard = bot.heard(PIECE).samples;
        let wanted = SAMPLE_RATE as usize / 5;
        let piece = &heard[heard.len().saturating_sub(wanted)..];
        self.levels.push(std::array::from_fn(|index| level_db(piece, frequency(index))));
    }
}

pub struct Bystanders {
    bots: Vec<Arc<Bot>>,
    impressions: Vec<Arc<Mutex<Impressions>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    since: Instant,
}

impl Bystanders {
    /// They join and see each other. From here on they watch.
    #[track_caller]
    pub fn join(server: &Server) -> Self {
        let bots: Vec<_> = (0..COUNT).map(|index| Arc::new(server.join(server.small_bot(index)))).collect();
        for bot in &bots {
            eventually(PATIENCE, "they see each other", || {
                bot.last_frame().filter(|frame| shows(frame, &[0, 1]) && tile_of(frame, 0, 2).timecode.is_some())
            });
            eventually(PATIENCE, "there is sound", || (bot.heard(PIECE).samples.len() > 10_000).then_some(()));
        }
        let impressions: Vec<Arc<Mutex<Impressions>>> = bots.iter().map(|_| Arc::default()).collect();
        let tasks = bots
            .iter()
            .zip(&impressions)
            .map(|(bot, impressions)| server.runtime.spawn(watch(Arc::clone(bot), Arc::clone(impressions))))
            .collect();
        Self { bots, impressions, tasks, since: Instant::now() }
    }

    pub fn bot(&self, index: usize) -> &Bot {
        &self.bots[index]
    }

    /// Watches on until it was for so long since the last judgement.
    pub fn watch_for(&self, time: Duration) {
        let end = self.since + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }

    /// Whether a bystander saw or heard the bot of this index since the last judgement.
    pub fn noticed(&self, index: usize) -> bool {
        self.impressions.iter().any(|impressions| {
            let impressions = impressions.lock().unwrap();
            impressions.strangers.contains(&index) || impressions.levels.iter().any(|row| row[index] > UNHEARD_DB)
        })
    }

    /// Fails unless all was normal since the last judgement.
    #[track_caller]
    pub fn are_undisturbed(&mut self, by: &str) {
        self.judge(by, true);
    }

    /// As [`Bystanders::are_undisturbed`], but beside somebody who makes noise, which has everybody's tones in it.
    #[track_caller]
    pub fn are_undisturbed_in_noise(&mut self, by: &str) {
        self.judge(by, false);
    }

    #[track_caller]
    fn judge(&mut self, by: &str, quiet: bool) {
        // Something has to be judged by.
        self.watch_for(Duration::from_secs(2));
        let elapsed = self.since.elapsed();
        self.since = Instant::now();
        for (own, impressions) in self.impressions.iter().enumerate() {
            let seen = std::mem::take(&mut *impressions.lock().unwrap());
            let now = u64::try_from(host_time().as_millis()).unwrap();
            for (index, tile) in seen.tiles.iter().enumerate() {
                let what = format!("bystander {own} sees {index} beside {by}, {} frames in {elapsed:?}", seen.frames);
                let gap = tile.longest_gap_ms(now).unwrap_or(f64::INFINITY);
                assert!(gap < FROZEN_MS, "{what}: nothing new for {gap} ms");
                let age = median(&mut tile.ages_ms().to_vec()).unwrap_or(f64::INFINITY);
                assert!(age < OLD_MS, "{what}: {age} ms old");
                assert!(tile.unreadable() * 4 < seen.frames as u64, "{what}: {} cannot be read", tile.unreadable());
            }
            let (other, times) = (1 - own, seen.levels.len());
            let interrupted = seen.levels.iter().filter(|row| row[other] < HEARD_DB).count();
            let echoes = seen.levels.iter().filter(|row| row[own] > UNHEARD_DB).count();
            let what = format!("bystander {own} listens {times} times beside {by}");
            assert!(
                interrupted * 8 <= times,
                "{what}: the other is not there {interrupted} times: {:.0?}",
                seen.levels
            );
            assert!(!quiet || echoes * 8 <= times, "{what}: it hears itself {echoes} times: {:.0?}", seen.levels);
            println!("{what}: {} frames, interrupted {interrupted}, echoes {echoes}", seen.frames);
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn watch(bot: Arc<Bot>, impressions: Arc<Mutex<Impressions>>) {
    let mut frames = bot.frames();
    let mut listening = tokio::time::interval(LISTEN);
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Ok(frame) => impressions.lock().unwrap().see(&frame),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = listening.tick() => impressions.lock().unwrap().hear(&bot),
        }
    }
}
