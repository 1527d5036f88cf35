//! Images of another size, in grey, or transposed.

use bytemuck::Pod;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::config::{Colour, Fit, Size};
use super::images::PixelValues;
use super::part::MAX_VALUES;
use super::{ImageShape, parallel};
use crate::Error;
use crate::error::require;

/// How images come to a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resize {
    pub size: Size,
    pub fit: Fit,
    /// The colour of the bars.
    pub background: Colour,
}

/// The type of an image's values.
pub(super) trait Sample: Pod + Default + Send + Sync {
    /// The pixels of one to four channels.
    const PIXELS: [PixelType; 4];
    /// The value of a level from 0 to 255.
    fn level(level: u8) -> Self;
}

impl Sample for u8 {
    const PIXELS: [PixelType; 4] = [PixelType::U8, PixelType::U8x2, PixelType::U8x3, PixelType::U8x4];
    fn level(level: u8) -> u8 {
        level
    }
}

impl Sample for f32 {
    const PIXELS: [PixelType; 4] = [PixelType::F32, PixelType::F32x2, PixelType::F32x3, PixelType::F32x4];
    fn level(level: u8) -> f32 {
        f32::from(level) / 255.0
    }
}

impl Resize {
    /// All images of a part.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if they have more than four channels, or would be too large.
    pub fn all(&self, values: &PixelValues, count: usize, shape: ImageShape) -> Result<PixelValues, Error> {
        require("--size", shape.channels <= 4, "images of at most four channels", shape)?;
        self.check(count, shape.channels)?;
        match values {
            PixelValues::Bytes(bytes) => self.rows(bytes, count, shape).map(PixelValues::Bytes),
            PixelValues::Floats(floats) => self.rows(floats, count, shape).map(PixelValues::Floats),
        }
    }

    /// Checks that the resized images are not too large.
    pub fn check(&self, count: usize, channels: usize) -> Result<(), Error> {
        let target = self.target(channels);
        target.validate()?;
        let fits = (target.dimensions() as u64).saturating_mul(count as u64) <= MAX_VALUES;
        require("--size", fits, &format!("a size at which {count} images have at most {MAX_VALUES} values"), self.size)
    }

    fn target(&self, channels: usize) -> ImageShape {
        ImageShape { channels, height: self.size.height, width: self.size.width }
    }

    fn rows<T: Sample>(&self, values: &[T], count: usize, shape: ImageShape) -> Result<Vec<T>, Error> {
        let width = self.target(shape.channels).dimensions();
        let mut resized = vec![T::default(); count * width];
        let pairs = values.chunks_exact(shape.dimensions()).zip(resized.chunks_exact_mut(width));
        let results = parallel::map(pairs, false, |(from, to)| self.image(from, shape, to), &|_| ());
        results.into_iter().collect::<Result<(), _>>()?;
        Ok(resized)
    }

    /// One image, from `shape` to the size, with an antialiasing bilinear filter, as Pillow and torchvision use it. An image
    /// that has the size is unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the values do not fit the shapes.
    pub fn image<T: Sample>(&self, from: &[T], shape: ImageShape, to: &mut [T]) -> Result<(), Error> {
        let Resize { size: Size { height, width }, fit, .. } = *self;
        let pixel = T::PIXELS[shape.channels - 1];
        if [shape.height, shape.width] == [height, width] {
            to.copy_from_slice(from);
            return Ok(());
        }
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
        let options = if fit == Fit::Crop { options.fit_into_destination(None) } else { options };
        let bad = |error: &dyn std::fmt::Display| Error::Argument {
            operation: "resizing an image",
            expected: format!("an image of {shape}"),
            found: error.to_string(),
        };
        let source = ImageRef::new(shape.width as u32, shape.height as u32, bytemuck::cast_slice(from), pixel);
        let source = source.map_err(|error| bad(&error))?;
        let resize = |to: &mut [T], height: usize, width: usize| {
            let target = Image::from_slice_u8(width as u32, height as u32, bytemuck::cast_slice_mut(to), pixel);
            let mut target = target.map_err(|error| bad(&error))?;
            Resizer::new().resize(&source, &mut target, &options).map_err(|error| bad(&error))
        };
        if fit != Fit::Pad {
            return resize(to, height, width);
        }
        let [inner_height, inner_width] = within([shape.height, shape.width], [height, width]);
        let mut inner = vec![T::default(); inner_height * inner_width * shape.channels];
        resize(&mut inner, inner_height, inner_width)?;
        for pixel in to.chunks_exact_mut(shape.channels) {
            pixel.copy_from_slice(&bars::<T>(self.background)[shape.channels - 1][..shape.channels]);
        }
        let [top, left] = [(height - inner_height) / 2, (width - inner_width) / 2];
        let row = inner_width * shape.channels;
        for (y, pixels) in inner.chunks_exact(row).enumerate() {
            let start = ((top + y) * width + left) * shape.channels;
            to[start..start + row].copy_from_slice(pixels);
        }
        Ok(())
    }
}

