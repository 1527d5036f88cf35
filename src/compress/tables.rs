//! The standard normal distribution as tables: the bins of latents, and a distribution function that never falls.

use std::f64::consts::FRAC_1_SQRT_2;

use super::coder::WHOLE;

/// The distribution function of the standard normal, exact to about 1e-16 of its own size.
fn distribution(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The reach of the table of the distribution function, and its nodes for each unit.
const REACH: f64 = 8.0;
const NODES: f64 = 256.0;

/// The bins of a standard normal, and the distribution function.
#[derive(Debug)]
pub struct Tables {
    /// The edges between the bins, all but the first and the last one, which are infinite.
    edges: Vec<f64>,
    /// The middle of each bin, by its mass.
    pub centres: Vec<f64>,
    /// The distribution function at the nodes.
    nodes: Vec<f64>,
}

impl Tables {
    /// Tables for 2^bits bins of equal mass.
    pub fn new(bits: u32) -> Tables {
        let count = 1usize << bits;
        let quantile = |p: f64| {
            // The distribution is symmetric, and more exact on its left side.
            let side = p.min(1.0 - p);
            let (mut low, mut high) = (-REACH, 0.0);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if distribution(middle) < side { low = middle } else { high = middle }
            }
            if p < 0.5 { low } else { -low }
        };
        let part = 1.0 / count as f64;
        let nodes =
            (0..=(2.0 * REACH * NODES) as usize).map(|node| distribution(node as f64 / NODES - REACH)).collect();
        Tables {
            edges: (1..count).map(|edge| quantile(edge as f64 * part)).collect(),
            centres: (0..count).map(|bin| quantile((bin as f64 + 0.5) * part)).collect(),
            nodes,
        }
    }

    /// The number of bins.
    pub fn count(&self) -> usize {
        self.centres.len()
    }

    /// The distribution function between the nodes on straight lines. It never falls, not even by a rounding: a function that is
    /// computed afresh for each argument may, and then a bin would have less than no mass.
    fn interpolated(&self, x: f64) -> f64 {
        let position = (x.clamp(-REACH, REACH) + REACH) * NODES;
        let node = (position as usize).min(self.nodes.len() - 2);
        let (left, right) = (self.nodes[node], self.nodes[node + 1]);
        (left + (right - left) * (position - node as f64)).min(right)
    }

    /// The parts of all bins before one, under a normal distribution. The bins are those of another normal: `shift` and `scale`
    /// bring its edges to the standard deviations of the first one.
    pub fn start(&self, bin: usize, shift: f64, scale: f64) -> u32 {
        let count = self.count();
        match bin {
            0 => 0,
            bin if bin == count => WHOLE,
            bin => {
                let shared = f64::from(WHOLE - count as u32);
                (self.interpolated(self.edges[bin - 1] * scale + shift) * shared) as u32 + bin as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_have_the_same_mass() {
        let tables = Tables::new(6);
        for bin in 0..64 {
            let below = if bin == 0 { 0.0 } else { distribution(tables.edges[bin - 1]) };
            assert!((below - bin as f64 / 64.0).abs() < 1e-14);
            assert!((distribution(tables.centres[bin]) - (bin as f64 + 0.5) / 64.0).abs() < 1e-14);
        }
        assert!((0..64).all(|bin| tables.centres[bin] == -tables.centres[63 - bin]));
    }

    #[test]
    fn every_bin_has_a_part_under_any_normal() {
        let tables = Tables::new(10);
        for (shift, scale) in [(0.0, 1.0), (-30.0, 1e6), (1e9, 1e-9), (3.0, 0.0), (-0.2, 50.0), (700.0, 1e3)] {
            let starts: Vec<u32> = (0..=1024).map(|bin| tables.start(bin, shift, scale)).collect();
            assert!(starts.windows(2).all(|pair| pair[1] > pair[0]), "{shift} {scale}");
        }
    }

    #[test]
    fn lines_between_nodes_are_near_the_function_and_never_fall() {
        let tables = Tables::new(1);
        let mut last = 0.0;
        for step in 0..200_000 {
            let x = f64::from(step) / 10_000.0 - 10.0;
            let found = tables.interpolated(x);
            assert!(found >= last && (found - distribution(x)).abs() < 1e-6);
            last = found;
        }
    }
}
