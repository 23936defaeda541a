//! Whoever is put out knows it at once, with no WebSocket to be told on: by DTLS's `close_notify`, not by the silence.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, Role};
use tessera::control::Wanted;

use crate::bystanders::Bystanders;
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

/// Chromium knows by silence after 6 s, Firefox after 10 s, and libnice is not faster.
const AT_ONCE: Duration = Duration::from_secs(2);

fn viewer(server: &Server, index: usize) -> Bot {
    let rendition = Wanted::Named("medium".to_owned());
    server.join(BotConfig { role: Role::Watch { rendition }, ..server.bot(index) })
}

#[track_caller]
fn knows(bot: &Bot, since: Instant, what: &str) {
    eventually(AT_ONCE.saturating_sub(since.elapsed()), what, || bot.ended().then_some(()));
    println!("{what} after {:?}", since.elapsed());
}

#[test]
fn who_is_removed_knows_it_at_once() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let (removed, stays) = (viewer(&server, 10), viewer(&server, 11));
    let guest = server.join(server.bot(2));
    let room = server.room_of(3);
    for bot in [&removed, &stays, &guest] {
        eventually(PATIENCE, "there are pictures", || bot.last_frame());
        assert!(!bot.ended());
    }
    let viewers = room.viewers.iter().map(|one| (&one.name, one.id));
    let ids: HashMap<_, _> = viewers.chain(room.participants.iter().map(|one| (&one.name, one.id))).collect();
    for (bot, what) in [(&removed, "a viewer by WHEP"), (&guest, "a participant by WHIP")] {
        let path = format!("/api/rooms/studio/participants/{}", ids[&bot.config().name]);
        let start = Instant::now();
        assert_eq!(server.program.ask("DELETE", &path, &[], b"").status, 204);
        knows(bot, start, &format!("{what} knows that it is removed"));
    }

    bystanders.are_undisturbed("two who are removed");
    assert!(!stays.ended() && (0..2).all(|index| !bystanders.bot(index).ended()), "the others' calls go on");
    drop((removed, guest, stays, bystanders));
    server.end();
}

#[test]
fn who_watches_knows_the_rooms_end_at_once() {
    let server = Server::start(&["limits.linger=1"]);
    let publisher = server.join(server.bot(0));
    let viewer = viewer(&server, 10);
    server.room_of(1);
    server.leave(publisher);
    assert!(!viewer.ended(), "the room waits for another one");
    server.room_where("nobody is left", |room| room.participants.is_empty());
    eventually(PATIENCE, "the room ends", || server.try_room().is_none().then_some(()));
    knows(&viewer, Instant::now(), "a viewer knows that the room has ended");
    drop(viewer);
    server.end();
}
