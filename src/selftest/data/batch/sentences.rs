//! The self-test of `shaders/data/batch/sentences.wgsl`.

use std::sync::Arc;

use crate::Error;
use crate::data::batch::{DeviceSentences, TokenBatch};
use crate::data::{Sentences, Tokens, Vocabulary, order};
use crate::gpu::Tensor;
use crate::noise::{self, Stream};
use crate::selftest::bench::{Bench, Output, UNTOUCHED, poisoned};
use crate::selftest::noise::uniform;
use crate::selftest::{Checks, Sizes};

pub(in crate::selftest::data) const CHECKS: Checks = &[("data/batch/sentences.wgsl", check_gather)];

/// Positions of the longest sentence of a batch, and those that its tensors have room for.
const POSITIONS: [usize; 2] = [5, 7];

const NOTHING: u32 = u32::MAX;

fn check_gather(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, first, .. } = bench.sizes;
    let [length, most] = POSITIONS;
    let vocabulary = Arc::new(Vocabulary::of_words(Tokens::Char, "abcdefg".chars().map(String::from)));
    let lines: Vec<String> =
        (0..first + batch).map(|i| "gfxedcba"[i % 4..][..1 + i % (length - 1)].to_owned()).collect();
    let sentences = Sentences::new(lines.iter().map(String::as_str), &vocabulary)?;
    let order = order::shuffled(lines.len(), 0, 1);
    let on_device = DeviceSentences::upload(bench.gpu, &sentences)?;
    let order_tensor = Tensor::from_values(bench.gpu, 1, order.len(), &order)?;
    bench.over_positions(POSITIONS)?;
    let key = noise::key(u64::from(bench.step.key[1]) << 32 | u64::from(bench.step.key[0]), Stream::WordDropout);
    for word_dropout in [0.0, 0.4, 1.0] {
        let tokens = TokenBatch::new(bench.gpu, batch, most)?;
        let TokenBatch { targets, inputs, reversed, lengths } = &tokens;
        for tensor in [targets, inputs, reversed, lengths] {
            poisoned(bench.gpu, tensor.clone())?;
        }
        let dispatch = on_device.gather(bench.at(), &order_tensor, &tokens, word_dropout)?;
        let words = |b: usize| sentences.words(order[first + b] as usize);
        let target = |p: usize, b: usize| match words(b) {
            words if p < words.len() => words[p],
            words if p == words.len() => Vocabulary::END,
            _ => NOTHING,
        };
        let input = |p: usize, b: usize| match words(b) {
            _ if p == 0 => vocabulary.len() as u32,
            words if p > words.len() => NOTHING,
            words => {
                let draw = uniform(key, [p as u32, (first + b) as u32, bench.step.t, 0], 0);
                if draw < f64::from(word_dropout) { Vocabulary::UNKNOWN } else { words[p - 1] }
            }
        };
        let backwards = |p: usize, b: usize| match words(b).len() {
            length if p > length => NOTHING,
            length => target(length - p, b),
        };
        let all = |value: &dyn Fn(usize, usize) -> u32| {
            let mut words: Vec<u32> = (0..length * rows).map(|place| value(place / rows, place % rows)).collect();
            words.resize(targets.padded_len(), UNTOUCHED.to_bits());
            words
        };
        let mut counts: Vec<u32> = (0..rows).map(|b| words(b).len() as u32 + 1).collect();
        counts.resize(lengths.padded_len(), UNTOUCHED.to_bits());
        bench.check_variant(
            &format!("dropout {word_dropout}"),
            dispatch,
            [
                Output::words("targets", targets, &all(&target)),
                Output::words("inputs", inputs, &all(&input)),
                Output::words("reversed", reversed, &all(&backwards)),
                Output::words("lengths", lengths, &counts),
            ],
        )?;
    }
    Ok(())
}
