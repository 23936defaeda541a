//! What bots see: the frames that they decode, tile by tile.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tessera::bots::{Bot, Frame, tiles};
use tessera::control::{ParticipantView, RoomView};
use tessera::probe::freshness::Freshness;
use tessera::probe::palette::COLOURS;
use tessera::probe::tile::{Fit, Reading};
use tokio::runtime::Runtime;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant as Deadline, timeout_at};

use crate::program::PATIENCE;
use crate::server::Server;

/// A picture that is older, or that shows nothing new for longer, hangs. Usually both are well under 100 ms, and how far
/// under is for the benchmarks to measure; this is what a machine with several times its load of other work takes.
const FROZEN_MS: f64 = 2_000.0;

/// How often a time has to go on to be seen to. Frames may come in a bunch that a busy machine had held up, with tiles
/// whose pictures are late: no count of frames promises that.
const STEPS: usize = 3;

/// The index of the bot that this participant is, by its name (`Bot 1` has index 0).
pub fn index(participant: &ParticipantView) -> usize {
    let number: usize = participant.name.rsplit(' ').next().unwrap().parse().unwrap();
    number - 1
}

/// What the tile of this participant shows in a frame.
pub fn reading(frame: &Frame, room: &RoomView, participant: &ParticipantView) -> Reading {
    let picture = frame.picture();
    let place = tiles::place(room, participant, (picture.width(), picture.height()), Fit::Cover).unwrap();
    tessera::probe::tile::read(&picture, place)
}

/// Whether everybody is in the tile that the API tells of.
pub fn is_as_told(frame: &Frame, room: &RoomView) -> bool {
    room.participants.iter().all(|one| reading(frame, room, one).bot == Some(index(one) % COLOURS))
}

/// What a frame shows of everybody, for messages.
pub fn told(frame: &Frame, room: &RoomView) -> Vec<(usize, Reading)> {
    room.participants.iter().map(|one| (index(one), reading(frame, room, one))).collect()
}

/// Follows frames as they are decoded, and keeps what `look` finds in each frame, until it is asked for.
pub struct Observation<T> {
    found: Arc<Mutex<Vec<T>>>,
    task: tokio::task::JoinHandle<()>,
}

impl<T: Send + 'static> Observation<T> {
    pub fn begin(
        server: &Server,
        mut frames: Receiver<Arc<Frame>>,
        look: impl Fn(&Frame) -> T + Send + 'static,
    ) -> Self {
        let found = Arc::new(Mutex::new(Vec::new()));
        let keep = found.clone();
        let task = server.runtime.spawn(async move {
            loop {
                match frames.recv().await {
                    Ok(frame) => keep.lock().unwrap().push(look(&frame)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Self { found, task }
    }

    /// How many frames were seen so far.
    pub fn count(&self) -> usize {
        self.found.lock().unwrap().len()
    }

    /// Whether this holds of the latest frame.
    pub fn latest(&self, holds: impl Fn(&T) -> bool) -> bool {
        self.found.lock().unwrap().last().is_some_and(holds)
    }

    /// What `find` makes of all of them so far.
    pub fn so_far<R>(&self, find: impl FnOnce(&[T]) -> R) -> R {
        find(&self.found.lock().unwrap())
    }

    pub fn end(self) -> Vec<T> {
        self.task.abort();
        std::mem::take(&mut self.found.lock().unwrap())
    }
}

/// The first frame from now on of which this holds.
#[track_caller]
pub fn see(runtime: &Runtime, bot: &Bot, what: &str, wanted: impl Fn(&Frame) -> bool) -> Arc<Frame> {
    let mut frames = bot.frames();
    let deadline = Deadline::from_std(Instant::now() + PATIENCE);
    loop {
        match runtime.block_on(async { timeout_at(deadline, frames.recv()).await }) {
            Ok(Ok(frame)) if wanted(&frame) => return frame,
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
            Ok(Err(RecvError::Closed)) => panic!("{} ended before it saw {what}", bot.config().name),
            Err(_) => panic!("{} sees in time: {what}", bot.config().name),
        }
    }
}

/// Each of these bots follows `count` frames in which everybody has to be where the room says, with a capture time that goes on.
pub fn everybody_is_seen<'a>(server: &Server, bots: impl IntoIterator<Item = &'a Bot>, room: &RoomView, count: usize) {
    let runtime = &server.runtime;
    std::thread::scope(|scope| {
        for bot in bots {
            scope.spawn(move || sees_everybody(runtime, bot, room, count));
        }
    });
}

fn sees_everybody(runtime: &Runtime, bot: &Bot, room: &RoomView, count: usize) {
    see(runtime, bot, "everybody in their tiles", |frame| is_as_told(frame, room));
    let mut frames = bot.frames();
    let mut followed: Vec<_> = room.participants.iter().map(|one| (one, Freshness::default())).collect();
    let deadline = Deadline::from_std(Instant::now() + PATIENCE);
    let mut seen = 0;
    let goes_on = |(_, freshness): &(_, Freshness)| freshness.gaps_ms().len() >= STEPS;
    while seen < count || !followed.iter().all(goes_on) {
        let frame = match runtime.block_on(async { timeout_at(deadline, frames.recv()).await }) {
            Ok(Ok(frame)) => frame,
            Ok(Err(RecvError::Lagged(_))) => continue,
            _ => panic!("{} sees {seen} of {count} frames in time: {followed:?}", bot.config().name),
        };
        assert!(is_as_told(&frame, room), "{} sees {:?} in {room:?}", bot.config().name, told(&frame, room));
        for (one, freshness) in &mut followed {
            let timecode = reading(&frame, room, one).timecode;
            freshness.frame(timecode, u64::try_from(frame.arrived.as_millis()).unwrap());
        }
        seen += 1;
    }
    for (one, freshness) in &followed {
        let what = format!("{} sees {} in {seen} frames", bot.config().name, one.name);
        let unreadable = freshness.unreadable();
        assert!(unreadable * 10 < seen as u64, "{what}, {unreadable} of which cannot be read");
        let longest = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
        let (oldest, gap) = (longest(freshness.ages_ms()), longest(freshness.gaps_ms()));
        assert!(oldest < FROZEN_MS && gap < FROZEN_MS, "{what}: {oldest} ms old, nothing new for {gap} ms");
    }
}
