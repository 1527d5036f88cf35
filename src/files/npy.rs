//! NumPy's `.npy` files: arrays of floats in and out.
//!
//! Arrays are written little-endian and row-major. Arrays that are read may have either byte order and 32 or 64 bits.
//! Their size is checked against the length of the file before memory is allocated.

use std::path::Path;

use npyz::{AutoSerialize, NpyFile, NpyHeader, Order, WriterBuilder};

use super::write_atomically;
use crate::Error;

/// The expected content of a file.
const FLOATS: &str = "a NumPy array (.npy) of 32- or 64-bit floats";
const BYTES_OR_FLOATS: &str = "a NumPy array (.npy) of unsigned bytes or of 32- or 64-bit floats";

/// The elements of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

/// The header of an array of floats has three entries, one of them its shape. A header with more brackets or digits
/// describes something else. It could exhaust the parser's stack or overflow the product of the shape, which stays
/// below 2^64 with up to 19 digits.
const MAX_BRACKETS: usize = 8;
const MAX_DIGITS: usize = 19;

/// Writes `values`, row-major, as an array of 32-bit floats of the given shape.
///
/// # Errors
///
/// [`Error::Argument`] if the product of `shape` is not the number of values; [`Error::Io`] if the file cannot be
/// written.
pub fn write(path: &Path, values: &[f32], shape: &[usize]) -> Result<(), Error> {
    let count = shape.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
    if count != Some(values.len()) {
        return Err(Error::Argument {
            operation: "writing a NumPy array",
            expected: format!("as many values as the shape {shape:?} holds"),
            found: format!("{} values", values.len()),
        });
    }
    write_array(path, values, shape)
}

/// Writes bytes, such as labels, as an array of one dimension.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be written.
pub fn write_u8(path: &Path, values: &[u8]) -> Result<(), Error> {
    write_array(path, values, &[values.len()])
}

fn write_array<T: AutoSerialize + Copy>(path: &Path, values: &[T], shape: &[usize]) -> Result<(), Error> {
    let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    write_atomically(path, |file| {
        let mut array = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
        array.extend(values.iter().copied())?;
        array.finish()
    })
}

/// Reads an array of floats: its values, row-major, and its shape.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it is not an array of 32- or 64-bit floats in C
/// order, is shorter or longer than its header says, or contains a value that is NaN, infinite or too large for an
/// `f32`.
pub fn read(path: &Path) -> Result<(Vec<f32>, Vec<usize>), Error> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    match parse(path, &bytes, false)? {
        (Values::Floats(values), shape) => Ok((values, shape)),
        (Values::Bytes(_), _) => {
            Err(Error::Format { path: path.into(), expected: FLOATS.into(), found: "bytes".into() })
        }
    }
}

/// Parses an array of floats, or of bytes too if these are allowed; `path` appears in errors and is not opened.
pub(crate) fn parse(path: &Path, bytes: &[u8], bytes_allowed: bool) -> Result<(Values, Vec<usize>), Error> {
    let bad = |expected: &str, found: String| Error::Format { path: path.into(), expected: expected.into(), found };
    let good = if bytes_allowed { BYTES_OR_FLOATS } else { FLOATS };

    let data_start = data_start(bytes).ok_or_else(|| bad(good, "something else".into()))?;
    let Some((header, data)) = bytes.split_at_checked(data_start) else {
        return Err(bad(good, "a header that is cut short".into()));
    };
    let count = |is: fn(&u8) -> bool| header[HEADER_START..].iter().filter(|byte| is(byte)).count();
    if count(|byte| b"([{".contains(byte)) > MAX_BRACKETS || count(u8::is_ascii_digit) > MAX_DIGITS {
        return Err(bad(good, "a header that describes something else".into()));
    }
    let header = NpyHeader::from_reader(header).map_err(|_| bad(good, "a damaged header".into()))?;
    let dtype = header.dtype().descr();
    let size = match dtype.as_str() {
        "'|u1'" if bytes_allowed => 1,
        "'<f4'" | "'>f4'" => 4,
        "'<f8'" | "'>f8'" => 8,
        _ => return Err(bad(good, format!("the type {dtype}"))),
    };
    if header.order() == Order::Fortran {
        return Err(bad("C order, as numpy.ascontiguousarray gives it", "Fortran order".into()));
    }
    let shape: Vec<usize> = header.shape().iter().map(|&size| size as usize).collect();
    if header.len().checked_mul(size) != Some(data.len() as u64) {
        let expected = format!("{size} bytes for each value of an array of shape {shape:?}");
        return Err(bad(&expected, format!("{} bytes", data.len())));
    }
    if size == 1 {
        return Ok((Values::Bytes(data.to_vec()), shape));
    }
    let array = NpyFile::with_header(header, data);
    let values = if size == 4 { array.into_vec::<f32>() } else { array.into_vec::<f64>().map(narrow) };
    let values = values.map_err(Error::io("read", path))?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(bad("finite 32-bit floats", format!("{} as value {index}", values[index]))),
        None => Ok((Values::Floats(values), shape)),
    }
}

/// Values beyond an `f32` become infinite here and are then refused.
fn narrow(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

/// Where the shortest preamble (magic, version, length of the header) ends.
const HEADER_START: usize = 10;

/// Where the data start according to the header; `None` if this is not a `.npy` file. Version 1 has two bytes for the
/// length of its header, later ones four.
fn data_start(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.strip_prefix(b"\x93NUMPY")?;
    match bytes {
        [1, _, a, b, ..] => Some(HEADER_START + usize::from(u16::from_le_bytes([*a, *b]))),
        [_, _, a, b, c, d, ..] => usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?.checked_add(12),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dtype: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

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

        write_u8(&path, &[7, 2, 1]).unwrap();
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
            (file("'|u1'", "False", "(4,)", &one), "found the type '|u1'"),
            (file("'<f2'", "False", "(2,)", &one), "found the type '<f2'"),
            (file("'|O'", "False", "(1,)", &one), "found the type '|O'"),
            (file("[('a', '<f4')]", "False", "(1,)", &one), "found the type [('a', '<f4'), ]"),
            (file("'<f4'", "True", "(1, 1)", &one), "found Fortran order"),
            (file("'<f4'", "False", "(2, 3)", &one), "shape [2, 3], found 4 bytes"),
            (file("'<f4'", "False", "()", &[0; 5]), "shape [], found 5 bytes"),
            (file("'<f4'", "False", "(-1,)", &one), "found a damaged header"),
            (file("'<f4'", "False", "(9999999999, 99999999)", &one), "shape [9999999999, 99999999], found 4 bytes"),
            (file("'<f4'", "False", "(4294967296, 4294967296)", &one), "found a header that describes something else"),
            (file("'<f4'", "False", "(2,)", &nan), "found NaN as value 1"),
            (file("'<f8'", "False", "(1,)", &1e300f64.to_le_bytes()), "found inf as value 0"),
        ] {
            let error = read_bytes(&bytes).unwrap_err();
            assert!(error.starts_with("a.npy: expected ") && error.contains(found), "{error}: not {found}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(matches!(read(Path::new("missing.npy")), Err(Error::Io { action: "read", .. })));
    }
}
