//! The order in which a pass processes its examples.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::noise::Stream;

/// Every example once, in an order that depends only on the seed and the epoch.
pub fn shuffled(examples: usize, seed: u64, epoch: u32) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(epoch) << 32 | Stream::Order as u64);
    let mut order = sequential(examples);
    order.shuffle(&mut rng);
    order
}

/// Every example once, first to last.
pub fn sequential(examples: usize) -> Vec<u32> {
    (0..examples as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_comes_once_an_epoch_in_a_new_order() {
        let first = shuffled(1000, 7, 1);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, sequential(1000));
        assert_ne!(first, sorted);
        assert_ne!(first, shuffled(1000, 7, 2));
        assert_ne!(first, shuffled(1000, 8, 1));
        assert_eq!(first, shuffled(1000, 7, 1));
    }
}
