//! Reads IDX files, the format of MNIST and Fashion-MNIST, plain or gzip-compressed.
//!
//! An IDX file is two zero bytes, the type of its elements, the number of its dimensions, one big-endian `u32` size per
//! dimension, and then the elements in row-major order.
//!
//! The returned data were checked: the right type and number of dimensions, no dimension of size zero, and exactly as
//! many bytes as the header announces. Until then the header is not trusted: memory grows with the bytes that are
//! actually read, and a stream is never unpacked further than the header says.
//!
//! The first bytes of a stream decide whether it is compressed, not its name: browsers unpack some downloads and keep
//! the `.gz`, or the reverse.

pub(super) mod files;

use std::io::{Cursor, ErrorKind, Read, copy, sink};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{ImageShape, Images};
use crate::Error;

/// The IDX code of unsigned bytes, the only elements that images and labels have.
const UNSIGNED_BYTE: u8 = 0x08;
/// The reach of a `u32` index, such as a shader's.
const MAX_BYTES: u64 = 1 << 32;
/// Bytes after the end are counted up to here: a compressed stream could contain almost any number of them.
const MAX_EXCESS: u64 = 1 << 20;

/// Reads a stack of images, an IDX file with three dimensions of unsigned bytes.
///
/// `path` appears in errors and is not opened.
///
/// # Errors
///
/// [`Error::Format`] if the stream is not such a file, [`Error::Io`] if it cannot be read.
pub fn images(path: &Path, stream: impl Read) -> Result<Images, Error> {
    let ([count, height, width], bytes) = parse(path, stream)?;
    Images::new(bytes, count, ImageShape::grey(height, width))
}

/// Reads labels, an IDX file with one dimension of unsigned bytes.
///
/// `path` appears in errors and is not opened.
///
/// # Errors
///
/// [`Error::Format`] if the stream is not such a file, [`Error::Io`] if it cannot be read.
pub fn labels(path: &Path, stream: impl Read) -> Result<Vec<u8>, Error> {
    let ([_count], bytes) = parse(path, stream)?;
    Ok(bytes)
}

/// Reads an IDX file of unsigned bytes with `N` dimensions: its sizes and its elements.
fn parse<const N: usize>(path: &Path, stream: impl Read) -> Result<([usize; N], Vec<u8>), Error> {
    let mut file = NamedStream::open(path, Box::new(stream))?;

    let magic = file.read(4)?;
    match magic[..] {
        [] => return Err(file.unlike(describe(N), "an empty file")),
        [0, 0, UNSIGNED_BYTE, dimensions] if usize::from(dimensions) == N => {}
        [0, 0, UNSIGNED_BYTE, dimensions] => return Err(file.unlike(describe(N), describe(dimensions.into()))),
        [0, 0, element, _] => {
            return Err(file.unlike("IDX elements of type unsigned byte (0x08)", element_type(element)));
        }
        [0] | [0, 0] | [0, 0, _] => return Err(file.cut_short("an IDX header", magic.len())),
        _ => {
            let start: Vec<String> = magic.iter().map(|byte| format!("{byte:02x}")).collect();
            let found = format!("a file that is not IDX: it begins with the bytes {}", start.join(" "));
            return Err(file.unlike(describe(N), found));
        }
    }

    let header = file.read(4 * N as u64)?;
    let (words, _) = header.as_chunks::<4>();
    if words.len() < N {
        return Err(file.cut_short("an IDX header", magic.len() + header.len()));
    }
    let sizes: [u32; N] = std::array::from_fn(|i| u32::from_be_bytes(words[i]));
    let shape = sizes.map(|size| size.to_string()).join(" x ");
    if sizes.contains(&0) {
        return Err(file.unlike("sizes of at least 1 in the IDX header", shape));
    }
    // On a 32-bit host `usize` ends before `MAX_BYTES`, so both limits are checked.
    let total = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
    let Some(total) = total.filter(|&total| total <= MAX_BYTES && usize::try_from(total).is_ok()) else {
        let expected = format!("sizes in the IDX header that multiply to at most {MAX_BYTES} bytes");
        return Err(file.unlike(expected, shape));
    };

    let bytes = file.read(total)?;
    let expected = format!("{total} bytes ({shape}) after the IDX header");
    if (bytes.len() as u64) < total {
        return Err(file.cut_short(expected, bytes.len()));
    }
    match file.count_excess()? {
        0 => Ok((sizes.map(|size| size as usize), bytes)),
        MAX_EXCESS => Err(file.unlike(expected, format!("at least {MAX_EXCESS} bytes more"))),
        excess => Err(file.unlike(expected, format!("{excess} bytes more"))),
    }
}

