//! Models of text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use elbo::config::ModelConfig;
use elbo::data::{Sentences, TextShape, Tokens, Vocabulary};
use elbo::files::npy;
use elbo::vae::{Model, Vae};

use super::cases::{elbo_of, write_other_values};
use crate::support::gpu;

/// The name and the options of each.
pub const CASES: [(&str, &str); 4] = [
    ("gru", r#"{"hidden": ["gru8"]}"#),
    (
        "lstm",
        r#"{"hidden": ["lstm8", "lstm12"], "prior": "mixture", "components": 3, "logvar_range": {"min": -0.2, "max": 0.1},
            "text": {"bidirectional": true, "shared_embedding": true, "dropout": 0.3}}"#,
    ),
    ("cnn", r#"{"hidden": ["cnn8"], "decoder_hidden": ["cnn4", "cnn8"]}"#),
    ("alone", r#"{"hidden": ["gru8"], "text": {"without_latents": true}}"#),
];

const LATENTS: usize = 3;

/// A model with random parameters, and what Elbo computes with it, in a directory.
pub struct TextCase {
    pub directory: PathBuf,
    pub vae: Vae,
    pub sentences: Sentences,
    /// The mean log probability and KL divergence of the sentences.
    pub terms: [f64; 2],
}

/// Sentences of several lengths, the longest first, as an evaluation sorts them.
fn sentences() -> Sentences {
    let words = ["the", "sea", "isn't", "'''", "and", "wide\\", "."];
    let vocabulary = Arc::new(Vocabulary::of_words(Tokens::Word, words.map(str::to_owned)));
    let line = |length: usize| (0..length).map(|p| words[(length + p * p) % 7]).collect::<Vec<_>>().join(" ");
    let of = |lines: &[String]| Sentences::new(lines.iter().map(String::as_str), &vocabulary).unwrap();
    let mut lines: Vec<String> = (1..12).map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(of(std::slice::from_ref(line)).longest()));
    of(&lines)
}

impl TextCase {
    /// Makes a model in a directory of its name: its file, sentences, and results for them.
    pub fn make((name, options): &(&str, &str), directory: &Path) -> TextCase {
        let directory = directory.join(name);
        std::fs::create_dir(&directory).unwrap();
        let sentences = sentences();
        let mut config = serde_json::to_value(ModelConfig { latents: LATENTS, ..ModelConfig::default() }).unwrap();
        let options: serde_json::Value = serde_json::from_str(options).unwrap();
        config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let mut config: ModelConfig = serde_json::from_value(config).unwrap();
        config.text.embedding = 8;
        let length = sentences.longest();
        let data = TextShape { vocabulary: sentences.vocabulary().clone(), length }.into();
        let vae = Vae::new(gpu(), Model { data, config }.suited(), 3).unwrap();
        write_other_values(&vae);
        vae.save(&directory.join("model.safetensors")).unwrap();
        let count = sentences.count();
        let padded = |sentence| (0..length).map(move |p| (sentence, p));
        let token = |(sentence, p): (usize, usize)| sentences.words(sentence).get(p).copied().unwrap_or(0) as f32;
        let tokens: Vec<f32> = (0..count).flat_map(padded).map(token).collect();
        npy::write(&directory.join("tokens.npy"), &tokens, &[count, length]).unwrap();
        let lengths: Vec<f32> = sentences.lengths().map(|length| length as f32).collect();
        npy::write(&directory.join("lengths.npy"), &lengths, &[count]).unwrap();
        if !vae.model().config.text.without_latents {
            let posterior = vae.encode(&sentences, 0).unwrap();
            npy::write(&directory.join("mean.npy"), &posterior.mean, &[count, LATENTS]).unwrap();
            npy::write(&directory.join("logvar.npy"), &posterior.logvar, &[count, LATENTS]).unwrap();
        }
        let (terms, draws) = elbo_of(&vae, &sentences);
        npy::write(&directory.join("draws.npy"), &draws, &[count, draws.len() / count]).unwrap();
        TextCase { directory, vae, sentences, terms }
    }
}
