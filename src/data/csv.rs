//! CSV and TSV files of numbers: a row for each example.
//!
//! The first row is a header if it has text in a column that is not the labels'. A column `label` beside columns `pixel0`,
//! `pixel1`, ... or `1x1`, `1x2`, ... is what Kaggle's MNIST has: the rows are images.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use super::images::PixelValues;
use super::part::{Found, Layout, MAX_VALUES, Part};
use super::{DataConfig, unlike};
use crate::Error;
use crate::error::require;

/// Labels are bytes.
const MAX_CLASSES: usize = 256;
/// The most bytes of empty lines before a row that is named in an error.
const EMPTY_LINES: u64 = 1 << 16;

/// Reads a file.
///
/// # Errors
///
/// [`Error::Format`] that names the line and the column of what is no number; [`Error::Io`] if the file cannot be read;
/// [`Error::Config`] if there is no column `--label`.
pub(super) fn read(path: &Path, config: &DataConfig) -> Result<Found, Error> {
    let mut table = Table::open(path, config)?;
    let mut values = Values::default();
    let mut labels = Vec::new();
    let mut count = 0;
    let mut record = ByteRecord::new();
    while table.next(&mut record)? {
        for (column, field) in record.iter().enumerate() {
            if Some(column) == table.label {
                labels.push(String::from_utf8_lossy(field).into_owned());
            } else if Some(column) != table.index {
                values.push(table.number(&record, column, field)?);
            }
        }
        count += 1;
        let fits = values.floats.len() as u64 <= MAX_VALUES;
        require("--data", fits, &format!("at most {MAX_VALUES} values"), path.display())?;
    }
    if count == 0 {
        return Err(unlike(path, "at least one row of numbers", "none"));
    }
    let width = table.columns - usize::from(table.label.is_some()) - usize::from(table.index.is_some());
    let layout = if table.pixels { Layout::Square(width) } else { Layout::Vector(width) };
    let mut found = Found::default();
    let mut note = format!("{}: {count} rows of {width} values", path.display());
    let mut labels_found = None;
    if let Some(column) = table.label {
        let (numbers, classes) = numbered(&labels);
        let fit = if numbers.is_some() { "labels" } else { "no labels, since there are more than 256 classes," };
        note += &format!(", {fit} from column {}{}", column + 1, table.named(column));
        (labels_found, found.classes) = (numbers, classes);
    }
    if table.index.is_some() {
        note += ", column 1 not used: it has no name, as where pandas counts rows";
    }
    found.notes.push(note);
    let (path, values) = (path.into(), values.into_pixels());
    found.parts.push(Part { role: None, path, values, count, layout, labels: labels_found });
    Ok(found)
}

/// Labels as bytes, and the names of the classes if they are not numbers from 0 to 255; no labels if there are too many classes.
fn numbered(labels: &[String]) -> (Option<Vec<u8>>, Vec<String>) {
    if let Some(bytes) = labels.iter().map(|label| label.parse().ok()).collect() {
        return (Some(bytes), Vec::new());
    }
    let classes: BTreeSet<&String> = labels.iter().collect();
    let classes: Vec<String> = classes.into_iter().cloned().collect();
    if classes.len() > MAX_CLASSES {
        return (None, Vec::new());
    }
    let bytes = labels.iter().filter_map(|label| classes.binary_search(label).ok()).map(|class| class as u8);
    (Some(bytes.collect()), classes)
}

/// Numbers, and whether all of them are bytes.
#[derive(Default)]
struct Values {
    floats: Vec<f32>,
    others: bool,
}

impl Values {
    fn push(&mut self, value: f32) {
        self.others |= value.trunc() != value || !(0.0..=255.0).contains(&value);
        self.floats.push(value);
    }

    /// Whole numbers from 0 to 255 are bytes.
    fn into_pixels(self) -> PixelValues {
        if self.others {
            return PixelValues::Floats(self.floats);
        }
        PixelValues::Bytes(self.floats.into_iter().map(|value| value as u8).collect())
    }
}

