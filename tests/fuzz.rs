//! The corpora of the fuzzers, and damaged copies of them, given to every reader: no panic, and errors of one line.

mod readers;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use elbo::Vae;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::support::gpu;
use crate::support::sources::repository;

/// Damaged copies of each file.
const COPIES: u64 = 200;

/// Lengths and counts at the edges of what fits, in a byte or more.
const INTEGERS: [u64; 10] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 1 << 31, (1 << 32) - 1, 1 << 62, u64::MAX];

/// The files of a corpus, sorted.
fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = repository().join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// Whether a file of a corpus is one that its reader takes.
fn is_valid(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"valid"))
}

/// Damages a file in one to four places; `other` is a file of the same corpus.
fn damaged(bytes: &[u8], other: &[u8], seed: u64) -> Vec<u8> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: usize| generator.next_u64() as usize % end.max(1);
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        let end = bytes.len().min(at + 1 + below(16));
        match below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => {
                bytes.truncate(at);
                bytes.extend(&other[at.min(other.len())..]);
            }
            4 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = below(256) as u8),
            5 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8)),
            _ => {
                let integer = INTEGERS[below(INTEGERS.len())];
                let (little, big, width) = (integer.to_le_bytes(), integer.to_be_bytes(), 1 << below(4));
                let integer = if below(2) == 0 { &little[..width] } else { &big[8 - width..] };
                bytes.iter_mut().skip(at).zip(integer).for_each(|(byte, value)| *byte = *value);
            }
        }
    }
    bytes
}

#[test]
fn readers_take_valid_files_and_refuse_damaged_ones_without_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, reader) in readers::ALL {
        let files = corpus(name);
        let contents: Vec<_> = files.iter().map(|path| fs::read(path).expect("a file")).collect();
        for (index, (path, bytes)) in files.iter().zip(&contents).enumerate() {
            let read = |bytes: &[u8], copy: u64| {
                let read = catch_unwind(AssertUnwindSafe(|| reader(folder.path(), bytes)));
                read.unwrap_or_else(|_| panic!("the reader panics on copy {copy} of {}", path.display()))
            };
            let whole = read(bytes, 0);
            assert!(whole.is_ok() || !is_valid(path), "{}: {whole:?}", path.display());
            for copy in 1..=COPIES {
                let other = &contents[(index + copy as usize) % contents.len()];
                let _ = read(&damaged(bytes, other, copy), copy);
            }
        }
        assert!(files.iter().any(|path| is_valid(path)) && !files.iter().all(|path| is_valid(path)), "{name}");
    }
}

#[test]
fn every_reader_has_a_fuzzer_and_a_corpus() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(repository().join("fuzz").join(folder)).expect("a folder");
        let name = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
        entries.map(|entry| name(entry.expect("a file").path())).collect()
    };
    let readers: BTreeSet<_> = readers::ALL.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names("fuzz_targets"), readers);
    assert_eq!(names("corpus"), readers);
}

/// The fuzzers read models without a GPU. What they take, a GPU gets.
#[test]
fn models_load_if_their_reader_takes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in corpus("model") {
        let read = readers::model(folder.path(), &fs::read(&path).expect("a file"));
        let loaded = Vae::load(gpu(), &path);
        assert_eq!(read.is_ok(), loaded.is_ok(), "{}: {read:?}, {:?}", path.display(), loaded.err());
    }
}

/// A process with little memory reads the header, and says what is wrong with the file.
#[cfg(target_os = "linux")]
#[test]
fn a_header_alone_gets_no_memory() {
    use crate::support::program::{assert_refused, program};
    let directory = tempfile::tempdir().expect("a folder");
    let data = |path: &Path| {
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", r#"ulimit -v 500000 && exec "$0" data "$1""#]).arg(program()).arg(path);
        limited.current_dir(directory.path()).output().expect("elbo starts")
    };
    for file in ["idx/huge", "idx/overflow", "npy/huge.npy", "npz/huge.npz", "npz/longer.npz"] {
        assert_refused(&data(&repository().join("fuzz/corpus").join(file)), &[file, ": expected ", ", found "]);
    }
    // The limit is in force: a file that has all the bytes is too large for it.
    let path = directory.path().join("large.npy");
    fs::File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("a file");
    assert_refused(&data(&path), &["large.npy", "memory"]);
}
