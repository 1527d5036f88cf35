//! Pictures as PNG: grids of images here, training curves in [`curves`].
//!
//! Images are row-major, one after the other, with the channels of a pixel side by side; 0 is black and 1 is white.

pub(crate) mod axis;
pub mod curves;

use std::io;
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::Error;
use crate::data::ImageShape;
use crate::files::write_atomically;

/// The grey of the lines between the images, which are one source pixel wide, in every channel but alpha.
const LINE: u8 = 64;
/// A grid is scaled up by the largest whole factor that stays within these, so most are 560 to 1120 pixels wide. One that is larger is
/// not scaled.
const MAX_WIDTH: usize = 1120;
const MAX_HEIGHT: usize = 2240;

/// Writes one image as a PNG, each value as it is.
///
/// # Errors
///
/// As [`Grid::draws`]; [`Error::Argument`] if there are not as many bytes as the image has values; [`Error::Io`] if the file cannot
/// be written.
pub fn write_picture(path: &Path, bytes: &[u8], image: ImageShape) -> Result<(), Error> {
    let colour = colour_type(image)?;
    if bytes.len() != image.dimensions() {
        let (expected, found) = (format!("{image} bytes"), bytes.len().to_string());
        return Err(Error::Argument { operation: "writing a picture", expected, found });
    }
    write_png(path, bytes, image.width as u32, image.height as u32, colour)
}

/// Images of one size, to be drawn side by side.
///
/// ```
/// use elbo::data::ImageShape;
/// use elbo::image::Grid;
///
/// # fn main() -> Result<(), elbo::Error> {
/// # let directory = tempfile::tempdir().map_err(elbo::Error::io("create", "a temporary directory"))?;
/// # let path = directory.path().join("grid.png");
/// // Six images of 2 x 3 pixels, from black to white, as `Vae::sample` or `Vae::decode` return them.
/// let pixels: Vec<f32> = (0..6 * 6).map(|i| (i / 6) as f32 / 5.0).collect();
/// Grid { pixels: &pixels, image: ImageShape::grey(2, 3), columns: 3 }.write(&path)?; // two rows of three
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// The pixels, `(N, height, width, channels)`. Values below 0 are drawn as 0, values above 1 as 1.
    pub pixels: &'a [f32],
    /// The size of one image, whose channels [`Grid::draws`] tells: grey; red, green and blue; or those and alpha.
    pub image: ImageShape,
    /// How many images a row of the grid has. Cells without an image, at the end of the last row, are black.
    pub columns: usize,
}

/// The channels of images that can be drawn, with the type of the PNG.
const COLOURS: [(usize, ExtendedColorType); 3] =
    [(1, ExtendedColorType::L8), (3, ExtendedColorType::Rgb8), (4, ExtendedColorType::Rgba8)];

impl Grid<'_> {
    /// Checks that images of this size can be drawn: they have 1, 3 or 4 channels.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they have another number.
    pub fn draws(image: ImageShape) -> Result<(), Error> {
        colour_type(image).map(|_| ())
    }

    /// Writes the grid as a PNG, grey or in colour, each pixel scaled up to a square.
    ///
    /// # Errors
    ///
    /// As [`Grid::draws`]; [`Error::Argument`] if there is no image, if `pixels` are not whole images, or if a
    /// value is NaN (both it and its image counted from 0); [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let png = self.png(MAX_WIDTH)?;
        write_atomically(path, |file| file.write_all(&png))
    }

    /// The same as the bytes of a PNG, at most `most_width` pixels wide if the images are not wider.
    ///
    /// # Errors
    ///
    /// As [`Grid::write`].
    pub fn png(&self, most_width: usize) -> Result<Vec<u8>, Error> {
        let colour = colour_type(self.image)?;
        self.check()?;
        let Grid { pixels, image, columns } = *self;
        let ImageShape { channels, height, width } = image;
        let dimensions = image.dimensions();
        let columns = columns.min(pixels.len() / dimensions);
        let rows = pixels.len().div_ceil(columns * dimensions);
        let (picture_width, picture_height) = (columns * (width + 1) + 1, rows * (height + 1) + 1);
        let scale = (most_width / picture_width).min(MAX_HEIGHT / picture_height).max(1);
        let opaque = |level: u8| [level, level, level, u8::MAX];
        let drawn = |x: usize, y: usize| {
            // Every cell has a line above it and one to its left; the grid's last lines are those of cells beyond it.
            let (row, y) = (y / (height + 1), y % (height + 1));
            let (column, x) = (x / (width + 1), x % (width + 1));
            if x == 0 || y == 0 {
                return opaque(LINE);
            }
            let first = (row * columns + column) * dimensions + ((y - 1) * width + (x - 1)) * channels;
            let mut levels = opaque(0);
            for (level, value) in levels.iter_mut().zip(pixels[first.min(pixels.len())..].iter().take(channels)) {
                *level = (255.0 * value.clamp(0.0, 1.0)).round() as u8;
            }
            levels
        };
        let (picture_width, picture_height) = (picture_width * scale, picture_height * scale);
        let mut picture = Vec::with_capacity(picture_width * picture_height * channels);
        for y in 0..picture_height {
            for x in 0..picture_width {
                picture.extend_from_slice(&drawn(x / scale, y / scale)[..channels]);
            }
        }
        encode(&picture, picture_width as u32, picture_height as u32, colour)
            .map_err(|error| undrawable("a picture that PNG can hold".into(), error.to_string()))
    }

    /// Checks that there are whole images, without NaN.
    fn check(&self) -> Result<(), Error> {
        let Grid { pixels, image, columns } = *self;
        let dimensions = image.dimensions();
        if pixels.is_empty() || columns == 0 || dimensions == 0 || !pixels.len().is_multiple_of(dimensions) {
            let expected = format!("at least one image of {image} and one column");
            return Err(undrawable(expected, format!("{} values in {columns} columns", pixels.len())));
        }
        match pixels.iter().position(|pixel| pixel.is_nan()) {
            None => Ok(()),
            Some(index) => {
                let found = format!("value {} of image {} is NaN", index % dimensions, index / dimensions);
                Err(undrawable("values from 0 to 1".into(), found))
            }
        }
    }
}

