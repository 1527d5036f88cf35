//! Text files, plain or compressed, and folders of them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::{Corpus, LoadedText, Sentences, TextShape, Vocabulary};
use crate::Error;
use crate::data::part::Role;
use crate::data::{DataConfig, Tokens, assemble, order, unlike};
use crate::error::{one_line, require};

/// The most bytes of a file: tokens are counted in 32 bits.
const MOST_BYTES: u64 = 1 << 31;

const ENDINGS: [&str; 2] = [".txt", ".txt.gz"];

/// A file that is one of the parts.
type Files = Vec<(Option<Role>, PathBuf)>;

/// Whether a path is a text file, or a folder of them.
pub(super) fn is_text(source: &Path) -> bool {
    let name = source.to_string_lossy().to_lowercase();
    if source.is_dir() { files_of(source).is_some() } else { ENDINGS.iter().any(|ending| name.ends_with(ending)) }
}

/// The files of a folder with a `train` file.
fn files_of(folder: &Path) -> Option<Files> {
    let find = |names: &[&str]| {
        let all = names.iter().flat_map(|name| ENDINGS.map(|ending| folder.join(format!("{name}{ending}"))));
        all.into_iter().find(|path| path.is_file())
    };
    let train = find(&["train", "training"])?;
    let others = [(Role::Validation, ["valid", "val", "validation", "dev"]), (Role::Test, ["test"; 4])];
    let others = others.into_iter().filter_map(|(role, names)| Some((Some(role), find(&names)?)));
    Some([(Some(Role::Train), train)].into_iter().chain(others).collect())
}

/// Lines of a part that have tokens.
struct Lines {
    role: Option<Role>,
    path: PathBuf,
    lines: Vec<Vec<u8>>,
}

/// As [`Corpus::load`], or [`Corpus::load_for`] if there is the shape of a model.
pub(super) fn corpus(config: &DataConfig, shape: Option<&TextShape>, is_whole: bool) -> Result<LoadedText, Error> {
    config.validate()?;
    require_for_text(config)?;
    let source = Path::new(&config.source);
    let tokens = shape.map_or_else(|| config.text.tokens(), |shape| shape.vocabulary.tokens());
    let longest = shape.map_or_else(|| config.text.max_length(), |shape| shape.length - 1);
    if shape.is_some() && !source.is_dir() && !is_text(source) {
        return Err(unlike(
            source,
            "text for a model of text: a .txt or .txt.gz file, or a folder of them",
            "another name",
        ));
    }
    let files = if source.is_dir() {
        files_of(source).ok_or_else(|| unlike(source, "a folder with train.txt or train.txt.gz", "none of them"))?
    } else {
        vec![(None, source.to_owned())]
    };
    let mut notes = Vec::new();
    let mut parts = files.into_iter().map(|(role, path)| lines(role, path, tokens)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &config.test_data {
        let has_none = parts.iter().all(|part| part.role != Some(Role::Test));
        require("--test-data", has_none, "no such option if --data has a test set", path)?;
        parts.push(lines(Some(Role::Test), path.into(), tokens)?);
    }
    let vocabulary = match shape {
        Some(shape) => Arc::clone(&shape.vocabulary),
        // All words, until it is known which sentences train the model.
        None => {
            let lines = parts.iter().flat_map(|part| &part.lines).map(Vec::as_slice);
            Arc::new(Vocabulary::of_lines(lines, tokens))
        }
    };
    let mut splits = [None, None, None];
    for part in &parts {
        let role = part.role.unwrap_or(Role::Train);
        splits[role as usize] = Some(sentences(part, &vocabulary, longest, &mut notes)?);
    }
    let [train, validation, test] = splits;
    let train = train.unwrap_or_else(|| unreachable!("the first part is the training set"));
    let (train, test) = match test {
        Some(test) => {
            let given = config.test.map(|share| share.to_string()).unwrap_or_default();
            require("--test", config.test.is_none(), "no such option if there is a test set", given)?;
            (train, test)
        }
        None if is_whole && parts[0].role.is_none() => (train.clone(), train),
        None => split_off_test(config, &train, &mut notes)?,
    };
    let corpus = Corpus { name: config.source.clone(), train, validation, test };
    let corpus = with_validation(corpus, config)?;
    let corpus = if shape.is_some() { corpus } else { with_frequent_words(corpus, config)? };
    Ok(LoadedText { corpus, notes: notes.iter().map(one_line).collect() })
}

/// Checks that no option is given that is for images.
fn require_for_text(config: &DataConfig) -> Result<(), Error> {
    let DataConfig { size, grey, transpose, scale, standardise, key, label, .. } = config;
    let given = [
        ("--size", size.is_some()),
        ("--grey", *grey),
        ("--transpose", *transpose),
        ("--scale", scale.is_some()),
        ("--standardise", *standardise),
        ("--key", key.is_some()),
        ("--label", label.is_some()),
    ];
    given.into_iter().try_for_each(|(option, given)| require(option, !given, "no such option for text", "one"))
}

/// Reads the lines of a file. Those without tokens are left out.
fn lines(role: Option<Role>, path: PathBuf, tokens: Tokens) -> Result<Lines, Error> {
    let file = File::open(&path).map_err(Error::io("read", &path))?;
    let mut bytes = Vec::new();
    let is_packed = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    let stream: Box<dyn Read> = if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let read = stream.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
            unlike(&path, "a whole gzip stream", format!("a damaged one: {error}"))
        }
        _ => Error::io("read", &path)(error),
    })?;
    let size = bytes.len() as u64;
    if size > MOST_BYTES {
        return Err(unlike(&path, format!("at most {MOST_BYTES} bytes of text"), "more"));
    }
    let mut lines = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if tokens != Tokens::Byte
            && let Err(error) = std::str::from_utf8(line)
        {
            let place = format!("another encoding in line {number}, byte {}", error.valid_up_to() + 1);
            return Err(unlike(&path, "text in UTF-8 (--tokens byte takes any)", place));
        }
        if !line.trim_ascii().is_empty() {
            lines.push(line.to_vec());
        }
    }
    if lines.is_empty() {
        let found = if size == 0 { "an empty file" } else { "empty lines alone" };
        return Err(unlike(&path, "sentences, one a line", found));
    }
    Ok(Lines { role, path, lines })
}

