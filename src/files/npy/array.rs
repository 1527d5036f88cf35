//! Arrays of `.npy` files: any type of numbers, bool or text, in either byte order, in C or Fortran order.
//!
//! The size is checked against the length of the file before memory is allocated.

use std::path::Path;

use half::f16;
use npyz::{Deserialize, NpyFile, NpyHeader, Order};

use crate::Error;

/// The expected content of a file.
const ARRAY: &str = "a NumPy array (.npy) of bool, integers or floats";

/// The elements of an array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Integers, or bool as 0 and 1, that are all from 0 to 255.
    Bytes(Vec<u8>),
    /// Floats, or other integers.
    Floats(Vec<f32>),
    /// Text, such as names of classes.
    Text(Vec<String>),
}

/// An array in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub values: Values,
    pub shape: Vec<usize>,
}

/// What a file says about its array.
pub(crate) struct Header {
    inner: NpyHeader,
    /// The type, as `<f4`.
    pub dtype: String,
    pub shape: Vec<usize>,
    element_bytes: usize,
    data_start: usize,
}

/// The header of an array of numbers has three entries, one of them its shape. A header with more brackets or digits
/// describes something else. It could exhaust the parser's stack or overflow the product of the shape, which stays
/// below 2^64 with up to 19 digits.
const MAX_BRACKETS: usize = 8;
const MAX_DIGITS: usize = 19;

/// The length of a file whose header is read alone: those of version 1 have no longer ones.
pub(crate) const MAX_HEADER: usize = 1 << 16;

impl Header {
    /// Parses the header at the start of `bytes`. The path appears in errors and is not opened.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if there is none, or it describes objects or structures.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Header, Error> {
        let bad = |found: String| Error::Format { path: path.into(), expected: ARRAY.into(), found };
        let data_start = data_start(bytes).ok_or_else(|| bad("something else".into()))?;
        let Some(header) = bytes.get(..data_start) else {
            return Err(bad("a header that is cut short".into()));
        };
        let count = |is: fn(&u8) -> bool| header[HEADER_START..].iter().filter(|byte| is(byte)).count();
        if count(|byte| b"([{".contains(byte)) > MAX_BRACKETS || count(u8::is_ascii_digit) > MAX_DIGITS {
            return Err(bad("a header that describes something else".into()));
        }
        let inner = NpyHeader::from_reader(header).map_err(|_| bad("a damaged header".into()))?;
        let descr = inner.dtype().descr();
        let dtype = descr.trim_matches('\'').to_owned();
        let element_bytes = match dtype.get(1..) {
            Some("b1" | "i1" | "u1") => 1,
            Some("i2" | "u2" | "f2") => 2,
            Some("i4" | "u4" | "f4") => 4,
            Some("i8" | "u8" | "f8") => 8,
            Some(text) if text.starts_with('U') => 4 * text[1..].parse().unwrap_or(0),
            Some("O") => return Err(bad("Python objects: save an array of numbers instead".into())),
            _ => return Err(bad(format!("the type {descr}"))),
        };
        let shape = inner.shape().iter().map(|&size| size as usize).collect();
        Ok(Header { inner, dtype, shape, element_bytes, data_start })
    }

    /// Whether the elements are text.
    pub fn is_text(&self) -> bool {
        self.dtype[1..].starts_with('U')
    }

    /// The array's type as numpy names it, and its shape: `uint8 (60000, 784)`.
    pub fn describe(&self) -> String {
        let kind = match &self.dtype[1..] {
            "b1" => "bool".to_owned(),
            text if text.starts_with('U') => "text".to_owned(),
            kind => {
                let name = if kind.starts_with('f') {
                    "float"
                } else if kind.starts_with('u') {
                    "uint"
                } else {
                    "int"
                };
                format!("{name}{}", 8 * self.element_bytes)
            }
        };
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        format!("{kind} ({})", sizes.join(", "))
    }

    /// The length of a file with this header; `None` if it exceeds 64 bits.
    pub fn file_bytes(&self) -> Option<u64> {
        self.inner.len().checked_mul(self.element_bytes as u64)?.checked_add(self.data_start as u64)
    }

    /// The array of a file with this header, row-major.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file is shorter or longer than the header says.
    pub fn array(self, path: &Path, mut file: Vec<u8>) -> Result<Array, Error> {
        let Header { inner, dtype, shape, element_bytes, data_start } = self;
        let found = file.len() - data_start;
        if inner.len().checked_mul(element_bytes as u64) != Some(found as u64) {
            let expected = format!("{element_bytes} bytes for each value of an array of shape {shape:?}");
            return Err(Error::Format { path: path.into(), expected, found: format!("{found} bytes") });
        }
        let (big_endian, order) = (dtype.starts_with('>'), inner.order());
        let values = match &dtype[1..] {
            "b1" | "u1" => {
                file.drain(..data_start);
                if dtype.ends_with("b1") {
                    file.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
                }
                Values::Bytes(file)
            }
            text if text.starts_with('U') => Values::Text(texts(&file[data_start..], element_bytes, big_endian)),
            kind => numbers(kind, NpyFile::with_header(inner, &file[data_start..])).map_err(Error::io("read", path))?,
        };
        let values = match (values, order) {
            (values, Order::C) => values,
            (Values::Bytes(values), Order::Fortran) => Values::Bytes(row_major(&values, &shape)),
            (Values::Floats(values), Order::Fortran) => Values::Floats(row_major(&values, &shape)),
            (Values::Text(values), Order::Fortran) => Values::Text(row_major(&values, &shape)),
        };
        Ok(Array { values, shape })
    }
}

