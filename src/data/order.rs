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

/// Two parts of the positions, each in order: all but `count`, and these: the last ones, or a random choice if a seed is given.
pub(super) fn split_off(total: usize, count: usize, seed: Option<u64>) -> [Vec<u32>; 2] {
    let mut kept = match seed {
        None => sequential(total),
        Some(seed) => shuffled(total, seed, 0),
    };
    let mut split_off = kept.split_off(total - count);
    kept.sort_unstable();
    split_off.sort_unstable();
    [kept, split_off]
}

/// Every example once, so that batches have examples of similar length: in an epoch, examples and the order of the batches depend only on
/// the seed and the epoch. The last batch may be short.
pub fn by_length(lengths: &[u32], batch_size: usize, seed: u64, epoch: u32) -> Vec<u32> {
    let mut order = shuffled(lengths.len(), seed, epoch);
    // Examples of one length stay in their random order.
    order.sort_by_key(|example| lengths[*example as usize]);
    // The short batch has examples of any length: those that are left if whole batches are taken.
    let short = lengths.len() % batch_size;
    let start = if short == 0 { 0 } else { seed.wrapping_add(u64::from(epoch)) as usize % (lengths.len() - short + 1) };
    let last: Vec<_> = order.drain(start..start + short).collect();
    let batches: Vec<_> = order.chunks(batch_size).collect();
    let turns = shuffled(batches.len(), seed, epoch);
    let whole = turns.iter().flat_map(|turn| batches[*turn as usize]).copied();
    whole.chain(last).collect()
}

/// Every example once, the longest first.
pub fn longest_first(lengths: &[u32]) -> Vec<u32> {
    let mut order = sequential(lengths.len());
    order.sort_by_key(|example| std::cmp::Reverse(lengths[*example as usize]));
    order
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

    #[test]
    fn batches_have_examples_of_similar_length() {
        let lengths: Vec<u32> = (0..103).map(|i| i * 37 % 50).collect();
        let order = by_length(&lengths, 10, 3, 2);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, sequential(103));
        for batch in order.chunks(10) {
            let lengths = batch.iter().map(|example| lengths[*example as usize]);
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 6, "{batch:?}");
        }
        assert_ne!(order, by_length(&lengths, 10, 3, 3));
        assert_eq!(order, by_length(&lengths, 10, 3, 2));
        let first: Vec<u32> = order.chunks(10).map(|batch| lengths[batch[0] as usize]).collect();
        assert!(!first.is_sorted());
        assert_eq!(by_length(&lengths[..20], 10, 3, 2).len(), 20);
        let longest = longest_first(&lengths);
        assert!(longest.is_sorted_by_key(|example| std::cmp::Reverse(lengths[*example as usize])));
    }
}
