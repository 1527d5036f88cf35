//! What the fuzzers give to each reader: bytes that may be anything. A reader may refuse them with an error of one line; it must
//! not panic, and must not allocate what only a header promises.
//!
//! The fuzzers in `fuzz/` and the test of their corpora share this file, which uses the public interface alone. Each function
//! writes its files into a folder that may have those of earlier calls, and returns whether the bytes were read.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use elbo::compress::{Codec, CodecConfig, Stream};
use elbo::config::Config;
use elbo::data::{Corpus, DataConfig, Dataset, Fit, ImageShape, Images, Loaded, LoadedText, Split, Tokens};
use elbo::files::{npy, safetensors};
use elbo::run::RunDirectory;
use elbo::train::Progress;
use elbo::vae::{ExactModel, Model};
use elbo::{Error, Plan, export};
use serde::Deserialize;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A reader, as the fuzzers call it.
pub type Reader = fn(&Path, &[u8]) -> Result<(), Error>;

/// All readers, by the names of their fuzzers and corpora.
pub const ALL: [(&str, Reader); 9] = [
    ("config", config),
    ("csv", csv),
    ("idx", idx),
    ("model", model),
    ("npy", npy),
    ("npz", npz),
    ("pictures", pictures),
    ("stream", stream),
    ("text", text),
];

/// Two images of 2 x 2 bytes as an array, and as an IDX file.
const ARRAY: &[u8] = include_bytes!("../../fuzz/corpus/npy/valid-bytes.npy");
const IMAGES: &[u8] = include_bytes!("../../fuzz/corpus/idx/valid-images");
/// A model of images of 2 x 2, and how it codes them.
const MODEL: &[u8] = include_bytes!("../../fuzz/corpus/model/valid-dense.safetensors");
const CODEC: CodecConfig = CodecConfig { bins: 2, precision: 24, chunk: 2 };
/// The most values of all images that are decoded: a short stream may be that of many, which take their time.
const MOST_VALUES: usize = 1024;
/// A picture of one grey pixel.
const PICTURE: &[u8] = include_bytes!("../../fuzz/corpus/pictures/valid-grey.png");

/// An IDX file of images, or one of labels beside good images.
pub fn idx(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let images = load(&write(folder, "images", bytes), &resized());
    let labelled = folder.join("labelled");
    write(&labelled, "train-images-idx3-ubyte", IMAGES);
    write(&labelled, "train-labels-idx1-ubyte", bytes);
    images.or(load(&labelled, &DataConfig::default()))
}

/// A NumPy array as data, and as the latents that `elbo decode` takes.
pub fn npy(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = write(folder, "a.npy", bytes);
    let latents = one_line(npy::read(&path)).map(drop);
    load(&path, &DataConfig::default()).or(load(&path, &resized())).or(latents)
}

/// A NumPy archive; and archives with a right checksum in which the bytes are the images, or what stands beside them.
pub fn npz(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let archive = load(&write(folder, "a.npz", bytes), &DataConfig::default());
    let images = load(&write_archive(folder, &[("train", bytes), ("test", ARRAY)]), &DataConfig::default());
    let beside = [("x", ARRAY), ("y", bytes), ("classes", bytes)];
    archive.or(images).or(load(&write_archive(folder, &beside), &DataConfig::default()))
}

/// A table of numbers, without labels and with labels in the first column.
pub fn csv(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = write(folder, "a.csv", bytes);
    let labelled = DataConfig { label: Some("1".to_owned()), standardise: true, ..DataConfig::default() };
    load(&path, &DataConfig::default()).or(load(&path, &labelled))
}

/// A text file, plain and compressed, as words, characters and bytes. Whatever was read is shown.
pub fn text(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let of = |name: &str, tokens| {
        let source = write(folder, name, bytes).display().to_string();
        let mut config = DataConfig { source, ..DataConfig::default() };
        config.text.tokens = Some(tokens);
        one_line(Corpus::load(&config)).map(|LoadedText { corpus, .. }| {
            for sentence in 0..corpus.train.count() {
                let words = corpus.train.vocabulary().encode(corpus.train.text(sentence).as_bytes());
                assert!(!words.is_empty() || !corpus.train.words(sentence).is_empty());
            }
        })
    };
    let plain = of("a.txt", Tokens::Word).or(of("a.txt", Tokens::Byte));
    plain.or(of("a.txt.gz", Tokens::Char))
}

/// A picture beside a good one, both brought to one size. The parity of its length decides how it fits.
pub fn pictures(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let pictures = folder.join("pictures");
    write(&pictures, "a.png", PICTURE);
    write(&pictures, "b.png", bytes);
    let fit = if bytes.len().is_multiple_of(2) { Fit::Crop } else { Fit::Pad };
    load(&pictures, &DataConfig { fit, ..resized() })
}

