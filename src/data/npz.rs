//! Reads data sets from NumPy's `.npz` files: the arrays `train`, `test` and, if there is one, `valid`.
//!
//! An array is `(N, D)`, `(N, H, W)`, or that with one channel, `(N, 1, H, W)` or `(N, H, W, 1)`. `D` pixels are a
//! square image if `D` is a square, else a single row. Bytes are grey levels, 0 to 255; if no array contains a byte
//! above 1, they are binary and are kept as 0 and 255. Floats are used as they are. There are no labels.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::{Dataset, ImageShape, Images, Split, unlike};
use crate::Error;
use crate::files::npy::{self, Values};

/// The expected content of a file.
const EXPECTED: &str = "a NumPy archive (.npz) with the arrays `train`, `test` and perhaps `valid`";

/// The reach of a `u32` index, such as a shader's.
const MAX_BYTES: u64 = 1 << 32;

/// Reads a data set.
///
/// # Errors
///
/// [`Error::Format`] if the file is not such an archive, an array is missing, or they do not fit each other;
/// [`Error::Io`] if it cannot be read.
pub fn dataset(path: &Path) -> Result<Dataset, Error> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| match error {
        ZipError::Io(error) => Error::io("read", path)(error),
        _ => unlike(path, EXPECTED, "no zip archive, or one that is cut short"),
    })?;
    let mut arrays = Vec::new();
    for (name, needed) in [("train", true), ("valid", false), ("test", true)] {
        match array(path, &mut archive, name)? {
            Some(array) => arrays.push((name, array)),
            None if needed => return Err(unlike(path, EXPECTED, format!("no array `{name}`"))),
            None => {}
        }
    }
    let is_binary = |(_, (values, _)): &(_, (Values, _))| match values {
        Values::Bytes(bytes) => bytes.iter().all(|byte| *byte <= 1),
        Values::Floats(_) => true,
    };
    let scale = if arrays.iter().all(is_binary) { 255 } else { 1 };
    let mut sets = Vec::new();
    for (name, (values, shape)) in arrays {
        let images = images(path, name, values, &shape, scale)?;
        sets.push((name, Split { images, labels: None }));
    }
    let (_, test) = sets.pop().ok_or_else(|| unlike(path, EXPECTED, "no arrays"))?;
    let mut sets = sets.into_iter();
    let (_, train) = sets.next().ok_or_else(|| unlike(path, EXPECTED, "one array"))?;
    let validation = sets.next().map(|(_, split)| split);
    for (name, split) in [("test", Some(&test)), ("valid", validation.as_ref())] {
        if let Some(split) = split
            && split.images.shape() != train.images.shape()
        {
            let expected = format!("`{name}` of {} pixels like `train`", train.images.shape());
            return Err(unlike(path, expected, split.images.shape().to_string()));
        }
    }
    Ok(Dataset { name: path.display().to_string(), train, validation, test })
}

/// Reads one array of the archive, if it exists.
fn array(path: &Path, archive: &mut ZipArchive<File>, name: &str) -> Result<Option<(Values, Vec<usize>)>, Error> {
    let mut entry = match archive.by_name(&format!("{name}.npy")) {
        Err(ZipError::FileNotFound) => return Ok(None),
        entry => {
            entry.map_err(|error| unlike(path, format!("the array `{name}`, plain or deflated"), error.to_string()))?
        }
    };
    let size = entry.size();
    if size > MAX_BYTES {
        return Err(unlike(path, format!("`{name}` of at most {MAX_BYTES} bytes"), size.to_string()));
    }
    // The archive states the size. Memory grows with the bytes that are actually read, up to that size.
    let mut bytes = Vec::new();
    entry
        .by_ref()
        .take(size)
        .read_to_end(&mut bytes)
        .map_err(|error| unlike(path, format!("`{name}` whole"), error.to_string()))?;
    let found = npy::parse(&path.join(format!("{name}.npy")), &bytes, true)?;
    Ok(Some(found))
}

