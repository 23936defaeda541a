//! How pictures of another shape than their tile's stand in it: cut, or between bars.

use tessera::bots::{Bot, BotConfig, Frame, tiles};
use tessera::control::{ParticipantView, RoomView, Wanted};
use tessera::probe::palette;
use tessera::probe::picture::Rect;
use tessera::probe::tile::{self, Fit};

use crate::server::Server;
use crate::sight::see;

/// Luma of the canvas where nothing is.
const BACKGROUND: f64 = 24.0;

/// 4:3, upright and 3:1.
const ODD: [(u32, u32); 3] = [(480, 360), (360, 480), (720, 240)];
/// 16:10, 3:2 and 2:1.
const USUAL: [(u32, u32); 3] = [(480, 300), (480, 320), (640, 320)];

/// Bots of these sizes, and one who watches.
fn shapes(server: &Server, sizes: [(u32, u32); 3]) -> ([Bot; 3], Bot, RoomView) {
    let bots = [0, 1, 2].map(|index| {
        let (width, height) = sizes[index];
        server.join(BotConfig { width, height, ..server.bot(index) })
    });
    let viewer = server.join(server.watcher(10, Wanted::Auto));
    let room = server.room_of(3);
    (bots, viewer, room)
}

fn tile_of(frame: &Frame, room: &RoomView, participant: &ParticipantView) -> Rect {
    let tile = participant.tile.unwrap();
    let scale = frame.picture().width() as f64 / f64::from(room.canvas.width);
    Rect::new(tile.x.into(), tile.y.into(), tile.width.into(), tile.height.into()).scaled(scale, scale)
}

/// The time, which can only be read where the picture is undistorted and where it is thought to be.
fn is_placed(frame: &Frame, room: &RoomView, participant: &ParticipantView, fit: Fit) -> bool {
    let picture = frame.picture();
    let place = tiles::place(room, participant, (picture.width(), picture.height()), fit).unwrap();
    tile::read(&picture, place).timecode.is_some()
}

/// The four corners of a tile; the lower ones above the label.
const CORNERS: [Rect; 4] = [
    Rect::new(0.01, 0.01, 0.06, 0.06),
    Rect::new(0.93, 0.01, 0.06, 0.06),
    Rect::new(0.01, 0.75, 0.06, 0.06),
    Rect::new(0.93, 0.75, 0.06, 0.06),
];

#[test]
fn fill_cuts_what_is_too_much() {
    fills(&["video.fit=fill"], ODD);
}

#[test]
fn fit_shows_all_of_it_between_bars() {
    shows_all(&["video.fit=fit"], ODD);
}

#[test]
fn by_default_what_loses_little_is_cut_and_what_would_lose_much_is_shown_whole() {
    fills(&[], USUAL);
    shows_all(&[], ODD);
}

fn fills(settings: &[&str], sizes: [(u32, u32); 3]) {
    let server = Server::start(settings);
    let (bots, viewer, room) = shapes(&server, sizes);
    see(&server.runtime, &viewer, "three pictures that fill their tiles", |frame| {
        room.participants.iter().enumerate().all(|(index, participant)| {
            let tile = tile_of(frame, &room, participant);
            let coloured = |corner: &Rect| palette::identify(&frame.picture(), tile.part(*corner)) == Some(index);
            is_placed(frame, &room, participant, Fit::Cover) && CORNERS.iter().all(coloured)
        })
    });
    drop((bots, viewer));
    server.end();
}

fn shows_all(settings: &[&str], sizes: [(u32, u32); 3]) {
    let server = Server::start(settings);
    let (bots, viewer, room) = shapes(&server, sizes);
    see(&server.runtime, &viewer, "three whole pictures between bars", |frame| {
        let picture = frame.picture();
        room.participants.iter().enumerate().all(|(index, participant)| {
            let tile = tile_of(frame, &room, participant);
            let place = tiles::place(&room, participant, (picture.width(), picture.height()), Fit::Whole).unwrap();
            // Bars: a corner of the tile lies outside of the picture. The picture's own corners are there, too.
            let bare = |corner: &Rect| {
                let [y, u, v] = picture.mean(tile.part(*corner)).unwrap();
                [(y, BACKGROUND), (u, 128.0), (v, 128.0)].iter().all(|(is, should)| (is - should).abs() < 12.0)
            };
            let corners = if place.width < tile.width { &CORNERS[..] } else { &CORNERS[..2] };
            let coloured = |corner: &Rect| palette::identify(&picture, place.part(*corner)) == Some(index);
            is_placed(frame, &room, participant, Fit::Whole)
                && corners.iter().all(bare)
                && CORNERS[..2].iter().all(coloured)
        })
    });
    drop((bots, viewer));
    server.end();
}