/// The corpus with the vocabulary of its training set alone.
fn with_frequent_words(corpus: Corpus, config: &DataConfig) -> Result<Corpus, Error> {
    let (most, min_count) = (config.text.vocabulary(), config.text.min_count());
    let (vocabulary, numbers) = corpus.train.vocabulary().of_frequent(&corpus.train.words, most, min_count);
    require("--min-count", !vocabulary.is_empty(), "a number that some token of the text reaches", min_count)?;
    vocabulary.validate()?;
    let vocabulary = Arc::new(vocabulary);
    let renumbered = |sentences: &Sentences| {
        let words = sentences.words.iter().map(|word| numbers[*word as usize]).collect();
        Sentences { vocabulary: Arc::clone(&vocabulary), words, starts: sentences.starts.clone() }
    };
    let (train, test) = (renumbered(&corpus.train), renumbered(&corpus.test));
    Ok(Corpus { validation: corpus.validation.as_ref().map(renumbered), train, test, name: corpus.name })
}

/// The sentences of a part that are not too long.
fn sentences(
    part: &Lines,
    vocabulary: &Arc<Vocabulary>,
    longest: usize,
    notes: &mut Vec<String>,
) -> Result<Sentences, Error> {
    let mut words: Vec<Vec<u32>> = part.lines.iter().map(|line| vocabulary.encode(line)).collect();
    words.retain(|words| !words.is_empty());
    let all = words.len();
    let most = words.iter().map(Vec::len).max().unwrap_or(0);
    words.retain(|words| words.len() <= longest);
    let path = part.path.display();
    if words.is_empty() {
        return Err(Error::Config {
            option: "--max-length",
            expected: format!("a number that some sentence of {path} keeps to, of which the longest has {most} tokens"),
            found: longest.to_string(),
        });
    }
    if words.len() < all {
        let left_out = all - words.len();
        notes.push(format!(
            "{path}: {left_out} of {all} sentences have more than {longest} tokens, and are left out (--max-length)"
        ));
    }
    Sentences::of_words(words, vocabulary)
}

/// Splits a test set off the training set, at random.
fn split_off_test(
    config: &DataConfig,
    train: &Sentences,
    notes: &mut Vec<String>,
) -> Result<(Sentences, Sentences), Error> {
    let count = assemble::test_count(config, train.count(), "sentences", notes)?;
    let [train, test] = split(train, count, Some(config.test_seed))?;
    Ok((train, test))
}

/// Moves a part of the training set to the validation set, if that is asked for.
fn with_validation(mut corpus: Corpus, config: &DataConfig) -> Result<Corpus, Error> {
    let total = corpus.train.count();
    let count = config.validation.of(total);
    if count > 0 {
        let own = corpus.validation.is_none();
        require("--validation", own, "no such option if the data have a validation set", config.validation)?;
        require("--validation", count < total, &format!("fewer than the {total} training sentences"), count)?;
        let [train, validation] = split(&corpus.train, count, config.validation_seed)?;
        (corpus.train, corpus.validation) = (train, Some(validation));
    }
    Ok(corpus)
}

