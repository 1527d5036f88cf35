//! Samples in the terminal: each character is two pixels, the upper half of a block on a background.

use std::io::IsTerminal;

use elbo::Error;
use elbo::data::ImageShape;
use elbo::image::Grid;
use elbo::likelihood::Pixels;
use elbo::vae::Vae;
use image::imageops::{FilterType, resize};
use image::{Rgb, Rgb32FImage};
use terminal_size::{Width, terminal_size_of};

const SAMPLES: usize = 8;
/// The columns of a terminal that does not tell its size.
const WIDTH: u16 = 80;
/// Columns before each line.
const INDENT: usize = 2;
/// Back to the terminal's own colours.
const RESET: &str = "\u{1b}[0m";

/// A row of samples, in lines that fit the terminal. None if standard output is no terminal, or the samples are no pictures.
///
/// # Errors
///
/// As [`Vae::sample`].
pub fn lines(vae: &Vae) -> Result<Vec<String>, Error> {
    let image = vae.model().image();
    let (Ok(image), true) = (image, std::io::stdout().is_terminal()) else { return Ok(Vec::new()) };
    if Grid::draws(image).is_err() {
        return Ok(Vec::new());
    }
    let samples = vae.model().shown(vae.sample(SAMPLES, 0, Pixels::Mean)?);
    let Width(width) = terminal_size_of(std::io::stdout()).map_or(Width(WIDTH), |(width, _)| width);
    Ok(blocks(&samples, image, usize::from(width).saturating_sub(INDENT)))
}

/// Images side by side, with a column between two, made smaller to fit a width in characters.
fn blocks(samples: &[f32], image: ImageShape, width: usize) -> Vec<String> {
    let count = samples.len() / image.dimensions();
    let most = (width.saturating_sub(count - 1) / count).max(1);
    let columns = image.width.min(most);
    let rows = (image.height * columns).div_ceil(image.width);
    let small = |sample: &[f32]| {
        let pixel = |x: u32, y: u32| rgb(sample, image, (y as usize) * image.width + x as usize);
        let full = Rgb32FImage::from_fn(image.width as u32, image.height as u32, pixel);
        resize(&full, columns as u32, rows as u32, FilterType::Triangle)
    };
    let samples: Vec<_> = samples.chunks_exact(image.dimensions()).map(small).collect();
    let line = |row: u32| {
        let cells = samples.iter().map(|sample| {
            let cell = |x: u32| {
                let lower = sample.get_pixel_checked(x, row + 1).map(|pixel| format!("\u{1b}[48;2;{}m", levels(pixel)));
                format!("\u{1b}[38;2;{}m{}▀", levels(sample.get_pixel(x, row)), lower.unwrap_or_default())
            };
            (0..columns as u32).map(cell).collect::<String>() + RESET
        });
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..rows as u32).step_by(2).map(line).collect()
}

/// A pixel from 0 to 1. What is transparent is shown on black.
fn rgb(sample: &[f32], image: ImageShape, pixel: usize) -> Rgb<f32> {
    let values = &sample[pixel * image.channels..][..image.channels];
    let value = |channel: usize| values[channel].clamp(0.0, 1.0);
    match image.channels {
        1 => Rgb([value(0); 3]),
        3 => Rgb([0, 1, 2].map(value)),
        _ => Rgb([0, 1, 2].map(|channel| value(channel) * value(3))),
    }
}

fn levels(pixel: &Rgb<f32>) -> String {
    pixel.0.map(|value| ((255.0 * value.clamp(0.0, 1.0)).round() as u8).to_string()).join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_of_pixels_are_one_line() {
        let image = ImageShape { channels: 3, height: 3, width: 1 };
        let samples: Vec<f32> = (0..9).map(|i| (10 * i) as f32 / 255.0).chain([1.0; 9]).collect();
        let white = "\u{1b}[38;2;255;255;255m";
        assert_eq!(
            blocks(&samples, image, 80),
            [
                format!("\u{1b}[38;2;0;10;20m\u{1b}[48;2;30;40;50m▀{RESET} {white}\u{1b}[48;2;255;255;255m▀{RESET}"),
                format!("\u{1b}[38;2;60;70;80m▀{RESET} {white}▀{RESET}"),
            ]
        );
    }

    #[test]
    fn eight_images_fit_the_terminal() {
        let columns = |width| {
            let lines = blocks(&[0.5; 8 * 784], ImageShape::grey(28, 28), width);
            (lines.len(), lines[0].matches('▀').count() + 7)
        };
        assert_eq!([78, 300, 3].map(columns), [(4, 71), (14, 231), (1, 15)]);
    }
}
