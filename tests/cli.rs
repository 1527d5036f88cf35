//! The program from outside: its commands, its files, and one clear line for each kind of error.

use std::fs;
use std::path::Path;

use elbo::files::npy;

use crate::support::finished::{copy_of_the_run, finished, home, train};
use crate::support::program::{assert_refused, command, idx, program, refuses, succeeds, write_data};
use crate::support::report_ignored;

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";

#[test]
fn train_writes_the_run_and_prints_plain_lines() {
    let run = home().join("run");
    let files = ["config.json", "metrics.jsonl", "model.safetensors", "checkpoint.safetensors", "curves.png"];
    let pictures = ["samples/0001.png", "samples/0002.png", "reconstructions/0001.png", "reconstructions/0002.png"];
    for file in files.iter().chain(&pictures) {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    for picture in pictures.iter().chain(&["curves.png"]) {
        image::open(run.join(picture)).expect(picture);
    }
    let printed = &finished().printed;
    assert!(printed.contains("epoch 2/2: train elbo -") && printed.contains("samples/0002.png"), "{printed}");
    assert!(!printed.contains('\r') && !printed.contains('\u{1b}'), "not plain: {printed:?}");
    let lines = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let train = &line["train"];
        let value = |name: &str| train[name].as_f64().expect("a number");
        assert!((value("elbo") + value("nll") + value("kl")).abs() < 1e-9, "{line}");
        for key in ["epoch", "test", "kl_weight", "learning_rate", "examples_per_second", "seconds"] {
            assert!(!line[key].is_null(), "no {key} in {line}");
        }
    }
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(run.join("config.json")).expect("config")).expect("JSON");
    assert_eq!(config["model"]["latents"], 3);
    let data = config["data"].as_str().expect("a path");
    assert!(Path::new(data).is_absolute() && data.ends_with("data"), "{data}");
    assert!(config["adapter"]["name"].is_string() && config["version"].is_string(), "{config}");
}

#[test]
fn eval_repeats_the_last_line_of_the_metrics() {
    let report: serde_json::Value = serde_json::from_str(&succeeds(home(), &["eval", "run", "--json"])).expect("JSON");
    let lines = fs::read_to_string(home().join("run/metrics.jsonl")).expect("metrics");
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    for name in ["elbo", "nll", "kl"] {
        assert_eq!(report[name], last["test"][name], "{name}");
    }
}

#[test]
fn every_picture_command_writes_its_png() {
    let commands: [&[&str]; 6] = [
        &["sample", "run", "--count", "7", "--columns", "3"],
        &["reconstruct", "run", "--count", "5"],
        &["interpolate", "run", "--pairs", "2", "--steps", "4"],
        &["traverse", "run", "--image", "19", "--steps", "3"],
        &["manifold", "run", "--dims", "2,0", "--size", "4", "--show", "draw"],
        &["sample", "run/model.safetensors", "--out", "run/from-file.png", "--show", "draw"],
    ];
    for arguments in commands {
        let printed = succeeds(home(), arguments);
        let path = printed.trim_end().rsplit(": ").next().expect("a path").to_owned();
        let start = fs::read(home().join(&path)).expect(&path);
        assert!(start.starts_with(b"\x89PNG"), "{path}");
    }
}

#[test]
fn every_picture_command_writes_an_array_too_and_refuses_other_endings() {
    let commands: [(&[&str], usize); 5] = [
        (&["sample", "run", "--count", "7"], 7),
        (&["reconstruct", "run", "--count", "5"], 5),
        (&["interpolate", "run", "--pairs", "2", "--steps", "4"], 8),
        (&["traverse", "run", "--image", "19", "--steps", "3"], 9),
        (&["manifold", "run", "--size", "4"], 16),
    ];
    for (arguments, count) in commands {
        let file = format!("{}.npy", arguments[0]);
        succeeds(home(), &[arguments, &["--out", &file]].concat());
        let (values, shape) = npy::read(&home().join(&file)).expect("an array");
        assert_eq!(shape, [count, 8, 8], "{arguments:?}");
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "{arguments:?}");
        for other in ["x.jpg", "x", "npy"] {
            refuses(home(), &[arguments, &["--out", other]].concat(), &["--out", ".png or .npy", other]);
        }
    }
}

