//! What a report shows of the latents: which of them the model uses, and where the test examples are in two of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chart::rounded;
use super::shown;
use crate::eval::{ACTIVE_VARIANCE, Report};
use crate::vae::PosteriorParameters;

/// The most bars of a chart: more are thinner than a line.
const MOST_BARS: usize = 200;
/// The most points of a plane: more hide each other.
const MOST_POINTS: usize = 1000;
/// The area of the bars, and of the plane: left, top, right, bottom.
const BARS: [f64; 4] = [48.0, 10.0, 470.0, 180.0];
const PLANE: [f64; 4] = [40.0, 10.0, 470.0, 440.0];
const COLOURS: usize = 7;

/// The latents of a model, those that it uses the most first.
#[derive(Debug, Serialize)]
pub struct Latents {
    /// Whether they are sorted by their KL divergence, or by the variance of their means, as there is no closed form.
    has_kl: bool,
    total: usize,
    active: usize,
    threshold: f64,
    bars: Vec<Bar>,
    largest: String,
    edges: [f64; 4],
}

/// A latent.
#[derive(Debug, Serialize)]
pub struct Bar {
    pub latent: usize,
    /// What the bar shows.
    pub value: String,
    variance: String,
    is_active: bool,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Latents {
    pub fn of(report: &Report) -> Latents {
        let variances = &report.mean_variance_per_latent;
        let values = report.kl_per_latent.as_ref().unwrap_or(variances);
        let order = order(report);
        let largest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let [left, top, right, bottom] = BARS;
        let slot = (right - left) / order.len().min(MOST_BARS) as f64;
        let bar = |(place, latent): (usize, &usize)| {
            let height = (bottom - top) * (values[*latent] / largest).clamp(0.0, 1.0);
            Bar {
                latent: *latent,
                value: shown(values[*latent]),
                variance: shown(variances[*latent]),
                is_active: variances[*latent] > ACTIVE_VARIANCE,
                x: rounded(left + slot * (place as f64 + 0.1)),
                y: rounded(bottom - height),
                width: (0.8 * slot).min(40.0),
                height: rounded(height),
            }
        };
        Latents {
            has_kl: report.kl_per_latent.is_some(),
            total: report.latents,
            active: report.active_units,
            threshold: ACTIVE_VARIANCE,
            bars: order.iter().take(MOST_BARS).enumerate().map(bar).collect(),
            largest: shown(largest),
            edges: BARS,
        }
    }

    /// The bars, those of the latents that the model uses the most first.
    pub fn bars(&self) -> &[Bar] {
        &self.bars
    }
}

/// All latents, those with the largest KL divergence first; without a closed form, those whose means vary the most.
fn order(report: &Report) -> Vec<usize> {
    let values = report.kl_per_latent.as_ref().unwrap_or(&report.mean_variance_per_latent);
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|left, right| values[*right].total_cmp(&values[*left]));
    order
}

/// The posterior means of examples in the plane of two latents.
#[derive(Debug, Serialize)]
pub struct Plane {
    /// The latents to the right and upwards.
    axes: [usize; 2],
    points: Vec<Point>,
    /// How many examples there are in all.
    of: usize,
    /// The ends of both axes.
    ends: [[String; 2]; 2],
    edges: [f64; 4],
    /// The examples of each label, of all that are drawn.
    groups: Vec<Group>,
    has_labels: bool,
}

#[derive(Debug, Serialize)]
struct Point {
    x: f64,
    y: f64,
    colour: usize,
    /// The label, or a dot.
    mark: String,
    title: String,
}

/// The examples of one label: their number, and the mean and the standard deviation of both coordinates.
#[derive(Debug, Serialize)]
struct Group {
    label: Option<u8>,
    count: usize,
    means: [String; 2],
    deviations: [String; 2],
}

