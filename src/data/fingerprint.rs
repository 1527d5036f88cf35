//! Fingerprints: whether data are the ones that a run was trained on.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Examples;
use super::images::PixelValues;

/// A digest of examples: of their sizes, their values and their order. Others have another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The first 64 bits of the SHA-256 of several sets of examples, as hexadecimal digits.
    pub fn of<'a>(sets: impl IntoIterator<Item = Examples<'a>>) -> Fingerprint {
        let mut digest = Sha256::new();
        for examples in sets {
            match examples {
                Examples::Images(images) => {
                    digest.update(format!("{} images of {}\n", images.count(), images.shape()));
                    match &images.pixels {
                        PixelValues::Bytes(bytes) => digest.update(bytes),
                        PixelValues::Floats(floats) => digest.update(bytemuck::cast_slice::<f32, u8>(floats)),
                    }
                }
                Examples::Sentences(sentences) => {
                    let words = sentences.vocabulary().len();
                    digest.update(format!("{} sentences of {words} words\n", sentences.count()));
                    digest.update(bytemuck::cast_slice::<u32, u8>(&sentences.words));
                    digest.update(bytemuck::cast_slice::<u32, u8>(&sentences.starts));
                }
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
    use super::super::{ImageShape, Images};
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
        let of = |images: &[&Images]| Fingerprint::of(images.iter().map(|images| Examples::Images(images)));
        assert_eq!(of(&[&a]), of(&[&a.clone()]));
        assert_eq!(of(&[&a]).to_string().len(), 16);
        assert!(others.iter().all(|other| of(&[*other]) != of(&[&a])));
        assert_ne!(of(&[&a, &b]), of(&[&b, &a]));
    }
}
