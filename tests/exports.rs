//! What other programs make of exported models: ONNX with onnxruntime, modules with PyTorch, and weights that PyTorch trained.

mod cases;
mod text;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use clap::ValueEnum;
use elbo::config::ModelConfig;
use elbo::export;
use elbo::nn::exact::HostParameters;
use elbo::vae::{Model, Vae};
use serde::Deserialize;

use crate::support::gpu;
use crate::support::program::{elbo, errors_of, refuses, succeeds, write_data};
use crate::support::sources::repository;
use crate::support::tools::{python, run};
use cases::{CASES, Case, elbo_of};
use text::TextCase;

/// Of means and log variances, which are near 1.
const TOLERANCE: f64 = 1e-5;

/// Of the log probability and the KL divergence.
const RELATIVE_TOLERANCE: f64 = 1e-5;

/// What `tests/tools/pytorch_models.py` prints: the log probability and the KL divergence before and after a step of training.
#[derive(Deserialize)]
struct Found {
    difference: f64,
    before: [f64; 2],
    after: [f64; 2],
}

#[track_caller]
fn assert_near(found: [f64; 2], want: [f64; 2], name: &str) {
    for (found, want) in found.into_iter().zip(want) {
        let bound = RELATIVE_TOLERANCE * want.abs().max(1.0);
        assert!((found - want).abs() <= bound, "{name}: {found}, not {want}");
    }
}

#[test]
fn every_kind_of_part_is_among_the_cases() {
    let models: Vec<_> = CASES.iter().map(|(name, text)| Model::parse(Path::new(name), text).unwrap()).collect();
    fn assert_all<T: ValueEnum + PartialEq + Debug>(models: &[Model], kind: impl Fn(&ModelConfig) -> T) {
        for value in T::value_variants() {
            assert!(models.iter().any(|model| kind(&model.config) == *value), "no case with {value:?}");
        }
    }
    assert_all(&models, |config| config.activation);
    assert_all(&models, |config| config.likelihood.kind);
    assert_all(&models, |config| config.prior.kind);
    assert_all(&models, |config| config.normalise.unwrap_or_default());
    assert_all(&models, |config| config.upsample);
}

