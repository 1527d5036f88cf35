//! The training curve as a PNG: elbo large, nll and kl beside it.

use std::io;
use std::path::Path;
use std::sync::Once;

use image::imageops::thumbnail;
use image::{ExtendedColorType, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::axis::{MAX_VALUE, VALUE_TICKS, epoch_ticks, value_format, value_range, value_ticks};
use super::write_png;
use crate::Error;
use crate::step::metrics::{Averages, EpochMetrics};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 520;
/// The picture is drawn this much larger and then shrunk, because plotters puts glyphs and the ends of lines on whole
/// pixels. All sizes below are in these smaller pixels.
const OVERSAMPLING: u32 = 2;
/// Blue and vermilion, which colour-blind readers can tell apart too (Okabe & Ito 2008).
const TRAIN: RGBColor = RGBColor(0, 114, 178);
const TEST: RGBColor = RGBColor(213, 94, 0);
const TEXT: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(225, 225, 225);
/// With at most this number of epochs, each has a marker, so that a single one is visible.
const MAX_MARKERS: usize = 50;

/// The name under which the embedded font is registered: plotters on its own has none.
const FONT: &str = "sans-serif";
static FONT_FILE: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-subset.ttf");
static REGISTER_FONT: Once = Once::new();

/// Draws train and test over the epochs of a run.
///
/// # Errors
///
/// [`Error::Argument`] if there is no epoch, or if a value is NaN, infinite or absurdly large; [`Error::Io`] if the file
/// cannot be written.
pub fn write(path: &Path, epochs: &[EpochMetrics]) -> Result<(), Error> {
    let bad = |expected, found| Error::Argument { operation: "drawing curves", expected, found };
    if epochs.is_empty() {
        return Err(bad("at least one epoch".into(), "none".into()));
    }
    for epoch in epochs {
        for Averages { elbo, nll, kl, .. } in [epoch.train, epoch.held_out().1] {
            if let Some(value) = [elbo, nll, kl].into_iter().find(|value| value.is_nan() || value.abs() > MAX_VALUE) {
                let expected = format!("values from -{MAX_VALUE:e} to {MAX_VALUE:e}");
                return Err(bad(expected, format!("{value:e} in epoch {}", epoch.epoch)));
            }
        }
    }
    REGISTER_FONT.call_once(|| {
        // A font that cannot be read is reported by the first text to be drawn in it.
        let _ = register_font(FONT, FontStyle::Normal, FONT_FILE);
    });
    let mut picture = RgbImage::new(WIDTH * OVERSAMPLING, HEIGHT * OVERSAMPLING);
    draw(&mut picture, epochs).map_err(|error| Error::io("draw", path)(io::Error::other(error.to_string())))?;
    let picture = thumbnail(&picture, WIDTH, HEIGHT);
    write_png(path, &picture, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// plotters' own error has the type parameters of the whole drawing.
type DrawError = Box<dyn std::error::Error>;

fn draw(picture: &mut RgbImage, epochs: &[EpochMetrics]) -> Result<(), DrawError> {
    let size = picture.dimensions();
    let root = BitMapBackend::with_buffer(picture, size).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.margin(16, 4, 4, 16);
    let (large, small) = root.split_horizontally(1440);
    let (top, bottom) = small.split_vertically(HEIGHT * OVERSAMPLING / 2 - 10);
    draw_panel(&large, "elbo (larger is better)", epochs, |averages| averages.elbo)?;
    draw_panel(&top, "nll (negative log likelihood)", epochs, |averages| averages.nll)?;
    draw_panel(&bottom, "kl (posterior to prior)", epochs, |averages| averages.kl)?;
    // In the line of the title, where no curve can run into it.
    for (x, name, colour) in [(1110, "train", TRAIN), (1280, epochs[0].held_out().0, TEST)] {
        root.draw(&PathElement::new([(x, 42), (x + 50, 42)], colour.stroke_width(6)))?;
        root.draw(&Text::new(name, (x + 62, 42), text(32).pos(Pos::new(HPos::Left, VPos::Center))))?;
    }
    root.present()?;
    Ok(())
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&TEXT)
}

/// Draws one value, train and test, with its axes.
fn draw_panel(area: &Area, title: &str, epochs: &[EpochMetrics], value: fn(&Averages) -> f64) -> Result<(), DrawError> {
    let (first, last) = (i64::from(epochs[0].epoch), i64::from(epochs[epochs.len() - 1].epoch));
    let margin = 1 + (last - first) / 50;
    let train: Vec<f64> = epochs.iter().map(|epoch| value(&epoch.train)).collect();
    let test: Vec<f64> = epochs.iter().map(|epoch| value(&epoch.held_out().1)).collect();
    let (low, high) = value_range([train.as_slice(), &test]);

    let mut chart = ChartBuilder::on(area)
        .caption(title, text(38))
        .margin(20)
        .x_label_area_size(88)
        .y_label_area_size(170)
        .build_cartesian_2d((first - margin..last + margin).with_key_points(epoch_ticks(first, last)), low..high)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(FAINT.stroke_width(2))
        .light_line_style(TRANSPARENT)
        .axis_style(TEXT.stroke_width(2))
        .set_all_tick_mark_size(8)
        .y_labels(VALUE_TICKS)
        .label_style(text(30))
        .axis_desc_style(text(30))
        .x_desc("epoch")
        .y_desc("nats per example")
        .y_label_formatter(&value_format(&value_ticks(low, high)))
        .draw()?;
    // Train is wider, so that it is visible under test.
    for (colour, width, values) in [(TRAIN, 8, train), (TEST, 4, test)] {
        let points = || epochs.iter().map(|epoch| i64::from(epoch.epoch)).zip(values.iter().copied());
        let line: Vec<_> = points().map(|(epoch, value)| (epoch, value.clamp(low, high))).collect();
        // Segment by segment: the mitred corners of one long path stick out where a curve zigzags.
        chart.draw_series(line.windows(2).map(|ends| PathElement::new(ends, colour.stroke_width(width))))?;
        let radius = if epochs.len() <= MAX_MARKERS { width + 3 } else { width / 2 };
        let within = points().filter(|(_, value)| (low..=high).contains(value));
        chart.draw_series(within.map(|point| Circle::new(point, radius, colour.filled())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(range: std::ops::RangeInclusive<u32>, nll: impl Fn(f64) -> f64) -> Vec<EpochMetrics> {
        let averages = |nll: f64| Averages { elbo: -nll - 5.0, nll, kl: 5.0, loss: nll + 5.0 };
        let of_epoch = |epoch: u32| EpochMetrics {
            epoch,
            train: averages(nll(f64::from(epoch))),
            validation: None,
            test: Some(averages(1.02 * nll(f64::from(epoch)) + 1.0)),
            best: false,
            kl_weight: 1.0,
            learning_rate: 1e-3,
            gradient_norm: None,
            left_out: 0,
            active_units: None,
            examples_per_second: 1.0,
            seconds: 1.0,
        };
        range.map(of_epoch).collect()
    }

    /// How many pixels of the picture have exactly this colour.
    fn count(picture: &RgbImage, RGBColor(r, g, b): RGBColor) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == [r, g, b]).count()
    }

    fn drawn(epochs: &[EpochMetrics]) -> RgbImage {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("curves.png");
        write(&path, epochs).unwrap();
        image::open(path).unwrap().into_rgb8()
    }

    #[test]
    fn any_number_of_epochs_and_any_finite_values_show() {
        for (last, value) in [(1, 100.0), (2, 100.0), (5, 0.0), (60, -1e7), (3, 1e38), (2, 1e99)] {
            let picture = drawn(&epochs(1..=last, |epoch| value + value / epoch));
            assert_eq!(picture.dimensions(), (WIDTH, HEIGHT));
            for colour in [TRAIN, TEST] {
                // The legend alone has about 75.
                assert!(count(&picture, colour) > 120, "{last} epochs of {value}: {}", count(&picture, colour));
            }
        }
    }

    #[test]
    fn refuses_what_has_no_place() {
        let path = Path::new("unwritten.png");
        assert!(matches!(write(path, &[]), Err(Error::Argument { .. })));
        for value in [f64::NAN, f64::INFINITY, f64::MAX] {
            let error = write(path, &epochs(1..=3, |epoch| if epoch == 2.0 { value } else { 1.0 })).unwrap_err();
            assert!(error.to_string().starts_with("drawing curves: expected values from -1e100 to 1e100, found "));
            assert!(error.to_string().ends_with(" in epoch 2"));
        }
        assert!(!path.exists());
    }
}