#[test]
fn encode_and_decode_go_through_npy() {
    succeeds(home(), &["encode", "run", "--split", "train", "--out", "codes"]);
    succeeds(home(), &["decode", "run", "codes/mean.npy", "--out", "decoded.npy"]);
    let decoded = fs::read(home().join("decoded.npy")).expect("decoded");
    assert!(String::from_utf8_lossy(&decoded[..128]).contains("(100, 8, 8"));
    refuses(home(), &["decode", "run", "codes/labels.npy"], &["labels.npy", "expected"]);
    refuses(home(), &["decode", "run", "codes/mean.npy", "--out", "x.gif"], &["--out", ".png or .npy", "x.gif"]);
    refuses(home(), &["decode", "run", "nowhere.npy"], &["nowhere.npy", "cannot read"]);
    refuses(home(), &["decode", "run", "run/config.json"], &["config.json", "expected"]);
}

#[test]
fn no_adapter_says_what_to_install() {
    if cfg!(target_os = "linux") {
        let none = "/nonexistent";
        for name in ["adapters", "selftest"] {
            let mut program = command(home(), &[name]);
            program
                .env("VK_DRIVER_FILES", none)
                .env("VK_ICD_FILENAMES", none)
                .env("__EGL_VENDOR_LIBRARY_FILENAMES", none);
            let output = program.output().expect("elbo starts");
            assert_refused(&output, &["no GPU adapter", "apt install mesa-vulkan-drivers"]);
        }
    }
}

#[test]
fn an_unknown_adapter_is_answered_with_the_list() {
    refuses(home(), &["eval", "run", "--adapter", "GeForce 9999"], &["GeForce 9999", "[0] "]);
    refuses(home(), &["eval", "run", "--adapter", "99"], &["`99`", "[0] "]);
}

#[test]
fn bad_data_files_are_named() {
    let good = idx(&[3, 2, 2], &[7; 12]);
    let mut oversized = good.clone();
    oversized.extend([1, 2, 3]);
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty", vec![], "empty"),
        ("truncated", good[..good.len() - 5].to_vec(), "7 bytes"),
        ("oversized", oversized, "3 bytes more"),
        ("not-idx", b"hello world, this is no IDX".to_vec(), "IDX"),
        ("bad-gzip", vec![0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "gzip"),
        ("overflow", idx(&[u32::MAX, u32::MAX, u32::MAX], &[]), "4294967295"),
        ("zero", idx(&[0, 2, 2], &[]), "0"),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    for (name, bytes, needle) in cases {
        let data = directory.path().join(name);
        write_data(&data, 2, 3);
        fs::write(data.join(TRAIN_IMAGES), bytes).expect("written");
        let out = directory.path().join("run");
        let arguments = ["train", "--data", name, "--batch-size", "2", "--out", "run"];
        refuses(directory.path(), &arguments, &[name, TRAIN_IMAGES, "expected", needle]);
        assert!(!out.exists(), "{name} left a run behind");
    }
    fs::remove_file(directory.path().join("zero").join(TRAIN_IMAGES)).expect("removed");
    refuses(directory.path(), &["train", "--data", "zero"], &["zero", TRAIN_IMAGES]);
    refuses(directory.path(), &["train", "--data", "nowhere"], &["nowhere", "mnist"]);
}

#[test]
fn images_of_another_size_than_the_models_are_refused() {
    let other = tempfile::tempdir().expect("a directory");
    write_data(other.path(), 5, 30);
    let other = other.path().to_str().expect("UTF-8");
    for command in ["eval", "reconstruct", "encode"] {
        refuses(home(), &[command, "run", "--data", other], &["8 x 8", "5 x 5"]);
    }
}

#[test]
fn broken_models_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let whole = fs::read(home().join("run/model.safetensors")).expect("a model");
    let reshaped = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len(), "the header's length must stay");
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("in the header");
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let mut not_finite = whole.clone();
    let last = not_finite.len() - 4;
    not_finite[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases: [(&str, Vec<u8>, &[&str]); 6] = [
        ("cut", whole[..whole.len() - 100].to_vec(), &["safetensors"]),
        ("empty", vec![], &["safetensors", "0 bytes"]),
        ("text", b"this is no model at all".to_vec(), &["safetensors"]),
        ("shapes", reshaped("\\\"latents\\\":3", "\\\"latents\\\":4"), &["posterior.weight", "[8, 12]", "[6, 12]"]),
        ("latents", reshaped("\\\"latents\\\":3", "\\\"latents\\\":0"), &["--latents"]),
        ("nan", not_finite, &["finite", "NaN"]),
    ];
    for (name, bytes, needles) in cases {
        let file = format!("{name}.safetensors");
        fs::write(directory.path().join(&file), bytes).expect("written");
        refuses(directory.path(), &["sample", &file, "--out", "x.png"], &[&[file.as_str()], needles].concat());
    }
    refuses(directory.path(), &["sample", "nowhere"], &["nowhere", "cannot read the model"]);
    assert!(!directory.path().join("x.png").exists());
}