/// A model or a checkpoint; and the description of a model in a file without tensors. What `elbo import` makes of them does not count.
pub fn model(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let described = serde_json::json!({"__metadata__": {"elbo": String::from_utf8_lossy(bytes)}}).to_string();
    let described = [&(described.len() as u64).to_le_bytes(), described.as_bytes()].concat();
    let path = folder.join("model.safetensors");
    for bytes in [bytes, &described] {
        let _ = one_line(Model::import(&path, bytes, None));
    }
    let _ = one_line(Model::parse(&path, &String::from_utf8_lossy(bytes)));
    one_line(read_model(&path, bytes)).or(one_line(read_model(&path, &described)))
}

/// A stream that `elbo compress` wrote; and the words of a stream that has a good model.
pub fn stream(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join("images.elbo");
    let whole = one_line(decompress(&path, bytes));
    let (model, parameters) = Model::read(&path, MODEL)?;
    let codec = Codec::new(ExactModel::new(&model, &parameters)?, CODEC)?;
    let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    whole.or(one_line(codec.decode(words, 1 + bytes.len() % 4)).map(drop))
}

/// `config.json` and `metrics.jsonl` of a run, and the plan of a training with that configuration.
pub fn config(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    write(folder, "config.json", bytes);
    write(folder, "metrics.jsonl", bytes);
    let run = RunDirectory::open(folder);
    let metrics = one_line(run.read_metrics()).map(drop);
    let config = one_line(run.read_config()).and_then(|run| {
        one_line(run.output.validate().and_then(|()| plan(&run.config)))?;
        run.output.checkpoint_interval();
        Ok(())
    });
    config.or(metrics)
}

/// Reads a model, and the progress of a training beside it. What the model compresses has to come back,
/// and it can be exported.
fn read_model(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Header {
        progress: Option<Progress>,
    }
    if let Some(progress) = safetensors::File::<Header>::new(path, bytes)?.header.progress {
        progress.sums.averages();
    }
    let (model, parameters) = Model::read(path, bytes)?;
    let dimensions = model.image().map_or(usize::MAX, |image| image.dimensions());
    if dimensions <= MOST_VALUES {
        one_line(export::onnx(&model, &parameters))?;
        one_line(export::pytorch(&model))?;
    }
    if dimensions <= MOST_VALUES
        && let Ok(exact) = one_line(ExactModel::new(&model, &parameters))
    {
        let levels: Vec<u8> = (0..2 * dimensions).map(|i| (i * 7 % exact.levels.count()) as u8).collect();
        let codec = Codec::new(exact, CODEC)?;
        if let Ok((words, _)) = one_line(codec.encode(&levels)) {
            assert_eq!(codec.decode(words, 2).expect("the images that were coded"), levels);
        }
    }
    Ok(())
}

/// Decodes the images of a stream that has its model in it, unless they are many.
fn decompress(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let stream = Stream::read(path, bytes)?;
    let Some(model) = stream.model else { return Ok(()) };
    let (model, parameters) = Model::read(path, model)?;
    let codec = Codec::new(ExactModel::new(&model, &parameters)?, stream.header.codec)?;
    if stream.header.images.saturating_mul(codec.model().image().dimensions()) <= MOST_VALUES {
        stream.decode(&codec, &|_| ())?;
    }
    Ok(())
}

/// Plans a training on ten images, half of them grey.
fn plan(config: &Config) -> Result<(), Error> {
    let images = Images::new((0..160).map(|i| i / 16 * 28).collect(), 10, ImageShape::grey(4, 4))?;
    let split = Split { images, labels: None };
    let data = Dataset { name: String::new(), train: split.clone(), validation: Some(split.clone()), test: split };
    let plan = Plan::new(config, &data)?;
    assert!(!plan.model().parameters().is_empty());
    Ok(())
}

/// Loads data, and checks that notes are one line each.
fn load(path: &Path, config: &DataConfig) -> Result<(), Error> {
    let config = DataConfig { source: path.display().to_string(), ..config.clone() };
    let loaded = one_line(Loaded::new(&config, &|_, _| ()))?;
    assert!(loaded.notes.iter().all(|note| !note.contains('\n')), "several lines: {:?}", loaded.notes);
    Ok(())
}

/// A configuration that brings images to one size.
fn resized() -> DataConfig {
    DataConfig { size: "3x2".parse().ok(), ..DataConfig::default() }
}

/// Checks that an error is one line.
fn one_line<T>(result: Result<T, Error>) -> Result<T, Error> {
    result.inspect_err(|error| assert!(!error.to_string().contains('\n'), "several lines: {error:?}"))
}

/// Writes a file, and makes its folder if there is none. A file that is cut to nothing first would be written to the disk at once by
/// some file systems.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    let open = || File::options().write(true).create(true).truncate(false).open(&path);
    let file = open().or_else(|_| fs::create_dir_all(folder).and_then(|()| open()));
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.set_len(bytes.len() as u64)));
    written.expect("a file");
    path
}

/// Writes an archive of arrays that are not compressed.
fn write_archive(folder: &Path, arrays: &[(&str, &[u8])]) -> PathBuf {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), options).expect("an entry");
        writer.write_all(bytes).expect("its bytes");
    }
    write(folder, "b.npz", &writer.finish().expect("an archive").into_inner())
}
