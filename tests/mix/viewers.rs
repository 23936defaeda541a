//! Rooms in which nobody is but viewers.

use std::time::{Duration, Instant};

use tessera::bots::{BotConfig, BotError, Role, SignallingError};
use tessera::control::Wanted;

use crate::guest::Guest;
use crate::server::Server;
use crate::sight::everybody_is_seen;

#[test]
fn nobody_can_watch_before_somebody_publishes() {
    let server = Server::start(&[]);
    let refused = server.try_join(server.watcher(10, Wanted::Auto));
    assert!(matches!(refused, Err(BotError::Signalling(SignallingError::Refused { status: 409, .. }))), "{refused:?}");
    assert!(server.try_room().is_none(), "asking makes no room");
    server.end();
}

#[test]
fn viewers_wait_for_a_publisher_and_not_for_ever() {
    let server = Server::start(&["limits.linger=3"]);
    let publisher = |index| BotConfig { role: Role::Publish, ..server.bot(index) };
    let first = server.join(publisher(0));
    let viewer = server.join(server.watcher(10, Wanted::Auto));
    let room = server.room_of(1);
    everybody_is_seen(&server, [&viewer], &room, 5);
    server.leave(first);
    server.room_where("a room with nobody but the viewer", |room| {
        room.participants.is_empty() && room.viewers.len() == 1
    });

    // Somebody comes in time: the viewer's call goes on and shows that one.
    let second = server.join(publisher(1));
    let room = server.room_of(1);
    everybody_is_seen(&server, [&viewer], &room, 5);
    // Longer than the room would have waited.
    let sent = second.controls().sent_frames();
    server.eventually("four seconds' pictures", || (second.controls().sent_frames() > sent + 120).then_some(()));
    everybody_is_seen(&server, [&viewer], &room, 5);

    // Nobody comes: those who watch are told, and their resources are gone with the room.
    let mut guest = Guest::watch(&server);
    server.leave(second);
    let alone = Instant::now();
    let told = guest.next("closed", |_| true);
    let waited = alone.elapsed();
    assert_eq!(told["reason"], "room_ended");
    assert!(waited > Duration::from_millis(2_900), "the room waited {waited:?}");
    server.eventually("the room's end", || server.try_room().is_none().then_some(()));
    let resource = viewer.resource().path();
    server.program.ask("DELETE", resource, &[], b"").is_problem(404, "no-session");
    drop((guest, viewer));
    server.end();
}

#[test]
fn one_publishes_and_another_watches() {
    let server = Server::start(&[]);
    let publisher = server.join(BotConfig { role: Role::Publish, ..server.bot(0) });
    let viewers = [10, 11].map(|index| server.join(server.watcher(index, Wanted::Auto)));
    let room = server.room_of(1);
    assert_eq!((room.viewers.len(), room.participants[0].rendition.as_ref()), (2, None));
    everybody_is_seen(&server, &viewers, &room, 20);
    let heard = crate::sound::listen(&server, &viewers[0], Duration::from_secs(1));
    let level = crate::sound::level(&heard, 0);
    assert!((level - crate::sound::SENT_DB).abs() < 3.0, "the viewer hears it at {level} dB");
    let counts = publisher.counts();
    assert!(counts.video_packets == 0 && counts.audio_packets == 0, "nothing comes back: {counts:?}");
    drop((publisher, viewers));
    server.end();
}
