//! Everybody is seen by everybody, in the tile that the API tells of, also while others come and go.

use tessera::control::{RoomView, TileView};
use tessera::layout;

use crate::server::Server;
use crate::sight::{Observation, everybody_is_seen, is_as_told, told};

/// The room without this participant: those who remain close ranks.
fn without(room: &RoomView, name: &str) -> RoomView {
    let mut left = room.clone();
    left.participants.retain(|participant| participant.name != name);
    let tiles = layout::grid((room.canvas.width, room.canvas.height), left.participants.len());
    for (participant, tile) in left.participants.iter_mut().zip(tiles) {
        participant.tile = Some(TileView { x: tile.x, y: tile.y, width: tile.width, height: tile.height });
    }
    left
}

#[test]
fn one_to_five_see_each_other_in_their_tiles_and_close_ranks() {
    let server = Server::start(&[]);
    let mut bots = Vec::new();
    for count in 1..=5 {
        bots.push(server.join(server.bot(count - 1)));
        let room = server.room_of(count);
        everybody_is_seen(&server, &bots, &room, 30);
    }
    // The second one goes: everybody after it moves, and all tiles grow.
    for leaver in [1, 0] {
        let before = server.room_of(bots.len());
        let gone = bots.remove(leaver);
        let after = without(&before, &gone.config().name);
        let watching: Vec<_> = bots
            .iter()
            .map(|bot| {
                let (before, after) = (before.clone(), after.clone());
                let look =
                    move |frame: &_| (is_as_told(frame, &before), is_as_told(frame, &after), told(frame, &after));
                Observation::begin(&server, bot.frames(), look)
            })
            .collect();
        server.leave(gone);
        let room = server.room_where("the leaver is gone", |room| room.participants.len() == bots.len());
        for (now, expected) in room.participants.iter().zip(&after.participants) {
            assert_eq!((&now.name, now.tile), (&expected.name, expected.tile));
        }
        everybody_is_seen(&server, &bots, &room, 15);
        for (bot, frames) in bots.iter().zip(watching) {
            // Every single frame shows one layout or the other, and the old one never again after the new one.
            let frames = frames.end();
            let broken = frames.iter().find(|(before, after, _)| !before && !after);
            assert!(broken.is_none(), "{} saw {broken:?}", bot.config().name);
            let first = frames.iter().position(|(_, after, _)| *after).unwrap();
            assert!(frames[first..].iter().all(|(_, after, _)| *after), "{} saw both", bot.config().name);
        }
    }
    drop(bots);
    server.end();
}
