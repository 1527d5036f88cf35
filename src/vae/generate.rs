//! Sentences from latents: the decoder one position at a time, and the choice of each word.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::network::Text;
use super::{Network, Vae};
use crate::Error;
use crate::data::{Vocabulary, beginning};
use crate::error::require;
use crate::gpu::Program;
use crate::noise::Stream;
use crate::objective::ObjectiveConfig;
use crate::step::Step;

/// The most rows that are processed at a time.
const ROWS: usize = 256;

/// How the words of a sentence are chosen. The unknown word never is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Words {
    /// The likeliest word at each position.
    Greedy,
    /// The likeliest sentence that a beam search of this width finds.
    Beam(usize),
    /// A draw at each position.
    Draw {
        /// Logits are divided by it: below 1, likely words become likelier.
        temperature: f64,
        /// Only the likeliest words whose probabilities have this sum, are drawn from.
        top_p: f64,
        /// The same one draws the same words.
        seed: u64,
    },
}

impl Words {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first that cannot work.
    pub fn validate(self) -> Result<(), Error> {
        match self {
            Words::Greedy => Ok(()),
            Words::Beam(width) => require("--beam", (1..=ROWS).contains(&width), "a width from 1 to 256", width),
            Words::Draw { temperature, top_p, .. } => {
                let fits = temperature.is_finite() && temperature > 0.0;
                require("--temperature", fits, "a finite number above 0", temperature)?;
                require("--top-p", top_p > 0.0 && top_p <= 1.0, "a number above 0, up to 1", top_p)
            }
        }
    }

    /// Sentences that are tried at a time for each one that is asked for.
    fn width(self) -> usize {
        if let Words::Beam(width) = self { width } else { 1 }
    }
}

/// A sentence that is being written.
#[derive(Clone, Debug)]
struct Draft {
    words: Vec<u32>,
    log_prob: f64,
}

impl Draft {
    fn is_over(&self) -> bool {
        self.words.last() == Some(&Vocabulary::END)
    }
}

impl Vae {
    /// Draws latents from the prior, `(count, L)`: those that [`Vae::sample`] decodes.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if the device was lost.
    pub fn draw_latents(&self, count: usize, seed: u64) -> Result<Vec<f32>, Error> {
        let network = Network::evaluation(self, self.batch(count), &ObjectiveConfig::default())?;
        self.drawn(&network, count, seed)
    }

    /// A sentence for each row of `latents`, `(N, L)`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a model of images, or if the number of values is not a multiple of the model's latents;
    /// [`Error::Config`] for a choice that cannot work.
    pub fn write_sentences(&self, latents: &[f32], words: Words) -> Result<Vec<String>, Error> {
        let vocabulary = &self.model.text()?.vocabulary;
        words.validate()?;
        self.check_latents(latents)?;
        let mut sentences = Vec::new();
        for (number, latents) in latents.chunks(ROWS / words.width() * self.model.config.latents).enumerate() {
            let first = number * (ROWS / words.width());
            let drafts = Writer::new(self, latents, words, first)?.write()?;
            sentences.extend(drafts.iter().map(|draft| vocabulary.decode(&draft.words)));
        }
        Ok(sentences)
    }
}

/// A decoder in the middle of sentences.
struct Writer<'a> {
    vae: &'a Vae,
    network: Network,
    step: crate::gpu::Tensor,
    words: Words,
    /// A generator for each sentence that is asked for.
    rngs: Vec<ChaCha8Rng>,
}