impl Plane {
    /// The plane of the two latents that the model uses the most; `None` for a model with one.
    pub fn of(report: &Report, posteriors: &PosteriorParameters, labels: Option<&[u8]>) -> Option<Plane> {
        let &[right, up, ..] = order(report).as_slice() else { return None };
        // The axis that comes first is horizontal, whichever has more in it.
        let axes = [right.min(up), right.max(up)];
        let rows = posteriors.mean.chunks_exact(report.latents).take(MOST_POINTS);
        let places: Vec<[f64; 2]> = rows.map(|row| axes.map(|latent| f64::from(row[latent]))).collect();
        let label = |example: usize| labels.and_then(|labels| labels.get(example)).copied();
        let ranges = [0, 1].map(|axis| range(places.iter().map(|place| place[axis])));
        let [left, top, edge, bottom] = PLANE;
        let fraction = |axis: usize, value: f64| (value - ranges[axis].0) / (ranges[axis].1 - ranges[axis].0);
        let point = |(example, place): (usize, &[f64; 2])| {
            let name = label(example).map(|label| format!(", label {label}")).unwrap_or_default();
            Point {
                x: rounded(left + (edge - left) * fraction(0, place[0])),
                y: rounded(bottom - (bottom - top) * fraction(1, place[1])),
                colour: label(example).map_or(0, |label| usize::from(label) % COLOURS),
                mark: label(example).map_or("\u{2022}".to_owned(), |label| label.to_string()),
                title: format!("test example {example}{name}: {}, {}", shown(place[0]), shown(place[1])),
            }
        };
        let mut members: BTreeMap<Option<u8>, Vec<[f64; 2]>> = BTreeMap::new();
        for (example, place) in places.iter().enumerate() {
            members.entry(label(example)).or_default().push(*place);
        }
        Some(Plane {
            axes,
            points: places.iter().enumerate().map(point).collect(),
            of: report.examples,
            ends: ranges.map(|(low, high)| [shown(low), shown(high)]),
            edges: PLANE,
            groups: members.into_iter().map(|(label, places)| Group::of(label, &places)).collect(),
            has_labels: labels.is_some(),
        })
    }
}

impl Group {
    fn of(label: Option<u8>, places: &[[f64; 2]]) -> Group {
        let count = places.len() as f64;
        let means = [0, 1].map(|axis| places.iter().map(|place| place[axis]).sum::<f64>() / count);
        let deviation =
            |axis: usize| (places.iter().map(|place| (place[axis] - means[axis]).powi(2)).sum::<f64>() / count).sqrt();
        let deviations = [0, 1].map(|axis| shown(deviation(axis)));
        Group { label, count: places.len(), means: means.map(shown), deviations }
    }
}

/// The smallest and the largest value, with a margin.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let fold = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), fold);
    let margin = (0.04 * (high - low)).max(1e-6);
    (low - margin, high + margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kl: Option<Vec<f64>>, variances: Vec<f64>) -> Report {
        Report {
            examples: 3,
            samples: 1,
            elbo: -1.0,
            nll: 0.5,
            kl: 0.5,
            kl_is_estimate: kl.is_none(),
            log_prob: None,
            bits_per_dim: None,
            text: None,
            is_log_likelihood: true,
            active_units: variances.iter().filter(|variance| **variance > ACTIVE_VARIANCE).count(),
            latents: variances.len(),
            kl_per_latent: kl,
            mean_variance_per_latent: variances,
            estimate: None,
        }
    }

    #[test]
    fn bars_are_sorted_and_the_active_latents_marked() {
        let latents = Latents::of(&report(Some(vec![0.5, 2.0, 0.0]), vec![0.2, 0.005, 0.9]));
        let found: Vec<_> = latents.bars.iter().map(|bar| (bar.latent, bar.value.as_str(), bar.is_active)).collect();
        assert_eq!(found, [(1, "2.00", false), (0, "0.50", true), (2, "0.00", true)]);
        let [_, top, _, bottom] = BARS;
        assert_eq!([latents.bars[0].height, latents.bars[2].height], [bottom - top, 0.0]);
        // Without a closed form, the variances decide.
        let latents = Latents::of(&report(None, vec![0.2, 0.005, 0.9]));
        assert_eq!(latents.bars.iter().map(|bar| bar.latent).collect::<Vec<_>>(), [2, 0, 1]);
        assert!(!latents.has_kl);
    }

    #[test]
    fn points_are_where_their_means_are() {
        let mean = vec![0.0, 1.0, 9.0, 2.0, 3.0, 9.0, 1.0, 5.0, 9.0];
        let posteriors = PosteriorParameters { logvar: vec![0.0; mean.len()], mean };
        let report = report(Some(vec![1.0, 2.0, 0.0]), vec![0.1, 0.1, 0.0]);
        let plane = Plane::of(&report, &posteriors, Some(&[7, 7, 3])).unwrap();
        let marks: Vec<_> = plane.points.iter().map(|point| point.mark.as_str()).collect();
        assert_eq!((plane.axes, marks), ([0, 1], vec!["7", "7", "3"]));
        let [left, middle, right] = [0, 2, 1].map(|index| &plane.points[index]);
        assert!(left.x < middle.x && middle.x < right.x && middle.y < right.y && right.y < left.y);
        let of_seven = &plane.groups[1];
        assert_eq!(
            (of_seven.label, of_seven.count, of_seven.means.as_slice()),
            (Some(7), 2, &["1.00".to_owned(), "2.00".to_owned()][..])
        );
        assert_eq!(of_seven.deviations, ["1.00", "1.00"]);
        let one = PosteriorParameters { mean: vec![1.0], logvar: vec![0.0] };
        assert!(Plane::of(&self::report(None, vec![0.5]), &one, None).is_none(), "a model with one latent");
    }
}
