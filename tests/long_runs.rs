//! What long runs need: checkpoints in between and of earlier epochs, limits of gradients, data that move, notes that send people the
//! right way.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use elbo::files::npy;

use crate::support::finished::{copy_of_the_run, home, train};
use crate::support::program::{command, elbo, errors_of, idx, refuses, succeeds, write_data};

/// A directory with the small data.
fn with_data() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    directory
}

fn model(directory: &Path) -> Vec<u8> {
    fs::read(directory.join("run/model.safetensors")).expect("a model")
}

#[test]
fn checkpoints_within_an_epoch_change_no_bit() {
    let directory = with_data();
    succeeds(directory.path(), &train(&["--epochs", "2", "--checkpoint-minutes", "0.00001"]));
    assert!(model(directory.path()) == model(home()), "other bits");
    for minutes in ["nan", "-1", "1e9"] {
        refuses(home(), &["train", &format!("--checkpoint-minutes={minutes}")], &["--checkpoint-minutes"]);
    }
}

#[test]
fn the_last_checkpoints_are_kept_and_a_run_goes_on_from_any_of_them() {
    let directory = with_data();
    let kept = || {
        let entries = fs::read_dir(directory.path().join("run/checkpoints")).expect("a folder").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
        names.sort_unstable();
        names
    };
    succeeds(directory.path(), &train(&["--epochs", "4", "--keep", "2"]));
    assert_eq!(kept(), ["0003.safetensors", "0004.safetensors"]);
    let whole = model(directory.path());
    refuses(directory.path(), &["resume", "run", "--from", "2"], &["--from: expected one of 3, 4"]);
    refuses(home(), &["resume", "run", "--from", "2"], &["--from: expected a run with --keep"]);
    let printed = succeeds(directory.path(), &["resume", "run", "--from", "3"]);
    assert!(printed.contains("epoch 4/4") && !printed.contains("epoch 3/4"), "{printed}");
    assert!(model(directory.path()) == whole, "other bits");
    assert_eq!(kept(), ["0003.safetensors", "0004.safetensors"]);
    // A kept checkpoint is a model, too.
    succeeds(directory.path(), &["sample", "run/checkpoints/0003.safetensors", "--count", "4", "--out", "samples.png"]);
}

#[test]
fn a_run_goes_on_with_its_own_data_or_with_others_that_are_named() {
    let directory = with_data();
    succeeds(directory.path(), &train(&["--epochs", "2"]));
    let images = directory.path().join("data/train-images-idx3-ubyte");
    let own = fs::read(&images).expect("images");
    let mut changed = own.clone();
    changed[100] ^= 1;
    fs::write(&images, &changed).expect("written");
    let resume = ["resume", "run", "--epochs", "3"];
    refuses(
        directory.path(),
        &resume,
        &["--data: expected the images that run was trained on", "says that they are meant"],
    );
    fs::write(&images, &own[..own.len() - 64]).expect("written");
    refuses(directory.path(), &resume, &["train-images-idx3-ubyte"]);
    fs::write(&images, &changed).expect("written");
    let printed = succeeds(directory.path(), &[&resume[..], &["--data", "data"]].concat());
    assert!(printed.contains("note: other data than the run was begun with"), "{printed}");
    // Data that moved are the same data.
    let resume = ["resume", "run", "--epochs", "4"];
    fs::rename(directory.path().join("data"), directory.path().join("elsewhere")).expect("renamed");
    refuses(directory.path(), &resume, &["--data: expected", "does not exist"]);
    let printed = succeeds(directory.path(), &[&resume[..], &["--data", "elsewhere"]].concat());
    assert!(!printed.contains("note: other data"), "{printed}");
    succeeds(directory.path(), &["resume", "run", "--epochs", "5"]);
}

#[test]
fn a_model_outside_of_its_run_needs_its_data() {
    let directory = copy_of_the_run();
    fs::copy(directory.path().join("run/model.safetensors"), directory.path().join("moved.safetensors"))
        .expect("copied");
    for command in ["eval", "encode", "reconstruct", "interpolate"] {
        refuses(directory.path(), &[command, "moved.safetensors"], &["--data: expected", "moved.safetensors"]);
    }
    succeeds(directory.path(), &["eval", "moved.safetensors", "--data", "data"]);
    succeeds(directory.path(), &["sample", "moved.safetensors", "--out", "samples.png"]);
}

