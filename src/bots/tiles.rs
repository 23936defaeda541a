//! What a frame of the composite says of each participant, by the tiles that the server's API tells of.

use crate::control::{ParticipantView, RoomView};
use crate::id::PeerId;
use crate::probe::picture::{Picture, Rect};
use crate::probe::tile::{self, Fit, Reading};

/// The shape that a bot's picture is taken to have where the server does not tell it.
const USUAL: (u32, u32) = (640, 360);

/// Where the whole picture of a participant is in a frame of this size; `None` for who has no tile.
pub fn place(room: &RoomView, participant: &ParticipantView, frame: (usize, usize), fit: Fit) -> Option<Rect> {
    let area = participant.tile?;
    let area = Rect::new(area.x.into(), area.y.into(), area.width.into(), area.height.into());
    let (x, y) = (frame.0 as f64 / f64::from(room.canvas.width), frame.1 as f64 / f64::from(room.canvas.height));
    let (width, height) = participant.picture.as_ref().map_or(USUAL, |picture| (picture.width, picture.height));
    Some(tile::place(width, height, area.scaled(x, y), fit))
}

/// Reads the tile of everybody who has one.
pub fn read(picture: &Picture<'_>, room: &RoomView, fit: Fit) -> Vec<(PeerId, Reading)> {
    let size = (picture.width(), picture.height());
    let reading = |participant: &ParticipantView| {
        let place = place(room, participant, size, fit)?;
        Some((participant.id, tile::read(picture, place)))
    };
    room.participants.iter().filter_map(reading).collect()
}
