//! The bots' colours: one for each, told apart after scaling and lossy coding by their chroma.

use super::picture::{Picture, Rect};

/// Colours that can be told apart; bots beyond that many use them again.
pub const COLOURS: usize = 24;

/// Chroma levels of either axis: all combinations but the grey one, which backgrounds have.
const LEVELS: [u8; 5] = [64, 96, 128, 160, 192];

/// Half the distance of two neighbours is the most that coding may move a colour.
const TOLERANCE: f64 = 16.0;

/// With this luma all of the colours are inside of what RGB can show.
const LUMA: u8 = 110;

/// A colour in limited range, as I420 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub y: u8,
    pub u: u8,
    pub v: u8,
}

/// The colour of the bot with this index. Bots that come after one another get colours far from each other.
pub fn colour(index: usize) -> Colour {
    // 7 has no divisor in common with the number of colours, so that a walk in such steps meets each of them once.
    let step = (index % COLOURS) * 7 % COLOURS;
    let cell = if step < COLOURS / 2 { step } else { step + 1 };
    Colour { y: LUMA, u: LEVELS[cell % LEVELS.len()], v: LEVELS[cell / LEVELS.len()] }
}

/// Whose colour fills `rect`: the index below [`COLOURS`], or `None` where it is nobody's.
pub fn identify(picture: &Picture<'_>, rect: Rect) -> Option<usize> {
    let [_, u, v] = picture.mean(rect)?;
    (0..COLOURS).find(|&index| {
        let colour = colour(index);
        (u - f64::from(colour.u)).abs() < TOLERANCE && (v - f64::from(colour.v)).abs() < TOLERANCE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_told_from_all_others_and_from_grey() {
        for index in 0..COLOURS {
            let Colour { y, u, v } = colour(index);
            let data = [[y; 16].as_slice(), &[u; 4], &[v; 4]].concat();
            let picture = Picture::packed(&data, 4, 4).unwrap();
            assert_eq!(identify(&picture, Rect::new(0.0, 0.0, 4.0, 4.0)), Some(index));
        }
        assert_eq!(colour(COLOURS), colour(0));
        for luma in [16, 110, 235] {
            let data = [[luma; 16].as_slice(), &[128; 8]].concat();
            let picture = Picture::packed(&data, 4, 4).unwrap();
            assert_eq!(identify(&picture, Rect::new(0.0, 0.0, 4.0, 4.0)), None);
        }
    }
}
