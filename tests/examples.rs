//! The programs in `examples/`, run as they are: each ends well and writes what it says.
//!
//! They are part of this binary, so they need no target of their own. Each opens a device of its own.

use std::path::Path;

use elbo::vae::Vae;

use crate::support::gpu;
use crate::support::sources::files;

/// The example as a module: its `main` alone is not used.
macro_rules! example {
    ($name:ident, $path:literal) => {
        #[path = $path]
        #[allow(dead_code, reason = "`main` reads the program's arguments, which are the test's here")]
        mod $name;
    };
}

example!(train, "../examples/train.rs");
example!(sample, "../examples/sample.rs");
example!(custom_data, "../examples/custom_data.rs");
example!(synthetic_text, "../benches/synthetic_text.rs");

/// Whether a file is a picture that shows something.
fn shows_something(path: &Path) -> bool {
    let picture = image::open(path).expect("a picture").into_luma8();
    picture.pixels().any(|pixel| pixel.0[0] > 200) && picture.pixels().any(|pixel| pixel.0[0] < 20)
}

#[test]
fn train_writes_a_model_which_sample_loads() {
    // Waits for its turn on GL.
    let gpu = gpu();
    let directory = tempfile::tempdir().expect("a directory");
    let [model, picture] = ["runs/model.safetensors", "runs/sample.png"].map(|name| directory.path().join(name));
    train::run(&model).expect("the example ends well");
    assert_eq!(Vae::load(gpu, &model).expect("a model").model().config.latents, 8);
    sample::run(&picture, Some(&model)).expect("the example ends well");
    assert!(shows_something(&picture));
}

#[test]
fn sample_trains_a_model_of_its_own() {
    gpu();
    let directory = tempfile::tempdir().expect("a directory");
    let picture = directory.path().join("sample.png");
    sample::run(&picture, None).expect("the example ends well");
    assert!(shows_something(&picture));
}

#[test]
fn custom_data_writes_a_picture() {
    gpu();
    let directory = tempfile::tempdir().expect("a directory");
    let picture = directory.path().join("custom_data.png");
    custom_data::run(&picture).expect("the example ends well");
    assert!(shows_something(&picture));
}

#[test]
fn every_example_is_run_here_says_how_it_is_run_and_is_short() {
    for (path, text) in files("examples", "rs") {
        let name = path.file_stem().expect("a name").to_str().expect("a name in UTF-8");
        let run = format!("example!({name}, \"../examples/{name}.rs\");");
        assert!(include_str!("examples.rs").contains(&run), "tests/examples.rs does not run {name}");
        assert!(text.contains(&format!("cargo run --release --example {name}")), "{name} does not say how it is run");
        assert!(text.lines().count() <= 70, "{name} is long");
    }
}

#[test]
fn sentences_of_known_probability_are_written_with_their_entropy() {
    let directory = tempfile::tempdir().expect("a directory");
    let sizes = synthetic_text::Sizes { words: 40, units: 8, sentences: [20, 5, 12] };
    let [entropy, error, given_z] = synthetic_text::run(directory.path(), sizes).expect("the example ends well");
    // A sentence says something about its latent, and at most that words are uniform is known without it.
    assert!(given_z < entropy && entropy < 10.0 * 40f64.ln() && error > 0.0, "{entropy} ± {error}, {given_z}");
    for (name, lines) in [("train.txt", 20), ("valid.txt", 5), ("test.txt", 12)] {
        let text = std::fs::read_to_string(directory.path().join(name)).expect("a text");
        assert!(text.lines().count() == lines && text.lines().all(|line| line.split(' ').count() == 10));
    }
}
