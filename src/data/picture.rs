//! One picture: its header, and its pixels as bytes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageReader, Limits};

use super::config::Colour;
use super::resize::luma;
use super::{ImageShape, parallel, unlike};
use crate::Error;

/// The endings of pictures' names.
pub(super) const EXTENSIONS: [&str; 11] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "apng"];

/// The most pixels of a picture.
const MAX_PIXELS: u64 = 1 << 27;
/// The most memory of a decoder, in bytes: 16 bytes for each pixel.
const MAX_MEMORY: u64 = 16 * MAX_PIXELS;

/// What a header says about a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// In pixels, turned as the picture's EXIF data say.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// Whether it has colours.
    pub colour: bool,
}

/// Reads a picture's header.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it is not a picture, or one that is too large.
pub(super) fn header(path: &Path) -> Result<Header, Error> {
    let file = BufReader::new(File::open(path).map_err(Error::io("read", path))?);
    guard(path, || Ok(opened(path, file)?.1))
}

/// The pixels of a picture as a model sees them.
pub(super) struct Pixels {
    /// `(height, width, channels)`.
    pub bytes: Vec<u8>,
    pub shape: ImageShape,
    /// Whether they say all that the file said: not if it has transparent pixels, or more than 8 bits for each value.
    pub exact: bool,
}

/// Reads a picture: of one channel, or of three. Transparent pixels are laid over the background. Of an animation, the first
/// image is read.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it is damaged, or has no colours that can be converted.
pub(super) fn pixels(path: &Path, channels: usize, background: Colour) -> Result<Pixels, Error> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    if let Some(fault) = jpeg_fault(&bytes) {
        return Err(unlike(path, "a whole JPEG, grey or RGB", fault));
    }
    guard(path, || {
        let (mut decoder, header) = opened(path, Cursor::new(&bytes))?;
        let orientation = decoder.orientation().map_err(|error| refused(path, error))?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| refused(path, error))?;
        picture.apply_orientation(orientation);
        let shape = ImageShape { channels, height: header.height, width: header.width };
        let exact = is_exact(&picture);
        Ok(Pixels { bytes: opaque(picture, channels, background), shape, exact })
    })
}

fn guard<T>(path: &Path, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    parallel::guarded(work).unwrap_or_else(|fault| Err(unlike(path, "a picture", fault)))
}

/// A decoder that has read the header, and the header.
fn opened<'a>(path: &Path, file: impl BufRead + Seek + 'a) -> Result<(impl ImageDecoder + 'a, Header), Error> {
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(Error::io("read", path))?;
    if reader.format().is_none() {
        let is_empty = fs::metadata(path).is_ok_and(|file| file.len() == 0);
        let found = if is_empty { "an empty file" } else { "something else" };
        return Err(unlike(path, "a PNG, JPEG, WebP, BMP, GIF or TIFF picture", found));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| refused(path, error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width == 0 || height == 0 {
        let found = format!("{height} x {width}");
        return Err(unlike(path, format!("a picture of 1 to {MAX_PIXELS} pixels"), found));
    }
    if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
        return Err(unlike(path, "grey or RGB colours", "CMYK: convert the picture to RGB"));
    }
    let turned = decoder.orientation().map_err(|error| refused(path, error))?;
    let is_turned = !matches!(
        turned,
        Orientation::NoTransforms | Orientation::Rotate180 | Orientation::FlipHorizontal | Orientation::FlipVertical
    );
    let [height, width] = if is_turned { [width, height] } else { [height, width] };
    let header = Header { height: height as usize, width: width as usize, colour: decoder.color_type().has_color() };
    Ok((decoder, header))
}

fn refused(path: &Path, error: ImageError) -> Error {
    let reason = error.to_string().replace('\n', " ");
    match error {
        ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io("read", path)(error)
        }
        ImageError::IoError(_) => unlike(path, "a whole picture", "one that ends too early: the file is cut short"),
        _ => unlike(path, "a picture", format!("a damaged or unknown one ({reason})")),
    }
}

fn is_exact(picture: &DynamicImage) -> bool {
    let colour = picture.color();
    let has_more_bits = colour.bits_per_pixel() > 8 * u16::from(colour.channel_count());
    let is_opaque = match picture {
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels().all(|pixel| pixel.0[1] == u8::MAX),
        DynamicImage::ImageRgba8(pixels) => pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX),
        _ => !colour.has_alpha(),
    };
    is_opaque && !has_more_bits
}

/// The pixels as bytes, laid over the background.
fn opaque(picture: DynamicImage, channels: usize, Colour(background): Colour) -> Vec<u8> {
    let has_colour = picture.color().has_color();
    let over = |alpha: u8, value: u8, behind: u8| {
        let (alpha, value, behind) = (u32::from(alpha), u32::from(value), u32::from(behind));
        ((alpha * value + (255 - alpha) * behind + 127) / 255) as u8
    };
    let colours: Vec<u8> = match (picture.color().has_alpha(), has_colour) {
        (false, false) if channels == 1 => return picture.into_luma8().into_raw(),
        (true, false) if channels == 1 => {
            let pixels = picture.into_luma_alpha8().into_raw();
            let behind = luma(background);
            return pixels.as_chunks::<2>().0.iter().map(|[grey, alpha]| over(*alpha, *grey, behind)).collect();
        }
        (false, _) => picture.into_rgb8().into_raw(),
        (true, _) => {
            let pixels = picture.into_rgba8().into_raw();
            let blend = |[red, green, blue, alpha]: &[u8; 4]| {
                [
                    over(*alpha, *red, background[0]),
                    over(*alpha, *green, background[1]),
                    over(*alpha, *blue, background[2]),
                ]
            };
            pixels.as_chunks::<4>().0.iter().flat_map(blend).collect()
        }
    };
    if channels == 1 { colours.as_chunks::<3>().0.iter().map(|pixel| luma(*pixel)).collect() } else { colours }
}

