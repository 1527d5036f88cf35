//! The program from outside: its commands, its files, and one clear line for each thing that can be wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::program::{assert_refused, command, elbo, idx, program, refuses, succeeds, write_data};

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";

/// A finished run on a small data set, made once, for the tests that only read.
struct Finished {
    directory: TempDir,
    printed: String,
}

const SMALL: [&str; 10] = ["--data", "data", "--hidden", "12", "--latents", "3", "--batch-size", "16", "--out", "run"];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train"], SMALL.as_slice(), more].concat()
}

fn finished() -> &'static Finished {
    static FINISHED: OnceLock<Finished> = OnceLock::new();
    FINISHED.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        write_data(&directory.path().join("data"), 8, 100);
        let printed = succeeds(directory.path(), &train(&["--epochs", "2"]));
        Finished { directory, printed }
    })
}

fn home() -> &'static Path {
    finished().directory.path()
}

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
    let absent = if cfg!(target_os = "macos") { "dx12" } else { "metal" };
    for arguments in [&["adapters", "--backend", absent], &["selftest", "--backend", absent]] {
        refuses(home(), arguments, &["no GPU adapter"]);
    }
    if cfg!(target_os = "linux") {
        refuses(home(), &["adapters", "--backend", absent], &["apt install mesa-vulkan-drivers"]);
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
fn an_existing_directory_is_only_replaced_when_asked() {
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    fs::write(run.join("notes.txt"), "mine").expect("written");
    let before = fs::read(run.join("model.safetensors")).expect("a model");
    refuses(directory.path(), &train(&[]), &["run already exists", "--out", "--overwrite"]);
    assert_eq!(fs::read(run.join("model.safetensors")).expect("a model"), before);
    // What cannot work must not cost the old run either.
    refuses(directory.path(), &train(&["--overwrite", "--lr", "0"]), &["--lr"]);
    assert_eq!(fs::read(run.join("model.safetensors")).expect("a model"), before);
    succeeds(directory.path(), &train(&["--overwrite", "--epochs", "1"]));
    assert_ne!(fs::read(run.join("model.safetensors")).expect("a model"), before);
    assert!(!run.join("samples/0002.png").exists(), "a picture of the old run is left");
    assert_eq!(fs::read_to_string(run.join("notes.txt")).expect("kept"), "mine");
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let inside_a_file = "data/train-images-idx3-ubyte/run";
    let arguments = ["train", "--data", "data", "--hidden", "12", "--batch-size", "16", "--out", inside_a_file];
    refuses(home(), &arguments, &[inside_a_file]);
    refuses(home(), &["sample", "run", "--out", "nowhere/x.png"], &["nowhere/x.png", "cannot write"]);
}

/// A limit on file sizes stands in for a full disk: both fail in the middle of a write.
#[cfg(unix)]
#[test]
fn a_full_disk_costs_nothing_that_was_there() {
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    let before = fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint");
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" resume run --epochs 3";
    let output = Command::new("sh")
        .args(["-c".into(), script.into(), program()])
        .current_dir(directory.path())
        .env("NODEVICE_SELECT", "1")
        // The driver writes its cache to files as well, and is not what is tested.
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .output()
        .expect("sh starts");
    assert_refused(&output, &["cannot write", "run/"]);
    assert_eq!(fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint"), before);
    let names = fs::read_dir(&run).expect("the run").map(|entry| entry.expect("an entry").file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "a temporary file is left");
}

/// The files of epoch 3 are written while epoch 4 trains, and epoch 5 must not begin when that fails.
#[test]
fn a_picture_that_cannot_be_written_ends_the_run_an_epoch_later() {
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    fs::rename(run.join("samples"), run.join("samples-of-before")).expect("renamed");
    fs::write(run.join("samples"), "in the way").expect("written");
    let output = elbo(directory.path(), &["resume", "run", "--epochs", "9"]);
    assert_refused(&output, &["cannot write", "0003.png"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("epoch 4/9: ") && !printed.contains("epoch 5/9: "), "{printed}");
    // What was written before the picture holds, and the run goes on from there.
    let epochs = || fs::read_to_string(run.join("metrics.jsonl")).expect("metrics").lines().count();
    assert_eq!(epochs(), 3);
    fs::remove_file(run.join("samples")).expect("removed");
    fs::rename(run.join("samples-of-before"), run.join("samples")).expect("renamed");
    let printed = succeeds(directory.path(), &["resume", "run", "--epochs", "4"]);
    assert!(printed.contains("epoch 4/4: ") && !printed.contains("epoch 3/4: "), "{printed}");
    assert_eq!(epochs(), 4);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint() {
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    let before = fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint");
    let config = fs::read_to_string(run.join("config.json")).expect("config");
    let config = config.replace("\"learning_rate\": 0.001", "\"learning_rate\": 1e30");
    fs::write(run.join("config.json"), config).expect("written");
    let output = elbo(directory.path(), &["resume", "run", "--epochs", "4"]);
    assert_refused(&output, &["epoch 3, step ", "learning rate"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("as of epoch 2"));
    assert_eq!(fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint"), before);
}

#[test]
fn a_finished_run_is_trained_for_longer_to_the_same_bits() {
    let directory = copy_of_the_run();
    succeeds(directory.path(), &["resume", "run", "--epochs", "4"]);
    let lines = fs::read_to_string(directory.path().join("run/metrics.jsonl")).expect("metrics");
    assert_eq!(lines.lines().count(), 4);
    let mut arguments = train(&["--epochs", "4", "--quiet"]);
    let at = arguments.iter().position(|argument| *argument == "run").expect("--out run");
    arguments[at] = "straight";
    assert_eq!(succeeds(directory.path(), &arguments), "");
    assert_same_model(&directory.path().join("run"), &directory.path().join("straight"));
}

/// Ctrl-C in the middle of an epoch, then `resume`: the same bits as a run that was never stopped.
#[cfg(unix)]
#[test]
fn an_interrupted_run_resumes_to_the_same_bits() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 10_000);
    // More epochs than any adapter gets done before the signal arrives.
    let child = command(directory.path(), &train(&["--epochs", "100000"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("elbo starts");
    let run = directory.path().join("run");
    while !run.join("config.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(sent.success());
    let output = child.wait_with_output().expect("elbo ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{errors}");
    assert!(errors.contains("elbo resume run"), "{errors}");
    let done = errors.split("stopped after ").nth(1).and_then(|rest| rest.split(' ').next());
    let done = done.and_then(|done| done.parse::<u32>().ok()).expect("how far it came");
    // All that was handed to the writer is there.
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |lines| lines.lines().count()), done as usize);
    for epoch in 1..=done {
        image::open(run.join(format!("reconstructions/{epoch:04}.png"))).expect("the last file of each epoch");
    }
    let epochs = (done + 1).to_string();
    succeeds(directory.path(), &["resume", "run", "--epochs", &epochs]);

    let mut straight = train(&["--epochs", &epochs]);
    let at = straight.iter().position(|argument| *argument == "run").expect("--out run");
    straight[at] = "straight";
    succeeds(directory.path(), &straight);
    assert_same_model(&run, &directory.path().join("straight"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child =
        command(home(), &["eval", "run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("elbo");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("elbo ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn assert_same_model(left: &Path, right: &Path) {
    let read = |run: &Path| fs::read(run.join("model.safetensors")).expect("a model");
    assert!(read(left) == read(right), "the models differ");
}

/// The finished run and its data, to be changed at will.
fn copy_of_the_run() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut folders = vec![PathBuf::from("run"), PathBuf::from("data")];
    while let Some(folder) = folders.pop() {
        fs::create_dir(directory.path().join(&folder)).expect("created");
        for entry in fs::read_dir(home().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                fs::copy(entry.path(), directory.path().join(&path)).expect("copied");
            }
        }
    }
    directory
}