/// The type of the PNG with images of this size.
fn colour_type(image: ImageShape) -> Result<ExtendedColorType, Error> {
    COLOURS.iter().find(|(channels, _)| *channels == image.channels).map(|(_, colour)| *colour).ok_or_else(|| {
        let expected = "images of 1, 3 or 4 channels in a PNG (a file whose name ends in .npy can have any number)";
        undrawable(expected.into(), image.to_string())
    })
}

fn undrawable(expected: String, found: String) -> Error {
    Error::Argument { operation: "drawing a grid", expected, found }
}

/// Puts originals above their reconstructions, for a [`Grid`] of the same `columns`: a row of originals, a row of their
/// reconstructions, and so on. If the last originals do not fill a row, both rows end in black images.
///
/// # Shapes
///
/// - `originals`, `reconstructions`: `(N, dimensions)`
/// - the result: `(2 * columns * ceil(N / columns), dimensions)`
///
/// # Errors
///
/// [`Error::Argument`] if the two differ in length or are not whole images, or if there are no columns.
pub fn paired_rows(
    originals: &[f32],
    reconstructions: &[f32],
    dimensions: usize,
    columns: usize,
) -> Result<Vec<f32>, Error> {
    let row = columns * dimensions;
    if originals.len() != reconstructions.len() || row == 0 || !originals.len().is_multiple_of(dimensions) {
        let found = format!("{} and {} values in {columns} columns", originals.len(), reconstructions.len());
        let expected = format!("as many reconstructions as originals, {dimensions} values each, and one column");
        return Err(Error::Argument { operation: "pairing images", expected, found });
    }
    let mut pixels = Vec::with_capacity(2 * originals.len().next_multiple_of(row));
    for (original, reconstruction) in originals.chunks(row).zip(reconstructions.chunks(row)) {
        for images in [original, reconstruction] {
            pixels.extend_from_slice(images);
            pixels.resize(pixels.len().next_multiple_of(row), 0.0);
        }
    }
    Ok(pixels)
}

