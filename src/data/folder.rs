//! Folders of pictures, recursively: subfolders are labels in sorted order, and `train/`, `valid/` or `val/`, `test/` at the
//! top are parts.
//!
//! Names are sorted by their bytes, and names that begin with a dot are left out.

mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use self::walk::Entry;
use super::images::PixelValues;
use super::part::{Found, Layout, MAX_VALUES, Part, Role};
use super::picture::{self, Header};
use super::resize::Resize;
use super::{Colour, DataConfig, ImageShape, Progress, Size, parallel, unlike};
use crate::Error;
use crate::error::require;

/// Labels are bytes.
const MAX_CLASSES: usize = 256;
/// Sizes that a message lists.
const LISTED: usize = 3;

/// Reads all pictures of a folder as images of one size.
///
/// # Errors
///
/// [`Error::Format`] if there are none, or one cannot be read and `skip_bad` is not set; [`Error::Config`] if they have several
/// sizes and `size` is not set.
pub(super) fn read(root: &Path, config: &DataConfig, progress: Progress<'_>) -> Result<Found, Error> {
    let mut reading = Reading::new(config, progress)?;
    let (entries, notes) = walk::pictures(root, |error| reading.skip(error))?;
    found(reading, root, entries, notes)
}

/// Reads pictures that are named one by one, in that order.
///
/// # Errors
///
/// As [`read`].
pub(super) fn read_list(paths: &[String], config: &DataConfig, progress: Progress<'_>) -> Result<Found, Error> {
    let entry = |path: &String| Entry { path: path.into(), role: None, class: None };
    found(Reading::new(config, progress)?, Path::new(""), paths.iter().map(entry).collect(), Vec::new())
}

/// The pictures of a folder, or of a list.
fn found(mut reading: Reading<'_>, root: &Path, entries: Vec<Entry>, mut notes: Vec<String>) -> Result<Found, Error> {
    let entries = reading.headers(entries)?;
    if entries.is_empty() {
        return Err(unlike(root, "pictures that can be read", format!("{} that cannot", reading.skipped.len())));
    }
    let shape = reading.shape(root, &entries)?;
    let classes = classes(root, &entries, &mut notes);
    let (mut parts, mut names) = (Vec::new(), Vec::new());
    for role in [None, Some(Role::Train), Some(Role::Validation), Some(Role::Test)] {
        let of_role: Vec<&Entry> = entries.iter().map(|(entry, _)| entry).filter(|entry| entry.role == role).collect();
        if !of_role.is_empty() {
            let (part, kept) = reading.part(root, role, &of_role, shape, &classes)?;
            parts.push(part);
            names = kept;
        }
    }
    if let Some(first) = reading.skipped.first() {
        notes.push(format!("left out {} pictures that cannot be read, the first: {first}", reading.skipped.len()));
    }
    if !matches!(parts[..], [Part { role: None, .. }]) {
        names.clear();
    }
    let classes = classes.iter().map(|class| class.to_string_lossy().into_owned()).collect();
    Ok(Found { parts, names, inexact: reading.inexact, classes, notes })
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
    /// Pictures that said more than their pixels here do.
    inexact: usize,
}

