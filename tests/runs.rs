//! Runs that stop, continue, overwrite others or meet a full disk: no file is lost.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::finished::{copy_of_the_run, home, train};
use crate::support::program::{assert_refused, command, elbo, refuses, succeeds, write_data};
use crate::support::report_ignored;

#[test]
fn an_existing_directory_is_only_replaced_when_asked() {
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    fs::write(run.join("notes.txt"), "mine").expect("written");
    let before = fs::read(run.join("model.safetensors")).expect("a model");
    refuses(directory.path(), &train(&[]), &["run already exists", "--out", "--overwrite"]);
    assert_eq!(fs::read(run.join("model.safetensors")).expect("a model"), before);
    // Invalid options must not cost the old run either.
    refuses(directory.path(), &train(&["--overwrite", "--lr", "0"]), &["--lr"]);
    assert_eq!(fs::read(run.join("model.safetensors")).expect("a model"), before);
    succeeds(directory.path(), &train(&["--overwrite", "--epochs", "1"]));
    assert_ne!(fs::read(run.join("model.safetensors")).expect("a model"), before);
    assert!(!run.join("samples/0002.png").exists(), "a picture of the old run is left");
    assert_eq!(fs::read_to_string(run.join("notes.txt")).expect("kept"), "mine");
}

#[test]
fn pictures_come_every_few_epochs_and_at_the_end() {
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    let pictures = || {
        let mut found = Vec::new();
        for folder in ["reconstructions", "samples"] {
            let mut names: Vec<_> = fs::read_dir(run.join(folder)).expect("a folder").collect();
            names.sort_by_key(|entry| entry.as_ref().expect("an entry").file_name());
            found.push(names.into_iter().map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>());
        }
        assert_eq!(found[0], found[1]);
        found.remove(0)
    };
    succeeds(directory.path(), &train(&["--overwrite", "--epochs", "5", "--pictures-every", "2"]));
    assert_eq!(pictures(), ["0002.png", "0004.png", "0005.png"]);
    // A run that is resumed goes on in the same way, unless it is told otherwise.
    succeeds(directory.path(), &["resume", "run", "--epochs", "7"]);
    assert_eq!(pictures(), ["0002.png", "0004.png", "0005.png", "0006.png", "0007.png"]);
    succeeds(directory.path(), &["resume", "run", "--epochs", "9", "--pictures-every", "0"]);
    assert_eq!(pictures(), ["0002.png", "0004.png", "0005.png", "0006.png", "0007.png", "0009.png"]);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let inside_a_file = "data/train-images-idx3-ubyte/run";
    let arguments = ["train", "--data", "data", "--hidden", "12", "--batch-size", "16", "--out", inside_a_file];
    refuses(home(), &arguments, &[inside_a_file]);
    refuses(home(), &["sample", "run", "--out", "nowhere/x.png"], &["nowhere/x.png", "cannot write"]);
}

/// The disk is a small file system in memory. The test needs the right to mount it in a namespace of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_nothing_that_was_there() {
    let directory = copy_of_the_run();
    let before = fs::read(directory.path().join("run/checkpoint.safetensors")).expect("a checkpoint");
    // The files on the disk are copied out of the namespace, which ends with the shell.
    let script = "mkdir disk after && mount -t tmpfs -o size=1m none disk || exit 77; cp -r run disk
        cat /dev/zero >disk/ballast 2>/dev/null; \"$0\" resume disk/run --epochs 3; code=$?
        cp -r disk/run/. after; exit $code";
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_elbo")]);
    let output = shell.current_dir(directory.path()).env("NODEVICE_SELECT", "1").output();
    let Some(output) = output.ok().filter(|output| matches!(output.status.code(), Some(0 | 2))) else {
        return report_ignored("a_full_disk_costs_nothing_that_was_there", "no file system can be mounted");
    };
    assert_refused(&output, &["cannot write", "disk/run/", "No space left"]);
    let after = directory.path().join("after");
    assert_eq!(fs::read(after.join("checkpoint.safetensors")).expect("a checkpoint"), before);
    let names = fs::read_dir(&after).expect("the run").map(|entry| entry.expect("an entry").file_name());
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
    // Everything that was written before the picture is valid, and the run continues from there.
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
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("note: the first value that is not finite: ") && errors.contains(".wgsl:"), "{errors}");
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
    // Everything that the writer got is on disk.
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

