//! The axes of training curves: ranges, ticks and their labels.

use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::coord::types::RangedCoordf64;

/// The largest value that can be drawn: plotters never finds ticks for ranges that overflow.
pub(crate) const MAX_VALUE: f64 = 1e100;

/// About how many ticks the axis of values has.
pub(crate) const VALUE_TICKS: usize = 8;

/// The range of the axis, from below the smallest value to above the largest. Each curve has a value an epoch, one of them at least.
///
/// The first tenth of the epochs can widen it to four times what the others need. Values beyond the range are drawn
/// along the edge, without markers. Otherwise the first epoch, which is often far off, would flatten the rest of the
/// curve.
pub(crate) fn value_range<'a>(curves: impl IntoIterator<Item = &'a [f64]> + Clone) -> (f64, f64) {
    let range = |skipped: usize| {
        let values = curves.clone().into_iter().flat_map(|curve| &curve[curve.len() * skipped / 10..]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)))
    };
    let (low, high) = range(0);
    let (late_low, late_high) = range(1);
    let room = 3.0 * (late_high - late_low);
    let (low, high) = (low.max(late_low - room), high.min(late_high + room));
    // Equal values need a range too, one that is not lost in rounding.
    let margin = (0.05 * (high - low)).max(1e-4 * low.abs().max(high.abs())).max(1e-3);
    (low - margin, high + margin)
}

/// The ticks of a range.
pub(crate) fn value_ticks(low: f64, high: f64) -> Vec<f64> {
    RangedCoordf64::from(low..high).key_points(BoldPoints(VALUE_TICKS))
}

/// Formats the ticks with as few decimals as they all need.
pub(crate) fn value_format(ticks: &[f64]) -> impl Fn(&f64) -> String {
    let exact = |value: &f64, decimals: usize| {
        let scaled = value * 10f64.powi(decimals as i32);
        (scaled - scaled.round()).abs() < 1e-3
    };
    let decimals = (0..4).find(|&decimals| ticks.iter().all(|tick| exact(tick, decimals))).unwrap_or(4);
    let large = ticks.iter().any(|tick| tick.abs() >= 1e6);
    // Adding zero turns -0 into 0.
    move |value| if large { format!("{:.2e}", value + 0.0) } else { format!("{:.decimals$}", value + 0.0) }
}

/// Whole epochs, a distance of 1, 2 or 5 times a power of ten apart: as many as have room for their digits.
pub(crate) fn epoch_ticks(first: i64, last: i64) -> Vec<i64> {
    let most = if last < 1000 { 10 } else { 5 };
    let mut distances = (0..10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10i64.pow(power)));
    let distance = distances.find(|distance| (last - first) / distance <= most).unwrap_or(i64::MAX);
    ((first + distance - 1) / distance..=last / distance).map(|tick| tick * distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_off_start_leaves_room_for_the_rest() {
        let far_off =
            |epochs: u32| -> Vec<f64> { (1..=epochs).map(|epoch| 100.0 + 1000.0 / f64::from(epoch).powi(6)).collect() };
        let (low, high) = value_range([far_off(10).as_slice()]);
        assert!(low < 100.0 && high > 115.0 && high < 200.0, "{low} to {high}");
        let (low, high) = value_range([far_off(9).as_slice()]);
        assert!(low < 100.0 && high > 1099.0, "{low} to {high}");
    }

    #[test]
    fn ticks_are_whole_and_few() {
        assert_eq!(epoch_ticks(1, 1), [1]);
        assert_eq!(epoch_ticks(1, 10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(epoch_ticks(3, 30), [5, 10, 15, 20, 25, 30]);
        assert_eq!(epoch_ticks(1, 500), [50, 100, 150, 200, 250, 300, 350, 400, 450, 500]);
        assert_eq!(epoch_ticks(1, 10_000), [2000, 4000, 6000, 8000, 10_000]);
        assert!((2..7).contains(&epoch_ticks(1, u32::MAX.into()).len()));
        assert_eq!(value_format(&[-1.0, -0.0, 1.0])(&-0.0), "0");
        assert_eq!(value_format(&[24.0, 24.5])(&24.0), "24.0");
        assert_eq!(value_format(&[0.0, 2.5e8])(&2.5e8), "2.50e8");
    }
}
