//! Event files, which TensorBoard shows: scalars, pictures, text and histograms, by step.
//!
//! A file is a sequence of frames: the payload's length, 8 bytes, and its checksum, 4 bytes; the payload, a message of Protocol
//! Buffers; and its checksum. A checksum is a CRC-32C, rotated, with a constant added. Of the messages, only what is written here is
//! declared: the numbers are those of `tensorboard/compat/proto` (TensorBoard 2.21).
//!
//! A reader follows the file while it grows, so it is appended to, frame by frame, and not replaced. What a process that was killed
//! leaves of a frame at the end is ignored by readers, and nothing is ever appended to it: each process begins a file of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::{Message, Oneof};

use crate::Error;

/// The first event of a file.
const VERSION: &str = "brain.Event:2";
/// The names of event files begin and end so; between them are the seconds since 1970.
const NAME: [&str; 2] = ["events.out.tfevents.", ".elbo"];
/// The buckets of a histogram.
const BUCKETS: usize = 64;
/// `DT_STRING`, and `SessionLog.START`.
const STRING: i32 = 7;
const START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// Something to show, under its tag.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Content", tags = "2, 4, 5, 8")]
    content: Option<Content>,
    #[prost(message, optional, tag = "9")]
    metadata: Option<SummaryMetadata>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "5")]
    Histogram(HistogramProto),
    #[prost(message, tag = "8")]
    Tensor(TensorProto),
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// The number of channels.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramProto {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    /// The upper end of each bucket.
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    bucket: Vec<f64>,
}

/// A tensor without a shape, which is one string.
#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(bytes = "vec", repeated, tag = "8")]
    string_val: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
}

impl Value {
    fn new(tag: &str, content: Content) -> Value {
        Value { tag: tag.to_owned(), content: Some(content), metadata: None }
    }

    /// A number, kept as an `f32`.
    pub fn scalar(tag: &str, value: f64) -> Value {
        Value::new(tag, Content::Scalar(value as f32))
    }

    /// A picture as the bytes of a PNG, `[height, width, channels]`.
    pub fn png(tag: &str, [height, width, channels]: [u32; 3], bytes: Vec<u8>) -> Value {
        let [height, width, colorspace] = [height, width, channels].map(|size| size as i32);
        Value::new(tag, Content::Image(Image { height, width, colorspace, encoded_image_string: bytes }))
    }

    /// A text in Markdown.
    pub fn markdown(tag: &str, text: &str) -> Value {
        let tensor = TensorProto { dtype: STRING, string_val: vec![text.as_bytes().to_vec()] };
        let plugin_data = Some(PluginData { plugin_name: "text".to_owned() });
        Value { metadata: Some(SummaryMetadata { plugin_data }), ..Value::new(tag, Content::Tensor(tensor)) }
    }

    /// The distribution of numbers in buckets of one width, from the smallest number to the largest. NaN and infinities, which would
    /// leave no such width, are not counted. None if no number is left.
    pub fn histogram(tag: &str, values: &[f32]) -> Option<Value> {
        let finite = || values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value));
        let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
        let buckets = if min < max { BUCKETS } else { 1 };
        let width = (max - min) / buckets as f64;
        let mut bucket = vec![0.0; buckets];
        for value in finite() {
            // The largest number belongs to the last bucket. For equal numbers, the index is NaN, and becomes 0.
            bucket[(((value - min) / width) as usize).min(buckets - 1)] += 1.0;
        }
        let bucket_limit = (1..buckets).map(|index| min + index as f64 * width).chain([max]).collect();
        let (sum, sum_squares) = (finite().sum(), finite().map(|value| value * value).sum());
        let num = bucket.iter().sum();
        let histogram = HistogramProto { min, max, num, sum, sum_squares, bucket_limit, bucket };
        Some(Value::new(tag, Content::Histogram(histogram)))
    }
}

/// An event file, of one writer.
#[derive(Clone, Debug)]
pub struct EventFile {
    path: PathBuf,
}

impl EventFile {
    /// Begins a new file in a directory, which is made. Readers forget the points of all earlier files of the directory from `step` on.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with what to do if no file can be made there.
    pub fn begin(directory: &Path, step: u32) -> Result<EventFile, Error> {
        make(directory, step).map(|path| EventFile { path }).map_err(|error| refused(directory, &error))
    }