/// Describes an IDX file with the given number of dimensions.
fn describe(dimensions: usize) -> String {
    match dimensions {
        1 => "IDX labels (1 dimension)".into(),
        3 => "IDX images (3 dimensions)".into(),
        _ => format!("an IDX file with {dimensions} dimensions"),
    }
}

/// The name of an element type by its IDX code.
fn element_type(code: u8) -> String {
    let name = match code {
        0x09 => "signed byte",
        0x0b => "16-bit integer",
        0x0c => "32-bit integer",
        0x0d => "32-bit float",
        0x0e => "64-bit float",
        _ => return format!("the unknown type 0x{code:02x}"),
    };
    format!("{name} (0x{code:02x})")
}

/// A stream of bytes, unpacked if necessary, with its name for errors.
struct NamedStream<'a> {
    path: &'a Path,
    stream: Box<dyn Read + 'a>,
    gzip: bool,
}

impl<'a> NamedStream<'a> {
    fn open(path: &'a Path, stream: Box<dyn Read + 'a>) -> Result<Self, Error> {
        let mut source = NamedStream { path, stream, gzip: false };
        let start = source.read(2)?;
        source.gzip = start == [0x1f, 0x8b];
        let whole = Cursor::new(start).chain(source.stream);
        source.stream = if source.gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(source)
    }

