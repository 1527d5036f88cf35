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

    /// `dlogvar = 1/2 * sum_row w[row] * sum_d (1 - (x - mean)^2 * exp(-logvar))`, where `1/2 * (1 - ...)` is what each
    /// dimension's share of the log density exceeds `-1/2 * (1 + log(2 pi) + logvar)` by.
    pub fn backward_logvar(log_prob: &Matrix, dimensions: usize, logvar: f64, weights: &[f64]) -> f64 {
        let constant = 0.5 * dimensions as f64 * (1.0 + TAU.ln() + logvar);
        let excess = |row: usize| log_prob.row(row).iter().sum::<f64>() + constant;
        weights.iter().enumerate().map(|(row, weight)| weight * excess(row)).sum()
    }

    /// [`log_prob`] with a log variance for each dimension.
    pub fn log_prob_per_dimension(x: &Matrix, mean: &Matrix, logvar: &[f64]) -> Matrix {
        Matrix::from_fn(mean.rows(), mean.columns(), |r, d| {
            -0.5 * (TAU.ln() + logvar[d] + (example(x, mean, r, d) - mean.at(r, d)).powi(2) * (-logvar[d]).exp())
        })
    }

    /// [`backward`] with a log variance for each dimension.
    pub fn backward_per_dimension(x: &Matrix, mean: &Matrix, logvar: &[f64]) -> Matrix {
        Matrix::from_fn(mean.rows(), mean.columns(), |r, d| {
            (mean.at(r, d) - example(x, mean, r, d)) * (-logvar[d]).exp() / mean.rows() as f64
        })
    }

    /// `dlogvar[d] = 1/2 * sum_row w[row] * (1 - (x - mean)^2 * exp(-logvar[d]))`, from
    /// `dmean = (mean - x) * exp(-logvar[d]) / rows`.
    pub fn backward_logvar_per_dimension(dmean: &Matrix, logvar: &[f64], weights: &[f64]) -> Vec<f64> {
        let excess = |r: usize, d: usize| 1.0 - (dmean.at(r, d) * dmean.rows() as f64).powi(2) * logvar[d].exp();
        let of = |d: usize| 0.5 * weights.iter().enumerate().map(|(r, weight)| weight * excess(r, d)).sum::<f64>();
        (0..dmean.columns()).map(of).collect()
    }

    /// A pixel of the example that a row belongs to.
    fn example(x: &Matrix, rows: &Matrix, row: usize, dimension: usize) -> f64 {
        x.at(row / (rows.rows() / x.rows()), dimension)
    }
}

/// Likelihoods of which each dimension has several outputs, one after the other, and its own share of everything.
pub mod pairs {
    use std::f64::consts::TAU;

    use super::super::Matrix;
    use super::super::activation::{sigmoid, softplus};

    /// A dimension's share of the log probability, and its derivatives by both outputs.
    #[derive(Clone, Copy, Debug)]
    pub struct Share {
        /// In nats.
        pub log_prob: f64,
        /// By each of the outputs.
        pub slopes: [f64; 2],
    }

    /// Each dimension's share of the log probability, `(B * K, D)`, and the gradient of the mean of `-log_prob` over the rows
    /// by the outputs, `(B * K, 2D)`.
    pub fn evaluate(x: &Matrix, output: &Matrix, share: impl Fn(f64, [f64; 2]) -> Share) -> (Matrix, Matrix) {
        let samples = output.rows() / x.rows();
        let of = |r: usize, d: usize| share(x.at(r / samples, d), [output.at(r, 2 * d), output.at(r, 2 * d + 1)]);
        let gradient = |r: usize, c: usize| -of(r, c / 2).slopes[c % 2] / output.rows() as f64;
        (
            Matrix::from_fn(output.rows(), x.columns(), |r, d| of(r, d).log_prob),
            Matrix::from_fn(output.rows(), 2 * x.columns(), gradient),
        )
    }

    /// What is added to `raw` so that 0 gives this variance.
    pub fn shift(variance: f64) -> f64 {
        (variance / 1e-4).ln().exp_m1().ln()
    }

    /// `logvar = log(1e-4) + softplus(raw + shift)`
    pub fn predicted_logvar(raw: f64, variance: f64) -> f64 {
        1e-4f64.ln() + softplus(raw + shift(variance))
    }

    /// `-1/2 * (log(2 pi) + logvar + (x - mean)^2 * exp(-logvar))`
    pub fn gaussian_predicted(x: f64, [mean, raw]: [f64; 2], variance: f64) -> Share {
        let logvar = predicted_logvar(raw, variance);
        let square = (x - mean).powi(2) * (-logvar).exp();
        Share {
            log_prob: -0.5 * (TAU.ln() + logvar + square),
            slopes: [(x - mean) * (-logvar).exp(), -0.5 * (1.0 - square) * sigmoid(raw + shift(variance))],
        }
    }

