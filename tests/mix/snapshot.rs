//! The composite as a JPEG, also of a room that nobody watches: its pictures are not decoded before somebody looks.

use std::time::Duration;

use tessera::bots::{BotConfig, Role};
use tessera::control::RoomView;
use tessera::probe::palette::COLOURS;
use tessera::probe::picture::{Picture, Rect};
use tessera::probe::tile::{Reading, read};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::control::live;
use crate::server::Server;
use crate::sight::{everybody_is_seen, index};

/// What a snapshot shows in each participant's tile, in the room's order.
#[track_caller]
fn snapshot(server: &Server, room: &RoomView) -> Vec<Reading> {
    let answer = server.program.get("/api/rooms/studio/snapshot.jpg");
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("image/jpeg")));
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::YCbCr);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(answer.body.as_slice()), options);
    let pixels = decoder.decode().unwrap();
    let (width, height) = decoder.dimensions().unwrap();
    assert_eq!((width, height), (room.canvas.width as usize, room.canvas.height as usize));
    let part = |component: usize, step: usize| {
        let rows = (0..height).step_by(step);
        rows.flat_map(move |y| (0..width).step_by(step).map(move |x| 3 * (y * width + x) + component))
    };
    let planes: Vec<u8> = part(0, 1).chain(part(1, 2)).chain(part(2, 2)).map(|at| pixels[at]).collect();
    let picture = Picture::packed(&planes, width, height).unwrap();
    let tile = |tile: tessera::control::TileView| {
        Rect::new(tile.x.into(), tile.y.into(), tile.width.into(), tile.height.into())
    };
    room.participants.iter().map(|one| read(&picture, tile(one.tile.unwrap()))).collect()
}

#[track_caller]
fn shows_everybody(server: &Server, room: &RoomView) {
    let shown: Vec<_> = snapshot(server, room).iter().map(|reading| reading.bot).collect();
    let expected: Vec<_> = room.participants.iter().map(|one| Some(index(one) % COLOURS)).collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_watched_room_shows_what_its_watchers_see() {
    let server = Server::start(&[]);
    let bots = [0, 1].map(|index| server.join(server.bot(index)));
    let room = server.room_of(2);
    everybody_is_seen(&server, &bots, &room, 10);
    shows_everybody(&server, &room);
    drop(bots);
    server.end();
}

#[test]
fn a_room_that_nobody_watches_is_looked_at_for_a_snapshot() {
    let server = Server::start(&[]);
    let bots = [0, 1, 2].map(|index| server.join(BotConfig { role: Role::Publish, ..server.bot(index) }));
    let room = server.room_of(3);
    // Longer than the pictures are decoded without a look, and than a picture stands for.
    let sent = bots[0].controls().sent_frames();
    server.eventually("the pictures of 4 s sent", || (bots[0].controls().sent_frames() >= sent + 120).then_some(()));
    for participant in &server.room().participants {
        assert!(live(participant), "a camera is on, whether somebody looks or not: {participant:?}");
    }
    for _ in 0..2 {
        shows_everybody(&server, &room);
    }
    // A picture that stands still is neither waited for nor missing.
    bots[1].controls().pause_video(true);
    let sent = bots[0].controls().sent_frames();
    server.eventually("4 s of the others", || (bots[0].controls().sent_frames() >= sent + 120).then_some(()));
    let asked = std::time::Instant::now();
    shows_everybody(&server, &room);
    assert!(asked.elapsed() < Duration::from_millis(1_900), "{:?} for a snapshot", asked.elapsed());
    // One that is refused is not waited for, either.
    bots[1].controls().resize(8_192, 1_808);
    bots[1].controls().pause_video(false);
    server.room_where("it is refused", |room| room.participants[1].refused.is_some());
    let asked = std::time::Instant::now();
    let shown = snapshot(&server, &room);
    assert!(asked.elapsed() < Duration::from_millis(1_900), "{:?} for a snapshot", asked.elapsed());
    assert_eq!([shown[0].bot, shown[2].bot], [Some(0), Some(2)]);
    for bot in bots {
        server.leave(bot);
    }
    server.end();
}
