//! Fingerprints: whether data are the ones that a run was trained on.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Images;
use super::images::PixelValues;

/// A digest of images: of their sizes, their values and their order. Other images have another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The first 64 bits of the SHA-256 of several stacks of images, as hexadecimal digits.
    pub fn of<'a>(stacks: impl IntoIterator<Item = &'a Images>) -> Fingerprint {
        let mut digest = Sha256::new();
        for images in stacks {
            digest.update(format!("{} images of {}\n", images.count(), images.shape()));
            match &images.pixels {
                PixelValues::Bytes(bytes) => digest.update(bytes),
                PixelValues::Floats(floats) => digest.update(bytemuck::cast_slice::<f32, u8>(floats)),
            }
        }
        Fingerprint(hex(&digest.finalize()[..8]))
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ImageShape;
    use super::*;

    #[test]
    fn any_change_changes_it() {
        let images = |bytes: [u8; 8], count, shape| Images::new(bytes.to_vec(), count, shape).unwrap();
        let (square, row) = (ImageShape::grey(2, 2), ImageShape::grey(1, 4));
        let [a, b] = [images([1, 2, 3, 4, 5, 6, 7, 8], 2, square), images([5, 6, 7, 8, 1, 2, 3, 4], 2, square)];
        let long = ImageShape::grey(1, 8);
        let floats = Images::from_floats(a.pixels().collect(), 2, square).unwrap();
        let others =
            [&b, &images([1, 2, 3, 4, 5, 6, 7, 8], 2, row), &images([1, 2, 3, 4, 5, 6, 7, 8], 1, long), &floats];
        assert_eq!(Fingerprint::of([&a]), Fingerprint::of([&a.clone()]));
        assert_eq!(Fingerprint::of([&a]).to_string().len(), 16);
        assert!(others.iter().all(|other| Fingerprint::of([*other]) != Fingerprint::of([&a])));
        assert_ne!(Fingerprint::of([&a, &b]), Fingerprint::of([&b, &a]));
    }
}