#[test]
fn gradients_are_clipped_and_their_norm_is_shown() {
    let directory = with_data();
    let printed = succeeds(directory.path(), &train(&["--epochs", "1", "--clip-norm", "0.5", "--on-nan", "skip"]));
    assert!(printed.contains(", gradient norm ") && !printed.contains("left out"), "{printed}");
    let line = fs::read_to_string(directory.path().join("run/metrics.jsonl")).expect("metrics");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(line["gradient_norm"].as_f64().is_some_and(|norm| norm > 0.0), "{line}");
    refuses(home(), &["train", "--clip-norm", "0"], &["--clip-norm: expected a finite number above 0"]);
}

#[test]
fn a_model_without_an_active_latent_is_noted_once() {
    let directory = with_data();
    let printed = succeeds(directory.path(), &train(&["--epochs", "3", "--kl-weight", "1000", "--lr", "0.01"]));
    assert_eq!(printed.matches("note: no latent is active").count(), 1, "{printed}");
    assert!(printed.contains("--kl-warmup") && printed.contains("loss "), "{printed}");
}

#[test]
fn the_console_shows_what_is_trained() {
    let directory = with_data();
    let printed = succeeds(directory.path(), &train(&["--epochs", "1"]));
    assert!(!printed.contains("loss "), "{printed}");
    let iwae = train(&["--epochs", "1", "--objective", "iwae", "--samples", "3", "--overwrite"]);
    assert!(succeeds(directory.path(), &iwae).contains(", loss "), "the bound is not shown");
    let gaussian = train(&[
        "--epochs",
        "2",
        "--likelihood",
        "gaussian-fixed",
        "--variance",
        "0.001",
        "--lr",
        "0.05",
        "--overwrite",
    ]);
    succeeds(directory.path(), &gaussian);
    assert!(succeeds(directory.path(), &["eval", "run"]).contains("note: the likelihood is a density"), "no note");
}

#[test]
fn numbers_that_cannot_be_known_are_not_printed() {
    let directory = copy_of_the_run();
    fs::write(directory.path().join("one"), idx(&[1, 8, 8], &[200; 64])).expect("written");
    let eval = ["eval", "run", "--data", "one", "--importance-samples", "3"];
    let printed = succeeds(directory.path(), &eval);
    assert!(printed.contains("log p(x)") && !printed.contains("standard error"), "{printed}");
    let report: serde_json::Value =
        serde_json::from_str(&succeeds(directory.path(), &[&eval[..], &["--json"]].concat())).expect("JSON");
    assert!(report["log_prob"]["standard_error"].is_null(), "{report}");
    npy::write(&directory.path().join("z.npy"), &[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0], &[2, 3]).expect("written");
    refuses(directory.path(), &["decode", "run", "z.npy"], &["NaN in row 1, column 1"]);
}

#[test]
fn a_validation_set_may_be_a_fraction() {
    let directory = with_data();
    let printed = succeeds(directory.path(), &train(&["--epochs", "1", "--validation", "0.1"]));
    assert!(printed.contains("90 training, 10 validation"), "{printed}");
    let config = fs::read_to_string(directory.path().join("run/config.json")).expect("config");
    assert!(config.contains("\"validation\": 0.1"), "{config}");
    succeeds(directory.path(), &["resume", "run", "--epochs", "2"]);
    refuses(home(), &["train", "--validation", "100000"], &["--validation: expected fewer than the 60000"]);
}

#[test]
fn what_is_too_large_is_named_by_what_a_person_can_change() {
    let output = elbo(home(), &["train", "--data", "data", "--hidden", "60000,60000", "--out", "large"]);
    let errors = errors_of(&output);
    assert!(errors.contains("--hidden") && !errors.contains(".wgsl"), "{errors}");
    let help = succeeds(home(), &["train", "--help"]);
    assert!(help.contains("with the same kernels"), "the seed promises too much");
}

#[test]
#[cfg(unix)]
fn a_command_that_ends_while_the_driver_compiles_ends_with_its_own_code() {
    let directory = with_data();
    let arguments = ["train", "--data", "data", "--hidden", "50", "--out", "/dev/null/x", "--quiet"];
    let start = || {
        let mut command = command(directory.path(), &arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("elbo starts")
    };
    for _ in 0..4 {
        for mut child in (0..8).map(|_| start()).collect::<Vec<_>>() {
            assert_eq!(child.wait().expect("elbo ends").code(), Some(2));
        }
    }
}
