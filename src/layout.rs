//! The layout: how many participants on which canvas → where each tile is, and how a picture fills its tile.
//!
//! Pure, in canvas pixels. All coordinates and sizes are even, as 4:2:0 chroma wants.

use crate::config::Fit;

/// A rectangle on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// What to cut off a picture and to which size to scale the rest, so that it fills its tile undistorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Pixels of the picture to cut on the left and on the right each.
    pub crop_x: u32,
    /// Pixels of the picture to cut at the top and at the bottom each.
    pub crop_y: u32,
    /// The size after scaling: the tile's, or less in one direction where bars remain.
    pub width: u32,
    pub height: u32,
}

const fn even(length: u32) -> u32 {
    length & !1
}

/// The grid for `count` participants: as many columns as make the tiles largest, tiles of the canvas's own shape (so
/// that pictures of that shape are neither cut nor barred), rows centred, the last one too.
pub fn grid(canvas: (u32, u32), count: usize) -> Vec<Tile> {
    let count = u32::try_from(count).unwrap_or(u32::MAX).min(canvas.0 / 2 * (canvas.1 / 2));
    if count == 0 {
        return Vec::new();
    }
    // With tiles of the canvas's shape, the larger of columns and rows decides the size: a square grid is the best.
    let columns = (1u32..).find(|n| n.saturating_mul(*n) >= count).unwrap_or(1);
    let rows = count.div_ceil(columns);
    let (width, height) = (even(canvas.0 / columns), even(canvas.1 / columns));
    let top = even((canvas.1 - rows * height) / 2);
    (0..count)
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            let in_row = if row + 1 == rows { count - row * columns } else { columns };
            let left = even((canvas.0 - in_row * width) / 2);
            Tile { x: left + column * width, y: top + row * height, width, height }
        })
        .collect()
}

/// Whether a picture of `size` (pixels of the shape `pixel_aspect`, width : height) fills a tile of `tile` size, its edges
/// cut, or is shown whole, between bars.
///
/// [`Fit::Auto`] cuts what loses at most a sixth: in a tile of 16:9 the shapes from 3:2 to 2:1. More is missed: a phone
/// held upright would lose two thirds, a camera of 4:3 a quarter, mostly of heads.
pub fn fills(size: (u32, u32), pixel_aspect: (u32, u32), tile: (u32, u32), fit: Fit) -> bool {
    let (wide, high) = shapes(size, pixel_aspect, tile);
    match fit {
        Fit::Fill => true,
        Fit::Fit => false,
        Fit::Auto => wide.min(high) * 6 >= wide.max(high) * 5,
    }
}

/// The shapes of a picture and of a tile as two numbers to compare, by cross products in 128 bits: nothing overflows,
/// nothing rounds. The first is larger where the picture is wider than the tile.
fn shapes(size: (u32, u32), pixel_aspect: (u32, u32), tile: (u32, u32)) -> (u128, u128) {
    (
        u128::from(size.0) * u128::from(pixel_aspect.0) * u128::from(tile.1),
        u128::from(size.1) * u128::from(pixel_aspect.1) * u128::from(tile.0),
    )
}

