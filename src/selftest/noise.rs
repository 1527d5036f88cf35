//! The reference of `shaders/lib/rng.wgsl`: Threefry-4x32 with 20 rounds, and Box-Muller in f64.

use std::array;
use std::f64::consts::{PI, TAU};
use std::ops::Range;

use super::Matrix;

/// How far the two mixes of a round rotate; they repeat after eight rounds.
const ROTATIONS: [[u32; 2]; 8] = [[10, 26], [11, 21], [13, 27], [23, 5], [6, 20], [17, 11], [25, 10], [18, 20]];

/// Four random words.
///
/// # Source
///
/// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
pub fn threefry(key: [u32; 4], counter: [u32; 4]) -> [u32; 4] {
    let parity = key.iter().fold(0x1BD1_1BDA, |parity, word| parity ^ word);
    let schedule = [key[0], key[1], key[2], key[3], parity];
    let mut x: [u32; 4] = array::from_fn(|i| counter[i].wrapping_add(key[i]));
    for round in 0..20 {
        let [first, second] = ROTATIONS[round % 8];
        let (i, j) = if round % 2 == 0 { (1, 3) } else { (3, 1) };
        x[0] = x[0].wrapping_add(x[i]);
        x[i] = x[i].rotate_left(first) ^ x[0];
        x[2] = x[2].wrapping_add(x[j]);
        x[j] = x[j].rotate_left(second) ^ x[2];
        if round % 4 == 3 {
            let injection = round / 4 + 1;
            x = array::from_fn(|i| x[i].wrapping_add(schedule[(injection + i) % 5]));
            x[3] = x[3].wrapping_add(injection as u32);
        }
    }
    x
}

/// Two standard normals from the upper 24 bits of two words.
pub fn box_muller(radius_word: u32, angle_word: u32) -> [f64; 2] {
    let unit = 1.0 / f64::from(1 << 24);
    let uniform_radius = (f64::from(radius_word >> 8) + 1.0) * unit;
    let angle = TAU * (f64::from(angle_word >> 8) * unit) - PI;
    let radius = (-2.0 * uniform_radius.ln()).sqrt();
    [radius * angle.cos(), radius * angle.sin()]
}

/// A uniform draw from one of the four words of a counter, in [0, 1): its upper 24 bits.
pub fn uniform(key: [u32; 4], counter: [u32; 4], word: usize) -> f64 {
    f64::from(threefry(key, counter)[word] >> 8) / f64::from(1 << 24)
}

/// The noise `(rows, latents)` of step `t`, whose examples start at position `first`, for the given range of each example's
/// samples.
pub fn noise(key: [u32; 4], t: u32, first: u32, samples: Range<u32>, rows: usize, latents: usize) -> Matrix {
    let count = samples.len() as u32;
    Matrix::from_fn(rows, latents, |r, l| {
        let (b, k) = (r as u32 / count, r as u32 % count);
        let words = threefry(key, [l as u32 / 4, first + b, t, samples.start + k]);
        let pair = l % 4 / 2 * 2;
        box_muller(words[pair], words[pair + 1])[l % 2]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Random123's `kat_vectors`.
    #[test]
    fn threefry_gives_the_known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let more_pi = [0xa409_3822, 0x299f_31d0, 0x082e_fa98, 0xec4e_6c89];
        assert_eq!(threefry([0; 4], [0; 4]), [0x9c6c_a96a, 0xe17e_ae66, 0xfc10_ecd4, 0x5256_a7d8]);
        assert_eq!(threefry([u32::MAX; 4], [u32::MAX; 4]), [0x2a88_1696, 0x5701_2287, 0xf6c7_446e, 0xa16a_6732]);
        assert_eq!(threefry(more_pi, pi), [0x59cd_1dbb, 0xb887_9579, 0x86b5_d00c, 0xac8b_6d84]);
    }

    #[test]
    fn noise_is_standard_normal() {
        let noise = noise([1, 2, 3, 0], 4, 5, 6..8, 1000, 101);
        let mean = |power: i32| noise.values().iter().map(|value| value.powi(power)).sum::<f64>() / 101_000.0;
        // Five standard errors of each moment's mean: their variances are 1, 2, 15 and 96.
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let allowed = 5.0 * (variance / 101_000.0_f64).sqrt();
            assert!((mean(power) - expected).abs() < allowed, "moment {power} is {}", mean(power));
        }
    }
}
