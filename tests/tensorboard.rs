//! Event files, read by TensorBoard itself: its library and its server.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::finished::{copy_of_the_run, home, train};
use crate::support::program::{refuses, succeeds, write_data};
use crate::support::tools;

fn with_data() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    directory
}

/// What TensorBoard reads of a run.
fn read(python: &Path, home: &Path, what: &str) -> Value {
    let printed = tools::run(python, "read_events.py", home, &[what, "run/tensorboard"]);
    serde_json::from_str(&printed).expect("JSON")
}

fn metrics(home: &Path) -> Vec<Value> {
    let lines = fs::read_to_string(home.join("run/metrics.jsonl")).expect("metrics");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The steps of a tag.
fn steps(tag: &Value) -> Vec<u64> {
    tag.as_array().expect("a list").iter().map(|point| point[0].as_u64().expect("a step")).collect()
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

#[track_caller]
fn assert_scalars(found: &Value, lines: &[Value], field: impl Fn(&Value) -> &Value) {
    let epochs: Vec<u64> = (1..=lines.len() as u64).collect();
    assert_eq!(steps(found), epochs, "{found}");
    for (point, line) in found.as_array().expect("a list").iter().zip(lines) {
        let want = field(line).as_f64().expect("a number") as f32;
        assert_eq!(point[1].as_f64(), Some(f64::from(want)), "{found}");
    }
}

#[test]
fn events_change_no_bit_and_are_written_only_if_asked_for() {
    let directory = with_data();
    let printed = succeeds(directory.path(), &train(&["--epochs", "2", "--tensorboard"]));
    assert!(printed.contains("events: tensorboard --logdir run"), "{printed}");
    let model = |home: &Path| fs::read(home.join("run/model.safetensors")).expect("a model");
    assert!(model(directory.path()) == model(home()), "other bits");
    assert!(!home().join("run/tensorboard").exists());
    // A run that is replaced leaves no events; what is not the run's stays.
    let folder = directory.path().join("run/tensorboard/test");
    fs::write(folder.join("events.out.tfevents.1.other"), "mine").expect("written");
    succeeds(directory.path(), &train(&["--epochs", "1", "--overwrite"]));
    assert_eq!(event_files(&folder), [folder.join("events.out.tfevents.1.other")]);
    assert!(event_files(&directory.path().join("run/tensorboard/train")).is_empty());
}

#[test]
fn events_that_cannot_be_written_are_named_before_the_training() {
    let directory = copy_of_the_run();
    fs::write(directory.path().join("run/tensorboard"), "in the way").expect("written");
    let arguments = train(&["--epochs", "1", "--overwrite", "--tensorboard"]);
    let needles = ["run/tensorboard/train", "expected a directory", "move what is in the way", "--tensorboard"];
    refuses(directory.path(), &arguments, &needles);
    assert_eq!(metrics(directory.path()).len(), 2, "the old run is lost");
    // What a run has left that ended before its first checkpoint does not count, and these are its only files.
    let directory = with_data();
    fs::create_dir_all(directory.path().join("run/tensorboard/test")).expect("made");
    fs::write(directory.path().join("run/tensorboard/test/events.out.tfevents.0000000007.elbo"), "").expect("written");
    succeeds(directory.path(), &train(&["--epochs", "1"]));
    assert!(event_files(&directory.path().join("run/tensorboard/test")).is_empty());
}

#[test]
fn tensorboard_reads_each_epoch_once_after_a_run_went_back() {
    let Some(python) = tools::python("tensorboard_reads_each_epoch", &["tensorboard"]) else { return };
    let directory = with_data();
    let home = directory.path();
    succeeds(home, &train(&["--epochs", "4", "--keep", "3", "--clip-norm", "0.5", "--tensorboard"]));
    let before = metrics(home);
    // The epochs 3 and 4 are forgotten, and 3 comes again.
    succeeds(home, &["resume", "run", "--from", "2", "--epochs", "3"]);
    let lines = metrics(home);
    assert!(lines.len() == 3 && lines[2]["train"] == before[2]["train"], "{lines:?}");
    let found = read(&python, home, "values");
    let (train, test) = (&found["train"], &found["test"]);
    for name in ["elbo", "nll", "kl", "loss"] {
        let tag = format!("epoch/{name}");
        assert_scalars(&train["scalars"][&tag], &lines, |line| &line["train"][name]);
        assert_scalars(&test["scalars"][&tag], &lines, |line| &line["test"][name]);
    }
    for name in ["kl_weight", "learning_rate", "gradient_norm", "examples_per_second"] {
        assert_scalars(&train["scalars"][format!("epoch/{name}")], &lines, |line| &line[name]);
    }
    assert_scalars(&test["scalars"]["epoch/active_units"], &lines, |line| &line["active_units"]);
    for name in ["samples", "reconstructions"] {
        let points = &train["images"][name];
        assert_eq!(steps(points), [1, 2, 3]);
        let png = fs::read(home.join(format!("run/{name}/0003.png"))).expect("a picture");
        let size = image::load_from_memory(&png).map(|picture| (picture.height(), picture.width())).expect("a PNG");
        assert_eq!((points[2][1].as_u64(), points[2][2].as_u64()), (Some(size.0.into()), Some(size.1.into())));
        assert!(points[2][3] == STANDARD.encode(png), "{name}: another picture");
    }
    // The 20 test images with three latents.
    let means = &test["histograms"]["posterior/mean"];
    assert_eq!((steps(means), means[2][3].as_f64()), (vec![1, 2, 3], Some(60.0)));
    let gradients = train["histograms"].as_object().expect("gradients");
    assert_eq!(gradients["gradients/posterior.weight"][0][3].as_f64(), Some(6.0 * 12.0));
    assert_eq!(gradients.len(), 8, "{:?}", gradients.keys());
    for [min, max, num, sum, squares] in
        gradients.values().map(|points| [1, 2, 3, 4, 5].map(|at| points[0][at].as_f64()))
    {
        assert!(min < max && squares > Some(0.0) && sum.is_some(), "{min:?} {max:?} {num:?}");
    }
    let configuration = &train["text"]["configuration"];
    assert_eq!(steps(configuration), [1, 3], "the configuration of each process");
    let table = configuration[1][1].as_str().expect("a table");
    assert!(table.starts_with("| option | value |\n|---|---|\n"), "{table}");
    assert!(table.contains("| --epochs | `3` |") && table.contains("| --latents | `3` |"), "{table}");
}

#[test]
fn tensorboards_server_shows_all_of_a_run() {
    let Some(python) = tools::python("tensorboards_server_shows_all_of_a_run", &["tensorboard"]) else { return };
    let directory = with_data();
    let home = directory.path();
    succeeds(home, &train(&["--epochs", "3", "--keep", "3", "--validation", "0.2", "--tensorboard"]));
    // The epochs 2 and 3 are forgotten, and 2 comes again.
    succeeds(home, &["resume", "run", "--from", "1", "--epochs", "2"]);
    let found = read(&python, home, "pages");
    let of = |kind: &str, run: &str, tag: &str| -> Vec<Value> {
        found[kind][run][tag].as_array().unwrap_or_else(|| panic!("no {kind} {run} {tag}")).clone()
    };
    // Scalars are `[wall time, step, value]`.
    let elbo = of("scalars", "validation", "epoch/elbo");
    let want = metrics(home)[1]["validation"]["elbo"].as_f64().expect("a number");
    assert!(
        elbo.len() == 2 && elbo[1][1] == 2 && (elbo[1][2].as_f64().expect("a number") - want).abs() < 1e-4 * want.abs(),
        "{elbo:?}"
    );
    assert_eq!(of("scalars", "train", "epoch/learning_rate").len(), 2);
    let samples = of("images", "train", "samples");
    let png = fs::read(home.join("run/samples/0002.png")).expect("a picture");
    assert!(samples.len() == 2 && samples[1]["png"] == STANDARD.encode(png), "another picture");
    // Histograms are `[wall time, step, [[left, right, count], ...]]`.
    let means = of("histograms", "validation", "posterior/mean");
    assert_eq!(means.len(), 2);
    let count: f64 = means[1][2].as_array().expect("buckets").iter().filter_map(|bucket| bucket[2].as_f64()).sum();
    assert_eq!(count, 60.0);
    let text = of("text", "train", "configuration");
    assert!(
        text[0]["text"].as_str().is_some_and(|html| html.contains("<table>") && html.contains("latents")),
        "{text:?}"
    );
}

#[test]
fn sentences_are_shown_as_text() {
    let Some(python) = tools::python("sentences_are_shown_as_text", &["tensorboard"]) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    let lines: String = (0..60).map(|i| format!("the *sea* is {}\n", ["calm", "wide", "deep"][i % 3])).collect();
    fs::write(home.join("lines.txt"), lines).expect("written");
    let arguments = ["train", "--data", "lines.txt", "--hidden", "gru8", "--embedding", "8", "--latents", "2"];
    succeeds(home, &[&arguments[..], &["--epochs", "2", "--out", "run", "--tensorboard"]].concat());
    let found = read(&python, home, "values");
    let sentences = &found["train"]["text"]["sentences"];
    assert_eq!(steps(sentences), [1, 2]);
    let written = fs::read_to_string(home.join("run/samples/0002.txt")).expect("sentences");
    let shown: String = written.lines().map(|line| format!("    {line}\n")).collect();
    assert_eq!(sentences[1][1].as_str(), Some(shown.as_str()));
    assert_eq!(steps(&found["test"]["scalars"]["epoch/elbo"]), [1, 2]);
}
