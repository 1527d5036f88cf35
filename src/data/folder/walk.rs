//! The pictures in a folder, and what the names of their folders say.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::Error;
use crate::data::part::Role;
use crate::data::picture::EXTENSIONS;
use crate::data::unlike;

/// A picture and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub path: PathBuf,
    pub role: Option<Role>,
    /// The subfolder of the part.
    pub class: Option<OsString>,
}

/// The pictures in a folder, in the order of their names, and notes on what was left out. `skip` is told what cannot be
/// listed, and returns it as an error if that is to end the reading.
///
/// # Errors
///
/// [`Error::Format`] if there are no pictures; those of `skip`.
pub(super) fn pictures(
    root: &Path,
    mut skip: impl FnMut(Error) -> Result<(), Error>,
) -> Result<(Vec<Entry>, Vec<String>), Error> {
    let (mut entries, mut others) = (Vec::new(), Vec::new());
    let walk = WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name();
    for file in walk.into_iter().filter_entry(|entry| is_shown(entry.file_name())) {
        match file {
            Err(error) => skip(walking(root, error))?,
            Ok(file) if !file.file_type().is_file() => {}
            Ok(file) if is_picture(file.path()) => entries.push(entry(root, file.into_path())),
            Ok(file) => others.push(file.into_path()),
        }
    }
    if entries.is_empty() {
        let found = match others.first() {
            None => "an empty folder".to_owned(),
            Some(other) => format!("{} other files, such as {}", others.len(), other.display()),
        };
        let expected = "pictures (png, jpg, webp, bmp, gif, tiff) or IDX files, such as train-images-idx3-ubyte";
        return Err(unlike(root, expected, found));
    }
    let notes = settle_parts(root, &mut entries);
    Ok((entries, notes))
}

/// Names that begin with a dot, and archives' folders of macOS, are left out.
fn is_shown(name: &OsStr) -> bool {
    !name.as_encoded_bytes().starts_with(b".") && name != "__MACOSX"
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// A picture with the part and the class that its folders name.
fn entry(root: &Path, path: PathBuf) -> Entry {
    let inner = path.strip_prefix(root).unwrap_or(&path);
    let mut folders = inner.parent().into_iter().flat_map(Path::iter).map(OsString::from).peekable();
    let role = folders.peek().and_then(|folder| Role::of_word(folder.to_str()?));
    let class = folders.nth(usize::from(role.is_some()));
    Entry { role, class, path }
}

/// Leaves out what is in no part, if there is a training part. If there is none, no folder is a part: its name is a class.
fn settle_parts(root: &Path, entries: &mut Vec<Entry>) -> Vec<String> {
    let all = entries.len();
    if entries.iter().any(|entry| entry.role == Some(Role::Train)) {
        entries.retain(|entry| entry.role.is_some());
    } else {
        for entry in entries.iter_mut().filter(|entry| entry.role.is_some()) {
            entry.role = None;
            let inner = entry.path.strip_prefix(root).unwrap_or(&entry.path);
            entry.class = inner.iter().next().map(OsString::from);
        }
    }
    let left_out = all - entries.len();
    if left_out == 0 {
        Vec::new()
    } else {
        vec![format!("not used: {left_out} pictures outside train, valid and test")]
    }
}

/// Why a folder cannot be listed.
fn walking(root: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    match error.loop_ancestor() {
        Some(ancestor) => {
            let found = format!("a link back to {}", ancestor.display());
            unlike(&path, "a folder without links in a circle", found)
        }
        None => Error::io("read", path)(error.into()),
    }
}
