//! A measured value with what is not known of it: pieces of a measurement differ, and a difference that is smaller than
//! theirs says nothing.

use std::ops::{Add, Div, Sub};

/// A mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub error: f64,
}

/// What can be said of a value and a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Below,
    Above,
    /// It is nearer to it than it is known.
    Undecided,
}

impl Estimate {
    /// Of pieces that should all have been alike.
    pub fn of(pieces: &[f64]) -> Self {
        let count = pieces.len().max(1) as f64;
        let value = pieces.iter().sum::<f64>() / count;
        let squares: f64 = pieces.iter().map(|piece| (piece - value).powi(2)).sum();
        // One piece says nothing of how much another would differ.
        let error = if pieces.len() < 2 { f64::INFINITY } else { (squares / (count - 1.0) / count).sqrt() };
        Self { value, error }
    }

    /// Known without doubt.
    pub const fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, error: self.error * factor.abs() }
    }

    /// On which side of `bound` it is, with two standard errors of room.
    pub fn side(self, bound: f64) -> Side {
        let room = 2.0 * self.error;
        if self.value + room <= bound {
            Side::Below
        } else if self.value - room > bound {
            Side::Above
        } else {
            Side::Undecided
        }
    }
}

impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, error: self.error.hypot(other.error) }
    }
}

impl Sub for Estimate {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, error: self.error.hypot(other.error) }
    }
}

impl Div for Estimate {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let relative = (self.error / self.value).hypot(other.error / other.value);
        Self { value, error: (value * relative).abs() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_differ_leave_doubt_and_alike_ones_leave_none() {
        assert_eq!(Estimate::of(&[3.0, 3.0, 3.0]), Estimate::exact(3.0));
        let estimate = Estimate::of(&[1.0, 3.0]);
        assert_eq!((estimate.value, estimate.error), (2.0, 1.0));
        assert_eq!(estimate.side(5.0), Side::Below);
        assert_eq!(estimate.side(3.0), Side::Undecided);
        assert_eq!(estimate.side(-1.0), Side::Above);
        assert_eq!(Estimate::of(&[2.0]).side(1e9), Side::Undecided, "one piece proves nothing");
    }

    #[test]
    fn doubts_add_up() {
        let (one, other) = (Estimate { value: 10.0, error: 3.0 }, Estimate { value: 4.0, error: 4.0 });
        assert_eq!(one + other, Estimate { value: 14.0, error: 5.0 });
        assert_eq!(one - other, Estimate { value: 6.0, error: 5.0 });
        assert_eq!((one - other).side(7.0), Side::Undecided, "a difference within the noise");
        assert_eq!(one.scaled(-2.0), Estimate { value: -20.0, error: 6.0 });
        let ratio = Estimate { value: 10.0, error: 1.0 } / Estimate { value: 5.0, error: 0.0 };
        assert_eq!(ratio, Estimate { value: 2.0, error: 0.2 });
    }
}
