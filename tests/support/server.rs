//! The real server with a room in it, and bots for that room.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, BotError};
use tessera::control::{RoomView, TrackState};
use tessera::id::RoomId;
use tessera::media::Templates;

use crate::program::{PATIENCE, Program};

/// Encoding and decoding for a whole room takes the machine: one at a time, or they would measure each other.
static ALONE: Mutex<()> = Mutex::new(());

/// A running server, its room `studio` and what bots need. Ends with [`Server::end`].
pub struct Server {
    pub program: Program,
    pub runtime: tokio::runtime::Runtime,
    pub templates: Templates,
    room: RoomId,
    _alone: MutexGuard<'static, ()>,
}

impl Server {
    /// Starts a server with these settings (`section.key=value`).
    pub fn start(settings: &[&str]) -> Self {
        Self::start_by(&[], settings)
    }

    /// The same by a command that runs the rest of its arguments in its own place.
    pub fn start_by(by: &[&str], settings: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            program: Program::start_by(by, settings),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            templates: Templates::load(None).unwrap(),
            room: "studio".parse().unwrap(),
            _alone: alone,
        }
    }

    /// The bot of this index as it usually is: it joins, shows its colour, says its tone all the time.
    pub fn bot(&self, index: usize) -> BotConfig {
        let server = format!("http://{}", self.program.address).parse().unwrap();
        BotConfig::new(server, self.room.clone(), index)
    }

    pub fn try_join(&self, config: BotConfig) -> Result<Bot, BotError> {
        self.runtime.block_on(Bot::join(config, &self.templates))
    }

    #[track_caller]
    pub fn join(&self, config: BotConfig) -> Bot {
        let name = config.name.clone();
        self.try_join(config).unwrap_or_else(|error| panic!("{name} joins: {error}"))
    }

    #[track_caller]
    pub fn leave(&self, bot: Bot) {
        self.runtime.block_on(bot.leave()).unwrap();
    }

    /// The room as the API shows it, if there is one.
    #[track_caller]
    pub fn try_room(&self) -> Option<RoomView> {
        self.try_other_room("studio")
    }

    #[track_caller]
    pub fn try_other_room(&self, name: &str) -> Option<RoomView> {
        let answer = self.program.get(&format!("/api/rooms/{name}"));
        match answer.status.as_u16() {
            200 => Some(serde_json::from_slice(&answer.body).unwrap()),
            404 => None,
            _ => panic!("{answer:?}"),
        }
    }

    #[track_caller]
    pub fn room(&self) -> RoomView {
        self.try_room().expect("there is the room")
    }

    /// The room once it is as `wanted` says.
    #[track_caller]
    pub fn room_where(&self, what: &str, wanted: impl Fn(&RoomView) -> bool) -> RoomView {
        self.room_within(PATIENCE, what, wanted)
    }

    /// The same where it has to be so sooner, or may be so later.
    #[track_caller]
    pub fn room_within(&self, patience: Duration, what: &str, wanted: impl Fn(&RoomView) -> bool) -> RoomView {
        let end = Instant::now() + patience;
        loop {
            match self.try_room() {
                Some(room) if wanted(&room) => return room,
                room => assert!(Instant::now() < end, "in time: {what}; there is {room:?}"),
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The room once these many participants are in it, each with live pictures and a tile.
    #[track_caller]
    pub fn room_of(&self, count: usize) -> RoomView {
        self.room_where(&format!("{count} live participants"), |room| {
            room.participants.len() == count
                && room.participants.iter().all(|one| one.tile.is_some() && one.video == TrackState::Live)
        })
    }

    /// Ends the server, which must have nothing to complain of; gives its log.
    #[track_caller]
    pub fn end(self) -> String {
        let log = self.ended();
        let complaints = complaints(&log);
        assert!(complaints.is_empty(), "{complaints:#?}");
        log
    }

    /// Ends the server in order, whatever it complains of; gives its log.
    #[track_caller]
    pub fn ended(mut self) -> String {
        self.program.signal("TERM");
        assert_eq!(self.program.ended().code(), Some(0));
        self.program.log()
    }
}

/// What the server complains of in its log.
pub fn complaints(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect()
}