/// What is wrong with a JPEG that the decoder would read all the same: the end is missing, or it has four inks.
fn jpeg_fault(bytes: &[u8]) -> Option<&'static str> {
    const END: [u8; 2] = [0xff, 0xd9];
    const SCAN: [u8; 2] = [0xff, 0xda];
    if !bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return None;
    }
    // Neither marker occurs in the coded data of a scan. A thumbnail in the header has an end of its own.
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|bytes| bytes == marker);
    if last(END) < last(SCAN) || last(END).is_none() {
        return Some("one that ends too early: the file is cut short");
    }
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = bytes.get(at..at + 4) {
        let is_frame = matches!(marker, 0xc0..=0xcf) && ![0xc4, 0xc8, 0xcc].contains(marker);
        if is_frame && bytes.get(at + 9) == Some(&4) {
            return Some("CMYK: convert the picture to RGB");
        }
        if is_frame || *marker == 0xda {
            return None;
        }
        at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    None
}

#[cfg(test)]
mod tests {
    use image::ExtendedColorType::{self, L8, L16, La8, Rgb8, Rgb16, Rgba8};

    use super::super::fixtures::picture;
    use super::*;

    fn read(name: &str, size: [u32; 2], colour: ExtendedColorType, bytes: &[u8], channels: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        picture(&path, size, colour, bytes);
        let found = header(&path).unwrap();
        let Pixels { bytes: pixels, shape, .. } = pixels(&path, channels, Colour([255, 0, 0])).unwrap();
        assert_eq!([found.width, found.height].map(|side| side as u32), size);
        assert_eq!([shape.width, shape.height, shape.channels], [found.width, found.height, channels]);
        pixels
    }

    /// The error for a file.
    fn refusal(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, bytes).unwrap();
        let error =
            header(&path).and_then(|_| pixels(&path, 3, Colour::default()).map(|_| ())).unwrap_err().to_string();
        assert!(error.contains("/a: expected ") && !error.contains('\n'), "{error}");
        error
    }

    fn saved(format: image::ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let pixels = (0..48 * 3).map(|i| (i * 31 % 256) as u8).collect();
        image::RgbImage::from_raw(8, 6, pixels).unwrap().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_and_kind_of_colour() {
        for name in ["a.png", "a.bmp", "a.tiff", "a.webp"] {
            assert_eq!(read(name, [2, 1], Rgb8, &[1, 2, 3, 4, 5, 6], 3), [1, 2, 3, 4, 5, 6], "{name}");
        }
        assert_eq!(read("a.jpg", [8, 8], Rgb8, &[100; 192], 1), [100; 64]);
        assert_eq!(read("a.gif", [1, 1], Rgba8, &[9, 9, 9, 255], 3), [9, 9, 9]);
        assert_eq!(read("a.png", [1, 1], L8, &[7], 3), [7; 3]);
        // 16 bits are rounded, not cut off.
        let sixteen: Vec<u8> = [0x0101u16, 0x00ff, 0xffff].into_iter().flat_map(u16::to_ne_bytes).collect();
        assert_eq!(read("a.png", [3, 1], L16, &sixteen, 1), [1, 1, 255]);
        assert_eq!(read("a.png", [1, 1], Rgb16, &sixteen, 3), [1, 1, 255]);
        // Over red.
        assert_eq!(read("a.png", [2, 1], Rgba8, &[0, 0, 255, 255, 0, 0, 255, 51], 3), [0, 0, 255, 204, 0, 51]);
        assert_eq!(read("a.png", [1, 1], La8, &[200, 0], 3), [255, 0, 0]);
        assert_eq!(read("a.png", [1, 1], La8, &[200, 0], 1), [76]);
    }

    #[test]
    fn pictures_are_turned_as_their_exif_data_say() {
        let mut encoded = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut encoded, 100);
        // An EXIF block with orientation 6: to be turned by 90 degrees clockwise.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif.to_vec()).unwrap();
        let left_black: Vec<u8> = (0..16 * 8).map(|i| if i % 16 < 8 { 0 } else { 255 }).collect();
        image::ImageEncoder::write_image(encoder, &left_black, 16, 8, L8).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        fs::write(&path, encoded).unwrap();
        let Pixels { bytes: pixels, shape, .. } = pixels(&path, 1, Colour::default()).unwrap();
        assert_eq!((shape, header(&path).unwrap().height), (ImageShape::grey(16, 8), 16));
        assert!(pixels[0] < 20 && pixels[127] > 235, "{pixels:?}");
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        let mut png = saved(image::ImageFormat::Png);
        png[16..24].copy_from_slice(&[20_000u32.to_be_bytes(); 2].concat());
        let sum = crc(&png[12..29]);
        png[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(refusal(&png).ends_with("expected a picture of 1 to 134217728 pixels, found 20000 x 20000"));
    }

    /// The checksum of a PNG's chunk.
    fn crc(bytes: &[u8]) -> u32 {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum()
    }

    #[test]
    fn truncations_are_refused() {
        use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        for format in [Png, Jpeg, WebP, Bmp, Gif, Tiff] {
            let whole = saved(format);
            for end in (0..whole.len() - 12).step_by(5) {
                refusal(&whole[..end]);
            }
        }
    }

    #[test]
    fn four_inks_are_refused() {
        let mut jpeg = saved(image::ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|bytes| bytes == [0xff, 0xc0]).unwrap();
        jpeg[frame + 9] = 4;
        assert_eq!(jpeg_fault(&jpeg), Some("CMYK: convert the picture to RGB"));
    }
}
