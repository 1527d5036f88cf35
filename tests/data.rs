//! Data from outside: folders, arrays and tables through the commands, and one clear line for what does not fit.

use std::fs;
use std::path::Path;

use image::{ExtendedColorType, save_buffer};

use crate::support::program::{elbo, idx, refuses, succeeds};

/// Images of 6 x 5 pixels.
const COUNT: usize = 40;
const HEIGHT: usize = 6;
const WIDTH: usize = 5;

fn levels() -> Vec<u8> {
    let level = |i: usize| if (i / 3 + i / 17).is_multiple_of(2) { 230 } else { (i % 40) as u8 };
    (0..COUNT * HEIGHT * WIDTH).map(level).collect()
}

/// A `.npy` file of version 1.
fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Writes the same images as pictures, as arrays of two types, as an IDX file and as a table.
fn write_formats(directory: &Path) {
    let levels = levels();
    fs::create_dir(directory.join("pictures")).expect("a folder");
    for (index, image) in levels.chunks(HEIGHT * WIDTH).enumerate() {
        let path = directory.join(format!("pictures/{index:02}.png"));
        save_buffer(path, image, WIDTH as u32, HEIGHT as u32, ExtendedColorType::L8).expect("a picture");
    }
    let write = |name: &str, bytes: Vec<u8>| fs::write(directory.join(name), bytes).expect("written");
    write("a.npy", npy("|u1", &format!("({COUNT}, 1, {HEIGHT}, {WIDTH})"), &levels));
    let wide = levels.iter().flat_map(|level| i64::from(*level).to_le_bytes()).collect::<Vec<_>>();
    write("wide.npy", npy("<i8", &format!("({COUNT}, {HEIGHT}, {WIDTH})"), &wide));
    write("idx", idx(&[COUNT as u32, HEIGHT as u32, WIDTH as u32], &levels));
    let row = |row: &[u8]| row.iter().map(u8::to_string).collect::<Vec<_>>().join(",") + "\n";
    write("a.csv", levels.chunks(HEIGHT * WIDTH).map(row).collect::<String>().into_bytes());
}

/// The arguments that train a small model for an epoch.
fn train<'a>(data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let small = ["train", "--no-tune", "--epochs", "1", "--hidden", "12", "--latents", "3"];
    [&small, ["--data", data, "--out", out].as_slice(), more].concat()
}

#[test]
fn the_same_pictures_in_every_format_give_the_same_bits() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_formats(home);
    let model = |data: &str| {
        let printed = succeeds(home, &train(data, "run", &["--overwrite", "--size", "6x5"]));
        assert!(printed.contains("no test set: 4 of the 40 images"), "{printed}");
        assert!(printed.contains("batches of 8, as there are few training examples"), "{printed}");
        fs::read(home.join("run/model.safetensors")).expect("a model")
    };
    let expected = model("pictures");
    for data in ["a.npy", "wide.npy", "idx", "a.csv"] {
        assert!(model(data) == expected, "{data} gives other bits than the pictures");
    }
    // A size that is given is kept.
    let printed = succeeds(home, &train("a.npy", "run", &["--overwrite", "--size", "6x5", "--batch-size", "36"]));
    assert!(!printed.contains("batches of"), "{printed}");
}

#[test]
fn a_folder_of_several_sizes_asks_for_a_size_which_the_run_keeps() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_formats(home);
    for index in 0..9 {
        let path = home.join(format!("pictures/wide{index}.png"));
        save_buffer(path, &[100; 12 * 9], 12, 9, ExtendedColorType::L8).expect("a picture");
    }
    refuses(home, &train("pictures", "run", &[]), &["--size: expected ", "--size 64", "6 x 5 (40 of them), 9 x 12"]);
    assert!(!home.join("run").exists());
    succeeds(home, &train("pictures", "run", &["--size", "4"]));
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(home.join("run/config.json")).expect("a file")).expect("JSON");
    assert_eq!((&config["size"], &config["training"]["batch_size"]), (&"4x4".into(), &8.into()), "{config}");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let run = home.join("run").display().to_string();
    succeeds(elsewhere.path(), &["eval", &run]);
    // Other data come to the size of the run.
    succeeds(home, &["eval", "run", "--data", "a.npy"]);
    succeeds(home, &["resume", "run", "--epochs", "2"]);
}

