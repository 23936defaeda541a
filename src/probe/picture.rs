//! Views of I420 pictures, and the little arithmetic on planes that the analysis needs.

/// A rectangle in pixels of a picture's luma plane; parts outside of the picture are ignored by whoever reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Rect {
    pub const fn new(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self { x, y, width, height }
    }

    /// The part of this rectangle that `part` names in fractions of it (0 to 1).
    pub fn part(self, part: Self) -> Self {
        Self {
            x: self.x + part.x * self.width,
            y: self.y + part.y * self.height,
            width: part.width * self.width,
            height: part.height * self.height,
        }
    }

    /// The same place on a canvas that is `x` and `y` times as large.
    pub fn scaled(self, x: f64, y: f64) -> Self {
        Self { x: self.x * x, y: self.y * y, width: self.width * x, height: self.height * y }
    }
}

/// One plane of 8-bit samples.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
    pub width: usize,
    pub height: usize,
}

impl<'a> Plane<'a> {
    /// A view of `data`, whose rows begin every `stride` bytes. `None` where `data` is too short for that.
    pub fn new(data: &'a [u8], stride: usize, width: usize, height: usize) -> Option<Self> {
        let needed = if height == 0 { 0 } else { stride.checked_mul(height - 1)?.checked_add(width)? };
        (width <= stride && needed <= data.len()).then_some(Self { data, stride, width, height })
    }

    /// Row `y`, left to right; empty below the picture.
    pub fn row(&self, y: usize) -> &'a [u8] {
        if y >= self.height {
            return &[];
        }
        let start = y * self.stride;
        &self.data[start..start + self.width]
    }

    /// The mean of the samples whose centres lie in `rect`; `None` where there are none.
    pub fn mean(&self, rect: Rect) -> Option<f64> {
        let (left, right) = span(rect.x, rect.width, self.width);
        let (top, bottom) = span(rect.y, rect.height, self.height);
        let count = (right - left) * (bottom - top);
        if count == 0 {
            return None;
        }
        let sum: u64 =
            (top..bottom).map(|y| self.row(y)[left..right].iter().map(|&sample| u64::from(sample)).sum::<u64>()).sum();
        Some(sum as f64 / count as f64)
    }

    /// The part of the plane in `rect`, clipped to the plane and to whole samples.
    pub fn crop(&self, rect: Rect) -> Self {
        let (left, right) = span(rect.x, rect.width, self.width);
        let (top, bottom) = span(rect.y, rect.height, self.height);
        let data = if left == right || top == bottom { &[] } else { &self.data[top * self.stride + left..] };
        Self { data, stride: self.stride, width: right - left, height: bottom - top }
    }

    /// The plane at another size, each sample the mean of what it covers (or the nearest one, where that is less than
    /// one sample): enough to compare pictures of different sizes.
    pub fn resized(&self, width: usize, height: usize) -> Samples {
        let (x, y) = (self.width as f64 / width as f64, self.height as f64 / height as f64);
        let mut data = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let area = Rect::new(column as f64 * x, row as f64 * y, x.max(1.0), y.max(1.0));
                data.push(self.mean(area).map_or(0, |mean| mean.round() as u8));
            }
        }
        Samples { data, width, height }
    }
}

/// The samples whose centres lie between `start` and `start + length`, within `0..limit`.
fn span(start: f64, length: f64, limit: usize) -> (usize, usize) {
    let bound = |edge: f64| ((edge - 0.5).ceil().max(0.0) as usize).min(limit);
    let (from, to) = (bound(start), bound(start + length));
    (from, to.max(from))
}

/// A plane of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    data: Vec<u8>,
    width: usize,
    height: usize,
}

impl Samples {
    pub fn plane(&self) -> Plane<'_> {
        Plane { data: &self.data, stride: self.width, width: self.width, height: self.height }
    }
}

/// A picture of three planes, the chroma planes of half its width and height (I420).
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    pub y: Plane<'a>,
    pub u: Plane<'a>,
    pub v: Plane<'a>,
}

impl<'a> Picture<'a> {
    /// A picture in one tightly packed buffer: the Y, the U and the V plane. `None` where `data` is too short.
    pub fn packed(data: &'a [u8], width: usize, height: usize) -> Option<Self> {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let (y, chroma) = data.split_at_checked(width * height)?;
        let (u, v) = chroma.split_at_checked(half_width * half_height)?;
        Some(Self {
            y: Plane::new(y, width, width, height)?,
            u: Plane::new(u, half_width, half_width, half_height)?,
            v: Plane::new(v, half_width, half_width, half_height)?,
        })
    }

    pub fn width(&self) -> usize {
        self.y.width
    }

    pub fn height(&self) -> usize {
        self.y.height
    }

    /// The mean colour (Y, U, V) of `rect`; `None` where it lies outside.
    pub fn mean(&self, rect: Rect) -> Option<[f64; 3]> {
        let half = rect.scaled(0.5, 0.5);
        Some([self.y.mean(rect)?, self.u.mean(half)?, self.v.mean(half)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_that_are_too_short_are_refused() {
        assert!(Plane::new(&[0; 15], 4, 4, 4).is_none());
        assert!(Plane::new(&[0; 15], 4, 3, 4).is_some(), "the last row needs no padding");
        assert!(Plane::new(&[0; 16], 3, 4, 4).is_none(), "a row does not fit its stride");
        assert!(Picture::packed(&[0; 23], 4, 4).is_none());
        assert!(Picture::packed(&[0; 24], 4, 4).is_some());
    }

    #[test]
    fn the_mean_is_that_of_the_rectangle() {
        let data: Vec<u8> = (0..16).collect();
        let plane = Plane::new(&data, 4, 4, 4).unwrap();
        assert_eq!(plane.mean(Rect::new(0.0, 0.0, 4.0, 4.0)), Some(7.5));
        assert_eq!(plane.mean(Rect::new(1.0, 1.0, 2.0, 1.0)), Some(5.5));
        assert_eq!(plane.mean(Rect::new(3.0, 3.0, 9.0, 9.0)), Some(15.0), "clipped");
        assert_eq!(plane.mean(Rect::new(4.0, 0.0, 2.0, 2.0)), None);
        assert_eq!(plane.mean(Rect::new(-9.0, 0.0, 2.0, 2.0)), None);
    }

    #[test]
    fn resizing_averages_and_cropping_cuts() {
        let data: Vec<u8> = (0..16).collect();
        let plane = Plane::new(&data, 4, 4, 4).unwrap();
        assert_eq!(plane.resized(2, 2).plane().row(0), [3, 5]);
        assert_eq!(plane.resized(8, 8).plane().row(2), [4, 4, 5, 5, 6, 6, 7, 7]);
        let crop = plane.crop(Rect::new(2.0, 1.0, 2.0, 2.0));
        assert_eq!((crop.row(0), crop.row(1), crop.row(2)), (&[6, 7][..], &[10, 11][..], &[][..]));
        assert_eq!(plane.crop(Rect::new(9.0, 9.0, 2.0, 2.0)).width, 0);
    }
}