impl Writer<'_> {
    /// Starts sentences, those from number `first` on: a row for each draft.
    fn new<'a>(vae: &'a Vae, latents: &[f32], words: Words, first: usize) -> Result<Writer<'a>, Error> {
        let width = vae.model.config.latents;
        let count = latents.len() / width;
        let rows = count * words.width();
        let network = Network::of_one_position(vae, rows)?;
        let repeated = latents.chunks(width).flat_map(|row| (0..words.width()).map(move |_| row));
        network.z.write(&vae.gpu, &repeated.collect::<Vec<_>>().concat())?;
        let step = Step { examples: rows as u32, length: 1, ..Step::default() }.upload(&vae.gpu)?;
        let seed = if let Words::Draw { seed, .. } = words { seed } else { 0 };
        let rngs = (first..first + count).map(|sentence| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream((sentence as u64) << 32 | Stream::Words as u64);
            rng
        });
        Ok(Writer { vae, network, step, words, rngs: rngs.collect() })
    }

    fn text(&self) -> Result<&Text, Error> {
        self.network.text()
    }

    /// Writes until all sentences have ended, or are as long as the model's longest.
    fn write(mut self) -> Result<Vec<Draft>, Error> {
        let gpu = self.vae.gpu.clone();
        let shape = self.vae.model.text()?.clone();
        let start = Program::from(self.text()?.start(&self.network, &self.step)?);
        let next = Program::from(self.text()?.next_logits(&self.network, &self.step)?);
        let rows = self.network.batch();
        let mut drafts = vec![Draft { words: Vec::new(), log_prob: 0.0 }; rows];
        gpu.run(&start, 1);
        for _ in 0..shape.length {
            let last = drafts.iter().map(|draft| draft.words.last().copied().unwrap_or(beginning(&shape.vocabulary)));
            self.text()?.batch.inputs.write(&gpu, &last.collect::<Vec<_>>())?;
            gpu.run(&next, 1);
            let logits: Vec<f32> = self.text()?.decoder.output.read(&gpu)?;
            let log_probs: Vec<Vec<f64>> = logits.chunks(shape.vocabulary.len()).map(log_softmax).collect();
            if let Some(row) = log_probs.iter().position(|row| row[Vocabulary::END as usize].is_nan()) {
                let (operation, place) = ("writing sentences", format!("the logits of row {row}"));
                return Err(Error::NotFinite { operation, place, value: f32::NAN });
            }
            let from = match self.words {
                Words::Beam(width) => widen(&mut drafts, &log_probs, width),
                _ => self.extend(&mut drafts, &log_probs),
            };
            self.text()?.decoder.sequence.keep(&gpu, &from)?;
            if drafts.iter().all(Draft::is_over) {
                break;
            }
        }
        let best = |group: &[Draft]| {
            // A longer sentence is less likely: the mean of its words counts.
            let score = |draft: &Draft| draft.log_prob / draft.words.len().max(1) as f64;
            group.iter().max_by(|a, b| score(a).total_cmp(&score(b))).cloned()
        };
        Ok(drafts.chunks(self.words.width()).filter_map(best).collect())
    }

    /// Adds a word to each sentence. The state of each row stays its own.
    fn extend(&mut self, drafts: &mut [Draft], log_probs: &[Vec<f64>]) -> Vec<usize> {
        for ((draft, log_probs), rng) in drafts.iter_mut().zip(log_probs).zip(&mut self.rngs) {
            if draft.is_over() {
                continue;
            }
            let word = match self.words {
                Words::Draw { temperature, top_p, .. } => draw(log_probs, temperature, top_p, rng),
                _ => likeliest(log_probs),
            };
            draft.words.push(word);
            draft.log_prob += log_probs[word as usize];
        }
        (0..drafts.len()).collect()
    }
}

/// Extends the drafts of each sentence by their likeliest words, and keeps the best `width` of them. Returns the row that each comes
/// from.
fn widen(drafts: &mut [Draft], log_probs: &[Vec<f64>], width: usize) -> Vec<usize> {
    let mut from = Vec::new();
    for (group, drafts) in drafts.chunks_mut(width).enumerate() {
        let first = group * width;
        // All drafts of a sentence are the same before its first word.
        let known = if drafts[0].words.is_empty() { 1 } else { width };
        let mut candidates: Vec<(usize, Draft)> = Vec::new();
        for (index, draft) in drafts.iter().enumerate().take(known) {
            if draft.is_over() {
                candidates.push((first + index, draft.clone()));
                continue;
            }
            for word in ranked(&log_probs[first + index]).into_iter().take(width) {
                let words = [draft.words.as_slice(), &[word]].concat();
                let log_prob = draft.log_prob + log_probs[first + index][word as usize];
                candidates.push((first + index, Draft { words, log_prob }));
            }
        }
        candidates.sort_by(|(_, a), (_, b)| b.log_prob.total_cmp(&a.log_prob));
        // A vocabulary may have fewer words than the beam is wide.
        let worst = candidates[candidates.len() - 1].clone();
        candidates.resize(width.max(candidates.len()), worst);
        for (draft, (row, best)) in drafts.iter_mut().zip(candidates) {
            *draft = best;
            from.push(row);
        }
    }
    from
}

