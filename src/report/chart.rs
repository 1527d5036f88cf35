//! Curves over the epochs: where each point, tick and label of an SVG is.

use serde::Serialize;

use super::{shown, with_minus};
use crate::image::axis::{MAX_VALUE, epoch_ticks, value_format, value_range, value_ticks};

/// The width and the height of a chart, in the units of its SVG. Text has 13 of them, which is still legible on a narrow screen.
const SIZE: [f64; 2] = [480.0, 270.0];
/// The room on the left, above, on the right and below.
const ROOM: [f64; 4] = [62.0, 10.0, 14.0, 40.0];
/// With at most this number of epochs, each has a marker.
const MAX_MARKERS: usize = 50;
/// How many colours and how many dashes the style sheet has.
const COLOURS: usize = 7;
const DASHES: usize = 4;

/// A curve: its name, and its value in each of some epochs.
#[derive(Clone, Debug)]
pub struct Curve {
    pub name: String,
    pub points: Vec<(u32, f64)>,
}

/// What a template needs to draw curves.
#[derive(Debug, Serialize)]
pub struct Chart {
    id: String,
    title: String,
    /// What the values are.
    unit: String,
    width: f64,
    height: f64,
    frame: Frame,
    value_ticks: Vec<Tick>,
    epoch_ticks: Vec<Tick>,
    lines: Vec<Line>,
    hover: Hover,
}

/// The edges of the area that has the curves.
#[derive(Clone, Copy, Debug, Serialize)]
struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

#[derive(Debug, Serialize)]
struct Tick {
    at: f64,
    label: String,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    /// Its place in the palette, so that no two curves of a few have the same colour or the same dashes.
    colour: usize,
    dash: usize,
    /// The points of a `polyline`.
    points: String,
    /// Where its markers are, with what they say.
    markers: Vec<Marker>,
}

#[derive(Debug, Serialize)]
struct Marker {
    x: f64,
    y: f64,
    label: String,
}

/// What the script shows, and the table below the chart.
#[derive(Debug, Serialize)]
struct Hover {
    epochs: Vec<u32>,
    xs: Vec<f64>,
    names: Vec<String>,
    /// For each epoch, the value of each curve; empty where it has none.
    values: Vec<Vec<String>>,
}

impl Chart {
    /// Places curves; `None` if they have no value that can be drawn.
    pub fn of(id: &str, title: &str, unit: &str, curves: &[Curve]) -> Option<Chart> {
        // NaN is within no range.
        let drawable = |curve: &Curve| Curve {
            name: curve.name.clone(),
            points: curve.points.iter().copied().filter(|(_, value)| value.abs() <= MAX_VALUE).collect(),
        };
        let curves: Vec<Curve> = curves.iter().map(drawable).filter(|curve| !curve.points.is_empty()).collect();
        let mut epochs: Vec<u32> = curves.iter().flat_map(|curve| &curve.points).map(|(epoch, _)| *epoch).collect();
        epochs.sort_unstable();
        epochs.dedup();
        let (first, last) = (*epochs.first()?, *epochs.last()?);
        let values: Vec<Vec<f64>> =
            curves.iter().map(|curve| curve.points.iter().map(|(_, value)| *value).collect()).collect();
        let (low, high) = value_range(values.iter().map(Vec::as_slice));
        // Between whole numbers there is nothing to tell.
        let are_whole = values.iter().flatten().all(|value| value.fract() == 0.0);
        let (low, high) =
            if are_whole { (low.min(low.round() - 0.5), high.max(high.round() + 0.5)) } else { (low, high) };
        let [width, height] = SIZE;
        let frame = Frame { left: ROOM[0], top: ROOM[1], right: width - ROOM[2], bottom: height - ROOM[3] };
        // A single epoch is in the middle.
        let x = |epoch: f64| match last - first {
            0 => 0.5 * (frame.left + frame.right),
            epochs => frame.left + (frame.right - frame.left) * (epoch - f64::from(first)) / f64::from(epochs),
        };
        let y = |value: f64| frame.bottom - (frame.bottom - frame.top) * (value - low) / (high - low);
        let text = |value: f64| if are_whole { with_minus(&value.to_string()) } else { shown(value) };
        let place = |(epoch, value): (u32, f64)| [rounded(x(f64::from(epoch))), rounded(y(value.clamp(low, high)))];
        let line = |(index, curve): (usize, &Curve)| Line {
            name: curve.name.clone(),
            colour: index % COLOURS,
            dash: index % DASHES,
            points: curve.points.iter().map(|point| place(*point)).map(|[x, y]| format!("{x},{y} ")).collect(),
            markers: markers(curve, (low, high), place, text),
        };
        let is_tick = |tick: &f64| !are_whole || tick.fract() == 0.0;
        let ticks: Vec<f64> = value_ticks(low, high).into_iter().filter(is_tick).collect();
        let format = value_format(&ticks);
        let value_tick = |value: &f64| Tick { at: rounded(y(*value)), label: with_minus(&format(value)) };
        let epoch_tick = |epoch: i64| Tick { at: rounded(x(epoch as f64)), label: epoch.to_string() };
        Some(Chart {
            id: id.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            width,
            height,
            frame,
            value_ticks: ticks.iter().map(value_tick).collect(),
            epoch_ticks: epoch_ticks(first.into(), last.into()).into_iter().map(epoch_tick).collect(),
            lines: curves.iter().enumerate().map(line).collect(),
            hover: hover(&curves, &epochs, |epoch| rounded(x(f64::from(epoch))), text),
        })
    }
}