    /// Appends the values of a step.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn append(&self, step: u32, values: Vec<Value>) -> Result<(), Error> {
        let frame = frame(step, What::Summary(Summary { value: values }));
        let file = OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(&frame)).map_err(Error::io("write", &self.path))
    }
}

/// Makes a directory for event files.
///
/// # Errors
///
/// [`Error::Format`] with what to do if it cannot be made.
pub fn make_folder(directory: &Path) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(|error| refused(directory, &error))
}

fn refused(directory: &Path, error: &io::Error) -> Error {
    Error::Format {
        path: directory.to_owned(),
        expected: "a directory that event files can be written to".to_owned(),
        found: format!("{error}: move what is in the way, or leave --tensorboard out"),
    }
}

fn make(directory: &Path, step: u32) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    // Readers read the files in the order of their names, whatever the clock of this machine says.
    let last = files(directory)?.iter().filter_map(|path| seconds_of(path)).max();
    let seconds = (now() as u64).max(last.map_or(0, |last| last + 1));
    let path = directory.join(format!("{}{seconds:010}{}", NAME[0], NAME[1]));
    let start = What::SessionLog(SessionLog { status: START });
    let frames = [frame(0, What::FileVersion(VERSION.to_owned())), frame(step, start)].concat();
    fs::File::create_new(&path)?.write_all(&frames)?;
    Ok(path)
}

/// The event files in a directory that Elbo wrote.
///
/// # Errors
///
/// As [`fs::read_dir`].
pub fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| seconds_of(path).is_some()).collect())
}

/// The number in the name of a file, if it is an event file of Elbo.
fn seconds_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(NAME[0])?.strip_suffix(NAME[1])?.parse().ok()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn frame(step: u32, what: What) -> Vec<u8> {
    let payload = Event { wall_time: now(), step: i64::from(step), what: Some(what) }.encode_to_vec();
    let length = (payload.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), &payload, &checksum(&payload)].concat()
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    const DELTA: u32 = 0xa282_ead8;
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(DELTA).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Option<HistogramProto> {
        match Value::histogram("x", values)?.content {
            Some(Content::Histogram(histogram)) => Some(histogram),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_number_is_in_one_bucket() {
        let values: Vec<f32> = (0..=640).map(|i| i as f32 / 10.0).chain([f32::NAN, f32::INFINITY]).collect();
        let found = histogram(&values).expect("numbers");
        assert_eq!((found.min, found.max, found.num), (0.0, 64.0, 641.0));
        assert_eq!((found.bucket.len(), found.bucket_limit[0], found.bucket_limit[63]), (64, 1.0, 64.0));
        assert!(found.bucket[..63].iter().all(|count| *count == 10.0) && found.bucket[63] == 11.0, "{found:?}");
        let equal = histogram(&[-2.0; 5]).expect("numbers");
        assert_eq!((equal.bucket, equal.bucket_limit, equal.sum_squares), (vec![5.0], vec![-2.0], 20.0));
        assert_eq!(histogram(&[f32::NAN]), None);
    }

    #[test]
    fn a_frame_is_that_of_the_format() {
        let payload = Event { wall_time: 0.0, step: 0, what: Some(What::FileVersion(VERSION.to_owned())) };
        assert_eq!(payload.encode_to_vec(), [&[0x1a, 13], VERSION.as_bytes()].concat());
        // TensorBoard's own `masked_crc32c` of that length.
        let length = 24_u64.to_le_bytes();
        assert_eq!(checksum(&length), 0x224b_7fa3_u32.to_le_bytes());
    }

    #[test]
    fn files_of_one_second_are_read_in_their_order() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("events.out.tfevents.99.other"), "").expect("written");
        let names: Vec<_> = (0..3).map(|step| EventFile::begin(directory.path(), step).expect("a file").path).collect();
        assert!(names.is_sorted() && names[0] != names[1] && names[1] != names[2], "{names:?}");
        assert_eq!(files(directory.path()).expect("files").len(), 3);
        let error = EventFile::begin(&names[0], 0).expect_err("a file").to_string();
        assert!(error.contains("expected a directory") && error.contains("--tensorboard"), "{error}");
    }
}
