//! Models of text: what they do with sentences of several lengths, and the commands.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use elbo::config::ModelConfig;
use elbo::data::{Sentences, TextShape, Tokens, Vocabulary};
use elbo::eval::{Report, ReportRequest, report};
use elbo::files::npy;
use elbo::vae::Model;
use elbo::{Config, Plan, Trainer, Vae};

use crate::support::gpu;
use crate::support::program::{refuses, succeeds};

/// Sentences of one to eleven words, some of them the same.
fn sentences() -> Sentences {
    let words = ["the", "sea", "is", "calm", "and", "wide", "."];
    let vocabulary = Arc::new(Vocabulary::of_words(Tokens::Word, words.map(str::to_owned)));
    let line = |i: usize| (0..1 + i * 7 % 11).map(|p| words[(i + p * p) % 7]).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = (0..23).map(line).collect();
    Sentences::new(lines.iter().map(String::as_str), &vocabulary).unwrap()
}

fn model(sentences: &Sentences, hidden: &str, length: usize) -> Model {
    let mut config = ModelConfig { hidden: hidden.parse().ok(), latents: 3, ..ModelConfig::default() };
    config.text.embedding = 8;
    let vocabulary = sentences.vocabulary().clone();
    Model { data: TextShape { vocabulary, length }.into(), config }
}

fn evaluate(vae: &Vae, sentences: &Sentences, batch_size: usize, importance_samples: Option<usize>) -> Report {
    let request = ReportRequest { batch_size, importance_samples, seed: 3 };
    report(vae, sentences, request, |_| ControlFlow::Continue(())).unwrap().unwrap()
}

