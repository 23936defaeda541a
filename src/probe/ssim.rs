//! Structural similarity of two luma planes (Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error
//! visibility to structural similarity", IEEE Transactions on Image Processing 13 (4), 2004).

use super::picture::Plane;

/// Windows of 8x8 samples, half overlapping, instead of the paper's Gaussian ones: the same order at a tenth of the
/// cost.
const WINDOW: usize = 8;
const STEP: usize = 4;

/// The paper's constants, (K1 * 255)² and (K2 * 255)².
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

/// The mean structural similarity, at most 1 (equal). `None` where the sizes differ or are below one window: scale one
/// of them first ([`Plane::resized`]).
pub fn ssim(a: Plane<'_>, b: Plane<'_>) -> Option<f64> {
    if (a.width, a.height) != (b.width, b.height) || a.width < WINDOW || a.height < WINDOW {
        return None;
    }
    let mut sum = 0.0;
    let mut count = 0u32;
    for y in (0..=a.height - WINDOW).step_by(STEP) {
        for x in (0..=a.width - WINDOW).step_by(STEP) {
            sum += window(a, b, x, y);
            count += 1;
        }
    }
    Some(sum / f64::from(count))
}

fn window(a: Plane<'_>, b: Plane<'_>, x: usize, y: usize) -> f64 {
    let (mut sum_a, mut sum_b, mut sum_aa, mut sum_bb, mut sum_ab) = (0u32, 0u32, 0u32, 0u32, 0u32);
    for row in y..y + WINDOW {
        for (&a, &b) in a.row(row)[x..x + WINDOW].iter().zip(&b.row(row)[x..x + WINDOW]) {
            let (a, b) = (u32::from(a), u32::from(b));
            sum_a += a;
            sum_b += b;
            sum_aa += a * a;
            sum_bb += b * b;
            sum_ab += a * b;
        }
    }
    let count = (WINDOW * WINDOW) as f64;
    let (mean_a, mean_b) = (f64::from(sum_a) / count, f64::from(sum_b) / count);
    let variance_a = f64::from(sum_aa) / count - mean_a * mean_a;
    let variance_b = f64::from(sum_bb) / count - mean_b * mean_b;
    let covariance = f64::from(sum_ab) / count - mean_a * mean_b;
    (2.0 * mean_a * mean_b + C1) * (2.0 * covariance + C2)
        / ((mean_a * mean_a + mean_b * mean_b + C1) * (variance_a + variance_b + C2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(data: &[u8]) -> Plane<'_> {
        Plane::new(data, 64, 64, 64).unwrap()
    }

    #[test]
    fn more_noise_is_less_similar() {
        let texture = |x: usize| ((x * 37) % 64 * 2 + 60) as u8;
        let original: Vec<u8> = (0..64 * 64).map(texture).collect();
        let noisy = |amount: usize| -> Vec<u8> {
            (0..64 * 64).map(|x| texture(x).wrapping_add((x * 7919 % 101 * amount / 100) as u8)).collect()
        };
        assert_eq!(ssim(plane(&original), plane(&original)), Some(1.0));
        let (little, much) = (ssim(plane(&original), plane(&noisy(10))), ssim(plane(&original), plane(&noisy(60))));
        assert!(little.unwrap() > 0.95, "{little:?}");
        assert!(much < little && much.unwrap() < 0.9, "{much:?}");
    }

    #[test]
    fn a_flat_picture_has_the_paper_s_luminance_term() {
        let (a, b) = ([100; 64 * 64], [150; 64 * 64]);
        let expected = (2.0 * 100.0 * 150.0 + C1) / (100.0 * 100.0 + 150.0 * 150.0 + C1);
        assert!((ssim(plane(&a), plane(&b)).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn other_sizes_are_not_compared() {
        let data = [0; 64 * 64];
        assert_eq!(ssim(plane(&data), Plane::new(&data, 64, 32, 64).unwrap()), None);
        assert_eq!(ssim(Plane::new(&data, 64, 7, 64).unwrap(), Plane::new(&data, 64, 7, 64).unwrap()), None);
    }
}