/// Numbers of more than a byte, or of a signed one, in the order of the file. Values beyond an `f32` become infinite.
fn numbers(kind: &str, array: NpyFile<&[u8]>) -> std::io::Result<Values> {
    match kind {
        "i1" => integers::<i8>(array, f32::from),
        "i2" => integers::<i16>(array, f32::from),
        "u2" => integers::<u16>(array, f32::from),
        "i4" => integers::<i32>(array, |value| value as f32),
        "u4" => integers::<u32>(array, |value| value as f32),
        "i8" => integers::<i64>(array, |value| value as f32),
        "u8" => integers::<u64>(array, |value| value as f32),
        "f2" => Ok(Values::Floats(array.into_vec()?.into_iter().map(f16::to_f32).collect())),
        "f4" => Ok(Values::Floats(array.into_vec()?)),
        _ => Ok(Values::Floats(array.into_vec()?.into_iter().map(|value: f64| value as f32).collect())),
    }
}

fn integers<T: Deserialize + Copy + TryInto<u8>>(
    array: NpyFile<&[u8]>,
    float: fn(T) -> f32,
) -> std::io::Result<Values> {
    let values: Vec<T> = array.into_vec()?;
    let bytes: Option<Vec<u8>> = values.iter().map(|value| (*value).try_into().ok()).collect();
    Ok(bytes.map_or_else(|| Values::Floats(values.into_iter().map(float).collect()), Values::Bytes))
}

/// Text of a fixed width: four bytes for each character, zeros at the end.
fn texts(data: &[u8], width: usize, big_endian: bool) -> Vec<String> {
    let character = |bytes: &[u8; 4]| {
        let code = if big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let text = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(character).take_while(|c| *c != '\0').collect();
    if width == 0 { Vec::new() } else { data.chunks_exact(width).map(text).collect() }
}

/// Elements in row-major order, of an array whose first index runs fastest.
fn row_major<T: Clone>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered.push(values[at].clone());
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    ordered
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
pub(super) mod tests {
    use super::*;

    /// The bytes of a file of version 1.
    pub fn file(dtype: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn parsed(bytes: Vec<u8>) -> Array {
        let path = Path::new("a.npy");
        Header::parse(path, &bytes).unwrap().array(path, bytes).unwrap()
    }

    #[test]
    fn reads_every_type_of_number() {
        let bytes = Values::Bytes(vec![0, 1, 255]);
        let other = Values::Floats(vec![0.0, 1.0, 256.0]);
        for (dtype, data) in [
            ("'|u1'", vec![0, 1, 255]),
            ("'<i2'", [0i16, 1, 255].map(i16::to_le_bytes).concat()),
            ("'>u2'", [0u16, 1, 255].map(u16::to_be_bytes).concat()),
            ("'<i4'", [0i32, 1, 255].map(i32::to_le_bytes).concat()),
            ("'<u4'", [0u32, 1, 255].map(u32::to_le_bytes).concat()),
            ("'<i8'", [0i64, 1, 255].map(i64::to_le_bytes).concat()),
            ("'>u8'", [0u64, 1, 255].map(u64::to_be_bytes).concat()),
        ] {
            assert_eq!(parsed(file(dtype, "False", "(3,)", &data)).values, bytes, "{dtype}");
        }
        for (dtype, data) in [
            ("'<i2'", [0i16, 1, 256].map(i16::to_le_bytes).concat()),
            ("'<i8'", [0i64, 1, 256].map(i64::to_le_bytes).concat()),
            ("'<f2'", [0.0, 1.0, 256.0].map(|value| f16::from_f32(value).to_le_bytes()).concat()),
            ("'>f8'", [0.0f64, 1.0, 256.0].map(f64::to_be_bytes).concat()),
        ] {
            assert_eq!(parsed(file(dtype, "False", "(3,)", &data)).values, other, "{dtype}");
        }
        assert_eq!(parsed(file("'|i1'", "False", "(2,)", &[1, 255])).values, Values::Floats(vec![1.0, -1.0]));
        assert_eq!(parsed(file("'|b1'", "False", "(3,)", &[0, 1, 7])).values, Values::Bytes(vec![0, 1, 1]));
        let text: Vec<u8> = "catox\0".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
        assert_eq!(parsed(file("'<U3'", "False", "(2,)", &text)).values, Values::Text(vec!["cat".into(), "ox".into()]));
    }

    #[test]
    fn fortran_order_becomes_row_major() {
        // The element at [i, j, k] is 100 i + 10 j + k.
        let shape = [2, 3, 2];
        let mut data = Vec::new();
        for k in 0..2 {
            for j in 0..3 {
                for i in 0..2 {
                    data.push(100 * i + 10 * j + k);
                }
            }
        }
        let array = parsed(file("'|u1'", "True", "(2, 3, 2)", &data));
        let ordered = vec![0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121];
        assert_eq!(array, Array { values: Values::Bytes(ordered), shape: shape.to_vec() });
        assert_eq!(parsed(file("'|u1'", "True", "(0, 3)", &[])).values, Values::Bytes(vec![]));
    }
}
