//! Data files for tests.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{ExtendedColorType, ImageFormat};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::{DataConfig, Dataset, Loaded};

/// The bytes of a `.npy` file.
pub fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// The bytes of a `.npz` file.
pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An IDX file of unsigned bytes.
pub fn idx(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

/// Writes a picture in the format that its name ends in.
pub fn picture(path: &Path, [width, height]: [u32; 2], colour: ExtendedColorType, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::save_buffer_with_format(path, bytes, width, height, colour, ImageFormat::from_path(path).unwrap()).unwrap();
}

/// Loads data; the folder is left out of errors and notes.
pub fn load_with(path: &Path, config: DataConfig) -> Result<Loaded, String> {
    let folder = format!("{}/", path.parent().unwrap().display());
    let config = DataConfig { source: path.to_str().unwrap().to_owned(), ..config };
    let loaded = Loaded::new(&config, &|_, _| ()).map_err(|error| error.to_string().replace(&folder, ""));
    if let Err(message) = &loaded {
        assert!(message.contains("expected ") && message.contains("found ") && !message.contains('\n'), "{message}");
    }
    loaded.map(|mut loaded| {
        loaded.notes.iter_mut().for_each(|note| *note = note.replace(&folder, ""));
        loaded
    })
}

/// Loads a file with the given name and content.
pub fn load_file(name: &str, bytes: &[u8], config: DataConfig) -> Result<Loaded, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    load_with(&path, config)
}

/// As [`load_file`], with the defaults.
pub fn load(name: &str, bytes: &[u8]) -> Result<Dataset, String> {
    load_file(name, bytes, DataConfig::default()).map(|loaded| loaded.dataset)
}