#[test]
fn elbo_data_shows_what_would_be_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_formats(home);
    let printed = succeeds(home, &["data", "a.npy", "--out", "grid.png", "--test", "10"]);
    for line in [
        "images:     6 x 5, 30 values each: bytes, x / 255\n",
        "training:   30 images, values from 0 to 230\n",
        "test:       10 images, values from ",
        "likelihood: discretised-logistic, as values have 256 levels",
        "a.npy, uint8 (40, 1, 6, 5), channels first: 40 images of 6 x 5\n",
        "picture:    grid.png\n",
    ] {
        assert!(printed.contains(line), "`{line}` is missing: {printed}");
    }
    image::open(home.join("grid.png")).expect("a picture");
    fs::create_dir_all(home.join("classes/b")).expect("a folder");
    fs::rename(home.join("pictures"), home.join("classes/a")).expect("renamed");
    fs::rename(home.join("classes/a/00.png"), home.join("classes/b/00.png")).expect("renamed");
    let json = succeeds(home, &["data", "classes", "--validation", "9", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let names: Vec<_> = report["parts"].as_array().expect("parts").iter().map(|part| &part["name"]).collect();
    assert_eq!(names, ["training", "validation", "test"]);
    assert_eq!((&report["height"], &report["values"]), (&6.into(), &"bytes".into()));
    assert!(json.contains("\"b\"") && report["notes"][0].as_str().is_some_and(|note| note.starts_with("no test set")));
    assert!(succeeds(home, &["data", "--size", "14"]).contains("data:       mnist\nimages:     14 x 14"));
}

#[test]
fn standardised_data_come_back_in_their_own_scale() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    let row = |i: i32| format!("{},{},{}\n", 1000 + i % 7, -f64::from(i % 5) / 10.0, 3);
    fs::write(home.join("table.csv"), (0..60).map(row).collect::<String>()).expect("written");
    let arguments = train("table.csv", "run", &["--standardise", "--likelihood", "gaussian"]);
    succeeds(home, &arguments);
    refuses(
        home,
        &train("table.csv", "other", &["--likelihood", "gaussian"]),
        &["--data: ", "--standardise", "-0.4 to 1006"],
    );
    refuses(home, &train("table.csv", "other", &["--standardise"]), &["--likelihood: ", "bernoulli"]);
    succeeds(home, &["encode", "run"]);
    succeeds(home, &["decode", "run", "run/encoded/mean.npy", "--out", "decoded.npy"]);
    let decoded = fs::read(home.join("decoded.npy")).expect("an array");
    let first = decoded.iter().position(|byte| *byte == b'\n').expect("the end of the header") + 1;
    let values: Vec<f32> = decoded[first..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    for row in values.chunks(3) {
        assert!(
            (990.0..1016.0).contains(&row[0]) && (-1.0..0.6).contains(&row[1]) && (row[2] - 3.0).abs() < 5.0,
            "{row:?}"
        );
    }
    succeeds(home, &["sample", "run"]);
    succeeds(home, &["resume", "run", "--epochs", "2"]);
    succeeds(home, &["eval", "run"]);
}

#[test]
fn an_error_in_the_data_is_one_line_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    write_formats(home);
    fs::write(home.join("pictures/99.jpg"), b"\xff\xd8\xff\xe0 cut short").expect("written");
    fs::write(home.join("ragged.csv"), "1,2\n1\n").expect("written");
    fs::write(home.join("objects.npy"), npy("|O", "(1,)", b"")).expect("written");
    for (data, flags, needles) in [
        ("pictures", &[][..], &["pictures/99.jpg", "expected a", "found "][..]),
        ("ragged.csv", &[], &["ragged.csv", "2 columns", "line 2"]),
        ("objects.npy", &[], &["objects.npy", "Python objects"]),
        ("a.npy", &["--key", "x"], &["--key"]),
        ("a.npy", &["--test", "40"], &["--test", "40 images"]),
        ("a.npy", &["--grey", "--scale", "-1"], &["--scale", "above 0"]),
    ] {
        refuses(home, &train(data, "run", flags), needles);
        assert!(!home.join("run").exists(), "{data} left a run behind");
    }
    let skipped = elbo(home, &train("pictures", "run", &["--skip-bad"]));
    let printed = String::from_utf8_lossy(&skipped.stdout).into_owned();
    assert!(printed.contains("left out 1 pictures that cannot be read, the first: "), "{printed}");
}