/// The bars' pixels of one to four channels. Two and four channels have no known colours: they take its grey.
fn bars<T: Sample>(Colour([red, green, blue]): Colour) -> [[T; 4]; 4] {
    let grey = T::level(luma([red, green, blue]));
    [[grey; 4], [grey; 4], [T::level(red), T::level(green), T::level(blue), grey], [grey; 4]]
}

/// The largest height and width of the shape `[height, width]` that fit.
fn within([height, width]: [usize; 2], [most_height, most_width]: [usize; 2]) -> [usize; 2] {
    let scale = (most_height as f64 / height as f64).min(most_width as f64 / width as f64);
    let side = |side: usize, most: usize| ((side as f64 * scale).round() as usize).clamp(1, most);
    [side(height, most_height), side(width, most_width)]
}

/// Grey of a colour, with Pillow's weights: `0.299 R + 0.587 G + 0.114 B`.
pub(super) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// Colour images in grey.
pub(super) fn grey(values: &PixelValues) -> PixelValues {
    match values {
        PixelValues::Bytes(bytes) => {
            PixelValues::Bytes(bytes.as_chunks::<3>().0.iter().map(|pixel| luma(*pixel)).collect())
        }
        PixelValues::Floats(floats) => {
            let luma = |[red, green, blue]: &[f32; 3]| 0.299 * red + 0.587 * green + 0.114 * blue;
            PixelValues::Floats(floats.as_chunks::<3>().0.iter().map(luma).collect())
        }
    }
}

/// Images with rows and columns exchanged.
pub(super) fn transposed(values: &PixelValues, shape: ImageShape) -> PixelValues {
    match values {
        PixelValues::Bytes(bytes) => PixelValues::Bytes(transposed_rows(bytes, shape)),
        PixelValues::Floats(floats) => PixelValues::Floats(transposed_rows(floats, shape)),
    }
}

fn transposed_rows<T: Copy>(values: &[T], ImageShape { channels, height, width }: ImageShape) -> Vec<T> {
    let mut transposed = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * height * width) {
        for x in 0..width {
            for y in 0..height {
                let at = (y * width + x) * channels;
                transposed.extend_from_slice(&image[at..at + channels]);
            }
        }
    }
    transposed
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: ImageShape = ImageShape { channels: 3, height: 2, width: 4 };

    fn resized(fit: Fit, [height, width]: [usize; 2]) -> Vec<u8> {
        let resize = Resize { size: Size { height, width }, fit, background: Colour([9, 8, 7]) };
        // Two columns of red between columns of blue.
        let (red, blue) = ([200, 0, 0], [0, 0, 100]);
        let image = [blue, red, red, blue, blue, red, red, blue].concat();
        let PixelValues::Bytes(bytes) = resize.all(&PixelValues::Bytes(image), 1, COLOUR).unwrap() else { panic!() };
        bytes
    }

    #[test]
    fn images_are_cut_padded_or_stretched() {
        let (red, background) = ([200, 0, 0], [9, 8, 7]);
        assert_eq!(resized(Fit::Crop, [2, 2]), [red; 4].concat());
        let padded = resized(Fit::Pad, [4, 4]);
        assert_eq!((&padded[..12], &padded[36..]), (&[background; 4].concat()[..], &[background; 4].concat()[..]));
        assert_eq!(&padded[15..18], red);
        let stretched = resized(Fit::Stretch, [2, 2]);
        assert!(stretched.chunks(3).all(|pixel| pixel[0] > 60 && pixel[2] > 20), "{stretched:?}");
    }

    #[test]
    fn floats_are_resized_like_bytes() {
        let levels: Vec<u8> = (0..64).map(|i| (i * 37 % 256) as u8).collect();
        let floats = levels.iter().map(|level| f32::from(*level) / 255.0).collect();
        let resize = Resize { size: "5x6".parse().unwrap(), fit: Fit::Stretch, background: Colour::default() };
        let shape = ImageShape::grey(8, 8);
        let bytes = resize.all(&PixelValues::Bytes(levels), 1, shape).unwrap();
        let floats = resize.all(&PixelValues::Floats(floats), 1, shape).unwrap();
        let (PixelValues::Bytes(bytes), PixelValues::Floats(floats)) = (bytes, floats) else { panic!() };
        for (byte, float) in bytes.iter().zip(floats) {
            assert!((f32::from(*byte) - 255.0 * float).abs() <= 1.0, "{byte} {float}");
        }
    }

    #[test]
    fn grey_and_transposed() {
        let colour = PixelValues::Bytes(vec![255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]);
        assert_eq!(grey(&colour), PixelValues::Bytes(vec![255, 76, 150, 29]));
        let rows = transposed(&PixelValues::Bytes((0..12).collect()), ImageShape::grey(2, 3));
        assert_eq!(rows, PixelValues::Bytes(vec![0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]));
    }

    #[test]
    fn sizes_that_are_too_large_are_refused() {
        let resize = Resize { size: "1000".parse().unwrap(), fit: Fit::Crop, background: Colour::default() };
        assert!(resize.check(4000, 1).is_ok());
        assert!(resize.check(1_000_000, 1).unwrap_err().to_string().starts_with("--size: expected "));
        assert!(resize.check(1, 3).is_err());
    }
}
