//! Writes the synthetic sentences of He et al. 2019, whose probability is known, and prints the entropy that no model can get below.
//!
//! `cargo run --release --example synthetic_text FOLDER`
//!
//! A latent z has two values, from an equal mixture of four normals N((±2, ±2), I). An LSTM with random weights, which sees z at each
//! position, writes ten words: the first one is uniform, the others follow its softmax. As z has only two values, the log probability of a
//! sentence, log p(x) = log of the integral of p(z) p(x|z), is a sum over a grid. The generator of the paper has these sizes and ranges of
//! weights (jxhe/vae-lagging-encoder), with random numbers of its own.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use elbo::Error;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The sizes of the data and of the generator.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Different words.
    pub words: usize,
    /// Values of a word's vector, and of the LSTM's state.
    pub units: usize,
    /// Sentences of the training, validation and test set.
    pub sentences: [usize; 3],
}

/// Those of the paper.
const PAPER: Sizes = Sizes { words: 1000, units: 100, sentences: [16_000, 2_000, 2_000] };

/// Words of a sentence.
const LENGTH: usize = 10;

const SEED: u64 = 19_950_927;

fn main() -> Result<(), Error> {
    let folder = std::env::args_os().nth(1).map_or("runs/synthetic".into(), PathBuf::from);
    let [mean, error, given_z] = run(&folder, PAPER)?;
    println!(
        "test set: -log p(x) = {mean:.3} ± {error:.3} nats per sentence; -log p(x|z) = {given_z:.3} with the z that each came from"
    );
    Ok(())
}

/// Writes train.txt, valid.txt and test.txt. Returns the mean of -log p(x) over the test set, its standard error, and the mean of
/// -log p(x|z).
pub fn run(folder: &Path, sizes: Sizes) -> Result<[f64; 3], Error> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let generator = Generator::new(sizes, &mut rng);
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut test = Vec::new();
    for (name, count) in ["train.txt", "valid.txt", "test.txt"].into_iter().zip(sizes.sentences) {
        test = (0..count).map(|_| generator.sentence(&mut rng)).collect::<Vec<_>>();
        let mut text = String::new();
        for (_, words) in &test {
            let words: Vec<_> = words.iter().map(|word| format!("w{word}")).collect();
            let _ = writeln!(text, "{}", words.join(" "));
        }
        let path = folder.join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    let count = test.len() as f64;
    let entropies = on_all_cores(&test, |(_, words)| -generator.log_prob(words));
    let mean = entropies.iter().sum::<f64>() / count;
    let variance = entropies.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let given_z = test.iter().map(|(z, words)| -generator.log_probs_given(words, &[*z])[0]).sum::<f64>() / count;
    Ok([mean, (variance / count).sqrt(), given_z])
}

