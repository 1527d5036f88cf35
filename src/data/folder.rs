//! Folders of pictures, recursively: subfolders are labels in sorted order, and `train/`, `valid/` or `val/`, `test/` at the
//! top are parts.
//!
//! Names are sorted by their bytes, and names that begin with a dot are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::images::PixelValues;
use super::part::{Found, Layout, MAX_VALUES, Part, Role};
use super::picture::{self, EXTENSIONS, Header};
use super::resize::Resize;
use super::{Colour, DataConfig, ImageShape, Progress, Size, parallel, unlike};
use crate::Error;
use crate::error::require;

/// Labels are bytes.
const MAX_CLASSES: usize = 256;
/// Sizes that a message lists.
const LISTED: usize = 3;

/// A picture and where it lies.
#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    role: Option<Role>,
    /// The subfolder of the part.
    class: Option<OsString>,
}

/// Reads all pictures of a folder as images of one size.
///
/// # Errors
///
/// [`Error::Format`] if there are none, or one cannot be read and `skip_bad` is not set; [`Error::Config`] if they have several
/// sizes and `size` is not set.
pub(super) fn read(root: &Path, config: &DataConfig, progress: Progress<'_>) -> Result<Found, Error> {
    require("--transpose", !config.transpose, "no such option for pictures", "a folder")?;
    let mut reading = Reading { config, progress, skipped: Vec::new() };
    let (entries, mut notes) = reading.entries(root)?;
    let entries = reading.headers(entries)?;
    if entries.is_empty() {
        return Err(unlike(root, "pictures that can be read", format!("{} that cannot", reading.skipped.len())));
    }
    let shape = reading.shape(root, &entries)?;
    let classes = classes(root, &entries, &mut notes);
    let mut parts = Vec::new();
    for role in [None, Some(Role::Train), Some(Role::Validation), Some(Role::Test)] {
        let of_role: Vec<&Entry> = entries.iter().map(|(entry, _)| entry).filter(|entry| entry.role == role).collect();
        if !of_role.is_empty() {
            parts.push(reading.part(root, role, &of_role, shape, &classes)?);
        }
    }
    if let Some(first) = reading.skipped.first() {
        notes.push(format!("left out {} pictures that cannot be read, the first: {first}", reading.skipped.len()));
    }
    let classes = classes.iter().map(|class| class.to_string_lossy().into_owned()).collect();
    Ok(Found { parts, classes, notes })
}

/// The classes in order, if each picture has one.
fn classes(root: &Path, entries: &[(Entry, Header)], notes: &mut Vec<String>) -> Vec<OsString> {
    let classes: BTreeSet<&OsString> = entries.iter().filter_map(|(entry, _)| entry.class.as_ref()).collect();
    let without = entries.iter().filter(|(entry, _)| entry.class.is_none()).count();
    if without > 0 && !classes.is_empty() {
        notes.push(format!("{}: no labels, as {without} pictures are in no subfolder", root.display()));
        return Vec::new();
    }
    if classes.len() > MAX_CLASSES {
        notes.push(format!(
            "{}: no labels, as there are {} subfolders, more than {MAX_CLASSES}",
            root.display(),
            classes.len()
        ));
        return Vec::new();
    }
    classes.into_iter().cloned().collect()
}

/// A reading of a folder, and the pictures that were left out, each with the reason.
struct Reading<'a> {
    config: &'a DataConfig,
    progress: Progress<'a>,
    skipped: Vec<String>,
}