/// How a picture of `size` (pixels of the shape `pixel_aspect`, width : height) fills a tile of `tile` size.
pub fn place(size: (u32, u32), pixel_aspect: (u32, u32), tile: (u32, u32), fit: Fit) -> Placement {
    let (tile_width, tile_height) = (even(tile.0).max(2), even(tile.1).max(2));
    let whole = Placement { crop_x: 0, crop_y: 0, width: tile_width, height: tile_height };
    if size.0 == 0 || size.1 == 0 || pixel_aspect.0 == 0 || pixel_aspect.1 == 0 {
        return whole;
    }
    let tile = (tile_width, tile_height);
    let (wide, high) = shapes(size, pixel_aspect, tile);
    let part = |length: u32, of: u128, by: u128| u32::try_from(u128::from(length) * of / by).unwrap_or(length);
    match (fills(size, pixel_aspect, tile, fit), wide.cmp(&high)) {
        (_, std::cmp::Ordering::Equal) => whole,
        (true, std::cmp::Ordering::Greater) => {
            let keep = part(size.0, high, wide).max(2);
            Placement { crop_x: even(size.0.saturating_sub(keep) / 2), ..whole }
        }
        (true, std::cmp::Ordering::Less) => {
            let keep = part(size.1, wide, high).max(2);
            Placement { crop_y: even(size.1.saturating_sub(keep) / 2), ..whole }
        }
        (false, std::cmp::Ordering::Greater) => {
            Placement { height: even(part(tile_height, high, wide)).max(2), ..whole }
        }
        (false, std::cmp::Ordering::Less) => Placement { width: even(part(tile_width, wide, high)).max(2), ..whole },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits() -> impl Strategy<Value = Fit> {
        prop_oneof![Just(Fit::Auto), Just(Fit::Fit), Just(Fit::Fill)]
    }

    fn overlap(a: &Tile, b: &Tile) -> bool {
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
    }

    #[test]
    fn four_share_the_canvas_and_the_fifth_row_is_centred() {
        let four = grid((1280, 720), 4);
        assert_eq!(four[3], Tile { x: 640, y: 360, width: 640, height: 360 });
        let five = grid((1280, 720), 5);
        assert_eq!(five[0], Tile { x: 0, y: 120, width: 426, height: 240 });
        assert_eq!(five[3].x, 214);
        assert_eq!(five[4].x + five[4].width, 1280 - 214);
    }

    #[test]
    fn two_stand_side_by_side_in_the_middle() {
        assert_eq!(grid((1280, 720), 2)[1], Tile { x: 640, y: 180, width: 640, height: 360 });
        assert_eq!(grid((1280, 720), 1)[0], Tile { x: 0, y: 0, width: 1280, height: 720 });
        assert!(grid((1280, 720), 0).is_empty());
    }

    #[test]
    fn a_portrait_picture_is_barred_or_cut() {
        let fit = place((360, 640), (1, 1), (640, 360), Fit::Fit);
        assert_eq!(fit, Placement { crop_x: 0, crop_y: 0, width: 202, height: 360 });
        let fill = place((360, 640), (1, 1), (640, 360), Fit::Fill);
        assert_eq!(fill, Placement { crop_x: 0, crop_y: 218, width: 640, height: 360 });
    }

    #[test]
    fn of_no_picture_more_than_a_little_is_cut_by_default() {
        let tile = (640, 360);
        let cut = |size| {
            let placed = place(size, (1, 1), tile, Fit::default());
            (2 * placed.crop_x, 2 * placed.crop_y, placed.width, placed.height)
        };
        assert_eq!(cut((1280, 720)), (0, 0, 640, 360));
        assert_eq!(cut((1280, 800)), (0, 80, 640, 360), "16:10 fills");
        assert_eq!(cut((1080, 720)), (0, 112, 640, 360), "3:2 fills");
        assert_eq!(cut((1440, 720)), (160, 0, 640, 360), "2:1 fills");
        assert_eq!(cut((640, 480)), (0, 0, 480, 360), "4:3 is whole");
        assert_eq!(cut((2560, 1080)), (0, 0, 640, 270), "21:9 is whole");
        assert_eq!(cut((5120, 1440)), (0, 0, 640, 180), "32:9 is whole");
        assert_eq!(cut((720, 1280)), (0, 0, 202, 360), "a phone held upright is whole");
        let upright = place((1280, 720), (1, 1), (360, 640), Fit::default());
        assert_eq!((upright.crop_x, upright.width, upright.height), (0, 360, 202), "in an upright tile, too");
        let anamorphic = place((960, 720), (4, 3), tile, Fit::default());
        assert_eq!((anamorphic.width, anamorphic.height, anamorphic.crop_y), (640, 360, 0), "pixels have shapes");
    }

    proptest! {
        #[test]
        fn no_tile_overlaps_leaves_the_canvas_or_is_odd(count in 1usize..=25, w in 160u32..2000, h in 160u32..2000) {
            let canvas = (w & !1, h & !1);
            let tiles = grid(canvas, count);
            prop_assert_eq!(tiles.len(), count);
            for (i, tile) in tiles.iter().enumerate() {
                prop_assert!(tile.x + tile.width <= canvas.0 && tile.y + tile.height <= canvas.1);
                prop_assert!((tile.x | tile.y | tile.width | tile.height) & 1 == 0 && tile.width > 0 && tile.height > 0);
                prop_assert_eq!((tile.width, tile.height), (tiles[0].width, tiles[0].height));
                prop_assert!(tiles[..i].iter().all(|other| !overlap(tile, other)));
            }
            // Every row is centred, up to the even coordinate.
            for tile in &tiles {
                let row: Vec<_> = tiles.iter().filter(|t| t.y == tile.y).collect();
                let (left, right) = (row[0].x, canvas.0 - row[row.len() - 1].x - tile.width);
                prop_assert!(left.abs_diff(right) <= 2);
            }
        }

        #[test]
        fn no_picture_is_distorted(w in 16u32..4096, h in 16u32..4096, tw in 64u32..1920, th in 64u32..1080, fit in fits()) {
            let tile = (tw & !1, th & !1);
            let placed = place((w, h), (1, 1), tile, fit);
            prop_assert!(placed.width <= tile.0 && placed.height <= tile.1);
            prop_assert!(placed.width == tile.0 || placed.height == tile.1);
            prop_assert!(placed.crop_x * 2 < w && placed.crop_y * 2 < h);
            // Both directions are scaled alike, up to the even pixel: of the source where it is cut (on both sides, by a
            // whole number), of the tile where it is barred.
            let (kept_w, kept_h) = (f64::from(w - 2 * placed.crop_x), f64::from(h - 2 * placed.crop_y));
            let (shown_w, shown_h) = (f64::from(placed.width), f64::from(placed.height));
            let fill = fills((w, h), (1, 1), tile, fit);
            let off = if fill {
                (kept_w - kept_h * shown_w / shown_h).abs().min((kept_h - kept_w * shown_h / shown_w).abs())
            } else {
                (shown_w - shown_h * kept_w / kept_h).abs().min((shown_h - shown_w * kept_h / kept_w).abs())
            };
            prop_assert!(off <= if fill { 4.0 } else { 2.0 }, "{placed:?} is off by {off}");
            match fit {
                Fit::Fill => prop_assert_eq!((placed.width, placed.height), tile),
                Fit::Fit => prop_assert_eq!((placed.crop_x, placed.crop_y), (0, 0)),
                Fit::Auto => {
                    let kept = kept_w * kept_h / (f64::from(w) * f64::from(h));
                    prop_assert!(kept > 5.0 / 6.0 - 2.0 / f64::from(w.min(h)), "{placed:?} keeps {kept}");
                    let covered = shown_w * shown_h / (f64::from(tile.0) * f64::from(tile.1));
                    prop_assert!(kept == 1.0 || covered == 1.0, "{placed:?} is cut and barred");
                }
            }
        }
    }
}
