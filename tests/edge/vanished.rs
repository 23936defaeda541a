//! A peer that is cut off loses its tile within 5 s and its place within 15 s; the others move up.

use std::time::{Duration, Instant};

use crate::bystanders::{Bystanders, shows};
use crate::eventually::eventually;
use crate::server::Server;

/// Until a new layout has come through decoders and encoder.
const MOVES_WITHIN: Duration = Duration::from_secs(4);

#[test]
fn a_vanished_peer_leaves_the_canvas_and_then_the_room() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let bot = server.join(server.small_bot(2));
    server.room_of(3);
    eventually(crate::program::PATIENCE, "it is seen", || {
        bystanders.bot(0).last_frame().filter(|frame| shows(frame, &[0, 1, 2]))
    });
    let gone = Instant::now();
    server.runtime.block_on(bot.vanish()).unwrap();

    let room = server.room_within(Duration::from_secs(5), "its tile is gone", |room| {
        room.participants.iter().filter(|one| one.tile.is_some()).count() == 2
    });
    println!("the tile is gone after {:?}", gone.elapsed());
    let tiles: Vec<_> = room.participants.iter().filter_map(|one| one.tile).collect();
    assert!(tiles.iter().all(|tile| (tile.width, tile.height) == (640, 360) && tile.y == 180), "moved up: {tiles:?}");
    for index in 0..2 {
        eventually(MOVES_WITHIN, "the others' tiles move", || {
            bystanders.bot(index).last_frame().filter(|frame| shows(frame, &[0, 1]))
        });
    }
    server.room_within(Duration::from_secs(15).saturating_sub(gone.elapsed()), "it is gone", |room| {
        room.participants.len() == 2
    });
    println!("the peer is gone after {:?}", gone.elapsed());
    bystanders.are_undisturbed("a peer that vanishes");
    drop(bystanders);
    assert!(server.end().contains("reason=Vanished"));
}
