//! A room of a server of its own, with bots in it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tessera::bots::{Bot, BotConfig, BotError, Role};
use tessera::control::{ParticipantView, RoomView, Wanted};
use tessera::id::RoomId;
use tessera::media::Templates;

use crate::eventually;
use crate::program::{PATIENCE, Program};

/// Encoding and decoding for a whole room takes the machine: one at a time, or they would measure each other.
static ALONE: Mutex<()> = Mutex::new(());

/// The server, its room `mix` and what bots need. Ends with [`Conference::end`].
pub struct Conference {
    program: Program,
    runtime: tokio::runtime::Runtime,
    templates: Templates,
    room: RoomId,
    _alone: MutexGuard<'static, ()>,
}

impl Conference {
    /// Starts a server with these settings (`section.key=value`).
    pub fn start(settings: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            program: Program::start(settings),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            templates: Templates::load(None).unwrap(),
            room: "mix".parse().unwrap(),
            _alone: alone,
        }
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// The bot of this index as it usually is: it joins, shows its colour, says its tone all the time.
    pub fn bot(&self, index: usize) -> BotConfig {
        let server = format!("http://{}", self.program.address).parse().unwrap();
        BotConfig::new(server, self.room.clone(), index)
    }

    /// A bot that only watches.
    pub fn watcher(&self, index: usize, rendition: Wanted) -> BotConfig {
        BotConfig { role: Role::Watch { rendition }, ..self.bot(index) }
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
        let answer = self.program.get("/api/rooms/mix");
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
        let end = Instant::now() + PATIENCE;
        loop {
            let room = self.try_room();
            match room {
                Some(room) if wanted(&room) => return room,
                room => assert!(Instant::now() < end, "in time: {what}; there is {room:?}"),
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The room once this many participants show live pictures.
    #[track_caller]
    pub fn room_of(&self, count: usize) -> RoomView {
        let live = |room: &RoomView| {
            room.participants.len() == count && room.participants.iter().all(|one| one.tile.is_some() && live(one))
        };
        self.room_where(&format!("{count} live participants"), live)
    }

    #[track_caller]
    pub fn participant(&self, bot: &Bot) -> ParticipantView {
        let room = self.room();
        let found = room.participants.into_iter().find(|participant| participant.name == bot.config().name);
        found.expect("the bot is in the room")
    }

    /// Mutes or unmutes the bot on the server's side.
    #[track_caller]
    pub fn mute(&self, bot: &Bot, muted: bool) {
        let id = self.participant(bot).id;
        self.post(&format!("/api/rooms/mix/participants/{id}/mute"), &json!({ "muted": muted }));
    }

    /// Lets the bot, which is a participant or a viewer, watch this from now on.
    #[track_caller]
    pub fn watch(&self, bot: &Bot, rendition: &str) {
        let room = self.room();
        let participants = room.participants.iter().map(|participant| (&participant.name, participant.id));
        let viewers = room.viewers.iter().map(|viewer| (&viewer.name, viewer.id));
        let (_, id) = participants.chain(viewers).find(|(name, _)| **name == bot.config().name).unwrap();
        self.post(&format!("/api/rooms/mix/participants/{id}/rendition"), &json!({ "rendition": rendition }));
    }

    #[track_caller]
    fn post(&self, path: &str, body: &serde_json::Value) {
        let headers = [("content-type", "application/json")];
        let answer = self.program.ask("POST", path, &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
    }

    /// Waits for a condition on the bots.
    #[track_caller]
    pub fn eventually<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        eventually::eventually(PATIENCE, what, ask)
    }

    /// Ends the server, which must have nothing to complain of.
    #[track_caller]
    pub fn end(mut self) {
        self.program.signal("TERM");
        assert_eq!(self.program.ended().code(), Some(0));
        let log = self.program.log();
        let complaints: Vec<&str> =
            log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// Whether pictures of it come.
pub fn live(participant: &ParticipantView) -> bool {
    participant.video == tessera::control::TrackState::Live
}