/// A file that is being read: what its columns are.
struct Table<'a> {
    path: &'a Path,
    reader: csv::Reader<BufReader<File>>,
    /// The first row, if it is not a header: it is still to be read.
    first: Option<ByteRecord>,
    names: Option<Vec<String>>,
    columns: usize,
    label: Option<usize>,
    /// The column that counts the rows.
    index: Option<usize>,
    /// Whether the names say that the rows are images.
    pixels: bool,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path, config: &DataConfig) -> Result<Table<'a>, Error> {
        let mut file = BufReader::new(File::open(path).map_err(Error::io("read", path))?);
        let start = file.fill_buf().map_err(Error::io("read", path))?;
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // The separator that the first line has; a tab comes first, as commas may be in texts.
        let separator = [b'\t', b',', b';'].into_iter().find(|separator| line.contains(separator)).unwrap_or(b',');
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .trim(csv::Trim::All)
            .from_reader(file);
        let mut first = ByteRecord::new();
        let some = reader.read_byte_record(&mut first).map_err(|error| damaged(path, error))?;
        if !some {
            return Err(unlike(path, "rows of numbers", "an empty file"));
        }
        let text: Vec<String> = first.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        let columns = text.len();
        let asked = config.label.as_deref();
        let label = asked.and_then(|label| match label.parse() {
            Ok(number) => (1..=columns).contains(&number).then(|| number - 1),
            Err(_) => text.iter().position(|name| name == label),
        });
        let names = if columns > 12 { String::new() } else { format!(" or {}", text.join(", ")) };
        let expected = format!("a column: 1 to {columns}{names}");
        require("--label", asked.is_none() || label.is_some(), &expected, asked.unwrap_or(""))?;
        let index = is_index(&text).then_some(0);
        let others = |label| {
            let others = text.iter().enumerate().filter(move |(at, _)| Some(*at) != label && Some(*at) != index);
            others.map(|(_, name)| name.as_str())
        };
        let is_header = others(label).any(|name| number(name.as_bytes()).is_none()) || are_counted(others(label));
        let column_label = || text.iter().position(|name| name.eq_ignore_ascii_case("label"));
        let label = label.or_else(|| is_header.then(column_label).flatten());
        let pixels = is_header && others(label).all(is_pixel);
        require("--label", others(label).next().is_some(), "a file with other columns too", columns)?;
        let (first, names) = if is_header { (None, Some(text)) } else { (Some(first), None) };
        Ok(Table { path, reader, first, names, columns, label, index, pixels })
    }

    /// Reads the next row, if there is one, and checks its length.
    fn next(&mut self, record: &mut ByteRecord) -> Result<bool, Error> {
        if let Some(first) = self.first.take() {
            *record = first;
            return Ok(true);
        }
        if !self.reader.read_byte_record(record).map_err(|error| damaged(self.path, error))? {
            return Ok(false);
        }
        if record.len() != self.columns {
            let found = format!("{} in line {}", record.len(), self.line(record));
            return Err(unlike(self.path, format!("{} columns in each row, as in the first", self.columns), found));
        }
        Ok(true)
    }

    /// The number in a field.
    fn number(&self, record: &ByteRecord, column: usize, field: &[u8]) -> Result<f32, Error> {
        match number(field) {
            Some(number) if number.is_finite() => Ok(number),
            number => {
                let text = String::from_utf8_lossy(field);
                let place = format!("line {}, column {}{}", self.line(record), column + 1, self.named(column));
                let help = if number.is_none() { " (or --label for a column of labels)" } else { "" };
                Err(unlike(self.path, format!("finite numbers{help}"), format!("`{text}` in {place}")))
            }
        }
    }

    /// The line of a row in the file. The reader counts from the empty lines before it.
    fn line(&self, record: &ByteRecord) -> u64 {
        let Some(position) = record.position() else { return 1 };
        let mut start = Vec::new();
        let read = File::open(self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(position.byte()))?;
            file.take(EMPTY_LINES).read_to_end(&mut start)
        });
        // Without the file, the count stays as it is.
        let empty =
            start.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
        position.line() + if read.is_ok() { empty as u64 } else { 0 }
    }

    /// The name of a column, in brackets.
    fn named(&self, column: usize) -> String {
        self.names.as_ref().map_or_else(String::new, |names| format!(" (`{}`)", names[column]))
    }
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// Whether the first column alone has no name: pandas counts rows there.
fn is_index(names: &[String]) -> bool {
    names.len() > 1 && names[0].is_empty() && !names[1..].iter().any(String::is_empty)
}