impl Reading<'_> {
    /// Fails with an error, or counts it.
    fn skip(&mut self, error: Error) -> Result<(), Error> {
        if !self.config.skip_bad {
            return Err(error);
        }
        self.skipped.push(error.to_string());
        Ok(())
    }

    /// The pictures in the folder, in the order of their names.
    fn entries(&mut self, root: &Path) -> Result<(Vec<Entry>, Vec<String>), Error> {
        let (mut entries, mut notes, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let is_shown = |name: &OsString| !name.as_encoded_bytes().starts_with(b".") && name != "__MACOSX";
        let walk = WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name();
        for file in walk.into_iter().filter_entry(|entry| is_shown(&entry.file_name().to_owned())) {
            let file = match file {
                Ok(file) => file,
                Err(error) => {
                    self.skip(walking(root, error))?;
                    continue;
                }
            };
            if !file.file_type().is_file() {
                continue;
            }
            let is_picture = |extension: &str| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known));
            let path = file.into_path();
            if !path.extension().and_then(|extension| extension.to_str()).is_some_and(is_picture) {
                others.push(path);
                continue;
            }
            let inner = path.strip_prefix(root).unwrap_or(&path);
            let mut folders: Vec<OsString> =
                inner.parent().into_iter().flat_map(Path::iter).map(OsString::from).take(2).collect();
            let role = folders.first().and_then(|folder| Role::of_word(folder.to_str()?));
            if role.is_some() {
                folders.remove(0);
            }
            entries.push(Entry { role, class: folders.into_iter().next(), path });
        }
        if entries.is_empty() {
            let found = match others.first() {
                None => "an empty folder".to_owned(),
                Some(other) => format!("{} other files, such as {}", others.len(), other.display()),
            };
            let expected = "pictures (png, jpg, webp, bmp, gif, tiff) or IDX files, such as train-images-idx3-ubyte";
            return Err(unlike(root, expected, found));
        }
        let is_train = |entry: &Entry| entry.role == Some(Role::Train);
        if entries.iter().any(is_train) {
            let all = entries.len();
            entries.retain(|entry| entry.role.is_some());
            if entries.len() < all {
                notes.push(format!("not used: {} pictures outside train, valid and test", all - entries.len()));
            }
        } else {
            // Without `train`, such names are those of classes.
            for entry in entries.iter_mut().filter(|entry| entry.role.is_some()) {
                entry.role = None;
                let inner = entry.path.strip_prefix(root).unwrap_or(&entry.path);
                entry.class = inner.iter().next().map(OsString::from);
            }
        }
        Ok((entries, notes))
    }

    /// The headers of pictures.
    fn headers(&mut self, entries: Vec<Entry>) -> Result<Vec<(Entry, Header)>, Error> {
        let read = |entry: &Entry| picture::header(&entry.path);
        let headers = parallel::map(entries.iter(), self.config.skip_bad, read, &|_| ());
        let mut fine = Vec::new();
        for (entry, header) in entries.into_iter().zip(headers) {
            match header {
                Ok(header) => fine.push((entry, header)),
                Err(error) => self.skip(error)?,
            }
        }
        Ok(fine)
    }

    /// The shape of all images: grey if all pictures are, else of three channels.
    fn shape(&self, root: &Path, entries: &[(Entry, Header)]) -> Result<ImageShape, Error> {
        let DataConfig { grey, background: Colour([red, green, blue]), size, .. } = *self.config;
        let no_colour = red == green && green == blue && entries.iter().all(|(_, header)| !header.colour);
        let channels = if grey || no_colour { 1 } else { 3 };
        if let Some(size) = size {
            let shape = ImageShape { channels, height: size.height, width: size.width };
            let resize = Resize { size, fit: self.config.fit, background: self.config.background };
            return resize.check(entries.len(), channels).map(|()| shape);
        }
        let mut sizes = BTreeMap::new();
        for (_, header) in entries {
            *sizes.entry([header.height, header.width]).or_insert(0usize) += 1;
        }
        let mut sizes: Vec<_> = sizes.into_iter().collect();
        sizes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let [([height, width], _)] = sizes[..] else {
            let list = sizes
                .iter()
                .take(LISTED)
                .map(|([height, width], count)| format!("{height} x {width} ({count} of them)"));
            let list = list.collect::<Vec<_>>().join(", ");
            let rest = sizes.len().saturating_sub(LISTED);
            let rest = if rest > 0 { format!(" and {rest} other sizes") } else { String::new() };
            let expected =
                format!("a size for all pictures, such as --size 64, as those in {} have several", root.display());
            return Err(Error::Config {
                option: "--size",
                expected,
                found: format!("none, and pictures of {list}{rest}"),
            });
        };
        let shape = ImageShape { channels, height, width };
        let fits = (shape.dimensions() as u64).saturating_mul(entries.len() as u64) <= MAX_VALUES;
        let expected = format!("a smaller size for the {} pictures, of {MAX_VALUES} values in all", entries.len());
        require("--size", fits, &expected, shape)?;
        shape.validate().map(|()| shape)
    }

    /// Decodes the pictures of a part.
    fn part(
        &mut self,
        root: &Path,
        role: Option<Role>,
        entries: &[&Entry],
        shape: ImageShape,
        classes: &[OsString],
    ) -> Result<Part, Error> {
        let DataConfig { fit, background, .. } = *self.config;
        let size = Size { height: shape.height, width: shape.width };
        let resize = Resize { size, fit, background };
        let mut bytes = vec![0; entries.len() * shape.dimensions()];
        let decode = |(entry, row): (&&Entry, &mut [u8])| {
            let (pixels, from) = picture::pixels(&entry.path, shape.channels, background)?;
            resize.image(&pixels, from, row)
        };
        let rows = entries.iter().zip(bytes.chunks_exact_mut(shape.dimensions()));
        let results = parallel::map(rows, self.config.skip_bad, decode, &|done| (self.progress)(done, entries.len()));
        let mut labels = Vec::new();
        let mut kept = Vec::new();
        for (index, (entry, result)) in entries.iter().zip(results).enumerate() {
            match result {
                Ok(()) => {
                    kept.push(index);
                    let class = entry.class.as_ref().and_then(|class| classes.binary_search(class).ok());
                    labels.extend(class.map(|class| class as u8));
                }
                Err(error) => self.skip(error)?,
            }
        }
        for (to, from) in kept.iter().enumerate() {
            bytes.copy_within(from * shape.dimensions()..(from + 1) * shape.dimensions(), to * shape.dimensions());
        }
        bytes.truncate(kept.len() * shape.dimensions());
        Ok(Part {
            role,
            path: role.map_or_else(|| root.to_owned(), |role| root.join(role.name())),
            values: PixelValues::Bytes(bytes),
            count: kept.len(),
            layout: Layout::Image(shape),
            labels: (!classes.is_empty()).then_some(labels),
        })
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