/// A function of each item, in their order.
fn on_all_cores<T: Sync>(items: &[T], of: impl Fn(&T) -> f64 + Sync) -> Vec<f64> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let chunks = items.chunks(items.len().div_ceil(threads));
    thread::scope(|scope| {
        let running: Vec<_> = chunks.map(|chunk| scope.spawn(|| chunk.iter().map(&of).collect::<Vec<_>>())).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

/// Uniform in [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / 2f64.powi(32)
}

/// A standard normal value, by Box-Muller.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// The log density of z.
fn log_prior(z: [f64; 2]) -> f64 {
    // The mixture is the product of one for each value.
    let of =
        |value: f64| (0.5 * (-(value - 2.0).powi(2) / 2.0).exp() + 0.5 * (-(value + 2.0).powi(2) / 2.0).exp()).ln();
    z.iter().map(|value| of(*value) - 0.5 * std::f64::consts::TAU.ln()).sum()
}

/// The log of a sum of exponentials.
fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + values.map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// A matrix with a row for each result.
struct Weights {
    columns: usize,
    values: Vec<f32>,
}

impl Weights {
    fn new(rows: usize, columns: usize, bound: f64, rng: &mut ChaCha8Rng) -> Weights {
        let values = (0..rows * columns).map(|_| (bound * (2.0 * uniform(rng) - 1.0)) as f32).collect();
        Weights { columns, values }
    }

    /// Adds the product with several vectors to `results`. A value has a run of points, one for each vector.
    fn multiply(&self, input: &[f32], results: &mut [f32], points: usize) {
        for (row, result) in self.values.chunks(self.columns).zip(results.chunks_mut(points)) {
            for (weight, input) in row.iter().zip(input.chunks(points)) {
                result.iter_mut().zip(input).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }
}

/// The language model that writes the sentences.
struct Generator {
    words: usize,
    units: usize,
    embedding: Weights,
    /// Of the gates i, f, g and o, from the word's vector, from z, and from the state.
    of_word: Weights,
    of_z: Weights,
    of_state: Weights,
    bias: Weights,
    start: Weights,
    logits: Weights,
    logits_of_z: Weights,
}

/// The states of several points at one position.
struct States {
    points: usize,
    z: Vec<f32>,
    state: Vec<f32>,
    cell: Vec<f32>,
}

impl Generator {
    fn new(Sizes { words, units, .. }: Sizes, rng: &mut ChaCha8Rng) -> Generator {
        let mut within = |bound, rows, columns| Weights::new(rows, columns, bound, rng);
        Generator {
            words,
            units,
            embedding: within(1.0, words, units),
            of_word: within(1.0, 4 * units, units),
            of_z: within(1.0, 4 * units, 2),
            of_state: within(1.0, 4 * units, units),
            // PyTorch's LSTM has two.
            bias: within(1.0, 4 * units, 2),
            start: within(1.0, units, 2),
            logits: within(1.0, words, units),
            logits_of_z: within(5.0, words, 2),
        }
    }

    /// The states before the first word: `cell = W z`, `state = tanh(cell)`.
    fn begin(&self, points: &[[f64; 2]]) -> States {
        let z: Vec<f32> = [0, 1].into_iter().flat_map(|axis| points.iter().map(move |z| z[axis] as f32)).collect();
        let mut cell = vec![0.0; self.units * points.len()];
        self.start.multiply(&z, &mut cell, points.len());
        States { points: points.len(), z, state: cell.iter().map(|value| value.tanh()).collect(), cell }
    }

    /// Reads a word.
    fn advance(&self, states: &mut States, word: usize) {
        let (units, points) = (self.units, states.points);
        let vector = &self.embedding.values[word * units..][..units];
        let mut of_all = vec![0.0; 4 * units];
        self.of_word.multiply(vector, &mut of_all, 1);
        let bias = self.bias.values.chunks(2).map(|both| both[0] + both[1]);
        let mut gates: Vec<f32> =
            of_all.iter().zip(bias).flat_map(|(sum, bias)| std::iter::repeat_n(sum + bias, points)).collect();
        self.of_z.multiply(&states.z, &mut gates, points);
        self.of_state.multiply(&states.state, &mut gates, points);
        let sigmoid = |value: f32| 1.0 / (1.0 + (-value).exp());
        let size = units * points;
        for place in 0..size {
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate * size + place]);
            let cell = sigmoid(f) * states.cell[place] + sigmoid(i) * g.tanh();
            (states.cell[place], states.state[place]) = (cell, sigmoid(o) * cell.tanh());
        }
    }

    /// The logits of the next word: a run of points for each word.
    fn logits(&self, states: &States) -> Vec<f32> {
        let mut logits = vec![0.0; self.words * states.points];
        self.logits_of_z.multiply(&states.z, &mut logits, states.points);
        self.logits.multiply(&states.state, &mut logits, states.points);
        logits
    }

    /// Draws a latent and a sentence.
    fn sentence(&self, rng: &mut ChaCha8Rng) -> ([f64; 2], Vec<usize>) {
        let mut value = || (if uniform(rng) < 0.5 { -2.0 } else { 2.0 }) + normal(rng);
        let z = [value(), value()];
        let mut words = vec![(uniform(rng) * self.words as f64) as usize];
        let mut states = self.begin(&[z]);
        while words.len() < LENGTH {
            self.advance(&mut states, words[words.len() - 1]);
            let logits = self.logits(&states);
            let log_sum = log_sum_exp(logits.iter().map(|logit| f64::from(*logit)));
            let mut left = uniform(rng);
            let drawn = logits.iter().position(|logit| {
                left -= (f64::from(*logit) - log_sum).exp();
                left < 0.0
            });
            words.push(drawn.unwrap_or(self.words - 1));
        }
        (z, words)
    }

    /// log p(x|z) of several latents.
    fn log_probs_given(&self, words: &[usize], points: &[[f64; 2]]) -> Vec<f64> {
        let mut log_probs = vec![-(self.words as f64).ln(); points.len()];
        let mut states = self.begin(points);
        for pair in words.windows(2) {
            self.advance(&mut states, pair[0]);
            let logits = self.logits(&states);
            for (point, log_prob) in log_probs.iter_mut().enumerate() {
                let own = logits.iter().skip(point).step_by(points.len()).map(|logit| f64::from(*logit));
                *log_prob += f64::from(logits[pair[1] * points.len() + point]) - log_sum_exp(own);
            }
        }
        log_probs
    }

    /// log p(x): a sum over a grid, which is fine where a coarser one finds probability.
    fn log_prob(&self, words: &[usize]) -> f64 {
        /// Steps of the fine grid, as wide as the narrowest posteriors, for which the sum is still exact to 1e-6; and fine steps of a coarse one.
        const STEP: f64 = 0.2;
        const COARSE: i32 = 3;
        /// Of the coarse grid, on each side of 0: 7.2 is 5 standard deviations from the outermost means.
        const HALF: i32 = 12;
        /// Nats below the largest value at which no more is expected.
        const NEGLIGIBLE: f64 = 20.0;
        let at = |[x, y]: [i32; 2]| [STEP * f64::from(x), STEP * f64::from(y)];
        let joint = |grid: &[[i32; 2]]| -> Vec<f64> {
            let points: Vec<_> = grid.iter().map(|place| at(*place)).collect();
            let given = self.log_probs_given(words, &points);
            points.iter().zip(given).map(|(z, log_prob)| log_prior(*z) + log_prob).collect()
        };
        let coarse: Vec<_> =
            (-HALF..=HALF).flat_map(|x| (-HALF..=HALF).map(move |y| [COARSE * x, COARSE * y])).collect();
        let found = joint(&coarse);
        let largest = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let counts = coarse.iter().zip(&found).filter(|(_, value)| **value > largest - NEGLIGIBLE);
        let around = |place: i32| place - COARSE..=place + COARSE;
        let mut fine: Vec<_> =
            counts.flat_map(|(&[x, y], _)| around(x).flat_map(move |x| around(y).map(move |y| [x, y]))).collect();
        fine.sort_unstable();
        fine.dedup();
        log_sum_exp(joint(&fine).into_iter()) + 2.0 * STEP.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same sum over a grid that is twice as fine, everywhere.
    #[test]
    fn the_grid_is_fine_enough() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let generator = Generator::new(Sizes { words: 40, units: 16, sentences: [0; 3] }, &mut rng);
        let line = (-70..=70).map(|n| 0.1 * f64::from(n));
        let all: Vec<_> = line.clone().flat_map(|x| line.clone().map(move |y| [x, y])).collect();
        let (_, words) = generator.sentence(&mut rng);
        let given = generator.log_probs_given(&words, &all);
        let joint: Vec<_> = all.iter().zip(given).map(|(z, log_prob)| log_prior(*z) + log_prob).collect();
        let expected = log_sum_exp(joint.into_iter()) + 2.0 * 0.1f64.ln();
        let found = generator.log_prob(&words);
        assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
    }
}