/// Two parts: all but `count` of the sentences, and these, in their order.
fn split(sentences: &Sentences, count: usize, seed: Option<u64>) -> Result<[Sentences; 2], Error> {
    let parts = order::split_off(sentences.count(), count, seed);
    Ok([sentences.take(&parts[0])?, sentences.take(&parts[1])?])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::data::Share;

    fn load(path: &Path, change: impl FnOnce(&mut DataConfig)) -> Result<LoadedText, String> {
        let mut config = DataConfig { source: path.display().to_string(), ..DataConfig::default() };
        change(&mut config);
        Corpus::load(&config).map_err(|error| error.to_string())
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_file_has_a_sentence_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = (0..20).map(|i| format!("line {i} , here .\r\n\n")).collect::<String>();
        let (plain, gz) = (folder.path().join("a.txt"), folder.path().join("a.txt.gz"));
        fs::write(&plain, &text).unwrap();
        fs::write(&gz, packed(&text)).unwrap();
        let loaded = load(&plain, |_| ()).unwrap();
        assert_eq!((loaded.corpus.train.count(), loaded.corpus.test.count()), (18, 2));
        assert!(loaded.notes[0].starts_with("no test set: 2 of the 20 sentences"), "{:?}", loaded.notes);
        let again = load(&gz, |_| ()).unwrap().corpus;
        assert_eq!((again.train, again.test), (loaded.corpus.train.clone(), loaded.corpus.test));
        assert_eq!(loaded.corpus.train.text(0), "line 0, here.");
        let halves = load(&plain, |config| config.validation = Share::Count(5)).unwrap().corpus;
        assert_eq!((halves.train.count(), halves.validation.unwrap().count()), (13, 5));
        assert!(is_text(&plain) && is_text(&gz) && !is_text(folder.path()));
    }

    #[test]
    fn a_folder_has_parts_and_the_vocabulary_of_its_training_set() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.txt"), "a b\nb c c\n").unwrap();
        fs::write(folder.path().join("valid.txt.gz"), packed("a z\n")).unwrap();
        fs::write(folder.path().join("test.txt"), "c\na a a a\n").unwrap();
        assert!(is_text(folder.path()));
        let corpus = load(folder.path(), |_| ()).unwrap().corpus;
        let validation = corpus.validation.unwrap();
        assert_eq!((corpus.train.count(), validation.unknown(), corpus.test.count()), (2, 1, 2));
        let few = load(folder.path(), |config| config.text.max_length = Some(3)).unwrap();
        assert!(few.corpus.test.count() == 1 && few.notes[0].contains("1 of 2 sentences"), "{:?}", few.notes);
        // A model has its own vocabulary, and its own length.
        let shape = TextShape { vocabulary: Arc::clone(corpus.train.vocabulary()), length: 3 };
        let config =
            DataConfig { source: folder.path().join("test.txt").display().to_string(), ..DataConfig::default() };
        let loaded = Corpus::load_for(&config, &shape, true).unwrap().corpus;
        assert_eq!((loaded.train.count(), loaded.test), (1, loaded.train.clone()));
    }

    #[test]
    fn what_is_no_text_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let error = |bytes: &[u8], change: fn(&mut DataConfig)| {
            fs::write(&path, bytes).unwrap();
            load(&path, change).unwrap_err()
        };
        assert!(error(b"", |_| ()).ends_with("expected sentences, one a line, found an empty file"));
        assert!(error(b" \n\n", |_| ()).ends_with("found empty lines alone"));
        assert!(error(b"one\ntw\xffo\n", |_| ()).ends_with("found another encoding in line 2, byte 3"));
        assert!(error(b"one line\n", |_| ()).starts_with("--test: expected fewer test sentences than the 1"));
        let long = [b"x ".repeat(500_000), b"\n".to_vec()].concat();
        assert!(error(&long, |_| ()).starts_with("--max-length: expected a number that some sentence of "));
        assert!(error(b"a b\nc d\n", |config| config.text.min_count = Some(2)).starts_with("--min-count: expected "));
        assert!(error(b"a\nb\n", |config| config.grey = true).starts_with("--grey: expected no such option for text"));
        let packed = packed(&"a b c\n".repeat(99));
        fs::write(folder.path().join("b.txt.gz"), &packed[..packed.len() / 2]).unwrap();
        let error = load(&folder.path().join("b.txt.gz"), |_| ()).unwrap_err();
        assert!(error.contains("expected a whole gzip stream"), "{error}");
        // Bytes may be anything.
        fs::write(&path, b"one\ntw\xffo\n").unwrap();
        assert!(load(&path, |config| config.text.tokens = Some(Tokens::Byte)).is_ok());
    }
}
