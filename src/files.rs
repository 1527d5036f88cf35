//! Writes files so that no reader ever finds half of one.
//!
//! Every file that Elbo writes goes through [`write_atomically`], except [`events`], which readers follow while they grow.

pub mod events;
pub mod npy;
pub mod safetensors;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::Error;

/// Writes a file under a temporary name beside `path`, then renames it to `path`.
///
/// A reader sees the old file or the new one, never a mixture. The new file has an ordinary file's permissions.
///
/// # Errors
///
/// [`Error::Io`] if the directory does not exist or cannot be written, the disk is full, or `write` fails. The old file
/// is then unchanged, and the temporary file is removed.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    replace(path, write).map_err(Error::io("write", path))
}

/// The names of temporary files start and end so.
const TEMPORARY: [&str; 2] = [".elbo-", ".tmp"];

/// Whether a name is that of a temporary file, which a process left behind if it was killed while it wrote.
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    let [prefix, suffix] = TEMPORARY;
    name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix))
}

/// The folder that a file is in, or is to be written to.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // A rename is atomic only within one file system: the temporary file belongs beside its target.
    let directory = folder_of(path);
    // tempfile's own way of creating it gives 0600, which would hide the results from the user's group.
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY[0])
        .suffix(TEMPORARY[1])
        .make_in(directory, |temporary| File::create_new(temporary))?;
    let mut writer = BufWriter::new(file.as_file_mut());
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    // Without this, a crash of the machine soon after the rename can leave an empty file under the good name.
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_directory(directory)
}

/// Makes the new name last, too.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems of a network cannot do it for directories.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        for text in ["a rather long first version", "second"] {
            write_atomically(&path, |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(directory.path()), ["a.txt"]);
    }

    #[test]
    fn a_failure_keeps_the_old_file_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        fs::write(&path, "old").unwrap();
        let error = write_atomically(&path, |w| {
            w.write_all(&[b'x'; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}: no storage space", path.display()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(directory.path()), ["a.txt"]);
    }

    #[test]
    fn a_directory_that_is_missing_or_in_the_way_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/a.txt");
        let error = write_atomically(&missing, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Io { path, .. } if path == missing));
        let taken = directory.path().join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(write_atomically(&taken, |_| Ok(())).is_err());
        assert_eq!(names(directory.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_an_ordinary_files() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (directory.path().join("ours"), directory.path().join("ordinary"));
        write_atomically(&ours, |_| Ok(())).unwrap();
        fs::write(&ordinary, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&ordinary));
    }
}
