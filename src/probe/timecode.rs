//! The capture time inside of a picture, in blocks of luma that survive scaling and lossy coding.
//!
//! 24 blocks in three rows stand in the middle half of the picture, so that a tile which cuts the picture's edges still
//! holds them: 16 bits of milliseconds in Gray code (few blocks change from frame to frame, which keeps the encoder
//! cheap) and a CRC-8 of them. A block that is neither dark nor light, or a wrong checksum, makes no time at all: a
//! misreading is never taken for a measurement.

use super::picture::{Picture, Rect};

const COLUMNS: usize = 8;
const ROWS: usize = 3;
const BLOCKS: usize = COLUMNS * ROWS;

/// Where the blocks stand, in fractions of the picture.
const FIELD: Rect = Rect::new(0.25, 0.3125, 0.5, 0.375);

/// The inner part of a block that is read, away from what coding smears over its edges.
const CORE: Rect = Rect::new(0.25, 0.25, 0.5, 0.5);

const DARK: u8 = 40;
const LIGHT: u8 = 210;
/// How far from the middle between dark and light a block has to be.
const MARGIN: f64 = 25.0;

/// Milliseconds of the host's clock, modulo 65,536: the time of a capture within the last minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timecode(u16);

impl Timecode {
    /// Of a time in milliseconds since the epoch.
    pub const fn at(ms: u64) -> Self {
        Self((ms & 0xffff) as u16)
    }

    /// The milliseconds from this capture to `now_ms` (since the epoch), at most 65,535.
    pub const fn age_ms(self, now_ms: u64) -> u16 {
        Self::at(now_ms).0.wrapping_sub(self.0)
    }

    /// The milliseconds from `earlier` to this one; negative where it is the older one of the two.
    pub const fn since(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0) as i16
    }

    /// Which blocks are light: time first, the highest bit first, then the checksum.
    fn blocks(self) -> [bool; BLOCKS] {
        let gray = self.0 ^ (self.0 >> 1);
        let word = u32::from(gray) << 8 | u32::from(crc8(gray));
        std::array::from_fn(|index| word >> (BLOCKS - 1 - index) & 1 == 1)
    }

    fn from_blocks(blocks: [bool; BLOCKS]) -> Option<Self> {
        let word = blocks.iter().fold(0u32, |word, &light| word << 1 | u32::from(light));
        let (gray, check) = ((word >> 8) as u16, word as u8);
        // Gray code back to binary: each bit is the exclusive or of all that are not below it.
        let time = [8, 4, 2, 1].iter().fold(gray, |bits, shift| bits ^ (bits >> shift));
        (crc8(gray) == check).then_some(Self(time))
    }

    /// Draws the blocks into a luma plane whose rows begin every `stride` bytes. The plane has to be as large as
    /// `width` and `height` say; rows that it does not have are left out.
    pub fn draw(self, luma: &mut [u8], stride: usize, width: usize, height: usize) {
        let whole = Rect::new(0.0, 0.0, width as f64, height as f64);
        for (index, light) in self.blocks().into_iter().enumerate() {
            let block = whole.part(block(index));
            let (left, right) = (block.x.round() as usize, (block.x + block.width).round() as usize);
            let (top, bottom) = (block.y.round() as usize, (block.y + block.height).round() as usize);
            for row in luma.chunks_mut(stride.max(1)).take(bottom).skip(top) {
                if let Some(pixels) = row.get_mut(left..right) {
                    pixels.fill(if light { LIGHT } else { DARK });
                }
            }
        }
    }

    /// Reads the blocks of the picture that is shown at `place` (which may reach over the edges of `picture`).
    pub fn read(picture: &Picture<'_>, place: Rect) -> Option<Self> {
        let middle = f64::from(DARK).midpoint(f64::from(LIGHT));
        let mut blocks = [false; BLOCKS];
        for (index, light) in blocks.iter_mut().enumerate() {
            let level = picture.y.mean(place.part(block(index)).part(CORE))? - middle;
            if level.abs() < MARGIN {
                return None;
            }
            *light = level > 0.0;
        }
        Self::from_blocks(blocks)
    }
}

/// Where block `index` stands, in fractions of the picture.
fn block(index: usize) -> Rect {
    let (column, row) = ((index % COLUMNS) as f64, (index / COLUMNS) as f64);
    let (width, height) = (1.0 / COLUMNS as f64, 1.0 / ROWS as f64);
    FIELD.part(Rect::new(column * width, row * height, width, height))
}

/// CRC-8 with the polynomial 0x2f (AUTOSAR's: three wrong bits of 16 are always found) and a start value that makes
/// a field of one colour invalid.
fn crc8(value: u16) -> u8 {
    value.to_be_bytes().into_iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x2f })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(luma: &[u8], width: usize, height: usize) -> Vec<u8> {
        let mut data = luma.to_vec();
        data.resize(width * height + 2 * width.div_ceil(2) * height.div_ceil(2), 128);
        data
    }

    #[test]
    fn every_time_survives_its_blocks() {
        for time in 0..=u16::MAX {
            assert_eq!(Timecode::from_blocks(Timecode(time).blocks()), Some(Timecode(time)));
        }
    }

    #[test]
    fn up_to_three_misread_blocks_are_always_found() {
        for time in (0..=u16::MAX).step_by(4099) {
            let right = Timecode(time).blocks();
            for (a, b, c) in
                (0..BLOCKS).flat_map(|a| (a..BLOCKS).flat_map(move |b| (b..BLOCKS).map(move |c| (a, b, c))))
            {
                let mut wrong = right;
                for index in [a, b, c] {
                    wrong[index] = !right[index];
                }
                assert_eq!(Timecode::from_blocks(wrong), None, "{time} with {a}, {b}, {c}");
            }
        }
        assert_eq!(Timecode::from_blocks([false; BLOCKS]), None);
        assert_eq!(Timecode::from_blocks([true; BLOCKS]), None);
    }

    #[test]
    fn ages_go_over_the_wrap() {
        assert_eq!(Timecode::at(65_530).age_ms(65_546), 16);
        assert_eq!(Timecode::at(65_546).since(Timecode::at(65_530)), 16);
        assert_eq!(Timecode::at(65_530).since(Timecode::at(65_546)), -16);
    }

    #[test]
    fn it_is_read_where_it_is_shown() {
        let (width, height) = (640, 360);
        let mut luma = vec![110; width * height];
        Timecode(54_321).draw(&mut luma, width, width, height);
        let data = picture(&luma, width, height);
        let source = Picture::packed(&data, width, height).unwrap();
        let whole = Rect::new(0.0, 0.0, 640.0, 360.0);
        assert_eq!(Timecode::read(&source, whole), Some(Timecode(54_321)));
        assert_eq!(Timecode::read(&source, Rect::new(30.0, 0.0, 640.0, 360.0)), None, "in the wrong place");

        for (small_width, small_height) in [(320, 180), (160, 90), (106, 60)] {
            let small = source.y.resized(small_width, small_height);
            let rows: Vec<u8> = (0..small_height).flat_map(|y| small.plane().row(y).to_vec()).collect();
            let data = picture(&rows, small_width, small_height);
            let shown = Picture::packed(&data, small_width, small_height).unwrap();
            let place = Rect::new(0.0, 0.0, small_width as f64, small_height as f64);
            assert_eq!(Timecode::read(&shown, place), Some(Timecode(54_321)), "{small_width}x{small_height}");
        }
    }
}
