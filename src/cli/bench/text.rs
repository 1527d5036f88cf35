//! The speed of training on sentences.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use elbo::data::{Corpus, Sentences, Tokens, Vocabulary};
use elbo::error::require;
use elbo::gpu::DispatchTime;
use elbo::{Error, Plan, Trainer};
use serde::Serialize;

use super::{Bench, Case};
use crate::cli::{GpuArgs, say, say_json};

/// Batches of the data: an epoch of each measurement.
const BATCHES: usize = 6;

/// Sizes of the sentences: words of the vocabulary, and words of each sentence.
#[derive(Clone, Copy, Debug)]
pub struct SentenceSizes {
    vocabulary: usize,
    length: usize,
}

/// `5000x25`.
pub fn sizes(text: &str) -> Result<SentenceSizes, String> {
    let wrong = || format!("expected words of the vocabulary and of a sentence, as 5000x25, found `{text}`");
    let (vocabulary, length) = text.split_once('x').ok_or_else(wrong)?;
    let number = |text: &str| text.parse().ok().filter(|n| (1..=1 << 16).contains(n)).ok_or_else(wrong);
    Ok(SentenceSizes { vocabulary: number(vocabulary)?, length: number(length)? })
}

#[derive(Serialize)]
struct Row {
    hidden: String,
    vocabulary: usize,
    length: usize,
    batch_size: usize,
    /// Positions of sentences, with their ends: median, smallest and largest of the passes.
    tokens_per_second: f64,
    slowest: f64,
    fastest: f64,
    gflops: f64,
    dispatches_per_step: usize,
    first_step_seconds: f64,
    gpu_bytes: u64,
    /// Seconds of each kernel in a step, and its dispatches, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profile: Vec<(String, f64, usize)>,
}

impl Bench {
    /// Measures the cases on sentences of one length.
    pub(super) fn run_on_text(&self, gpu: &GpuArgs) -> Result<ExitCode, Error> {
        require("--products", !self.products, "layers for images", "recurrent layers")?;
        require(
            "--save",
            self.save.is_none(),
            "--json for recurrent layers, whose report is not written to a file",
            "a file",
        )?;
        let mut rows = Vec::new();
        for case in self.cases() {
            let row = self.measure_text(gpu, &case)?;
            if !self.json {
                row.print()?;
            }
            rows.push(row);
        }
        if self.json {
            say_json(&rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn measure_text(&self, args: &GpuArgs, case: &Case) -> Result<Row, Error> {
        let SentenceSizes { vocabulary, length } = self.sentences;
        let corpus = corpus(self.sentences, BATCHES * case.batch_size)?;
        let start = Instant::now();
        let gpu = args.open()?;
        let mut trainer = Trainer::new(&gpu, &Plan::new(&case.config(), &corpus)?)?;
        let (first_step_seconds, rates) = self.time(&mut trainer, start)?;
        let tokens = |rate: f64| rate * (length + 1) as f64;
        let rate = rates[rates.len() / 2];
        let profile = if self.profile { by_kernel(trainer.profile()?) } else { Vec::new() };
        Ok(Row {
            hidden: case.hidden.to_string(),
            vocabulary,
            length,
            batch_size: case.batch_size,
            tokens_per_second: tokens(rate),
            slowest: tokens(rates[0]),
            fastest: tokens(rates[rates.len() - 1]),
            gflops: 1e-9 * rate * trainer.vae().model().training_flops(case.samples),
            dispatches_per_step: trainer.dispatches_per_step(),
            first_step_seconds,
            gpu_bytes: gpu.allocated_bytes(),
            profile,
        })
    }
}

impl Row {
    fn print(&self) -> Result<(), Error> {
        let Row { hidden, vocabulary, length, batch_size, tokens_per_second, slowest, fastest, gflops, .. } = self;
        say(format_args!(
            "{hidden}, {vocabulary} words, sentences of {length}, batch {batch_size}: {tokens_per_second:.0} tokens/s ({slowest:.0} - \
             {fastest:.0}), {gflops:.1} GFLOP/s, {} dispatches, first step {:.1} s, {:.1} MiB",
            self.dispatches_per_step,
            self.first_step_seconds,
            self.gpu_bytes as f64 / f64::from(1 << 20)
        ))?;
        let total: f64 = self.profile.iter().map(|(_, seconds, _)| seconds).sum();
        self.profile.iter().try_for_each(|(label, seconds, count)| {
            say(format_args!("{:>10.1} ms {:>3.0}%  {count:>4} x {label}", 1e3 * seconds, 100.0 * seconds / total))
        })
    }
}

/// Sentences of one length, whose words are in turn.
fn corpus(SentenceSizes { vocabulary, length }: SentenceSizes, count: usize) -> Result<Corpus, Error> {
    let word = |number: usize| format!("w{number}");
    let words = Arc::new(Vocabulary::of_words(Tokens::Word, (0..vocabulary).map(word)));
    let line =
        |line: usize| (0..length).map(|p| word((line * 7919 + p * 104_729) % vocabulary)).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = (0..count).map(line).collect();
    let train = Sentences::new(lines.iter().map(String::as_str), &words)?;
    let test = train.slice(0..1)?;
    Ok(Corpus { name: "sentences".to_owned(), train, validation: None, test })
}

/// The dispatches of each kernel together, the slowest first.
fn by_kernel(profile: Vec<DispatchTime>) -> Vec<(String, f64, usize)> {
    let mut kernels = BTreeMap::<String, (f64, usize)>::new();
    for time in profile {
        let (seconds, count) = kernels.entry(time.label).or_default();
        *seconds += time.seconds;
        *count += 1;
    }
    let mut sorted: Vec<_> = kernels.into_iter().map(|(label, (seconds, count))| (label, seconds, count)).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    sorted
}