impl<'a> Reading<'a> {
    fn new(config: &'a DataConfig, progress: Progress<'a>) -> Result<Reading<'a>, Error> {
        require("--transpose", !config.transpose, "no such option for pictures", "a folder")?;
        Ok(Reading { config, progress, skipped: Vec::new(), inexact: 0 })
    }

    /// Fails with an error, or counts it.
    fn skip(&mut self, error: Error) -> Result<(), Error> {
        if !self.config.skip_bad {
            return Err(error);
        }
        self.skipped.push(error.to_string());
        Ok(())
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

    /// Decodes the pictures of a part. Returns the path of each below the folder, too.
    fn part(
        &mut self,
        root: &Path,
        role: Option<Role>,
        entries: &[&Entry],
        shape: ImageShape,
        classes: &[OsString],
    ) -> Result<(Part, Vec<String>), Error> {
        let DataConfig { fit, background, .. } = *self.config;
        let size = Size { height: shape.height, width: shape.width };
        let resize = Resize { size, fit, background };
        let mut bytes = vec![0; entries.len() * shape.dimensions()];
        let decode = |(entry, row): (&&Entry, &mut [u8])| {
            let pixels = picture::pixels(&entry.path, shape.channels, background)?;
            resize.image(&pixels.bytes, pixels.shape, row)?;
            Ok(pixels.exact)
        };
        let rows = entries.iter().zip(bytes.chunks_exact_mut(shape.dimensions()));
        let results = parallel::map(rows, self.config.skip_bad, decode, &|done| (self.progress)(done, entries.len()));
        let mut labels = Vec::new();
        let mut kept = Vec::new();
        for (index, (entry, result)) in entries.iter().zip(results).enumerate() {
            match result {
                Ok(exact) => {
                    self.inexact += usize::from(!exact);
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
        let name = |index: &usize| {
            let path = &entries[*index].path;
            path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
        };
        let names = kept.iter().map(name).collect();
        let part = Part {
            role,
            path: role.map_or_else(|| root.to_owned(), |role| root.join(role.name())),
            values: PixelValues::Bytes(bytes),
            count: kept.len(),
            layout: Layout::Image(shape),
            labels: (!classes.is_empty()).then_some(labels),
        };
        Ok((part, names))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::ExtendedColorType::{L8, Rgb8};
    use tempfile::TempDir;

    use super::super::fixtures::{load_with, picture};
    use super::super::{Fit, Loaded};
    use super::*;

    /// Pictures of 2 x 2 pixels of one grey, by path.
    fn folder(pictures: &[(&str, u8)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, grey) in pictures {
            picture(&folder.path().join(name), [2, 2], L8, &[*grey; 4]);
        }
        folder
    }

    fn load(folder: &TempDir, config: DataConfig) -> Result<Loaded, String> {
        let message = |message: String| message.replace(&folder.path().display().to_string(), "DIR");
        load_with(folder.path(), config).map_err(|error| {
            let name = folder.path().file_name().unwrap().to_str().unwrap();
            message(error).replace(name, "DIR")
        })
    }

    fn defaults() -> DataConfig {
        DataConfig::default()
    }

    /// All images and labels, whatever their part.
    fn all(loaded: &Loaded) -> Vec<(u8, Option<u8>)> {
        let mut all = Vec::new();
        for split in [&loaded.dataset.train, &loaded.dataset.test] {
            for (index, image) in split.images.bytes().unwrap().chunks(4).enumerate() {
                all.push((image[0], split.labels.as_ref().map(|labels| labels[index])));
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn subfolders_are_labels_in_sorted_order() {
        let folder =
            folder(&[("b/1.png", 3), ("a/deep/er/2.PNG", 1), ("a/3.png", 2), ("10/x.png", 9), (".hidden/y.png", 7)]);
        fs::write(folder.path().join("a/notes.txt"), "no picture").unwrap();
        fs::write(folder.path().join("a/._3.png"), "macOS").unwrap();
        let loaded = load(&folder, defaults()).unwrap();
        assert_eq!(loaded.classes, ["10", "a", "b"]);
        assert_eq!(all(&loaded), [(1, Some(1)), (2, Some(1)), (3, Some(2)), (9, Some(0))]);
        assert_eq!(loaded.dataset.train.images.shape(), ImageShape::grey(2, 2));
        picture(&folder.path().join("top.png"), [2, 2], L8, &[8; 4]);
        let loaded = load(&folder, defaults()).unwrap();
        assert!(loaded.dataset.train.labels.is_none() && loaded.notes[0].contains("1 pictures are in no subfolder"));
    }

    #[test]
    fn parts_are_folders_at_the_top() {
        let files =
            [("train/b/1.png", 1), ("train/c/2.png", 2), ("val/c/3.png", 3), ("Test/a/4.png", 4), ("x/5.png", 5)];
        let loaded = load(&folder(&files), defaults()).unwrap();
        assert_eq!(loaded.classes, ["a", "b", "c"]);
        let validation = loaded.dataset.validation.as_ref().unwrap();
        assert_eq!((validation.images.bytes(), &validation.labels), (Some(&[3; 4][..]), &Some(vec![2])));
        assert_eq!(all(&loaded), [(1, Some(1)), (2, Some(2)), (4, Some(0))]);
        assert_eq!(loaded.notes, ["not used: 1 pictures outside train, valid and test"]);
        // Without `train`, they are names of classes.
        let loaded = load(&folder(&[("test/1.png", 1), ("valid/2.png", 2)]), defaults()).unwrap();
        assert_eq!(loaded.classes, ["test", "valid"]);
    }

    #[test]
    fn several_sizes_need_a_size() {
        let folder = folder(&[("1.png", 1), ("2.png", 2)]);
        picture(&folder.path().join("3.png"), [6, 4], L8, &[3; 24]);
        let message = "--size: expected a size for all pictures, such as --size 64, as those in DIR have several, found \
                       none, and pictures of 2 x 2 (2 of them), 4 x 6 (1 of them)";
        assert_eq!(load(&folder, defaults()).unwrap_err(), message);
        let size = Some("2".parse().unwrap());
        for fit in [Fit::Crop, Fit::Stretch] {
            let loaded = load(&folder, DataConfig { size, fit, ..defaults() }).unwrap();
            assert_eq!(all(&loaded), [(1, None), (2, None), (3, None)]);
        }
        let huge = load(&folder, DataConfig { size: Some("100000".parse().unwrap()), ..defaults() });
        assert!(huge.unwrap_err().contains("from 1 to 1048576 values"));
    }

    #[test]
    fn one_colour_picture_makes_all_colour_unless_grey_is_asked_for() {
        let folder = folder(&[("1.png", 50)]);
        picture(&folder.path().join("2.png"), [2, 2], Rgb8, &[255, 0, 0].repeat(4));
        let colour = load(&folder, defaults()).unwrap().dataset.train.images;
        assert_eq!(colour.shape(), ImageShape { channels: 3, height: 2, width: 2 });
        let grey = load(&folder, DataConfig { grey: true, ..defaults() }).unwrap();
        assert_eq!(all(&grey), [(50, None), (76, None)]);
    }

    #[test]
    fn bad_pictures_are_named_or_left_out() {
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        image::ImageEncoder::write_image(encoder, &[7; 1200], 20, 20, Rgb8).unwrap();
        for (name, bytes, found) in [
            ("b.png", &b""[..], "b.png: expected a PNG, JPEG, WebP, BMP, GIF or TIFF picture, found an empty file"),
            ("b.png", b"hello", "found something else"),
            ("b.jpg", &jpeg[..jpeg.len() / 2], "b.jpg: expected a "),
            ("b.jpg", &jpeg[..jpeg.len() - 2], "found one that ends too early: the file is cut short"),
        ] {
            let folder = folder(&[("a.png", 1), ("c.png", 3)]);
            fs::write(folder.path().join(name), bytes).unwrap();
            let size = Some("2".parse().unwrap());
            let error = load(&folder, DataConfig { size, grey: true, ..defaults() }).unwrap_err();
            assert!(error.contains(found) && error.contains(name), "{error}: not {found}");
            let loaded = load(&folder, DataConfig { size, grey: true, skip_bad: true, ..defaults() }).unwrap();
            assert_eq!(all(&loaded), [(1, None), (3, None)]);
            assert!(
                loaded.notes[0].starts_with("left out 1 pictures that cannot be read, the first: "),
                "{:?}",
                loaded.notes
            );
        }
        let folder = folder(&[]);
        assert_eq!(load(&folder, defaults()).unwrap_err().split("found ").last(), Some("an empty folder"));
        fs::write(folder.path().join("a.txt"), "").unwrap();
        assert!(load(&folder, defaults()).unwrap_err().contains("found 1 other files, such as "));
        fs::write(folder.path().join("a.png"), "").unwrap();
        let error = load(&folder, DataConfig { skip_bad: true, ..defaults() }).unwrap_err();
        assert!(error.contains("expected pictures that can be read, found 1 that cannot"), "{error}");
        assert!(load(&folder, DataConfig { transpose: true, ..defaults() }).unwrap_err().starts_with("--transpose: "));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_strange_names() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        let folder = folder(&[("a/1.png", 1)]);
        let strange = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
        picture(&strange.join("2.png"), [2, 2], L8, &[2; 4]);
        fs::rename(strange.join("2.png"), strange.join(std::ffi::OsStr::from_bytes(b"\xf0.png"))).unwrap();
        symlink(folder.path().join("a/1.png"), folder.path().join("a/3.png")).unwrap();
        let loaded = load(&folder, defaults()).unwrap();
        assert_eq!(all(&loaded), [(1, Some(0)), (1, Some(0)), (2, Some(1))]);
        symlink(folder.path(), folder.path().join("a/circle")).unwrap();
        let error = load(&folder, defaults()).unwrap_err();
        assert!(
            error.contains("circle: expected a folder without links in a circle, found a link back to DIR"),
            "{error}"
        );
        assert_eq!(all(&load(&folder, DataConfig { skip_bad: true, ..defaults() }).unwrap()).len(), 3);
    }
}
