//! The references of `shaders/likelihood/`.

/// The reference of `shaders/likelihood/bernoulli.wgsl`.
pub mod bernoulli {
    use super::super::Matrix;
    use super::super::activation::{sigmoid, softplus};

    /// Each dimension's share of the log probability: `x * logits - softplus(logits)`
    pub fn log_prob(x: &Matrix, logits: &Matrix) -> Matrix {
        x.zip(logits, |x, l| x * l - softplus(l))
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

    /// Each dimension's share of the log density: `-1/2 * (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`
    pub fn log_prob(x: &Matrix, mean: &Matrix, logvar: f64) -> Matrix {
        x.zip(mean, |x, m| -0.5 * (TAU.ln() + logvar + (x - m).powi(2) * (-logvar).exp()))
    }

    /// `dmean = (mean - x) * exp(-logvar) / rows`
    pub fn backward(x: &Matrix, mean: &Matrix, logvar: f64) -> Matrix {
        let rows = x.rows() as f64;
        x.zip(mean, |x, m| (m - x) * (-logvar).exp() / rows)
    }

    /// `dlogvar = 1/2 * sum_bd (1 - (x - mean)^2 * exp(-logvar)) / rows`, where `1/2 * (1 - ...)` is what each dimension's
    /// share of the log density exceeds `-1/2 * (1 + log(2 pi) + logvar)` by.
    pub fn backward_logvar(log_prob: &Matrix, dimensions: usize, logvar: f64) -> f64 {
        let rows = log_prob.rows() as f64;
        let constant = 0.5 * dimensions as f64 * (1.0 + TAU.ln() + logvar);
        log_prob.values().iter().sum::<f64>() / rows + constant
    }
}
