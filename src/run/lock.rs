//! The lock of a run directory: one process at a time writes to it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::Error;

/// The name of the file that is locked, which has the number of the process. The file stays; the system takes the lock away when
/// the process ends, however it ends.
pub const LOCK: &str = ".lock";

/// Holds a directory until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// Locked while it is open.
    _file: File,
}

impl Lock {
    /// Takes the lock of a directory that exists.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if another process holds it; [`Error::Io`] if the directory cannot be written.
    pub fn take(directory: &Path) -> Result<Lock, Error> {
        let path = directory.join(LOCK);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(Error::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(directory, &mut file)),
            // Some file systems of a network have no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("write", &path))?;
        Ok(Lock { _file: file })
    }
}

fn busy(directory: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    // Where a lock also forbids reading, the process is not known.
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let process = read.ok().and_then(|_| text.trim().parse().ok());
    Error::Busy { path: directory.to_owned(), process }
}