fn images(path: &Path, name: &str, values: Values, shape: &[usize], scale: u8) -> Result<Images, Error> {
    let square = |pixels: usize| {
        let side = pixels.isqrt();
        if side * side == pixels { ImageShape::grey(side, side) } else { ImageShape::grey(1, pixels) }
    };
    let (count, image) = match *shape {
        [count, pixels] => (count, square(pixels)),
        [count, height, width] | [count, 1, height, width] | [count, height, width, 1] => {
            (count, ImageShape::grey(height, width))
        }
        _ => {
            let expected = format!("`{name}` of shape (N, D), (N, H, W) or (N, 1, H, W)");
            return Err(unlike(path, expected, format!("{shape:?}")));
        }
    };
    if count == 0 || image.dimensions() == 0 {
        return Err(unlike(path, format!("at least one pixel in `{name}`"), format!("the shape {shape:?}")));
    }
    match values {
        Values::Bytes(mut bytes) => {
            bytes.iter_mut().for_each(|byte| *byte *= scale);
            Images::new(bytes, count, image)
        }
        Values::Floats(floats) => Images::from_floats(floats, count, image),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    /// The bytes of a `.npy` file.
    fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn archive(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn load(bytes: &[u8]) -> Result<Dataset, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data.npz");
        std::fs::write(&path, bytes).unwrap();
        Dataset::load(path.to_str().unwrap())
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "data.npz"))
    }

    #[test]
    fn bytes_of_0_and_1_are_binary() {
        let part = |count: usize, value: u8| npy("|u1", &format!("({count}, 4)"), &vec![value; 4 * count]);
        let data = load(&archive(&[("train", part(3, 1)), ("valid", part(2, 0)), ("test", part(1, 1))])).unwrap();
        assert_eq!(data.train.images.shape(), ImageShape::grey(2, 2));
        let validation = data.validation.unwrap().images;
        assert_eq!((data.train.images.count(), validation.count(), data.test.images.count()), (3, 2, 1));
        let pixels = |images: &Images| images.pixels().collect::<Vec<_>>();
        assert_eq!((pixels(&data.train.images), pixels(&validation)), (vec![1.0; 12], vec![0.0; 8]));

        let grey = load(&archive(&[("train", part(3, 1)), ("test", part(1, 51))])).unwrap();
        assert_eq!(
            (grey.train.images.pixels().next(), grey.test.images.pixels().next()),
            (Some(1.0 / 255.0), Some(0.2))
        );
        assert_eq!(grey.validation, None);
    }

    #[test]
    fn shapes_and_floats() {
        let floats: Vec<u8> = [0.5f32, -1.5, 3.0, 0.0, 7.0, 8.0].into_iter().flat_map(f32::to_le_bytes).collect();
        for (shape, [height, width]) in
            [("(1, 6)", [1, 6]), ("(1, 2, 3)", [2, 3]), ("(1, 1, 3, 2)", [3, 2]), ("(1, 3, 2, 1)", [3, 2])]
        {
            let array = npy("<f4", shape, &floats);
            let images = load(&archive(&[("train", array.clone()), ("test", array)])).unwrap().train.images;
            assert_eq!(images.shape(), ImageShape::grey(height, width), "{shape}");
            assert_eq!(images.pixels().collect::<Vec<_>>(), [0.5, -1.5, 3.0, 0.0, 7.0, 8.0]);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let good = || npy("|u1", "(2, 4)", &[1; 8]);
        let nan = npy("<f4", "(1, 1)", &f32::NAN.to_le_bytes());
        let mut cut = archive(&[("train", good()), ("test", good())]);
        cut.truncate(cut.len() - 30);
        for (bytes, found) in [
            (b"no archive".to_vec(), "data.npz: expected a NumPy archive (.npz) with the arrays"),
            (Vec::new(), "data.npz: expected a NumPy archive"),
            (cut, "data.npz: expected a NumPy archive"),
            (archive(&[("train", good())]), "found no array `test`"),
            (archive(&[("x_train", good()), ("test", good())]), "found no array `train`"),
            (
                archive(&[("train", good()), ("test", npy("|u1", "(2, 9)", &[1; 18]))]),
                "expected `test` of 2 x 2 pixels",
            ),
            (
                archive(&[("train", good()), ("valid", npy("|u1", "(1, 1)", &[1])), ("test", good())]),
                "expected `valid` of",
            ),
            (archive(&[("train", npy("|u1", "(2,)", &[1; 2])), ("test", good())]), "found [2]"),
            (archive(&[("train", npy("|u1", "(0, 4)", &[])), ("test", good())]), "found the shape [0, 4]"),
            (archive(&[("train", npy("<i8", "(1, 1)", &[0; 8])), ("test", good())]), "train.npy: expected"),
            (archive(&[("train", npy("|u1", "(2, 4)", &[1; 7])), ("test", good())]), "found 7 bytes"),
            (archive(&[("train", nan), ("test", good())]), "found NaN as value 0"),
        ] {
            let error = load(&bytes).unwrap_err();
            assert!(error.contains(found) && !error.contains('\n'), "{error}: not {found}");
        }
    }
}