    /// Reads `length` bytes, or fewer if the stream ends earlier.
    fn read(&mut self, length: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self.stream.by_ref().take(length).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Counts the bytes that are left, up to [`MAX_EXCESS`]. Reaching the end of a gzip stream also checks its
    /// checksum.
    fn count_excess(&mut self) -> Result<u64, Error> {
        copy(&mut self.stream.by_ref().take(MAX_EXCESS), &mut sink()).map_err(|source| self.failed(source))
    }

    /// The decoder reports bad data as I/O errors; they are the file's fault, not the operating system's.
    fn failed(&self, source: std::io::Error) -> Error {
        match source.kind() {
            ErrorKind::UnexpectedEof if self.gzip => {
                self.unlike("a whole gzip stream", "one that ends too early: the file is cut short")
            }
            ErrorKind::InvalidData | ErrorKind::InvalidInput if self.gzip => {
                self.unlike("an intact gzip stream", format!("a damaged one ({source})"))
            }
            _ => Error::io("read", self.path)(source),
        }
    }

    fn cut_short(&self, expected: impl Into<String>, length: usize) -> Error {
        self.unlike(expected, format!("{length} bytes: the file is cut short"))
    }

    fn unlike(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Format { path: self.path.into(), expected: expected.into(), found: found.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An IDX file of unsigned bytes.
    fn idx(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, UNSIGNED_BYTE, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The error message for a file: one line that names the file.
    fn refusal(bytes: &[u8]) -> String {
        let message = images(Path::new("digits"), bytes).expect_err("the file must be refused").to_string();
        assert!(!message.contains('\n'), "{message:?}");
        message.strip_prefix("digits: expected ").expect(&message).to_owned()
    }

    /// Two images of 1 x 3 pixels.
    fn good() -> Vec<u8> {
        idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6])
    }

    #[test]
    fn plain_and_gzip_read_alike() {
        for file in [good(), gzip(&good())] {
            let read = images(Path::new("digits"), &file[..]).unwrap();
            assert_eq!((read.count(), read.shape()), (2, ImageShape::grey(1, 3)));
            assert_eq!(read.bytes().unwrap()[3..6], [4, 5, 6]);
        }
        assert_eq!(labels(Path::new("labels"), &gzip(&idx(&[3], &[7, 8, 9]))[..]).unwrap(), [7, 8, 9]);
    }

    #[test]
    fn empty() {
        let message = "IDX images (3 dimensions), found an empty file";
        assert_eq!(refusal(b""), message);
        assert_eq!(refusal(&gzip(b"")), message);
    }

    #[test]
    fn every_truncation() {
        let file = good();
        for end in 1..file.len() {
            assert!(refusal(&file[..end]).ends_with(" bytes: the file is cut short"), "{end}");
            assert!(refusal(&gzip(&file[..end])).ends_with(" bytes: the file is cut short"), "{end}");
        }
        assert_eq!(refusal(&file[..3]), "an IDX header, found 3 bytes: the file is cut short");
        assert_eq!(refusal(&file[..15]), "an IDX header, found 15 bytes: the file is cut short");
        let missing = "6 bytes (2 x 1 x 3) after the IDX header, found 5 bytes: the file is cut short";
        assert_eq!(refusal(&file[..21]), missing);
    }

    #[test]
    fn oversized() {
        let mut file = good();
        file.extend([0; 5]);
        assert_eq!(refusal(&file), "6 bytes (2 x 1 x 3) after the IDX header, found 5 bytes more");
        assert_eq!(refusal(&gzip(&file)), refusal(&file));
        file.resize(8 << 20, 0);
        let much = "6 bytes (2 x 1 x 3) after the IDX header, found at least 1048576 bytes more";
        assert_eq!(refusal(&gzip(&file)), much);
    }

    #[test]
    fn not_idx() {
        let png = "IDX images (3 dimensions), found a file that is not IDX: it begins with the bytes 89 50 4e 47";
        assert_eq!(refusal(b"\x89PNG\r\n\x1a\n"), png);
        assert!(refusal(b"<").ends_with("it begins with the bytes 3c"));
        assert!(refusal(&gzip(&gzip(&good()))).contains("it begins with the bytes 1f 8b"));
    }

    #[test]
    fn labels_for_images_and_the_reverse() {
        let swapped = "IDX images (3 dimensions), found IDX labels (1 dimension)";
        assert_eq!(refusal(&idx(&[3], &[7, 8, 9])), swapped);
        let message = labels(Path::new("labels"), &good()[..]).unwrap_err().to_string();
        assert_eq!(message, "labels: expected IDX labels (1 dimension), found IDX images (3 dimensions)");
        assert!(refusal(&idx(&[2, 1, 3, 1], &[0; 6])).ends_with("found an IDX file with 4 dimensions"));
    }

    #[test]
    fn other_element_types() {
        let mut file = good();
        file[2] = 0x0d;
        let float = "IDX elements of type unsigned byte (0x08), found 32-bit float (0x0d)";
        assert_eq!(refusal(&file), float);
        file[2] = 0x21;
        assert!(refusal(&file).ends_with("found the unknown type 0x21"));
    }

    #[test]
    fn sizes_that_cannot_be() {
        assert_eq!(refusal(&idx(&[2, 0, 3], b"")), "sizes of at least 1 in the IDX header, found 2 x 0 x 3");
        let limit = "sizes in the IDX header that multiply to at most 4294967296 bytes, found ";
        // The product exceeds u64; in some cases it wraps around to a small number.
        for sizes in [[u32::MAX; 3], [1 << 31, 1 << 31, 4], [1 << 16, 1 << 16, 2]] {
            let [count, height, width] = sizes;
            assert_eq!(refusal(&idx(&sizes, &[0; 8])), format!("{limit}{count} x {height} x {width}"));
        }
    }

    #[test]
    fn a_huge_size_allocates_nothing_before_the_bytes_come() {
        let file = idx(&[1 << 20, 1 << 6, 1 << 6], &[1, 2, 3]);
        assert!(refusal(&file).ends_with("found 3 bytes: the file is cut short"));
    }

    #[test]
    fn bad_gzip() {
        let whole = gzip(&good());
        for end in 2..whole.len() {
            let cut = "a whole gzip stream, found one that ends too early: the file is cut short";
            assert_eq!(refusal(&whole[..end]), cut, "{end}");
        }
        let mut flipped = whole.clone();
        flipped[whole.len() - 8] ^= 1; // the first byte of the checksum
        assert!(refusal(&flipped).starts_with("an intact gzip stream, found a damaged one ("));
        let mut followed = whole.clone();
        followed.extend(b"garbage after the end");
        assert!(refusal(&followed).starts_with("an intact gzip stream, found a damaged one ("));
        assert!(refusal(b"\x1f\x8b\x08\x00 and then something else").starts_with("an intact gzip stream"));
    }

    #[test]
    fn a_failing_disk_is_an_io_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the disk is on fire"))
            }
        }
        let error = images(Path::new("digits"), Broken).unwrap_err();
        assert_eq!(error.to_string(), "cannot read digits: the disk is on fire");
    }
}
