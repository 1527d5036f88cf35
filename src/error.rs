//! The one error type: what was attempted, what was expected, what was found.

use std::fmt;
use std::path::PathBuf;

/// Every way in which the library can fail.
///
/// The message is one line, for people: it names the operation, what was expected, what was found and, where there is
/// one, the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("{}", one_line(format_args!("cannot {action} {}: {source}", path.display())))]
    Io {
        /// What was attempted, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file was read, but its content is not as expected.
    #[error("{}", one_line(format_args!("{}: expected {expected}, found {found}", path.display())))]
    Format {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: String,
        /// The content that was found.
        found: String,
    },
    /// An option has a value that cannot work.
    #[error("{}", one_line(format_args!("{option}: expected {expected}, found {found}")))]
    Config {
        /// The option as the user writes it, such as `--latents`.
        option: &'static str,
        /// Which values work.
        expected: String,
        /// The value given.
        found: String,
    },
    /// The output directory exists, and must not be overwritten without --overwrite.
    #[error(
        "{} already exists: choose another directory with --out, go on with its run with --resume, or replace it with --overwrite",
        path.display()
    )]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// Another process trains in the directory.
    #[error(
        "{} is in use by {}: wait until it ends, or choose another directory with --out",
        path.display(),
        process.map_or("another process".to_owned(), |process| format!("process {process}"))
    )]
    Busy {
        /// The directory.
        path: PathBuf,
        /// The number of the process, if it is known.
        process: Option<u32>,
    },
    /// No adapter fits the request.
    #[error("no GPU adapter: {reason}")]
    Adapter {
        /// What was requested, what there is, and what to install or choose.
        reason: String,
    },
    /// The driver refused an operation or the device was lost.
    #[error("{operation} failed on the GPU: {reason}")]
    Gpu {
        /// What was attempted.
        operation: &'static str,
        /// The driver's message.
        reason: String,
    },
    /// A size exceeds what the adapter allows.
    #[error("{what} needs {needed} {unit}, but this adapter allows {allowed}: {hint}")]
    Limit {
        /// What is too large.
        what: String,
        /// Its size.
        needed: u64,
        /// The unit of both sizes.
        unit: &'static str,
        /// The adapter's limit.
        allowed: u64,
        /// What to make smaller.
        hint: &'static str,
    },
    /// A shader does not fit how the host uses it. This is a bug in Elbo, not in the caller's code.
    #[error("shader {shader}: {reason}")]
    Shader {
        /// The file and its entry point.
        shader: String,
        /// The mismatch, or the compiler's message.
        reason: String,
    },
    /// An operation got an argument of the wrong shape, or another invalid argument.
    #[error("{operation}: expected {expected}, found {found}")]
    Argument {
        /// The operation.
        operation: &'static str,
        /// The expected argument.
        expected: String,
        /// The argument that was found.
        found: String,
    },
    /// Training diverged: a term of the loss, or a parameter, became NaN or infinite.
    #[error("{what} became {value} in epoch {epoch}, step {step}: {advice}")]
    Diverged {
        /// `the log probability`, `the KL divergence`, `the loss`, `a gradient`, `a parameter` or `the optimiser's state`.
        what: &'static str,
        /// The epoch, counted from 1.
        epoch: u32,
        /// The step within the epoch, counted from 1.
        step: u32,
        /// The value: NaN or an infinity.
        value: f32,
        /// What to try.
        advice: String,
    },
    /// An input or an output of a model is NaN or infinite.
    #[error(
        "{operation}: expected finite values, found {value} in {place}: likely causes are parameters or latents that \
         are NaN, infinite or very large"
    )]
    NotFinite {
        /// The operation.
        operation: &'static str,
        /// Where the value is: `row 3 of the images`, counted from 0, or `the loss`.
        place: String,
        /// The value: NaN or an infinity.
        value: f32,
    },
}

impl Error {
    /// Wraps an I/O error with what was attempted and where, for use with `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }
}

/// A text with its control characters escaped, as the text of a file may have line breaks, or codes for terminals.
pub(crate) fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    for c in text.to_string().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// Fails unless an option's value fits.
///
/// # Errors
///
/// [`Error::Config`] with the option, the values that work and the value that was found.
pub fn require(option: &'static str, fits: bool, expected: &str, found: impl fmt::Display) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    Err(Error::Config { option, expected: expected.to_owned(), found: found.to_string() })
}

/// Fails unless matrices have the expected shapes, `[rows, columns]`.
///
/// # Errors
///
/// [`Error::Argument`] with all shapes.
pub fn require_shapes<const N: usize>(
    operation: &'static str,
    expected: [[usize; 2]; N],
    found: [[usize; 2]; N],
) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    let list = |shapes: [[usize; 2]; N]| shapes.map(|[rows, columns]| format!("({rows}, {columns})")).join(" and ");
    Err(Error::Argument { operation, expected: list(expected), found: list(found) })
}
