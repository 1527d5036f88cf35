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
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file was read, but it does not hold what it should.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What a good file holds.
        expected: String,
        /// What this one holds.
        found: String,
    },
    /// An option has a value that cannot work.
    #[error("{option}: expected {expected}, found {found}")]
    Config {
        /// The option as the user writes it, such as `--latents`.
        option: &'static str,
        /// Which values work.
        expected: String,
        /// The value given.
        found: String,
    },
    /// The output directory exists and must not be overwritten unasked.
    #[error("{} already exists: choose another directory with --out, or replace it with --overwrite", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// No adapter fits the request.
    #[error("no GPU adapter: {reason}")]
    Adapter {
        /// What was looked for, what there is, and what to install or choose.
        reason: String,
    },
    /// The driver refused an operation or the device was lost.
    #[error("{operation} failed on the GPU: {reason}")]
    Gpu {
        /// What was attempted.
        operation: &'static str,
        /// What the driver said.
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
    /// Tensors of the wrong shape were given to an operation.
    #[error("{operation}: expected {expected}, found {found}")]
    Shape {
        /// The operation.
        operation: &'static str,
        /// The shape it needs.
        expected: String,
        /// The shape it was given.
        found: String,
    },
    /// A term of the loss, or a parameter, became NaN or infinite.
    #[error(
        "{what} became {value} in epoch {epoch}, step {step}: likely causes are a learning rate that is too large, \
         a KL weight that is too large, or a variance that is too small"
    )]
    NotFinite {
        /// `the log probability`, `the KL divergence`, `the loss` or `a parameter`.
        what: &'static str,
        /// The epoch, counted from 1.
        epoch: u32,
        /// The step within the epoch, counted from 1.
        step: u32,
        /// The value: NaN or an infinity.
        value: f32,
    },
    /// What a model is given, or gives out, is NaN or infinite.
    #[error(
        "{operation}: expected finite values, found {value} in {place}: likely causes are parameters or latents that \
         are NaN, infinite or very large"
    )]
    NotFiniteValue {
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

/// Fails unless an option's value fits.
///
/// # Errors
///
/// [`Error::Config`] with the option, what it takes and what was found.
pub fn require(option: &'static str, fits: bool, expected: &str, found: impl fmt::Display) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    Err(Error::Config { option, expected: expected.to_owned(), found: found.to_string() })
}