/// Whether the names count the columns, from 0 or 1, as pandas names them. A few such numbers may be values.
fn are_counted<'a>(mut names: impl Iterator<Item = &'a str> + Clone) -> bool {
    const SEVERAL: usize = 8;
    let count = names.clone().count();
    let start = names.clone().next().and_then(|name| name.parse::<usize>().ok()).filter(|start| *start <= 1);
    start.is_some_and(|start| count >= SEVERAL && (start..start + count).all(|n| names.next() == Some(&*n.to_string())))
}

/// Whether it is the name of a pixel: `pixel0`, or `1x1`.
fn is_pixel(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let after = name.to_lowercase();
    let after = after.strip_prefix("pixel").map(|number| number.trim_start_matches('_').to_owned());
    after.is_some_and(|number| is_number(&number))
        || name.split_once('x').is_some_and(|(row, column)| is_number(row) && is_number(column))
}

fn damaged(path: &Path, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::io("read", path)(error),
        kind => unlike(path, "rows of numbers", format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{load, load_file};
    use super::super::{ImageShape, Loaded};
    use super::*;

    fn with(name: &str, text: &str, config: DataConfig) -> Result<Loaded, String> {
        load_file(name, text.as_bytes(), config)
    }

    fn label(label: &str) -> DataConfig {
        DataConfig { label: Some(label.to_owned()), ..DataConfig::default() }
    }

    #[test]
    fn rows_are_vectors_with_or_without_a_header() {
        for (name, text) in [
            ("a.csv", "0,51,255\n0,51,255\n"),
            ("a.csv", "a,b,c\r\n0,51,255\r\n0,51,255"),
            ("a.tsv", "a\tb\tc\n0\t51\t255\n\n0\t51\t255\n"),
            ("a.CSV", "\u{feff}a;b;c\n0; 51;255\n\"0\";51 ;255\n"),
        ] {
            let data = with(name, text, DataConfig::default()).unwrap().dataset;
            assert_eq!(data.train.images.shape(), ImageShape::grey(1, 3), "{text}");
            assert_eq!(data.train.images.bytes(), Some(&[0, 51, 255][..]), "{text}");
        }
        let floats = load("a.csv", b"0.5,1e-1\n0.5,0.1").unwrap();
        assert_eq!(floats.train.images.pixels().collect::<Vec<_>>(), [0.5, 0.1]);
        let size = Some("2x1".parse().unwrap());
        let images = with("a.csv", "1,2\n1,2\n", DataConfig { size, ..DataConfig::default() }).unwrap();
        assert_eq!(images.dataset.train.images.shape(), ImageShape::grey(2, 1));
    }

    #[test]
    fn tables_of_pandas_are_read() {
        let loaded = with("a.csv", ",a,b\n0,7,8\n1,7,8\n", DataConfig::default()).unwrap();
        assert_eq!(loaded.dataset.train.images.bytes(), Some(&[7, 8][..]));
        assert!(loaded.notes[0].contains("column 1 not used"), "{:?}", loaded.notes);
        let counted =
            with("a.csv", "0,1,2,3,4,5,6,7\n9,9,9,9,9,9,9,9\n9,9,9,9,9,9,9,9\n", DataConfig::default()).unwrap();
        assert_eq!(counted.dataset.train.images.bytes(), Some(&[9; 8][..]));
        // A number is that of a column, whatever the first row has.
        let labels = with("a.csv", "2,7,1\n2,7,1\n", label("1")).unwrap().dataset.train;
        assert_eq!((labels.labels, labels.images.bytes()), (Some(vec![2]), Some(&[7, 1][..])));
    }

    #[test]
    fn kaggles_mnist_is_recognised() {
        for header in
            ["label,pixel0,pixel1,pixel2,pixel3", "label,1x1,1x2,2x1,2x2", "Label,Pixel_1,Pixel_2,Pixel_3,Pixel_4"]
        {
            let loaded =
                with("train.csv", &format!("{header}\n7,0,9,9,255\n7,0,9,9,255"), DataConfig::default()).unwrap();
            assert_eq!(loaded.dataset.train.images.shape(), ImageShape::grey(2, 2));
            assert_eq!(loaded.dataset.train.labels, Some(vec![7]));
            assert!(loaded.notes[0].contains("labels from column 1 (`"), "{:?}", loaded.notes);
        }
    }

    #[test]
    fn labels_are_a_column_by_name_or_number() {
        for (text, column) in [("x,kind\n1,cat\n1,cat\n1,ox", "kind"), ("1,cat\n1,cat\n1,ox", "2")] {
            let loaded = with("a.csv", text, label(column)).unwrap();
            assert_eq!(loaded.classes, ["cat", "ox"]);
            let labels = |split: &super::super::Split| split.labels.clone().unwrap();
            let mut all = [labels(&loaded.dataset.train), labels(&loaded.dataset.test)].concat();
            all.sort_unstable();
            assert_eq!(all, [0, 0, 1]);
        }
        let error = with("a.csv", "x,kind\n1,cat\n", label("type")).unwrap_err();
        assert_eq!(error, "--label: expected a column: 1 to 2 or x, kind, found type");
        assert!(with("a.csv", "1\n2\n", label("1")).unwrap_err().contains("other columns"));
        assert!(load_file("a.npz", b"PK", label("1")).unwrap_err().starts_with("--label: expected no such option"));
    }

    #[test]
    fn what_is_no_number_is_named_with_its_place() {
        for (text, found) in [
            ("", "found an empty file"),
            ("a,b\n", "expected at least one row of numbers"),
            ("1,2\n3\n", "expected 2 columns in each row, as in the first, found 1 in line 2"),
            ("a,b\n1,2\n\n3,4,5\n", "found 3 in line 4"),
            ("a,b\n1,2\n3,x\n", "found `x` in line 3, column 2 (`b`)"),
            ("1,2\n3,\n", "found `` in line 2, column 2"),
            ("1,2\n3,\"x\n\u{1b}[2J\"\n", r"found `x\n\u{1b}[2J` in line 2, column 2"),
            ("1,2\n3,NaN\n", "expected finite numbers, found `NaN` in line 2, column 2"),
            ("1,2\n-inf,4\n", "found `-inf` in line 2, column 1"),
            (
                "5.1,3.5,setosa\n4.9,3.0,setosa\n",
                "expected finite numbers (or --label for a column of labels), found `setosa`",
            ),
            ("5.1,3.5\n4.9,3.0\n", "--standardise"),
        ] {
            let error = load("a.csv", text.as_bytes()).unwrap_err();
            assert!(error.contains(found), "{error}: not {found}");
        }
        assert!(load("a.csv", b"1,2\n\xff,4\n").unwrap_err().contains("in line 2, column 1"));
        let error =
            with("a.csv", "1,2,3\n1,2,3\n", DataConfig { size: Some("2".parse().unwrap()), ..DataConfig::default() });
        assert!(error.unwrap_err().starts_with("--size: expected a height and width whose product is 3"));
    }
}