#[test]
fn onnxruntime_computes_what_elbo_does() {
    let Some(python) = python("onnxruntime_computes_what_elbo_does", &["onnxruntime", "onnx", "numpy"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    for case in &CASES {
        let made = Case::make(case, directory.path());
        for (name, bytes) in export::onnx(made.vae.model(), &made.parameters()).unwrap() {
            fs::write(made.directory.join(name), bytes).unwrap();
        }
    }
    let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    let printed = run(&python, "onnx_models.py", directory.path(), &names);
    let found: BTreeMap<String, f64> = serde_json::from_str(&printed).unwrap();
    assert_eq!(found.len(), CASES.len());
    assert!(found.values().all(|difference| *difference <= TOLERANCE), "{found:?}");
}

#[test]
fn pytorch_has_the_same_elbo_and_its_weights_come_back() {
    let test = "pytorch_has_the_same_elbo_and_its_weights_come_back";
    let Some(python) = python(test, &["torch", "safetensors", "numpy"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let made: Vec<Case> = CASES.iter().map(|case| Case::make(case, directory.path())).collect();
    for case in &made {
        fs::write(case.directory.join("model.py"), export::pytorch(case.vae.model()).unwrap()).unwrap();
    }
    let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
    let printed = run(&python, "pytorch_models.py", directory.path(), &names);
    let found: BTreeMap<String, Found> = serde_json::from_str(&printed).unwrap();
    for (case, name) in made.iter().zip(names) {
        let Found { difference, before, after } = &found[name];
        assert!(*difference <= TOLERANCE, "{name}: {difference}");
        assert_near(*before, case.terms, name);
        assert!(after != before, "{name}: a step changes the weights");
        let path = case.directory.join("trained.safetensors");
        let (model, _) = Model::import(&path, &fs::read(&path).unwrap(), None).unwrap();
        assert_eq!(&model, case.vae.model());
        let trained = Vae::load(gpu(), &path).unwrap();
        assert_near(*after, elbo_of(&trained, &case.images).0, name);
    }
}

/// The options of a run, and its model's description.
const RUN: (&[&str], &str) = (
    &["--hidden", "12", "--latents", "3", "--binarize", "threshold"],
    r#"{"height": 8, "width": 8, "hidden": [12], "latents": 3, "binarize": "threshold"}"#,
);

/// A run of an epoch over small images.
fn trained_run(directory: &Path) {
    write_data(&directory.join("data"), 8, 100);
    let other = ["train", "--data", "data", "--out", "run", "--epochs", "1", "--batch-size", "50", "--quiet"];
    succeeds(directory, &[&other[..], RUN.0].concat());
}

#[test]
fn the_program_exports_and_imports() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    trained_run(directory);
    let printed = succeeds(directory, &["export", "run", "--onnx", "a/b", "--pytorch", "model.py"]);
    assert!(printed.contains("encoder.onnx") && printed.contains("model.py"), "{printed}");
    assert!(["a/b/encoder.onnx", "a/b/decoder.onnx", "model.py"].iter().all(|file| directory.join(file).is_file()));
    // The same weights are the same model, whatever describes it.
    let weights = "run/model.safetensors";
    fs::write(directory.join("model.json"), RUN.1).unwrap();
    succeeds(directory, &["import", weights, "--like", "run", "--out", "like"]);
    succeeds(directory, &["import", weights, "--config", "model.json", "--data", "data", "--out", "config"]);
    succeeds(directory, &["import", weights, "--data", "data", "--out", "metadata"]);
    let eval = |run: &str| succeeds(directory, &["eval", run, "--json"]);
    for run in ["like", "config", "metadata"] {
        assert_eq!(eval(run), eval("run"), "{run}");
        assert_eq!(
            fs::read(directory.join(run).join("model.safetensors")).unwrap(),
            fs::read(directory.join(weights)).unwrap()
        );
    }
    succeeds(directory, &["sample", "like", "--count", "4"]);
    succeeds(directory, &["encode", "like"]);
    refuses(directory, &["resume", "like"], &["a model alone, which `elbo import` brought here"]);
}

#[test]
fn exports_and_imports_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (_, model) = RUN;
    let vae = Vae::new(gpu(), Model::parse(Path::new("run"), model).unwrap(), 0).unwrap();
    vae.save(&directory.join("model.safetensors")).unwrap();
    succeeds(directory, &["import", "model.safetensors", "--data", "mnist", "--out", "run"]);
    for (arguments, needle) in [(&["export", "run"][..], "--pytorch"), (&["import", "run/model.safetensors"], "--data")]
    {
        let output = elbo(directory, arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors_of(&output).contains(needle), "{}", errors_of(&output));
    }
    refuses(directory, &["export", "none", "--onnx", "onnx"], &["cannot read the model none"]);
    refuses(directory, &["export", "run", "--pytorch", "none/model.py"], &["cannot write none/model.py"]);
    let bytes = fs::read(directory.join("run/model.safetensors")).unwrap();
    fs::write(directory.join("half.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    let import =
        |file: &str, needles: &[&str]| refuses(directory, &["import", file, "--like", "run", "--out", "new"], needles);
    refuses(
        directory,
        &["export", "half.safetensors", "--onnx", "onnx"],
        &["half.safetensors", "a whole safetensors file"],
    );
    import("half.safetensors", &["half.safetensors: expected a whole safetensors file"]);
    import("none.safetensors", &["cannot read the weights none.safetensors"]);
    refuses(directory, &["import", "run/model.safetensors", "--like", "run", "--out", "run"], &["already exists"]);
    fs::write(directory.join("other.json"), r#"{"height": 8, "width": 8, "hidden": [11], "latents": 3}"#).unwrap();
    let other = ["import", "run/model.safetensors", "--config", "other.json", "--data", "data", "--out", "new"];
    refuses(directory, &other, &["another one in its metadata"]);
    for (file, needle) in cases::wrong_files(directory) {
        import(&file, &[file.as_str(), needle]);
    }
    assert!(!directory.join("new").exists(), "a refusal leaves nothing behind");
}

#[test]
fn models_of_text_are_refused_as_onnx() {
    let directory = tempfile::tempdir().unwrap();
    let TextCase { vae, .. } = TextCase::make(&text::CASES[0], directory.path());
    let error = export::onnx(vae.model(), &HostParameters::new(Vec::new())).unwrap_err();
    assert!(error.to_string().contains("found a model of text"), "{error}");
}

#[test]
fn pytorch_has_the_same_elbo_of_text() {
    let test = "pytorch_has_the_same_elbo_of_text";
    let Some(python) = python(test, &["torch", "safetensors", "numpy"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let made: Vec<TextCase> = text::CASES.iter().map(|case| TextCase::make(case, directory.path())).collect();
    for case in &made {
        fs::write(case.directory.join("model.py"), export::pytorch(case.vae.model()).unwrap()).unwrap();
    }
    let names: Vec<&str> = text::CASES.iter().map(|(name, _)| *name).collect();
    let printed = run(&python, "pytorch_text.py", directory.path(), &names);
    let found: BTreeMap<String, Found> = serde_json::from_str(&printed).unwrap();
    for (case, name) in made.iter().zip(names) {
        let Found { difference, before, after } = &found[name];
        assert!(*difference <= TOLERANCE, "{name}: {difference}");
        assert_near(*before, case.terms, name);
        assert!(after != before, "{name}: a step changes the weights");
        let path = case.directory.join("trained.safetensors");
        assert_eq!(&Model::import(&path, &fs::read(&path).unwrap(), None).unwrap().0, case.vae.model());
        assert_near(*after, elbo_of(&Vae::load(gpu(), &path).unwrap(), &case.sentences).0, name);
    }
}

/// The first block of Python in a text that contains a phrase.
fn snippet<'a>(text: &'a str, phrase: &str) -> &'a str {
    let blocks = text.split("```python\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.into_iter().find(|block| block.contains(phrase)).expect("a block of Python")
}

#[test]
fn the_snippet_of_the_documentation_has_the_same_elbo() {
    let test = "the_snippet_of_the_documentation_has_the_same_elbo";
    let Some(python) = python(test, &["torch", "safetensors", "numpy"]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let made = Case::make(&cases::OF_MNIST, directory.path());
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    fs::write(directory.path().join("snippet.py"), snippet(&text, "class Vae")).unwrap();
    let printed = run(&python, "pytorch_snippet.py", directory.path(), &["snippet.py", cases::OF_MNIST.0]);
    let found: [f64; 2] = serde_json::from_str(&printed).unwrap();
    assert_near(found, made.terms, "the snippet");
}
