//! What these tests do with a server's room: watch it, and steer it through the API.

use serde_json::json;
use tessera::bots::{Bot, BotConfig, Role};
use tessera::control::{ParticipantView, Wanted};

use crate::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

impl Server {
    /// A bot that only watches.
    pub fn watcher(&self, index: usize, rendition: Wanted) -> BotConfig {
        BotConfig { role: Role::Watch { rendition }, ..self.bot(index) }
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
        self.post(&format!("/api/rooms/studio/participants/{id}/mute"), &json!({ "muted": muted }));
    }

    /// Lets the bot, which is a participant or a viewer, watch this from now on.
    #[track_caller]
    pub fn watch(&self, bot: &Bot, rendition: &str) {
        let room = self.room();
        let participants = room.participants.iter().map(|participant| (&participant.name, participant.id));
        let viewers = room.viewers.iter().map(|viewer| (&viewer.name, viewer.id));
        let (_, id) = participants.chain(viewers).find(|(name, _)| **name == bot.config().name).unwrap();
        self.post(&format!("/api/rooms/studio/participants/{id}/rendition"), &json!({ "rendition": rendition }));
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
}

/// Whether pictures of it come.
pub fn live(participant: &ParticipantView) -> bool {
    participant.video == tessera::control::TrackState::Live
}