    /// `log s = max(raw + log(0.1), -7)`
    pub fn log_scale(raw: f64) -> f64 {
        (raw + 0.1f64.ln()).max(-7.0)
    }

    /// `log(F(a) - F(b))`, where `F` is the sigmoid, and 1 or 0 beyond the edges.
    pub fn discretised_logistic(x: f64, [mean, raw]: [f64; 2]) -> Share {
        let s = log_scale(raw).exp();
        let (a, b) = ((x - mean + 1.0 / 510.0) / s, (x - mean - 1.0 / 510.0) / s);
        let delta = 1.0 / (255.0 * s);
        let level = (255.0 * x).round();
        let (log_prob, by_mean, by_scale) = match level {
            0.0 => (-softplus(-a), -sigmoid(-a) / s, -a * sigmoid(-a)),
            255.0 => (-softplus(b), sigmoid(b) / s, b * sigmoid(b)),
            _ => (
                -softplus(-a) - softplus(b) + (-(-delta).exp_m1()).ln(),
                (sigmoid(b) - sigmoid(-a)) / s,
                b * sigmoid(b) - a * sigmoid(-a) - delta / delta.exp_m1(),
            ),
        };
        let is_held = raw + 0.1f64.ln() < -7.0;
        Share { log_prob, slopes: [by_mean, if is_held { 0.0 } else { by_scale }] }
    }

    /// The mean of the levels, each weighted by its probability.
    pub fn discretised_logistic_mean(output: [f64; 2]) -> f64 {
        (0..256).map(|k| f64::from(k) / 255.0).map(|x| x * discretised_logistic(x, output).log_prob.exp()).sum()
    }

    /// `digamma(z + k) - digamma(z)`
    pub fn digamma_difference(z: f64, k: usize) -> f64 {
        (0..k).map(|i| 1.0 / (z + i as f64)).sum()
    }

    /// `log(choose(255, k) * B(k + alpha, 255 - k + beta) / B(alpha, beta))` for the beta function `B`, from gamma functions.
    pub fn beta_binomial(x: f64, raw: [f64; 2]) -> Share {
        let [alpha, beta] = raw.map(|raw| raw.clamp(-7.0, 7.0).exp());
        let k = (255.0 * x).round();
        let rising = |z: f64, k: f64| libm::lgamma(z + k) - libm::lgamma(z);
        let log_choose = libm::lgamma(256.0) - libm::lgamma(k + 1.0) - libm::lgamma(256.0 - k);
        let log_prob = log_choose + rising(alpha, k) + rising(beta, 255.0 - k) - rising(alpha + beta, 255.0);
        let common = digamma_difference(alpha + beta, 255);
        let slope = |raw: f64, z: f64, k: f64| match raw.abs() > 7.0 {
            true => 0.0,
            false => z * (digamma_difference(z, k as usize) - common),
        };
        Share { log_prob, slopes: [slope(raw[0], alpha, k), slope(raw[1], beta, 255.0 - k)] }
    }
}

/// The reference of `shaders/likelihood/categorical.wgsl`.
pub mod categorical {
    use super::super::Matrix;

    /// `softmax(logits)` of each dimension's categories.
    pub fn probs(logits: &Matrix, categories: usize) -> Matrix {
        Matrix::from_fn(logits.rows(), logits.columns(), |r, c| {
            let own = &logits.row(r)[c / categories * categories..][..categories];
            let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (logits.at(r, c) - largest).exp() / own.iter().map(|l| (l - largest).exp()).sum::<f64>()
        })
    }

    /// The category of a pixel.
    fn category(x: &Matrix, logits: &Matrix, row: usize, dimension: usize) -> usize {
        let categories = logits.columns() / x.columns();
        (x.at(row / (logits.rows() / x.rows()), dimension) * (categories - 1) as f64).round() as usize
    }

    /// `logits[k] - log sum_c exp(logits[c])` of each dimension
    pub fn log_prob(x: &Matrix, logits: &Matrix) -> Matrix {
        let categories = logits.columns() / x.columns();
        Matrix::from_fn(logits.rows(), x.columns(), |r, d| {
            let own = &logits.row(r)[d * categories..][..categories];
            let largest = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = own.iter().map(|l| (l - largest).exp()).sum();
            own[category(x, logits, r, d)] - largest - sum.ln()
        })
    }

    /// `dlogits = (softmax(logits) - onehot(k)) / rows`
    pub fn backward(x: &Matrix, logits: &Matrix) -> Matrix {
        let categories = logits.columns() / x.columns();
        let probs = probs(logits, categories);
        Matrix::from_fn(logits.rows(), logits.columns(), |r, c| {
            let is_hit = category(x, logits, r, c / categories) == c % categories;
            (probs.at(r, c) - f64::from(u8::from(is_hit))) / logits.rows() as f64
        })
    }
}