#[test]
fn a_model_is_no_checkpoint() {
    let directory = copy_of_the_run();
    fs::copy(directory.path().join("run/model.safetensors"), directory.path().join("run/checkpoint.safetensors"))
        .expect("copied");
    refuses(directory.path(), &["resume", "run", "--epochs", "3"], &["checkpoint.safetensors", "training"]);
}

#[test]
fn values_that_cannot_work_are_refused_before_anything_is_made() {
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--latents", "0"], &["--latents"]),
        (&["--batch-size", "101"], &["--batch-size", "100", "101"]),
        (&["--lr=-0.001"], &["--lr", "-0.001"]),
        (&["--kl-weight", "NaN"], &["--kl-weight", "NaN"]),
        (&["--variance", "-1"], &["--variance"]),
        (&["--epochs", "0"], &["--epochs"]),
        (&["--epochs", "4294967295"], &["--epochs", "32 bits"]),
        (&["--hidden", "12,0"], &["--hidden"]),
        (&["--hidden", "1000000", "--latents", "1000000"], &["bytes", "allows"]),
    ];
    for (flags, needles) in cases {
        // The later of two flags counts.
        let base = ["train", "--data", "data", "--out", "never"];
        let small: &[&str] = if flags[0] == "--hidden" { &[] } else { &["--hidden", "12"] };
        let small_batch: &[&str] = if flags[0] == "--batch-size" { &[] } else { &["--batch-size", "16"] };
        refuses(home(), &[&base, small, small_batch, flags].concat(), needles);
        assert!(!home().join("never").exists(), "{flags:?} left a run behind");
    }
    refuses(home(), &["manifold", "run", "--dims", "0,3"], &["--dims", "3"]);
    refuses(home(), &["traverse", "run", "--image", "20"], &["--image", "20"]);
}

#[test]
fn completions_and_manual_pages_have_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = succeeds(home(), &["completions", shell]);
        assert!(script.contains("tensorboard") && script.contains("compress"), "{shell}: {script}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let printed = succeeds(directory.path(), &["man", "pages"]);
    let help = succeeds(directory.path(), &["--help"]);
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("commands");
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| !name.is_empty() && *name != "help").collect();
    assert_eq!(printed, format!("{} pages: pages\n", names.len() + 1));
    for name in names {
        let page = fs::read_to_string(directory.path().join(format!("pages/elbo-{name}.1"))).expect(name);
        assert!(page.contains(&format!("elbo\\-{name} \\- ")), "{page}");
    }
    let page = fs::read_to_string(directory.path().join("pages/elbo-train.1")).expect("a page");
    assert!(page.contains("\n.SH EXAMPLES\n.nf\n  elbo train\n") && page.contains("\n.fi\n.SH VERSION"), "{page}");
    refuses(home(), &["man", "run/config.json/pages"], &["cannot create the directory run/config.json/pages"]);
}

/// A terminal of 100 columns, which util-linux's `script` makes.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_samples_and_the_course_of_the_loss() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 2000);
    let arguments = train(&["--epochs", "3", "--preview"]);
    // In a pipe, lines are plain.
    let printed = succeeds(directory.path(), &arguments);
    assert!(!printed.contains('\u{1b}') && !printed.contains('▀'), "{printed}");
    let line = format!("stty cols 100; '{}' {} --overwrite", program().to_string_lossy(), arguments.join(" "));
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(directory.path()).env("NODEVICE_SELECT", "1");
    let Ok(output) = script.stdin(std::process::Stdio::null()).output() else {
        return report_ignored("a_terminal_shows_samples_and_the_course_of_the_loss", "there is no `script`");
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    // Eight samples of 8 x 8 pixels are four lines of 64 blocks.
    let rows: Vec<_> = shown.lines().filter(|line| line.contains('▀')).collect();
    assert_eq!(rows.iter().map(|row| row.matches('▀').count()).collect::<Vec<_>>(), [64; 12], "{shown}");
    assert!(rows.iter().all(|row| row.matches("\u{1b}[48;2;").count() == 64), "{shown}");
    assert!(shown.contains("/3, elbo -") && shown.contains('▁'), "{shown}");
}
