//! Convolutions in both directions.

use super::Exact;
use crate::nn::{Direction, Extent, Window};

/// A convolution, or a transposed one.
#[derive(Debug)]
pub struct ExactConvolution {
    window: Window,
    large: Extent,
    small: Extent,
    direction: Direction,
    /// `(kernel, kernel, input channels, output channels)`: the sums of all output channels run side by side.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl ExactConvolution {
    /// A convolution with the weight `(small channels, kernel, kernel, large channels)`.
    pub fn new(
        window: Window,
        [large, small]: [Extent; 2],
        direction: Direction,
        weight: &[f32],
        bias: &[f32],
    ) -> ExactConvolution {
        let at = |o: usize, tap: usize, i: usize| weight[(o * window.area() + tap) * large.channels + i];
        let mut taps = Vec::with_capacity(weight.len());
        for tap in 0..window.area() {
            match direction {
                Direction::Down => {
                    (0..large.channels).for_each(|i| taps.extend((0..small.channels).map(|o| at(o, tap, i))));
                }
                Direction::Up => {
                    (0..small.channels).for_each(|o| taps.extend((0..large.channels).map(|i| at(o, tap, i))));
                }
            }
        }
        ExactConvolution { window, large, small, direction, weight: taps, bias: bias.to_vec() }
    }
}

impl Exact for ExactConvolution {
    fn evaluate(&self, input: &[f32]) -> Vec<f32> {
        let Window { kernel, stride, padding } = self.window;
        let ([height, width], [small_height, small_width]) = (self.large.positions, self.small.positions);
        let (from, to) = match self.direction {
            Direction::Down => (self.large.channels, self.small.channels),
            Direction::Up => (self.small.channels, self.large.channels),
        };
        let positions = if self.direction == Direction::Down { small_height * small_width } else { height * width };
        let mut output = self.bias.repeat(positions);
        for small in 0..small_height * small_width {
            for tap in 0..self.window.area() {
                let y = (stride * (small / small_width) + tap / kernel).checked_sub(padding).filter(|y| *y < height);
                let x = (stride * (small % small_width) + tap % kernel).checked_sub(padding).filter(|x| *x < width);
                let (Some(y), Some(x)) = (y, x) else { continue };
                let large = y * width + x;
                let (source, target) = if self.direction == Direction::Down { (large, small) } else { (small, large) };
                let sums = &mut output[target * to..(target + 1) * to];
                let weights = self.weight[tap * from * to..(tap + 1) * from * to].chunks_exact(to);
                for (value, weights) in input[source * from..(source + 1) * from].iter().zip(weights) {
                    if *value != 0.0 {
                        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += value * weight);
                    }
                }
            }
        }
        output
    }
}