/// Encodes in memory, where nothing can fail half-way, then writes.
fn write_png(path: &Path, picture: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> Result<(), Error> {
    let png = encode(picture, width, height, colour).map_err(Error::io("write", path))?;
    write_atomically(path, |file| file.write_all(&png))
}

fn encode(picture: &[u8], width: u32, height: u32, colour: ExtendedColorType) -> io::Result<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(picture, width, height, colour).map_err(io::Error::other)?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(grid: Grid) -> image::DynamicImage {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("grid.png");
        grid.write(&path).unwrap();
        image::open(&path).unwrap()
    }

    fn drawn(grid: Grid) -> image::GrayImage {
        let picture = picture(grid);
        assert_eq!(picture.color(), image::ColorType::L8);
        picture.into_luma8()
    }

    fn coloured(channels: usize) -> ImageShape {
        ImageShape { channels, ..ImageShape::grey(2, 3) }
    }

    #[test]
    fn cells_are_where_they_belong() {
        // Five images of 2 x 3 in two columns; pixel i of image n is (10 n + i) / 255.
        let pixels: Vec<f32> = (0..5).flat_map(|n| (0..6).map(move |i| (10 * n + i) as f32 / 255.0)).collect();
        let picture = drawn(Grid { pixels: &pixels, image: ImageShape::grey(2, 3), columns: 2 });
        let scale = 1120 / 9;
        assert_eq!(picture.dimensions(), (9 * scale, 10 * scale));
        for (x, y, grey) in picture.enumerate_pixels() {
            let (x, y) = ((x / scale) as usize, (y / scale) as usize);
            let want = match (x % 4, y % 3) {
                (0, _) | (_, 0) => LINE,
                _ if x > 4 && y > 6 => 0,
                (cell_x, cell_y) => (10 * (y / 3 * 2 + x / 4) + (cell_y - 1) * 3 + cell_x - 1) as u8,
            };
            assert_eq!(grey.0[0], want, "at {x}, {y}");
        }
    }

    #[test]
    fn channels_of_a_pixel_stand_side_by_side() {
        // Three images of 2 x 3 in two columns; value i of image n is (30 n + i) / 255.
        for (channels, colour) in [(3, image::ColorType::Rgb8), (4, image::ColorType::Rgba8)] {
            let image = coloured(channels);
            let value = |n: usize, i: usize| 30 * n + i;
            let values = |n| (0..image.dimensions()).map(move |i| value(n, i) as f32 / 255.0);
            let pixels: Vec<f32> = (0..3).flat_map(values).collect();
            let picture = picture(Grid { pixels: &pixels, image, columns: 2 });
            assert_eq!(picture.color(), colour);
            let (picture, scale) = (picture.into_rgba8(), 1120 / 9);
            assert_eq!(picture.dimensions(), (9 * scale, 7 * scale));
            for (x, y, found) in picture.enumerate_pixels() {
                let (x, y) = ((x / scale) as usize, (y / scale) as usize);
                let want = match (x % 4, y % 3) {
                    (0, _) | (_, 0) => [LINE, LINE, LINE, 255],
                    _ if x > 4 && y > 3 => [0, 0, 0, 255],
                    (cell_x, cell_y) => {
                        let first = value(y / 3 * 2 + x / 4, ((cell_y - 1) * 3 + cell_x - 1) * channels) as u8;
                        [first, first + 1, first + 2, if channels == 4 { first + 3 } else { 255 }]
                    }
                };
                assert_eq!(found.0, want, "{channels} channels, at {x}, {y}");
            }
        }
    }

    #[test]
    fn values_are_clamped_and_rounded() {
        let pixels = [-1.0, f32::NEG_INFINITY, 0.5 / 255.0, 0.499 / 255.0, 127.5 / 255.0, 1.0, 7.0, f32::INFINITY];
        let picture = drawn(Grid { pixels: &pixels, image: ImageShape::grey(1, 8), columns: 3 });
        let scale = picture.width() / 10;
        let row: Vec<u8> = (1..9).map(|x| picture.get_pixel(x * scale, scale).0[0]).collect();
        assert_eq!(row, [0, 0, 1, 0, 128, 255, 255, 255]);
    }

    #[test]
    fn pictures_have_a_handy_size() {
        for (columns, count) in [(1, 1), (10, 64), (16, 256), (20, 400), (10, 200)] {
            let picture = drawn(Grid { pixels: &vec![0.5; count * 784], image: ImageShape::grey(28, 28), columns });
            assert!((560..=1120).contains(&picture.width()), "{columns} columns: {} wide", picture.width());
        }
        let wide = drawn(Grid { pixels: &[0.5; 3000], image: ImageShape::grey(1, 3000), columns: 1 });
        assert_eq!(wide.dimensions(), (3002, 3));
        for (side, width) in [(64, 651), (256, 2571)] {
            let image = ImageShape { channels: 3, ..ImageShape::grey(side, side) };
            let large = picture(Grid { pixels: &vec![0.5; 11 * image.dimensions()], image, columns: 10 });
            assert_eq!(large.width(), width);
        }
    }

    #[test]
    fn refuses_nan_and_wrong_lengths() {
        let mut pixels = [0.0; 12];
        pixels[4 + 3] = f32::NAN;
        let path = Path::new("unwritten.png");
        let message = |grid: Grid| grid.write(path).unwrap_err().to_string();
        let grid = Grid { pixels: &pixels, image: ImageShape::grey(2, 2), columns: 2 };
        assert_eq!(message(grid), "drawing a grid: expected values from 0 to 1, found value 3 of image 1 is NaN");
        let wrong = [
            Grid { pixels: &pixels[..7], ..grid },
            Grid { pixels: &[], ..grid },
            Grid { columns: 0, ..grid },
            Grid { image: ImageShape::grey(2, 0), ..grid },
        ];
        for grid in wrong {
            assert!(message(grid).starts_with("drawing a grid: expected at least one image of "));
        }
        let wanted = "drawing a grid: expected images of 1, 3 or 4 channels in a PNG (a file whose name ends in .npy can have any \
                      number), found 2 x 3 x ";
        for channels in [0, 2, 5] {
            assert_eq!(message(Grid { image: coloured(channels), ..grid }), format!("{wanted}{channels}"));
        }
        assert!(!path.exists());
    }

    #[test]
    fn reconstructions_stand_below_their_originals() {
        let paired = paired_rows(&[1.0, 2.0, 3.0], &[-1.0, -2.0, -3.0], 1, 2).unwrap();
        assert_eq!(paired, [1.0, 2.0, -1.0, -2.0, 3.0, 0.0, -3.0, 0.0]);
        for (originals, reconstructions, dimensions, columns) in
            [(4, 3, 1, 1), (3, 3, 2, 1), (4, 4, 2, 0), (4, 4, 0, 2)]
        {
            let (originals, reconstructions) = (vec![0.0; originals], vec![0.0; reconstructions]);
            let result = paired_rows(&originals, &reconstructions, dimensions, columns);
            assert!(matches!(result, Err(Error::Argument { .. })));
        }
    }
}
