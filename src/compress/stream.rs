//! Streams: files of chunks, with everything that a decoder has to know.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `ELBO` and four more, so that no text file begins like it |
//! | 2 | the version, little-endian as all numbers |
//! | 4, 4 | the length of the header, and its CRC-32 |
//! | | the header: JSON, packed with zlib |
//! | 8, 4 | the length of the model, or 0, and its CRC-32 |
//! | | the model: a safetensors file |
//! | 4, 4, 4 | for each chunk: its images, its words, and their CRC-32 |
//! | | the words, of 32 bits |

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::CodecConfig;
use super::chunk::{Codec, Rate};
use crate::Error;
use crate::data::{ImageShape, parallel};

const MAGIC: [u8; 8] = *b"ELBO\x00\x01\r\n";
const VERSION: u16 = 1;

/// The largest header, unpacked: the names of a million pictures fit.
const MOST_HEADER: u64 = 1 << 28;

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The hash of the model: [`crate::vae::ExactModel::hash`].
    pub model: String,
    /// The number of images.
    pub images: usize,
    /// The size of each.
    pub image: ImageShape,
    /// The precisions.
    pub codec: CodecConfig,
    /// The names of the pictures, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// The label of each image, if they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<u8>>,
}

/// A stream whose frame was read and checked.
#[derive(Debug)]
pub struct Stream<'a> {
    path: &'a Path,
    /// What it says about itself.
    pub header: Header,
    /// The model's file, if it is part of the stream.
    pub model: Option<&'a [u8]>,
    /// The chunks up to the first one that is damaged: the number of images, and the words.
    chunks: Vec<(usize, &'a [u8])>,
    /// What is wrong after them.
    pub fault: Option<String>,
}

/// The images of a stream.
#[derive(Debug)]
pub struct Decoded {
    /// The levels, image by image.
    pub levels: Vec<u8>,
    /// What is wrong with the images that are missing.
    pub fault: Option<String>,
}

/// Cuts levels into chunks and codes them. `progress` is told the number of images that are done.
///
/// # Errors
///
/// As [`Codec::encode`].
pub fn encode(codec: &Codec, levels: &[u8], progress: &(dyn Fn(usize) + Sync)) -> Result<(Vec<Vec<u32>>, Rate), Error> {
    let (dimensions, chunk) = (codec.model().image().dimensions(), codec.config().chunk as usize);
    let done = |chunks: usize| progress((chunks * chunk).min(levels.len() / dimensions));
    let results = parallel::map(levels.chunks(chunk * dimensions), false, |part| codec.encode(part), &done);
    let results = results.into_iter().collect::<Result<Vec<_>, Error>>()?;
    let mut rate = Rate::default();
    let words = results.into_iter().map(|(words, of_chunk)| {
        rate += of_chunk;
        words
    });
    let words = words.collect();
    Ok((words, rate))
}

/// Writes a stream.
///
/// # Errors
///
/// The errors of `file`.
pub fn write(file: &mut dyn Write, header: &Header, model: Option<&[u8]>, chunks: &[Vec<u32>]) -> std::io::Result<()> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&serde_json::to_vec(header)?)?;
    let packed = packed.finish()?;
    file.write_all(&MAGIC)?;
    file.write_all(&VERSION.to_le_bytes())?;
    file.write_all(&(packed.len() as u32).to_le_bytes())?;
    file.write_all(&crc32fast::hash(&packed).to_le_bytes())?;
    file.write_all(&packed)?;
    let model = model.unwrap_or_default();
    file.write_all(&(model.len() as u64).to_le_bytes())?;
    file.write_all(&crc32fast::hash(model).to_le_bytes())?;
    file.write_all(model)?;
    let mut left = header.images;
    for words in chunks {
        let images = left.min(header.codec.chunk as usize);
        left -= images;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all(&(images as u32).to_le_bytes())?;
        file.write_all(&(words.len() as u32).to_le_bytes())?;
        file.write_all(&crc32fast::hash(&bytes).to_le_bytes())?;
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Bytes that are still to be read, and where they are.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fault(&self, expected: &str, found: &str) -> Error {
        let expected = format!("{expected} at byte {}", self.at);
        Error::Format { path: self.path.to_owned(), expected, found: found.to_owned() }
    }

    /// The next bytes. Nothing is allocated for them.
    fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], Error> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count));
        let taken =
            taken.ok_or_else(|| self.fault(what, &format!("the end of the file, {} bytes later", rest.len())))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn number(&mut self, bytes: usize, what: &str) -> Result<u64, Error> {
        let taken = self.take(bytes as u64, what)?;
        Ok(taken.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// The next bytes, which must have the CRC.
    fn checked(&mut self, count: u64, crc: u64, what: &str) -> Result<&'a [u8], Error> {
        let start = self.at;
        let taken = self.take(count, what)?;
        if u64::from(crc32fast::hash(taken)) == crc {
            return Ok(taken);
        }
        self.at = start;
        Err(self.fault(&format!("{what} as it was written"), "other bytes (its CRC-32 does not fit)"))
    }
}

