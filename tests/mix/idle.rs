//! What nobody watches costs nothing.

use tessera::bots::{BotConfig, Role};
use tessera::control::Wanted;

use crate::server::Server;
use crate::sight::everybody_is_seen;

#[test]
fn a_room_without_watchers_composes_nothing_and_an_empty_one_is_gone() {
    let server = Server::start(&[]);
    let bots = [0, 1].map(|index| server.join(BotConfig { role: Role::Publish, ..server.bot(index) }));
    let room = server.room_of(2);
    assert!(room.renditions.is_empty() && room.participants.iter().all(|one| one.rendition.is_none()), "{room:?}");
    // While the pictures of two seconds came in.
    let sent = bots[0].controls().sent_frames();
    server.eventually("60 pictures sent", || (bots[0].controls().sent_frames() >= sent + 60).then_some(()));
    assert_eq!(server.room().canvas.frames, 0);

    let viewer = server.join(server.watcher(10, Wanted::Auto));
    everybody_is_seen(&server, [&viewer], &room, 10);
    assert!(server.room().canvas.frames > 0);
    server.leave(viewer);
    let room = server.room_where("no viewer", |room| room.viewers.is_empty() && room.renditions.is_empty());
    let sent = bots[0].controls().sent_frames();
    server.eventually("30 pictures sent", || (bots[0].controls().sent_frames() >= sent + 30).then_some(()));
    let composed = server.room().canvas.frames - room.canvas.frames;
    assert!(composed <= 1, "{composed} frames for nobody, and one that was begun");

    for bot in bots {
        server.leave(bot);
    }
    server.eventually("the end of the room", || server.try_room().is_none().then_some(()));
    assert_eq!(server.program.get("/api/rooms").json()["rooms"].as_array().map(Vec::len), Some(0));
    server.end();
}
