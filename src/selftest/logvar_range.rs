//! Log variances that are clamped to a range: those of the posterior and of a mixture's components.
//!
//! Normals are `(rows, 2L)`: the means, then the log variances. The shaders' twin is `shaders/posterior/normal/parameters.wgsl`.

use super::Matrix;
use crate::posterior::LogvarRange;

/// A range; some of the log variances are outside of it.
pub(super) const RANGE: LogvarRange = LogvarRange { min: -1.5, max: 0.75 };

/// The normals with their log variances clamped.
pub(super) fn clamped(normals: &Matrix, range: Option<LogvarRange>) -> Matrix {
    let Some(LogvarRange { min, max }) = range else { return normals.clone() };
    let latents = normals.columns() / 2;
    Matrix::from_fn(normals.rows(), 2 * latents, |b, c| {
        let value = normals.at(b, c);
        if c < latents { value } else { value.clamp(min.into(), max.into()) }
    })
}

/// The gradient with respect to the normals before their log variances were clamped.
pub(super) fn through(normals: &Matrix, gradient: &Matrix, range: Option<LogvarRange>) -> Matrix {
    let Some(LogvarRange { min, max }) = range else { return gradient.clone() };
    let latents = normals.columns() / 2;
    Matrix::from_fn(normals.rows(), 2 * latents, |b, c| {
        let outside = c >= latents && !(min.into()..=max.into()).contains(&normals.at(b, c));
        if outside { 0.0 } else { gradient.at(b, c) }
    })
}