/// Batches of one length and of several, with room for longer sentences, and of one sentence alone.
#[test]
fn padding_changes_no_figure() {
    let sentences = sentences();
    for hidden in ["gru8", "lstm8,lstm4", "cnn8"] {
        let figures = |length: usize, batch_size: usize| {
            let vae = Vae::new(gpu(), model(&sentences, hidden, length), 5).unwrap();
            let report = evaluate(&vae, &sentences, batch_size, None);
            [report.nll, report.kl, report.text.unwrap().perplexity]
        };
        let expected = figures(sentences.longest(), 1);
        for (length, batch_size) in [(sentences.longest(), 23), (sentences.longest() + 9, 5), (40, 1)] {
            for (found, expected) in figures(length, batch_size).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5 * expected.abs(), "{hidden}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn figures_of_text_are_counted_by_their_definitions() {
    let sentences = sentences();
    let vae = Vae::new(gpu(), model(&sentences, "gru8", 20), 5).unwrap();
    let report = evaluate(&vae, &sentences, 8, Some(20));
    let text = report.text.unwrap();
    assert_eq!((text.tokens, text.unknown), (sentences.positions(), 0));
    let bound = report.log_prob.unwrap().mean;
    let per_token = -bound * sentences.count() as f64 / text.tokens as f64;
    assert!((text.perplexity.ln() - per_token).abs() < 1e-9);
    // Untrained, every token is about as likely as any other.
    assert!((text.perplexity - 9.0).abs() < 2.0, "{text:?}");
    assert!(bound > report.elbo && report.bits_per_dim.is_none());
    let information = text.mutual_information;
    assert!(information.abs() < report.kl + 0.1, "{information} of {}", report.kl);
    // The estimates are in the order of the sentences: short ones are likelier.
    let estimates = &report.estimate.as_ref().unwrap().log_prob;
    let (short, long) = (estimates[0], estimates[3]);
    assert!(sentences.words(0).len() == 1 && sentences.words(3).len() == 11 && short > long + 10.0);
}

/// A decoder that has learned its data writes them, and the importance-weighted bound trains too.
#[test]
fn a_model_learns_its_sentences() {
    let lines = ["a b c", "c b a", "b b", "a c a c a"];
    let words = ["a", "b", "c"].map(str::to_owned);
    let vocabulary = Arc::new(Vocabulary::of_words(Tokens::Word, words));
    let many: Vec<&str> = lines.into_iter().cycle().take(64).collect();
    let train = Sentences::new(many, &vocabulary).unwrap();
    let test = train.slice(0..4).unwrap();
    let data = elbo::data::Corpus { name: "lines".into(), train, validation: None, test };
    for objective in ["elbo", "iwae"] {
        let mut config = Config::default();
        config.model.hidden = "gru32".parse().ok();
        (config.model.latents, config.model.text.embedding) = (4, 16);
        config.training.objective.kind = serde_json::from_value(objective.into()).unwrap();
        config.training.objective.samples = if objective == "iwae" { 3 } else { 1 };
        (config.training.epochs, config.training.batch_size) = (Some(60), 16);
        config.training.learning_rate.initial = 0.01;
        let mut trainer = Trainer::new(gpu(), &Plan::new(&config, &data).unwrap()).unwrap();
        let mut last = None;
        let on_epoch = |metrics: &elbo::step::metrics::EpochMetrics, _: &Vae| {
            last = Some(metrics.held_out().1.elbo);
            Ok(ControlFlow::Continue(()))
        };
        trainer.run(on_epoch).unwrap();
        // Four sentences have log 4 = 1.39 nats.
        let elbo = last.unwrap();
        assert!(elbo < -1.3 && elbo > -2.5, "{objective}: {elbo}");
        let draws = elbo::vae::Words::Draw { temperature: 1.0, top_p: 1.0, seed: 1 };
        let latents = trainer.vae().draw_latents(40, 1).unwrap();
        let written = trainer.vae().write_sentences(&latents, draws).unwrap();
        let known = written.iter().filter(|line| lines.contains(&line.as_str())).count();
        assert!(known > 30, "{objective}: {written:?}");
        assert_eq!(written, trainer.vae().write_sentences(&latents, draws).unwrap());
    }
}

fn write_corpus(directory: &Path) {
    let words = ["the", "sea", "is", "calm", "and", "wide", "or", "deep"];
    let line = |i: usize| (0..2 + i % 5).map(|p| words[(i * 3 + p) % 8]).collect::<Vec<_>>().join(" ") + " .\n";
    fs::write(directory.join("lines.txt"), (0..120).map(line).collect::<String>()).unwrap();
}

const SMALL: [&str; 10] =
    ["train", "--no-tune", "--hidden", "gru8", "--latents", "2", "--embedding", "8", "--data", "lines.txt"];

#[test]
fn the_commands_read_and_write_sentences() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_corpus(home);
    let shown = succeeds(home, &["data", "lines.txt"]);
    assert!(shown.contains("108 sentences") && shown.contains("vocabulary: 11 tokens"), "{shown}");
    let printed = succeeds(home, &[&SMALL[..], &["--epochs", "2", "--out", "run", "--validation", "10"]].concat());
    assert!(printed.contains("98 training, 10 validation, 12 test sentences of at most 7 tokens"), "{printed}");
    assert!(home.join("run/samples/0002.txt").is_file() && home.join("run/best.safetensors").is_file());

    // A run that goes on ends with the bits of one that did not stop.
    succeeds(home, &[&SMALL[..], &["--epochs", "1", "--out", "parts", "--validation", "10"]].concat());
    succeeds(home, &["resume", "parts", "--epochs", "2"]);
    let model = |run: &str| fs::read(home.join(run).join("model.safetensors")).unwrap();
    assert!(model("run") == model("parts"), "other bits");

    let samples = succeeds(home, &["sample", "run", "--count", "7", "--seed", "3"]);
    assert_eq!(samples.lines().count(), 7);
    assert_eq!(samples, succeeds(home, &["sample", "run", "--count", "7", "--seed", "3", "--temperature", "1"]));
    for choice in [&["--greedy"][..], &["--beam", "3"], &["--top-p", "0.5"]] {
        succeeds(home, &[&["sample", "run", "--count", "2"], choice].concat());
    }
    let pairs = succeeds(home, &["reconstruct", "run", "--count", "2"]);
    assert_eq!(pairs.lines().count(), 5, "{pairs}");
    let walk = ["interpolate", "run", "the sea is calm.", "and wide or deep.", "--steps", "4"];
    assert_eq!(succeeds(home, &walk).lines().count(), 4);
    assert_eq!(succeeds(home, &["interpolate", "run", "--pairs", "2", "--steps", "3"]).lines().count(), 7);
    let evaluated = succeeds(home, &["eval", "run", "--importance-samples", "5"]);
    for figure in ["12 test sentences", "perplexity", "bits/char", "log p(x)"] {
        assert!(evaluated.contains(figure), "{figure}: {evaluated}");
    }
    assert!(succeeds(home, &["eval", "run", "--data", "lines.txt", "--json"]).contains("\"examples\": 120"));
    succeeds(home, &["encode", "run"]);
    let (means, shape) = npy::read(&home.join("run/encoded/mean.npy")).unwrap();
    assert_eq!((means.len(), shape), (24, vec![12, 2]));
    let decoded = succeeds(home, &["decode", "run", "run/encoded/mean.npy", "--out", "decoded.txt"]);
    assert_eq!(fs::read_to_string(home.join("decoded.txt")).unwrap().lines().count(), 12, "{decoded}");
}

#[test]
fn what_does_not_fit_text_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_corpus(home);
    let train = |more: &[&'static str], needles: &[&str]| {
        refuses(home, &[&SMALL[..], &["--epochs", "1", "--out", "no"], more].concat(), needles);
        assert!(!home.join("no").exists());
    };
    train(&["--likelihood", "gaussian"], &["--likelihood: expected no such option for text"]);
    train(&["--binarize", "threshold"], &["--binarize: expected no such option for text"]);
    train(&["--normalise", "layer"], &["--normalise: expected no such option for text"]);
    train(&["--prior", "vamp-prior"], &["--prior: expected another one than vamp-prior"]);
    train(&["--size", "8"], &["--size: expected no such option for text"]);
    train(&["--decoder-hidden", "400"], &["--decoder-hidden: expected one or two layers for text", "400"]);
    train(
        &["--decoder-hidden", "gru8,cnn8"],
        &["--decoder-hidden: expected one or two layers for text, all recurrent"],
    );

    train(&["--word-dropout", "1.5"], &["--word-dropout: expected a number from 0 to 1, found 1.5"]);
    train(&["--min-count", "1000"], &["--min-count: expected a number that some token of the text reaches"]);
    train(&["--max-length", "1"], &["--max-length: expected a number that some sentence"]);
    let convolutions = ["train", "--data", "lines.txt", "--hidden", "cnn8", "--bidirectional", "--out", "no"];
    refuses(home, &convolutions, &["--bidirectional: expected recurrent layers", "cnn8"]);
    let images = ["train", "--epochs", "1", "--out", "no"];
    refuses(
        home,
        &[&images[..], &["--hidden", "gru8"]].concat(),
        &["--hidden: expected dense layers and convolutions"],
    );
    refuses(home, &[&images[..], &["--embedding", "8"]].concat(), &["--embedding: expected no such option for images"]);
    refuses(home, &[&images[..], &["--vocabulary", "8"]].concat(), &["--vocabulary: expected no such option unless"]);
    fs::write(home.join("bad.txt"), b"fine\nno\xff\n").unwrap();
    refuses(home, &["train", "--data", "bad.txt", "--out", "no"], &["UTF-8", "line 2, byte 3"]);

    succeeds(home, &[&SMALL[..], &["--epochs", "1", "--out", "run"]].concat());
    refuses(home, &["manifold", "run"], &["expected a model of images, found a model of text"]);
    refuses(home, &["traverse", "run"], &["expected a model of images, found a model of text"]);
    refuses(home, &["eval", "run", "--data", "mnist"], &["mnist", "expected text for a model of text"]);
    refuses(home, &["sample", "run", "--temperature", "0"], &["--temperature: expected a finite number above 0"]);
    refuses(home, &["interpolate", "run", "one", "  "], &["expected a word at least, found none in sentence 2"]);
    let walk = crate::support::program::elbo(home, &["interpolate", "run", "the whale", "calm", "--steps", "2"]);
    let notes = String::from_utf8_lossy(&walk.stderr);
    assert!(notes.contains("it sees \"the <unk>\" and \"calm\""), "{notes}");
}