/// The same command again and again, as a scheduler gives it.
#[test]
fn a_job_that_is_started_again_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    write_data(&directory.path().join("data"), 8, 100);
    let run = directory.path().join("run");
    let job = train(&["--epochs", "3", "--keep", "3", "--resume"]);
    let printed = succeeds(directory.path(), &job);
    assert!(printed.contains("epoch 1/3: "), "{printed}");
    let whole = fs::read(run.join("model.safetensors")).expect("a model");
    let printed = succeeds(directory.path(), &job);
    assert_eq!(printed, "3 epochs are done: `elbo resume run --epochs N` trains for longer, up to epoch N\n");

    // As if it had been stopped after the first epoch.
    let checkpoint = run.join("checkpoint.safetensors");
    fs::copy(run.join("checkpoints/0001.safetensors"), &checkpoint).expect("copied");
    let printed = succeeds(directory.path(), &job);
    assert!(printed.contains("epoch 2/3: ") && !printed.contains("epoch 1/3: "), "{printed}");
    assert!(fs::read(run.join("model.safetensors")).expect("a model") == whole, "other bits");

    // And before the first checkpoint.
    for file in ["checkpoint.safetensors", "model.safetensors"] {
        fs::remove_file(run.join(file)).expect("removed");
    }
    let printed = succeeds(directory.path(), &job);
    assert!(printed.contains("epoch 1/3: "), "{printed}");
    assert!(fs::read(run.join("model.safetensors")).expect("a model") == whole, "other bits");
}

#[test]
fn a_job_goes_on_only_with_its_own_settings_and_in_its_own_directory() {
    let directory = copy_of_the_run();
    let cases: [(&[&str], &str); 4] = [
        (&["--epochs", "2", "--lr", "0.01"], "--lr 0.001, found 0.01"),
        (&["--epochs", "2", "--activation", "gelu"], "--activation relu, found gelu"),
        (&["--epochs", "2", "--keep", "1"], "--keep 0, found 1"),
        (&["--epochs", "2", "--clip-norm", "1"], "--clip-norm none, found 1"),
    ];
    // Data that moved have another path.
    refuses(directory.path(), &train(&["--epochs", "2", "--resume"]), &["--resume: ", "--data ", "found "]);
    let path = directory.path().join("run/config.json");
    let config = fs::read_to_string(&path).expect("config");
    let here = |folder: &Path| folder.canonicalize().expect("a path").display().to_string();
    let config = config.replace(&here(home()), &here(directory.path()));
    fs::write(&path, &config).expect("written");
    for (options, difference) in cases {
        let arguments = train(&[options, &["--resume"]].concat());
        let needles = ["--resume: expected the settings of the run that is there", difference, "another --out"];
        refuses(directory.path(), &arguments, &needles);
    }
    assert_eq!(fs::read_to_string(&path).expect("config"), config);
    assert!(succeeds(directory.path(), &train(&["--epochs", "2", "--resume"])).starts_with("2 epochs are done"));
    // A directory of other files is no run.
    let into_data = ["train", "--data", "data", "--hidden", "12", "--batch-size", "16", "--out", "data", "--resume"];
    refuses(directory.path(), &into_data, &["data already exists"]);
    let output = elbo(directory.path(), &["train", "--resume"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--out"));
}

#[track_caller]
fn assert_same_model(left: &Path, right: &Path) {
    let read = |run: &Path| fs::read(run.join("model.safetensors")).expect("a model");
    assert!(read(left) == read(right), "the models differ");
}
