//! Values of mean 0 and variance 1.

use serde::{Deserialize, Serialize};

use super::{ImageShape, Images};
use crate::Error;
use crate::graph::{Arithmetic, Graph, Value};

/// The mean and the standard deviation of the training set: for each channel of images, or for each column of vectors. The model
/// sees `(x - mean) / std`, and what it outputs has the data's own scale again.
///
/// The value at index `i` of a row has the mean at `i mod M`, of `M` means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardisation {
    /// Of each channel or column.
    mean: Vec<f32>,
    /// Of each channel or column; 1 where all values are equal.
    std: Vec<f32>,
    /// The smallest and the largest value of all, which pictures show as 0 and 1.
    range: [f32; 2],
}

impl Standardisation {
    /// Measures a training set. Images of one row are vectors.
    pub fn of(images: &Images) -> Standardisation {
        let ImageShape { channels, height, .. } = images.shape();
        let groups = if height == 1 { images.dimensions() } else { channels };
        let count = (images.count() * images.dimensions() / groups) as f64;
        let mut mean = vec![0.0f64; groups];
        for (index, x) in images.pixels().enumerate() {
            mean[index % groups] += f64::from(x) / count;
        }
        let mut variance = vec![0.0f64; groups];
        let mut range = [f32::INFINITY, f32::NEG_INFINITY];
        for (index, x) in images.pixels().enumerate() {
            variance[index % groups] += (f64::from(x) - mean[index % groups]).powi(2) / count;
            range = [range[0].min(x), range[1].max(x)];
        }
        let std = variance.iter().map(|variance| variance.sqrt() as f32);
        Standardisation {
            std: std.map(|std| if std.is_normal() { std } else { 1.0 }).collect(),
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
            range,
        }
    }

    /// Checks what a file states, for images of a shape.
    pub(crate) fn fits(&self, shape: ImageShape) -> bool {
        let Standardisation { mean, std, range } = self;
        let groups = mean.len();
        let finite = mean.iter().chain(range).all(|value| value.is_finite());
        finite
            && std.len() == groups
            && groups > 0
            && shape.dimensions().is_multiple_of(groups)
            && std.iter().all(|std| std.is_normal())
    }

    /// Images as the model sees them.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if a value becomes too large for an `f32`.
    pub(crate) fn apply(&self, images: &Images) -> Result<Images, Error> {
        let groups = self.mean.len();
        let standard = |(index, x): (usize, f32)| (x - self.mean[index % groups]) / self.std[index % groups];
        let floats = images.pixels().enumerate().map(standard).collect();
        Images::from_floats(floats, images.count(), images.shape())
    }

    /// Brings rows of what the model outputs to the scale of the data.
    pub(crate) fn undo(&self, rows: &mut [f32]) {
        let groups = self.mean.len();
        for (index, x) in rows.iter_mut().enumerate() {
            *x = *x * self.std[index % groups] + self.mean[index % groups];
        }
    }

    /// Adds to a graph what [`Standardisation::apply`] does to rows, or what undoes it.
    pub(crate) fn describe(&self, graph: &mut Graph, rows: Value, undo: bool) -> Value {
        let dimensions = graph.node(rows).shape.clone();
        let (groups, all) = (self.mean.len(), dimensions.iter().product::<usize>());
        let values = graph.reshape(rows, &[all / groups, groups]);
        let [mean, std] = [&self.mean, &self.std].map(|numbers| graph.numbers(numbers.clone()));
        let values = if undo {
            let scaled = graph.combine(Arithmetic::Multiply, values, std);
            graph.combine(Arithmetic::Add, scaled, mean)
        } else {
            let centred = graph.combine(Arithmetic::Subtract, values, mean);
            graph.combine(Arithmetic::Divide, centred, std)
        };
        graph.reshape(values, &dimensions)
    }

    /// Values of the data as the grey of pictures, 0 to 1.
    pub fn brightness(&self, x: f32) -> f32 {
        let [black, white] = self.range;
        if white > black { (x - black) / (white - black) } else { 0.5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_channel_or_column_has_mean_0_and_variance_1() {
        let values: Vec<f32> = (0..24).map(|i| (i * i % 17) as f32 + if i % 2 == 0 { 100.0 } else { 0.0 }).collect();
        for (shape, groups) in [(ImageShape { channels: 2, height: 2, width: 2 }, 2), (ImageShape::grey(1, 8), 8)] {
            let images = Images::from_floats(values.clone(), 3, shape).unwrap();
            let standardisation = Standardisation::of(&images);
            assert!(standardisation.fits(shape) && !standardisation.fits(ImageShape::grey(3, 3)));
            let mut standard: Vec<f32> = standardisation.apply(&images).unwrap().pixels().collect();
            for group in 0..groups {
                let column = || standard.iter().skip(group).step_by(groups);
                let count = column().count() as f32;
                assert!((column().sum::<f32>() / count).abs() < 1e-5);
                assert!((column().map(|x| x * x).sum::<f32>() / count - 1.0).abs() < 1e-5);
            }
            standardisation.undo(&mut standard);
            assert!(standard.iter().zip(&values).all(|(found, value)| (found - value).abs() < 1e-4));
            assert_eq!([0.0, 116.0].map(|x| standardisation.brightness(x)), [0.0, 1.0]);
        }
    }

    #[test]
    fn equal_values_become_0() {
        let images = Images::new(vec![51; 8], 2, ImageShape::grey(2, 2)).unwrap();
        let standardisation = Standardisation::of(&images);
        assert!(standardisation.apply(&images).unwrap().pixels().all(|x| x.abs() < 1e-6));
        assert_eq!(standardisation.brightness(0.2), 0.5);
    }
}