/// The markers of a curve, or only the last one of a long curve. Values beyond the range have none.
fn markers(
    curve: &Curve,
    (low, high): (f64, f64),
    place: impl Fn((u32, f64)) -> [f64; 2],
    text: impl Fn(f64) -> String,
) -> Vec<Marker> {
    let skipped = if curve.points.len() <= MAX_MARKERS { 0 } else { curve.points.len() - 1 };
    let within = curve.points.iter().skip(skipped).filter(|(_, value)| (low..=high).contains(value));
    let marker = |point: &(u32, f64)| {
        let [x, y] = place(*point);
        Marker { x, y, label: format!("{}, epoch {}: {}", curve.name, point.0, text(point.1)) }
    };
    within.map(marker).collect()
}

fn hover(curves: &[Curve], epochs: &[u32], x: impl Fn(u32) -> f64, text: impl Fn(f64) -> String) -> Hover {
    let value = |curve: &Curve, epoch: u32| {
        let found = curve.points.binary_search_by_key(&epoch, |(epoch, _)| *epoch).ok();
        found.map(|index| text(curve.points[index].1)).unwrap_or_default()
    };
    Hover {
        epochs: epochs.to_vec(),
        xs: epochs.iter().map(|epoch| x(*epoch)).collect(),
        names: curves.iter().map(|curve| curve.name.clone()).collect(),
        values: epochs.iter().map(|epoch| curves.iter().map(|curve| value(curve, *epoch)).collect()).collect(),
    }
}

/// Tenths of a unit are finer than any screen shows.
pub fn rounded(at: f64) -> f64 {
    (10.0 * at).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, points: &[(u32, f64)]) -> Curve {
        Curve { name: name.to_owned(), points: points.to_vec() }
    }

    #[test]
    fn larger_values_are_higher_and_later_epochs_further_right() {
        let curves = [curve("a", &[(1, 1.0), (2, 3.0), (3, 2.0)]), curve("b", &[(2, 1.5), (4, 2.5)])];
        let chart = Chart::of("elbo", "ELBO", "nats", &curves).unwrap();
        let marks = &chart.lines[0].markers;
        assert!(marks[0].x < marks[1].x && marks[1].x < marks[2].x);
        assert!(marks[1].y < marks[2].y && marks[2].y < marks[0].y);
        assert_eq!((chart.lines[0].colour, chart.lines[1].colour, chart.lines[1].dash), (0, 1, 1));
        let Hover { epochs, values, xs, .. } = &chart.hover;
        assert_eq!((epochs.as_slice(), xs.len()), (&[1, 2, 3, 4][..], 4));
        assert_eq!(values, &[["1.00", ""], ["3.00", "1.50"], ["2.00", ""], ["", "2.50"]]);
        for marker in chart.lines.iter().flat_map(|line| &line.markers) {
            let Frame { left, top, right, bottom } = chart.frame;
            assert!((left..=right).contains(&marker.x) && (top..=bottom).contains(&marker.y), "{marker:?}");
        }
    }

    #[test]
    fn one_epoch_shows_and_what_is_not_finite_does_not() {
        let chart = Chart::of("kl", "KL", "nats", &[curve("a", &[(7, 2.0), (8, f64::NAN)])]).unwrap();
        assert_eq!((chart.lines[0].markers.len(), chart.hover.epochs.as_slice()), (1, &[7][..]));
        assert!(
            Chart::of("kl", "KL", "nats", &[curve("a", &[]), curve("b", &[(1, f64::INFINITY), (2, f64::MAX)])])
                .is_none()
        );
        let long: Vec<_> = (1..=3000).map(|epoch| (epoch, f64::from(epoch))).collect();
        assert_eq!(Chart::of("kl", "KL", "nats", &[curve("a", &long)]).unwrap().lines[0].markers.len(), 1);
    }
}
