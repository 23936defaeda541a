//! What makes a bot's picture as hard to encode as a camera's: a plain colour costs an encoder a quarter of its bitrate.

/// The share of the picture, at its bottom, that has grain: clear of the colour and of the timecode.
const SHARE: f64 = 0.25;

/// How far grain lies from the picture's own luma, to either side.
const DEPTH: u8 = 40;

/// Grains are squares of this many pixels: fine enough to cost bits, coarse enough to survive the encoder.
const SIZE: usize = 4;

/// Draws new grain for each `seed` into the bottom of a luma plane whose rows begin every `stride` bytes.
pub fn draw(luma: &mut [u8], stride: usize, width: usize, height: usize, seed: u64) {
    let above = height - (height as f64 * SHARE) as usize;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut grains = vec![0u8; width.div_ceil(SIZE)];
    for (number, row) in luma.chunks_mut(stride.max(1)).take(height).skip(above).enumerate() {
        if number % SIZE == 0 {
            for grain in &mut grains {
                // Marsaglia's xorshift: quick, and random enough for an encoder.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *grain = (state >> 32) as u8 % (2 * DEPTH + 1);
            }
        }
        for (pixel, grain) in row.iter_mut().take(width).enumerate().map(|(x, pixel)| (pixel, grains[x / SIZE])) {
            *pixel = pixel.saturating_sub(DEPTH).saturating_add(grain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_moves_and_the_rest_does_not() {
        let picture = |seed| {
            let mut luma = vec![110u8; 64 * 40];
            draw(&mut luma, 64, 62, 40, seed);
            luma
        };
        let (one, other) = (picture(1), picture(2));
        assert_eq!(one[..64 * 30], [110; 64 * 30]);
        assert_ne!(one[64 * 30..], other[64 * 30..]);
        assert!(one.chunks(64).all(|row| row[62..] == [110, 110]), "past the width");
        let mean = one[64 * 30..].iter().map(|&pixel| u32::from(pixel)).sum::<u32>() / (64 * 10);
        assert!((100..120).contains(&mean), "{mean}: the colour stays what it is");
        assert_eq!(picture(1), one);
    }
}
