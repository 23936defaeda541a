//! Reading a tile of the composite: who is in it, and when that picture was captured.

use super::palette;
use super::picture::{Picture, Rect};
use super::timecode::Timecode;
use crate::{config, layout};

/// Where a tile's colour is read: above the timecode, away from the tile's edges (which a server may frame, label or
/// cut), in fractions of the picture shown.
const COLOUR: Rect = Rect::new(0.3, 0.12, 0.4, 0.15);

/// How a picture is put into a tile of another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As a server does by default.
    Auto,
    /// All of the picture is shown, with bars.
    Whole,
    /// All of the tile is covered, and the picture's edges are cut.
    Cover,
}

/// Where all of a picture of `width` by `height` is when it is shown in `tile`; reaches over the tile where it is cut.
pub fn place(width: u32, height: u32, tile: Rect, fit: Fit) -> Rect {
    let (x, y) = (tile.width / f64::from(width), tile.height / f64::from(height));
    let fills = match fit {
        Fit::Auto => {
            let tile = (tile.width.round() as u32, tile.height.round() as u32);
            layout::fills((width, height), (1, 1), tile, config::Fit::Auto)
        }
        Fit::Whole => false,
        Fit::Cover => true,
    };
    let scale = if fills { x.max(y) } else { x.min(y) };
    let (width, height) = (scale * f64::from(width), scale * f64::from(height));
    Rect::new(tile.x + (tile.width - width) / 2.0, tile.y + (tile.height - height) / 2.0, width, height)
}

/// What a tile shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The bot whose colour it has.
    pub bot: Option<usize>,
    /// When that bot captured it, where that can be read without doubt.
    pub timecode: Option<Timecode>,
}

/// Reads the bot's picture that is shown at `place` (see [`place`]).
pub fn read(picture: &Picture<'_>, place: Rect) -> Reading {
    Reading { bot: palette::identify(picture, place.part(COLOUR)), timecode: Timecode::read(picture, place) }
}

/// Paints a bot's whole picture: its colour and the time of the capture. `data` is a tightly packed I420 buffer.
pub fn paint(data: &mut [u8], width: usize, height: usize, index: usize, time: Timecode) {
    let colour = palette::colour(index);
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    let mut planes = data;
    for (size, level) in [(width * height, colour.y), (chroma, colour.u), (chroma, colour.v)] {
        let Some((plane, rest)) = planes.split_at_mut_checked(size) else { return };
        plane.fill(level);
        planes = rest;
        if level == colour.y && size == width * height {
            time.draw(plane, width, width, height);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_fitted_into_tiles() {
        let tile = Rect::new(100.0, 0.0, 640.0, 720.0);
        assert_eq!(place(640, 360, tile, Fit::Whole), Rect::new(100.0, 180.0, 640.0, 360.0));
        assert_eq!(place(640, 360, tile, Fit::Cover), Rect::new(-220.0, 0.0, 1280.0, 720.0));
    }

    #[test]
    fn a_painted_picture_is_read_back() {
        for (width, height) in [(640usize, 360usize), (322, 182), (160, 90)] {
            let mut data = vec![0; width * height + 2 * width.div_ceil(2) * height.div_ceil(2)];
            paint(&mut data, width, height, 7, Timecode::at(1_234));
            let picture = Picture::packed(&data, width, height).unwrap();
            let reading = read(&picture, Rect::new(0.0, 0.0, width as f64, height as f64));
            assert_eq!(reading, Reading { bot: Some(7), timecode: Some(Timecode::at(1_234)) });
        }
    }
}
