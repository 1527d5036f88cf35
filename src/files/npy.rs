//! NumPy's `.npy` files: arrays in and out.
//!
//! Arrays are written little-endian and row-major.

mod array;

use std::io::{self, Cursor, Write};
use std::path::Path;

use npyz::{AutoSerialize, WriterBuilder};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub(crate) use self::array::{Array, Header, MAX_HEADER, Values};
use super::write_atomically;
use crate::Error;

/// Writes `values`, row-major, as an array of 32-bit floats of the given shape.
///
/// # Errors
///
/// [`Error::Argument`] if the product of `shape` is not the number of values; [`Error::Io`] if the file cannot be
/// written.
pub fn write(path: &Path, values: &[f32], shape: &[usize]) -> Result<(), Error> {
    check(values.len(), shape)?;
    write_atomically(path, |file| serialise(file, values, shape))
}

/// Writes bytes, such as labels or images, as an array of the given shape.
///
/// # Errors
///
/// As [`write()`].
pub fn write_u8(path: &Path, values: &[u8], shape: &[usize]) -> Result<(), Error> {
    check(values.len(), shape)?;
    write_atomically(path, |file| serialise(file, values, shape))
}

/// Writes an archive, `.npz`, of arrays of bytes under their names, each with its shape.
///
/// # Errors
///
/// As [`write()`].
pub fn write_archive(path: &Path, arrays: &[(&str, &[u8], Vec<usize>)]) -> Result<(), Error> {
    arrays.iter().try_for_each(|(_, values, shape)| check(values.len(), shape))?;
    write_atomically(path, |file| {
        let mut packed = Cursor::new(Vec::new());
        let mut zip = ZipWriter::new(&mut packed);
        for (name, values, shape) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())?;
            serialise(&mut zip, values, shape)?;
        }
        zip.finish()?;
        file.write_all(packed.get_ref())
    })
}

fn check(values: usize, shape: &[usize]) -> Result<(), Error> {
    let count = shape.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
    if count == Some(values) {
        return Ok(());
    }
    Err(Error::Argument {
        operation: "writing a NumPy array",
        expected: format!("as many values as the shape {shape:?} holds"),
        found: format!("{values} values"),
    })
}

fn serialise<T: AutoSerialize + Copy>(file: &mut dyn Write, values: &[T], shape: &[usize]) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
    array.extend(values.iter().copied())?;
    array.finish()
}

/// Reads an array of floats: its values, row-major, and its shape.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it is not an array of floats, is shorter or longer than its
/// header says, or contains a value that is NaN, infinite or too large for an `f32`.
pub fn read(path: &Path) -> Result<(Vec<f32>, Vec<usize>), Error> {
    let bad = |expected: &str, found: String| Error::Format { path: path.into(), expected: expected.into(), found };
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let header = Header::parse(path, &bytes)?;
    let dtype = header.dtype.clone();
    let Array { values: Values::Floats(values), shape } = header.array(path, bytes)? else {
        return Err(bad("a NumPy array (.npy) of floats", format!("the type {dtype}")));
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => {
            let width: usize = shape.iter().skip(1).product();
            let (row, column) = (index / width, index % width);
            let found = format!("{} in row {row}, column {column}, counted from 0", values[index]);
            Err(bad("finite 32-bit floats", found))
        }
        None => Ok((values, shape)),
    }
}

