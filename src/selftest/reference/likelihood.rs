//! The references of `shaders/likelihood/`.

/// The reference of `shaders/likelihood/bernoulli.wgsl`.
pub mod bernoulli {
    use super::super::Matrix;
    use super::super::activation::{sigmoid, softplus};

    /// `log_prob[b] = sum_d (x * logits - softplus(logits))`
    pub fn forward(x: &Matrix, logits: &Matrix) -> Matrix {
        Matrix::from_fn(1, x.rows(), |_, b| x.row(b).iter().zip(logits.row(b)).map(|(x, l)| x * l - softplus(*l)).sum())
    }

    /// `dlogits = (sigmoid(logits) - x) / rows`
    pub fn backward(x: &Matrix, logits: &Matrix) -> Matrix {
        let rows = x.rows() as f64;
        x.zip(logits, |x, l| (sigmoid(l) - x) / rows)
    }
}

/// The reference of `shaders/likelihood/gaussian.wgsl`.
pub mod gaussian {
    use std::f64::consts::TAU;

    use super::super::Matrix;

    /// `squared_error[b] = sum_d (x - mean)^2`
    pub fn squared_error(x: &Matrix, mean: &Matrix) -> Matrix {
        Matrix::from_fn(1, x.rows(), |_, b| x.row(b).iter().zip(mean.row(b)).map(|(x, m)| (x - m).powi(2)).sum())
    }

    /// `log_prob[b] = -1/2 * sum_d (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`
    pub fn forward(x: &Matrix, mean: &Matrix, logvar: f64) -> Matrix {
        let dimensions = x.columns() as f64;
        squared_error(x, mean).map(|error| -0.5 * (dimensions * (TAU.ln() + logvar) + error * (-logvar).exp()))
    }

    /// `dmean = (mean - x) * exp(-logvar) / rows`
    pub fn backward(x: &Matrix, mean: &Matrix, logvar: f64) -> Matrix {
        let rows = x.rows() as f64;
        x.zip(mean, |x, m| (m - x) * (-logvar).exp() / rows)
    }

    /// `dlogvar = 1/2 * sum_b (D - squared_error[b] * exp(-logvar)) / rows`
    pub fn backward_logvar(squared_error: &Matrix, dimensions: usize, logvar: f64) -> f64 {
        let terms = squared_error.values().iter().map(|error| dimensions as f64 - error * (-logvar).exp());
        0.5 * terms.sum::<f64>() / squared_error.columns() as f64
    }
}