impl<'a> Stream<'a> {
    /// Reads the frame of a stream. A chunk that is damaged or cut short is no error yet: the images before it are whole.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if it is no stream, one of another version, or its header or model is damaged.
    pub fn read(path: &'a Path, bytes: &'a [u8]) -> Result<Stream<'a>, Error> {
        let mut reader = Reader { path, bytes, at: 0 };
        if reader.take(8, "a stream that `elbo compress` wrote")? != MAGIC {
            reader.at = 0;
            return Err(reader.fault("a stream that `elbo compress` wrote", "another file"));
        }
        let version = reader.number(2, "a version")?;
        if version != u64::from(VERSION) {
            return Err(
                reader.fault(&format!("version {VERSION}"), &format!("version {version}: a newer Elbo may read it"))
            );
        }
        let (length, crc) = (reader.number(4, "a header")?, reader.number(4, "a header")?);
        let header = Stream::header(&reader, reader.bytes, length, crc)?;
        reader.at += length as usize;
        let (length, crc) = (reader.number(8, "a model")?, reader.number(4, "a model")?);
        let model = reader.checked(length, crc, "the model")?;
        let mut stream =
            Stream { path, header, model: (!model.is_empty()).then_some(model), chunks: Vec::new(), fault: None };
        stream.fault = stream.read_chunks(&mut reader).err().map(|error| error.to_string());
        Ok(stream)
    }

    fn header(reader: &Reader<'_>, bytes: &'a [u8], length: u64, crc: u64) -> Result<Header, Error> {
        let mut copy = Reader { path: reader.path, bytes, at: reader.at };
        let packed = copy.checked(length, crc, "the header")?;
        let mut text = Vec::new();
        let unpacked = ZlibDecoder::new(packed).take(MOST_HEADER).read_to_end(&mut text);
        unpacked.map_err(|error| reader.fault("a header", &error.to_string()))?;
        let header: Header =
            serde_json::from_slice(&text).map_err(|error| reader.fault("a header", &error.to_string()))?;
        let named = |count: Option<usize>| count.is_none_or(|count| count == header.images);
        if !named(header.names.as_ref().map(Vec::len)) || !named(header.labels.as_ref().map(Vec::len)) {
            return Err(reader.fault("a name and a label for each image", "another number"));
        }
        Ok(header)
    }

    fn read_chunks(&mut self, reader: &mut Reader<'a>) -> Result<(), Error> {
        let mut left = self.header.images;
        while left > 0 {
            let what = format!("the chunk from image {}", self.header.images - left);
            let images = reader.number(4, &what)? as usize;
            if images != left.min(self.header.codec.chunk as usize) || images == 0 {
                return Err(reader.fault(&what, &format!("one of {images} images")));
            }
            let (words, crc) = (reader.number(4, &what)?, reader.number(4, &what)?);
            self.chunks.push((images, reader.checked(4 * words, crc, &what)?));
            left -= images;
        }
        match reader.bytes.len() - reader.at {
            0 => Ok(()),
            more => Err(reader.fault("the end of the stream", &format!("{more} more bytes"))),
        }
    }

    /// Decodes all images, or, of a damaged stream, those before the damage.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the model is another one.
    pub fn decode(&self, codec: &Codec, progress: &(dyn Fn(usize) + Sync)) -> Result<Decoded, Error> {
        let Header { model, image, codec: precisions, .. } = &self.header;
        let bad = |expected: String, found: String| Error::Format { path: self.path.to_owned(), expected, found };
        if codec.model().hash() != model {
            let found = format!("another one, of hash {}", codec.model().hash());
            return Err(bad(format!("the model of hash {model}, which it was written with"), found));
        }
        if codec.model().image() != *image || codec.config() != *precisions {
            return Err(bad("images and precisions of its model".to_owned(), format!("images of {image}")));
        }
        let chunk = precisions.chunk as usize;
        let decode = |(images, bytes): &(usize, &[u8])| {
            let word = |word: &[u8]| u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            codec.decode(bytes.chunks_exact(4).map(word).collect(), *images)
        };
        let done = |chunks: usize| progress((chunks * chunk).min(self.header.images));
        let results = parallel::map(self.chunks.iter(), true, decode, &done);
        let (mut levels, mut fault) = (Vec::new(), self.fault.clone());
        for result in results {
            match result {
                Ok(of_chunk) => levels.extend(of_chunk),
                Err(error) => {
                    let at = levels.len() / image.dimensions();
                    fault = Some(format!("{}: the chunk from image {at}: {error}", self.path.display()));
                    break;
                }
            }
        }
        Ok(Decoded { levels, fault })
    }
}