#[cfg(test)]
mod tests {
    use super::array::tests::file;
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<(Vec<f32>, Vec<usize>), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "a.npy"))
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn writes_what_it_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npy");
        let values = [0.5, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX, 1.0 / 3.0, -7.0];
        for shape in [&[6][..], &[2, 3], &[1, 6, 1]] {
            write(&path, &values, shape).unwrap();
            let (read, read_shape) = read(&path).unwrap();
            assert_eq!(bits(&read), bits(&values));
            assert_eq!(read_shape, shape);
        }
        write(&path, &[], &[0, 20]).unwrap();
        assert_eq!(read(&path).unwrap(), (vec![], vec![0, 20]));
        assert!(matches!(write(&path, &values, &[2, 2]), Err(Error::Argument { .. })));
        assert!(matches!(write(&path, &values, &[usize::MAX, 2]), Err(Error::Argument { .. })));

        write_u8(&path, &[7, 2, 1], &[3]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.ends_with(&[7, 2, 1]) && String::from_utf8_lossy(&bytes).contains("'|u1'"));
    }

    #[test]
    fn reads_either_byte_order_and_width() {
        let want = Ok((vec![1.5, -2.0], vec![2, 1]));
        let f4 = [1.5f32, -2.0];
        let f8 = [1.5f64, -2.0];
        assert_eq!(read_bytes(&file("'<f4'", "False", "(2, 1)", &f4.map(f32::to_le_bytes).concat())), want);
        assert_eq!(read_bytes(&file("'>f4'", "False", "(2, 1)", &f4.map(f32::to_be_bytes).concat())), want);
        assert_eq!(read_bytes(&file("'<f8'", "False", "(2, 1)", &f8.map(f64::to_le_bytes).concat())), want);
        assert_eq!(read_bytes(&file("'>f8'", "False", "(2, 1)", &f8.map(f64::to_be_bytes).concat())), want);
        let header = "{'shape': (1,), 'fortran_order': False, 'descr': '<f4'}";
        let version_2 = [b"\x93NUMPY\x02\x00", &[header.len() as u8, 0, 0, 0][..], header.as_bytes(), &[0; 4]].concat();
        assert_eq!(read_bytes(&version_2), Ok((vec![0.0], vec![1])));
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        let one = 1f32.to_le_bytes();
        let nan = [0f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat();
        let nested = [b"\x93NUMPY\x01\x00\xff\xff", &[b'('; 65535][..]].concat();
        let huge_header = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec();
        for (bytes, found) in [
            (vec![], "found something else"),
            (b"PK\x03\x04 is an .npz".to_vec(), "found something else"),
            (b"\x93NUMPY\x01\x00\x01".to_vec(), "found something else"),
            (huge_header, "found a header that is cut short"),
            (nested, "found a header that describes something else"),
            (b"\x93NUMPY\x01\x00\x05\x00hello".to_vec(), "found a damaged header"),
            (b"\x93NUMPY\x09\x00\x01\x00\x00\x00{".to_vec(), "found a damaged header"),
            (file("'|u1'", "False", "(4,)", &one), "found the type |u1"),
            (file("'<c8'", "False", "(2,)", &one), "found the type '<c8'"),
            (file("'|O'", "False", "(1,)", &one), "found Python objects"),
            (file("[('a', '<f4')]", "False", "(1,)", &one), "found the type [('a', '<f4'), ]"),
            (file("'<f4'", "False", "(2, 3)", &one), "shape [2, 3], found 4 bytes"),
            (file("'<f4'", "False", "()", &[0; 5]), "shape [], found 5 bytes"),
            (file("'<f4'", "False", "(-1,)", &one), "found a damaged header"),
            (file("'<f4'", "False", "(9999999999, 99999999)", &one), "shape [9999999999, 99999999], found 4 bytes"),
            (file("'<f4'", "False", "(4294967296, 4294967296)", &one), "found a header that describes something else"),
            (file("'<f4'", "False", "(2,)", &nan), "found NaN in row 1, column 0"),
            (file("'<f8'", "False", "(1,)", &1e300f64.to_le_bytes()), "found inf in row 0, column 0"),
        ] {
            let error = read_bytes(&bytes).unwrap_err();
            assert!(error.starts_with("a.npy: expected ") && error.contains(found), "{error}: not {found}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(matches!(read(Path::new("missing.npy")), Err(Error::Io { action: "read", .. })));
    }
}
