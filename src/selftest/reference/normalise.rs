//! The references of `shaders/nn/normalise/`.
//!
//! Over the batch, what is normalised is each column of a matrix; over the layer, each column of its transpose. Statistics are
//! `(2, columns)`: the mean, then the inverse standard deviation.

use super::Matrix;

/// What is added to a variance.
pub const EPSILON: f64 = 1e-5;

/// How far the running statistics move towards the batch's.
pub const MOMENTUM: f64 = 0.1;

/// The mean of each column over the rows, as one row.
pub fn means(values: &Matrix) -> Matrix {
    let rows = values.rows();
    Matrix::from_fn(1, values.columns(), |_, c| (0..rows).map(|r| values.at(r, c)).sum::<f64>() / rows as f64)
}

/// The biased variance of each column over the rows, as one row.
pub fn variances(values: &Matrix) -> Matrix {
    let mean = means(values);
    means(&Matrix::from_fn(values.rows(), values.columns(), |r, c| (values.at(r, c) - mean.at(0, c)).powi(2)))
}

/// `1 / sqrt(variance + EPSILON)`
pub fn inverse_std(variance: f64) -> f64 {
    (variance + EPSILON).sqrt().recip()
}

/// The statistics of each column.
pub fn statistics(values: &Matrix) -> Matrix {
    let (means, variances) = (means(values), variances(values));
    Matrix::from_fn(2, values.columns(), |r, c| [means.at(0, c), inverse_std(variances.at(0, c))][r])
}

/// `xhat[r, c] = (values[r, c] - mean[c]) * inverse_std[c]`
pub fn standardise(values: &Matrix, statistics: &Matrix) -> Matrix {
    Matrix::from_fn(values.rows(), values.columns(), |r, c| {
        (values.at(r, c) - statistics.at(0, c)) * statistics.at(1, c)
    })
}

/// `scale[c] * xhat[r, c] + shift[c]`, where these are the first two rows of `norm`.
pub fn scale_and_shift(xhat: &Matrix, norm: &Matrix) -> Matrix {
    Matrix::from_fn(xhat.rows(), xhat.columns(), |r, c| norm.at(0, c) * xhat.at(r, c) + norm.at(1, c))
}

/// `scale[c] * gradient[r, c]`, the gradient of xhat.
pub fn through_scale(gradient: &Matrix, norm: &Matrix) -> Matrix {
    Matrix::from_fn(gradient.rows(), gradient.columns(), |r, c| norm.at(0, c) * gradient.at(r, c))
}

/// The gradient of what is standardised, from that of xhat:
/// `inverse_std[c] * (g[r, c] - mean_r g[r, c] - xhat[r, c] * mean_r (g[r, c] * xhat[r, c]))`
pub fn standardise_backward(values: &Matrix, statistics: &Matrix, g: &Matrix) -> Matrix {
    let xhat = standardise(values, statistics);
    let (mean, product) = (means(g), means(&g.zip(&xhat, |g, xhat| g * xhat)));
    Matrix::from_fn(g.rows(), g.columns(), |r, c| {
        statistics.at(1, c) * (g.at(r, c) - mean.at(0, c) - xhat.at(r, c) * product.at(0, c))
    })
}

/// The gradients of scale and shift, `(2, columns)`: `sum_r gradient[r, c] * xhat[r, c]` and `sum_r gradient[r, c]`.
pub fn parameters_backward(xhat: &Matrix, gradient: &Matrix) -> Matrix {
    let rows = gradient.rows();
    Matrix::from_fn(2, gradient.columns(), |parameter, c| {
        (0..rows).map(|r| gradient.at(r, c) * if parameter == 0 { xhat.at(r, c) } else { 1.0 }).sum()
    })
}

/// The running mean and variance, `(2, columns)`, after a batch in training; one of one row leaves them as they are.
pub fn running(values: &Matrix, before: &Matrix) -> Matrix {
    let rows = values.rows() as f64;
    let (means, variances) = (means(values), variances(values));
    if values.rows() == 1 {
        return before.clone();
    }
    Matrix::from_fn(2, values.columns(), |r, c| {
        let target = [means.at(0, c), variances.at(0, c) * rows / (rows - 1.0)][r];
        before.at(r, c) + MOMENTUM * (target - before.at(r, c))
    })
}