/// The likeliest word but the unknown one.
fn likeliest(log_probs: &[f64]) -> u32 {
    let words = (0..log_probs.len() as u32).filter(|word| *word != Vocabulary::UNKNOWN);
    let best = words.max_by(|a, b| log_probs[*a as usize].total_cmp(&log_probs[*b as usize]));
    best.unwrap_or(Vocabulary::END)
}

/// Words by their probability, the likeliest first, without the unknown one.
fn ranked(log_probs: &[f64]) -> Vec<u32> {
    let mut words: Vec<u32> = (0..log_probs.len() as u32).filter(|word| *word != Vocabulary::UNKNOWN).collect();
    words.sort_by(|a, b| log_probs[*b as usize].total_cmp(&log_probs[*a as usize]));
    words
}

fn draw(log_probs: &[f64], temperature: f64, top_p: f64, rng: &mut ChaCha8Rng) -> u32 {
    let words = ranked(log_probs);
    let largest = log_probs[words[0] as usize];
    let weights: Vec<f64> =
        words.iter().map(|word| ((log_probs[*word as usize] - largest) / temperature).exp()).collect();
    let whole: f64 = weights.iter().sum();
    let mut kept = 0.0;
    let many = weights.iter().take_while(|weight| {
        let takes = kept < top_p * whole;
        kept += **weight;
        takes
    });
    let many = many.count().max(1);
    let uniform = f64::from(rng.next_u32()) * 2f64.powi(-32);
    let mut left = uniform * weights[..many].iter().sum::<f64>();
    let at = weights[..many].iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    words[at.unwrap_or(many - 1)]
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
    let log_sum = largest + logits.iter().map(|x| (f64::from(*x) - largest).exp()).sum::<f64>().ln();
    logits.iter().map(|x| f64::from(*x) - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ModelConfig;
    use crate::data::{TextShape, Tokens};
    use crate::vae::Model;

    #[test]
    fn draws_follow_the_probabilities_and_their_options() {
        let log_probs = [0.1, 0.4, 0.3, 0.2].map(f64::ln);
        let count = |temperature, top_p| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let mut counts = [0u32; 4];
            (0..6000).for_each(|_| counts[draw(&log_probs, temperature, top_p, &mut rng) as usize] += 1);
            counts
        };
        // Without the unknown word, the others have 1/6, 3/6 and 2/6.
        let all = count(1.0, 1.0);
        assert!(
            all[1] == 0 && [1000, 3000, 2000].iter().zip([0, 2, 3]).all(|(n, i)| all[i].abs_diff(*n) < 150),
            "{all:?}"
        );
        assert_eq!(count(1.0, 0.49)[2], 6000);
        assert!(count(0.2, 1.0)[2] > 5000 && count(5.0, 1.0)[2] < 2500);
        assert_eq!((ranked(&log_probs), likeliest(&log_probs)), (vec![2, 3, 0], 2));
    }

    /// Word by word, the decoder has the states that it has over whole sentences.
    #[test]
    fn words_are_those_that_whole_sentences_make_likeliest() -> Result<(), Error> {
        let gpu = crate::Gpu::open(&crate::AdapterRequest::default())?;
        let vocabulary = Arc::new(Vocabulary::of_words(Tokens::Char, "abcdefghij".chars().map(String::from)));
        for (hidden, without_latents, factor) in [
            ("gru8,lstm4", false, 4.0),
            ("lstm8,gru12", false, 4.0),
            ("gru8", true, 4.0),
            ("cnn8", false, 2.0),
            ("cnn8", true, 2.0),
        ] {
            let mut config = ModelConfig { hidden: hidden.parse().ok(), latents: 3, ..ModelConfig::default() };
            (config.text.embedding, config.text.without_latents) = (8, without_latents);
            let data = TextShape { vocabulary: vocabulary.clone(), length: 12 }.into();
            let vae = Vae::new(&gpu, Model { data, config }, 1)?;
            // Weights large enough that words depend on what came before.
            for (_, tensor) in vae.parameters.tensors() {
                let scaled: Vec<f32> = tensor.read::<f32>(&gpu)?.iter().map(|value| factor * value).collect();
                tensor.write(&gpu, &scaled)?;
            }
            let latents: Vec<f32> = (0..12).map(|i| (i as f32 * 1.7).sin() * 2.0).collect();
            for words in [Words::Greedy, Words::Beam(1)] {
                let drafts = Writer::new(&vae, &latents, words, 0)?.write()?;
                assert!(without_latents || drafts.iter().any(|draft| draft.words.len() > 2), "{drafts:?}");
                check_drafts(&vae, &latents, &drafts)?;
            }
            assert_eq!(vae.write_sentences(&latents, Words::Beam(3))?.len(), 4);
        }
        Ok(())
    }

    fn check_drafts(vae: &Vae, latents: &[f32], drafts: &[Draft]) -> Result<(), Error> {
        let (gpu, rows, length) = (&vae.gpu, drafts.len(), vae.model.text()?.length);
        let network = Network::evaluation(vae, rows, &ObjectiveConfig::default())?;
        network.z.write(gpu, latents)?;
        let text = network.text()?;
        let words = vae.model.text()?.vocabulary.len();
        let before = |p: usize, row: usize| match p {
            0 => words as u32,
            p => drafts[row].words.get(p - 1).copied().unwrap_or(Vocabulary::END),
        };
        let inputs: Vec<u32> = (0..length * rows).map(|place| before(place / rows, place % rows)).collect();
        text.batch.inputs.write(gpu, &inputs)?;
        text.batch.lengths.write(gpu, &vec![length as u32; rows])?;
        let step = Step { examples: rows as u32, length: length as u32, ..Step::default() }.upload(gpu)?;
        gpu.run(&Program::from(text.start(&network, &step)?), 1);
        gpu.run(&Program::from(text.next_logits(&network, &step)?), 1);
        let logits: Vec<f32> = text.decoder.output.read(gpu)?;
        for (row, draft) in drafts.iter().enumerate() {
            let mut log_prob = 0.0;
            for (p, word) in draft.words.iter().enumerate() {
                let log_probs = log_softmax(&logits[(p * rows + row) * words..][..words]);
                assert_eq!(likeliest(&log_probs), *word, "row {row}, position {p} of {drafts:?}");
                log_prob += log_probs[*word as usize];
            }
            assert!((log_prob - draft.log_prob).abs() < 1e-3, "{log_prob} and {draft:?}");
        }
        Ok(())
    }

    #[test]
    fn a_beam_finds_what_a_greedy_choice_misses() {
        // Word 2 is the likelier first one, but what follows word 3 is sure.
        let first = [0.01, 0.01, 0.5, 0.48].map(f64::ln).to_vec();
        let after = |word: u32| if word == 2 { [0.3, 0.1, 0.3, 0.3] } else { [0.97, 0.01, 0.01, 0.01] };
        let mut drafts = vec![Draft { words: vec![], log_prob: 0.0 }; 2];
        assert_eq!(widen(&mut drafts, &[first.clone(), first], 2), [0, 0]);
        let log_probs: Vec<_> = drafts.iter().map(|draft| after(draft.words[0]).map(f64::ln).to_vec()).collect();
        let from = widen(&mut drafts, &log_probs, 2);
        assert_eq!((drafts[0].words.as_slice(), from[0]), (&[3, Vocabulary::END][..], 1));
    }
}
