//! Runs `elbo` from outside, and writes its input files.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program: the one built with the tests, or `ELBO` if they were copied to another machine.
pub fn program() -> OsString {
    std::env::var_os("ELBO").unwrap_or_else(|| env!("CARGO_BIN_EXE_elbo").into())
}

/// `elbo` with these arguments, in `directory`.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(directory).env("NODEVICE_SELECT", "1").stdin(Stdio::null());
    command
}

pub fn elbo(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().expect("elbo starts")
}

#[track_caller]
pub fn succeeds(directory: &Path, arguments: &[&str]) -> String {
    let output = elbo(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {:?} {errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What it printed on standard error, without the note that kernels are measured: it comes only where the cache is empty.
pub fn errors_of(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    errors.split_inclusive('\n').filter(|line| !line.starts_with("note: measuring the kernels")).collect()
}

/// Exit code 2 and one line on standard error but for notes, which names all of `needles`.
#[track_caller]
pub fn refuses(directory: &Path, arguments: &[&str], needles: &[&str]) {
    assert_refused(&elbo(directory, arguments), needles);
}

#[track_caller]
pub fn assert_refused(output: &Output, needles: &[&str]) {
    let errors = errors_of(output);
    let errors: String = errors.split_inclusive('\n').filter(|line| !line.starts_with("note: ")).collect();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.starts_with("error: ") && errors.trim_end().lines().count() == 1, "not one line: {errors}");
    for needle in needles {
        assert!(errors.contains(needle), "`{needle}` is missing: {errors}");
    }
}

/// An IDX file: its magic number, its sizes, its bytes.
pub fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    file
}

/// Writes a small data set of `side` x `side` images: `examples` for training, 20 for testing.
pub fn write_data(directory: &Path, side: u32, examples: u32) {
    fs::create_dir_all(directory).expect("a directory");
    for (name, count) in [("train", examples), ("t10k", 20)] {
        let pixel = |i: u32| if (i / 3 + i / 17).is_multiple_of(2) { 230 } else { (i % 40) as u8 };
        let images: Vec<u8> = (0..count * side * side).map(pixel).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        let write = |file: String, bytes| fs::write(directory.join(file), bytes).expect("written");
        write(format!("{name}-images-idx3-ubyte"), idx(&[count, side, side], &images));
        write(format!("{name}-labels-idx1-ubyte"), idx(&[count], &labels));
    }
}
