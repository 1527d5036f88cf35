//! What may happen to a run from outside: readers that go, two processes at once, kills at any moment.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use elbo::files::npy;

use crate::support::finished::{copy_of_the_run, home, train};
use crate::support::program::{assert_refused, command, refuses, succeeds, write_data};

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Starts a training that does not end by itself and waits for its first checkpoint.
fn endless(directory: &Path) -> Child {
    let arguments = train(&["--overwrite", "--epochs", "100000", "--pictures-every", "0", "--quiet"]);
    let child = command(directory, &arguments).spawn().expect("elbo starts");
    let start = Instant::now();
    while !directory.join("run/checkpoint.safetensors").is_file() {
        assert!(start.elapsed() < Duration::from_secs(100), "no checkpoint");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_reader_that_goes_does_not_end_the_work() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    let bench = ["bench", "--hidden", "8", "--batch-size", "32,64", "--seconds", "0", "--save", "bench.json"];
    for arguments in [&train(&["--epochs", "3"])[..], &bench] {
        let mut program = command(directory.path(), arguments);
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("elbo starts");
        drop((child.stdout.take(), child.stderr.take()));
        assert!(child.wait().expect("elbo ends").success(), "{arguments:?}");
    }
    assert_eq!(lines(&directory.path().join("run/metrics.jsonl")), 3);
    let bench = fs::read_to_string(directory.path().join("bench.json")).expect("a report");
    let bench: serde_json::Value = serde_json::from_str(&bench).expect("JSON");
    assert_eq!(bench["rows"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_directory_has_one_run_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    let mut child = endless(directory.path());
    let process = format!("process {}", child.id());
    refuses(directory.path(), &train(&["--overwrite"]), &["in use by", &process, "--out"]);
    refuses(directory.path(), &["resume", "run"], &["in use by", &process]);
    // The system takes the lock from a process that is killed.
    child.kill().expect("killed");
    child.wait().expect("ended");
    fs::write(directory.path().join("run/.elbo-left.tmp"), "left").expect("written");
    let done = lines(&directory.path().join("run/metrics.jsonl"));
    succeeds(directory.path(), &["resume", "run", "--epochs", &format!("{}", done + 1)]);
    assert!(!directory.path().join("run/.elbo-left.tmp").exists(), "a temporary file is left");
    succeeds(directory.path(), &train(&["--overwrite", "--epochs", "1"]));
}

#[test]
fn runs_without_a_name_take_the_next_number() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    let arguments = ["train", "--data", "data", "--hidden", "12", "--batch-size", "16", "--epochs", "1"];
    let start = || command(directory.path(), &arguments).stdout(Stdio::null()).spawn().expect("elbo starts");
    let children = [start(), start(), start()];
    for mut child in children {
        assert!(child.wait().expect("elbo ends").success());
    }
    for number in 1..=3 {
        assert!(directory.path().join(format!("runs/{number}/model.safetensors")).is_file(), "no run {number}");
    }
}

#[test]
fn a_run_without_a_checkpoint_is_begun_again() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    for folder in ["run", "run/samples", "run/reconstructions"] {
        fs::create_dir(directory.path().join(folder)).expect("made");
    }
    fs::copy(home().join("run/config.json"), directory.path().join("run/config.json")).expect("copied");
    refuses(directory.path(), &["resume", "run"], &["checkpoint.safetensors", "elbo train --out run"]);
    succeeds(directory.path(), &train(&["--epochs", "1"]));
    // A directory of other files is refused, an empty one is not.
    let small = ["train", "--data", "data", "--hidden", "12", "--batch-size", "16", "--epochs", "1", "--out"];
    fs::create_dir(directory.path().join("empty")).expect("made");
    succeeds(directory.path(), &[&small[..], &["empty"]].concat());
    fs::create_dir(directory.path().join("mine")).expect("made");
    fs::write(directory.path().join("mine/notes.txt"), "mine").expect("written");
    refuses(directory.path(), &[&small[..], &["mine"]].concat(), &["mine already exists"]);
    fs::rename(directory.path().join("mine/notes.txt"), directory.path().join("mine/config.json")).expect("renamed");
    refuses(directory.path(), &[&small[..], &["mine"]].concat(), &["mine already exists"]);
}

#[test]
fn a_resumed_run_has_the_model_of_its_checkpoint() {
    let directory = copy_of_the_run();
    let model = directory.path().join("run/model.safetensors");
    let last = fs::read(&model).expect("a model");
    fs::write(&model, b"the model of an earlier epoch").expect("written");
    succeeds(directory.path(), &["resume", "run"]);
    assert!(fs::read(&model).expect("a model") == last, "the model is not that of the checkpoint");
    let config = directory.path().join("run/config.json");
    let text = fs::read_to_string(&config).expect("a configuration");
    fs::write(&config, text.replace("\"latents\": 3", "\"latents\": 4")).expect("written");
    refuses(directory.path(), &["resume", "run", "--epochs", "3"], &["checkpoint.safetensors", "two runs"]);
    fs::write(&config, text.replace("\"checkpoint_minutes\": 10.0", "\"checkpoint_minutes\": 1e300")).expect("written");
    refuses(directory.path(), &["resume", "run", "--epochs", "3"], &["--checkpoint-minutes: expected a number from 0"]);
}

#[test]
fn another_graphics_api_is_answered_with_the_adapters_that_there_are() {
    let absent = if cfg!(target_os = "macos") { "dx12" } else { "metal" };
    refuses(home(), &["train", "--backend", absent], &["--backend", absent, "there are: [0]"]);
    let output = command(home(), &["adapters"]).env("WGPU_BACKEND", "foo").output().expect("elbo starts");
    assert_refused(&output, &["WGPU_BACKEND=foo", "there are: [0]"]);
}

#[test]
fn every_command_binarises_as_the_evaluation_does() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    succeeds(directory.path(), &train(&["--epochs", "1", "--binarize", "dynamic", "--seed", "5"]));
    let report: serde_json::Value =
        serde_json::from_str(&succeeds(directory.path(), &["eval", "run", "--json"])).expect("JSON");
    succeeds(directory.path(), &["encode", "run"]);
    let values = |name: &str| npy::read(&directory.path().join("run/encoded").join(name)).expect(name).0;
    let (means, logvars) = (values("mean.npy"), values("logvar.npy"));
    let term = |(mean, logvar): (&f32, &f32)| f64::from(mean * mean + logvar.exp() - logvar - 1.0) / 2.0;
    let kl = means.iter().zip(&logvars).map(term).sum::<f64>() / (means.len() / 3) as f64;
    let expected = report["kl"].as_f64().expect("a number");
    assert!((kl - expected).abs() < 1e-4 * expected, "encoded {kl}, evaluated {expected}");
}

#[test]
fn sizes_that_only_together_are_too_large_are_refused() {
    refuses(home(), &["manifold", "run", "--dims", "0,1", "--size", "100000"], &["--size", "100000 x 100000"]);
    refuses(home(), &["interpolate", "run", "--pairs", "100000", "--steps", "100000"], &["--pairs", "100000"]);
    refuses(home(), &["traverse", "run", "--steps", "100000"], &["--steps", "3 x 100000"]);
    for seconds in ["nan", "inf", "1e30", "-1"] {
        refuses(home(), &["bench", &format!("--seconds={seconds}")], &["--seconds", "from 0 to 600"]);
    }
    let directory = copy_of_the_run();
    npy::write(&directory.path().join("one.npy"), &[0.5; 64], &[1, 8, 8]).expect("written");
    refuses(directory.path(), &["interpolate", "run", "--data", "one.npy"], &["--pairs", "at least 2 images"]);
}
