//! The f64 gradients of the references against central differences of their forward passes.
//!
//! The kernels' gradients are held against the same references, so that this closes the chain.

use clap::ValueEnum;

use elbo::nn::Activation;
use elbo::selftest::reference::likelihood::{bernoulli, categorical, gaussian, pairs};
use elbo::selftest::reference::{Matrix, activation, dense, latents, objective};

/// A matrix of values from -`scale` to `scale` that have nothing to do with each other.
pub fn matrix(rows: usize, columns: usize, scale: f64, seed: usize) -> Matrix {
    Matrix::from_fn(rows, columns, |r, c| scale * (((seed * 31 + r) * 37 + c) as f64).powi(2).sin())
}

pub fn sum_of_products(a: &Matrix, b: &Matrix) -> f64 {
    a.values().iter().zip(b.values()).map(|(a, b)| a * b).sum()
}

/// Holds a gradient against central differences: returns the first element that differs.
///
/// With a distance of `h = cbrt(epsilon)`, the formula's error, `h^2 f''' / 6`, and that of the rounding,
/// `epsilon |f| / h`, are both of the order of `epsilon^(2/3)`, 4e-11, times the size of `f` and its derivatives: a
/// hundred times that is allowed.
pub fn check(gradient: &Matrix, at: &Matrix, f: impl Fn(&Matrix) -> f64) -> Result<(), String> {
    assert_eq!((gradient.rows(), gradient.columns()), (at.rows(), at.columns()));
    let h = f64::EPSILON.cbrt();
    let steepest = gradient.values().iter().fold(1.0_f64, |most, value| most.max(value.abs()));
    let tolerance = 100.0 * f64::EPSILON.powf(2.0 / 3.0) * f(at).abs().max(steepest);
    for row in 0..at.rows() {
        for column in 0..at.columns() {
            let moved = |by: f64| {
                f(&Matrix::from_fn(at.rows(), at.columns(), |r, c| {
                    at.at(r, c) + if (r, c) == (row, column) { by } else { 0.0 }
                }))
            };
            let (found, expected) = (gradient.at(row, column), (moved(h) - moved(-h)) / (2.0 * h));
            // A NaN is no match either.
            if (found - expected).abs() <= tolerance {
                continue;
            }
            return Err(format!("[{row}, {column}]: {found} against {expected} by differences, within {tolerance:e}"));
        }
    }
    Ok(())
}

#[test]
fn dense_layers() {
    let (input, weight, bias) = (matrix(3, 5, 2.0, 1), matrix(4, 5, 1.0, 2), matrix(1, 4, 1.0, 3));
    let doutput = matrix(3, 4, 1.5, 4);
    let f = |input: &Matrix, weight: &Matrix, bias: &Matrix| {
        sum_of_products(&doutput, &dense::forward(input, weight, bias))
    };
    let (dweight, dbias) = dense::backward_weight(&input, &doutput);
    check(&dense::backward_input(&doutput, &weight), &input, |input| f(input, &weight, &bias)).unwrap();
    check(&dweight, &weight, |weight| f(&input, weight, &bias)).unwrap();
    check(&dbias, &bias, |bias| f(&input, &weight, bias)).unwrap();
}

/// The activations that are functions of one value.
fn of_one_value() -> impl Iterator<Item = Activation> {
    Activation::value_variants().iter().copied().filter(|kind| kind.inputs() == 1)
}

#[test]
fn activations() {
    // Clear of 0, where some of them have a kink.
    let points = [-30.0, -5.5, -1.0, -0.3, -0.01, 0.01, 0.4, 1.2, 6.0, 30.0];
    for kind in of_one_value() {
        for x in points.map(|x| Matrix::vector(vec![x])) {
            let gradient = x.map(|x| activation::derivative(kind, x));
            let result = check(&gradient, &x, |x| activation::activate(kind, x.at(0, 0)));
            result.unwrap_or_else(|error| panic!("{kind:?} at {}: {error}", x.at(0, 0)));
        }
    }
}

#[test]
fn the_latents() {
    let (posterior, noise, dz) = (matrix(3, 10, 2.0, 1), matrix(3, 5, 2.0, 2), matrix(3, 5, 1.0, 3));
    let z = latents::reparameterise(&posterior, &noise);
    let gradient = latents::reparameterise_backward(&posterior, &z, &dz);
    check(&gradient, &posterior, |posterior| sum_of_products(&dz, &latents::reparameterise(posterior, &noise)))
        .unwrap();
    let gradient = latents::kl_backward(&posterior, 0.7);
    check(&gradient, &posterior, |posterior| 0.7 * mean(&latents::kl(posterior))).unwrap();
}

/// The weight of each row where all weigh the same.
fn alike(rows: usize) -> Vec<f64> {
    vec![1.0 / rows as f64; rows]
}

#[test]
fn the_likelihoods() {
    let x = matrix(3, 7, 1.0, 1).abs();
    let output = matrix(3, 7, 4.0, 2);
    let gradient = bernoulli::backward(&x, &output);
    check(&gradient, &output, |logits| -mean(&bernoulli::log_prob(&x, logits))).unwrap();
    let gradient = gaussian::backward(&x, &output, -0.8);
    check(&gradient, &output, |output| -mean(&gaussian::log_prob(&x, output, -0.8))).unwrap();
    let logvar = Matrix::vector(vec![-0.8]);
    let gradient =
        logvar.map(|logvar| gaussian::backward_logvar(&gaussian::log_prob(&x, &output, logvar), 7, logvar, &alike(3)));
    check(&gradient, &logvar, |logvar| -mean(&gaussian::log_prob(&x, &output, logvar.at(0, 0)))).unwrap();
}

#[test]
fn the_likelihoods_with_several_outputs() {
    let x = matrix(3, 7, 1.2, 1).map(|x| (255.0 * x.clamp(0.0, 1.0)).round() / 255.0);
    // Each with values that are held.
    let spread =
        |scale: f64, far: f64| z_map(&matrix(3, 14, scale, 2), |r, c, v| if (r, c % 5) == (1, 1) { far } else { v });
    let gradient_of = |output: &Matrix, share: fn(f64, [f64; 2]) -> pairs::Share| {
        let (_, gradient) = pairs::evaluate(&x, output, share);
        check(&gradient, output, |output| -mean(&pairs::evaluate(&x, output, share).0)).unwrap();
    };
    gradient_of(&spread(2.0, -9.0), |x, output| pairs::gaussian_predicted(x, output, 0.1));
    gradient_of(&spread(1.5, -6.0), pairs::discretised_logistic);
    gradient_of(&spread(4.0, 8.0), pairs::beta_binomial);
    let (black_and_white, logits) = (x.map(f64::round), spread(3.0, 5.0));
    let gradient = categorical::backward(&black_and_white, &logits);
    check(&gradient, &logits, |logits| -mean(&categorical::log_prob(&black_and_white, logits))).unwrap();
}

#[test]
fn variances_where_rows_weigh_differently() {
    // Two rows of each example.
    let (x, output) = (matrix(3, 5, 1.0, 1).abs(), matrix(6, 5, 2.0, 2));
    let weights = matrix(1, 6, 1.0, 3).abs();
    let weighted = |terms: &Matrix| -(0..6).map(|r| weights.at(0, r) * terms.row(r).iter().sum::<f64>()).sum::<f64>();
    let logvar = matrix(1, 5, 1.0, 4);
    let of = |logvar: &Matrix| gaussian::log_prob_per_dimension(&x, &output, logvar.values());
    let dmean = gaussian::backward_per_dimension(&x, &output, logvar.values());
    let dlogvar = gaussian::backward_logvar_per_dimension(&dmean, logvar.values(), weights.values());
    check(&Matrix::vector(dlogvar), &logvar, |logvar| weighted(&of(logvar))).unwrap();
    let loss = |output: &Matrix| -mean(&gaussian::log_prob_per_dimension(&x, output, logvar.values()));
    check(&dmean, &output, loss).unwrap();
    let one = Matrix::vector(vec![-0.4]);
    let shares = |logvar: &Matrix| gaussian::log_prob_per_dimension(&x, &output, &[logvar.at(0, 0); 5]);
    let gradient = one.map(|logvar| gaussian::backward_logvar(&shares(&one), 5, logvar, weights.values()));
    check(&gradient, &one, |logvar| weighted(&shares(logvar))).unwrap();
}

/// A smooth stand-in for the decoder and the likelihood: each row's log probability given its latents.
fn log_prob(z: &Matrix) -> Matrix {
    Matrix::from_fn(z.rows(), 1, |r, _| {
        (0..z.columns()).map(|l| -0.5 * (z.at(r, l) * (1.0 + 0.3 * l as f64) - 0.4 * r as f64).powi(2)).sum()
    })
}

fn log_prob_backward(z: &Matrix) -> Matrix {
    z_map(z, |r, l, z| -(z * (1.0 + 0.3 * l as f64) - 0.4 * r as f64) * (1.0 + 0.3 * l as f64))
}

fn z_map(z: &Matrix, f: impl Fn(usize, usize, f64) -> f64) -> Matrix {
    Matrix::from_fn(z.rows(), z.columns(), |r, l| f(r, l, z.at(r, l)))
}

pub const SAMPLES: usize = 3;
const KL_WEIGHT: f64 = 0.7;

/// Two examples' posteriors and the noise of three samples of each.
pub fn importance_samples() -> (Matrix, Matrix) {
    (matrix(2, 8, 1.0, 5), matrix(2 * SAMPLES, 4, 1.5, 6))
}

/// Each row's log importance weight, of the samples that the posterior makes of the noise.
pub fn log_weights(posterior: &Matrix, noise: &Matrix) -> Vec<f64> {
    let posterior = latents::repeat(posterior, SAMPLES);
    let z = latents::reparameterise(&posterior, noise);
    objective::log_weights(&log_prob(&z), &latents::kl_sampled(&posterior, &z, noise), KL_WEIGHT)
}

/// The gradient of the loss of which each row's log weight has that weight, by the posterior.
pub fn samples_gradient(
    posterior: &Matrix,
    noise: &Matrix,
    row_weights: &[f64],
    sampled: bool,
    doubly: bool,
) -> Matrix {
    let z = latents::reparameterise(&latents::repeat(posterior, SAMPLES), noise);
    let examples = posterior.rows() as f64;
    let dz = log_prob_backward(&z);
    let dz = z_map(&z, |r, l, _| -dz.at(r, l) * row_weights[r] / examples);
    let kl_weight = z_map(&z, |r, _, _| KL_WEIGHT * row_weights[r] / examples);
    let draw_weights: Vec<_> = row_weights.iter().map(|weight| 1.0 - KL_WEIGHT * (1.0 - weight)).collect();
    let doubly = doubly.then_some(&draw_weights[..]);
    let kl_dz = sampled.then_some(&z);
    let samples = latents::Samples { posterior, z: &z, dz: &dz, kl_weight: &kl_weight, kl_dz, doubly };
    latents::samples_backward(&samples)
}

#[test]
fn several_samples() {
    let (posterior, noise) = importance_samples();
    let alike = vec![1.0 / SAMPLES as f64; noise.rows()];
    let gradient = samples_gradient(&posterior, &noise, &alike, true, false);
    let elbo = |posterior: &Matrix| -log_weights(posterior, &noise).iter().sum::<f64>() / noise.rows() as f64;
    check(&gradient, &posterior, elbo).unwrap();
    let gradient = samples_gradient(&posterior, &noise, &alike, false, false);
    let closed = |posterior: &Matrix| {
        let z = latents::reparameterise(&latents::repeat(posterior, SAMPLES), &noise);
        KL_WEIGHT * mean(&latents::kl(posterior)) - mean(&log_prob(&z))
    };
    check(&gradient, &posterior, closed).unwrap();
}

#[test]
fn the_importance_weighted_bound() {
    let (posterior, noise) = importance_samples();
    let weights = objective::weights(&log_weights(&posterior, &noise), SAMPLES);
    let gradient = samples_gradient(&posterior, &noise, &weights, true, false);
    let loss = |posterior: &Matrix| {
        let bounds = objective::bounds(&log_weights(posterior, &noise), SAMPLES);
        -bounds.iter().sum::<f64>() / bounds.len() as f64
    };
    check(&gradient, &posterior, loss).unwrap();
}

/// The doubly reparameterised gradient is that of the log weights, where log q(z|x)'s parameters are held, so that z alone
/// moves with the posterior; each counts as its weight times what is left of it after the score's term, both held too.
#[test]
fn the_doubly_reparameterised_gradient() {
    let (posterior, noise) = importance_samples();
    let weights = objective::weights(&log_weights(&posterior, &noise), SAMPLES);
    let gradient = samples_gradient(&posterior, &noise, &weights, true, true);
    let held = latents::repeat(&posterior, SAMPLES);
    let surrogate = |posterior: &Matrix| {
        let z = latents::reparameterise(&latents::repeat(posterior, SAMPLES), &noise);
        // The noise that would make this z from the posterior that is held.
        let own = z_map(&z, |r, l, z| (z - held.at(r, l)) * (-0.5 * held.at(r, 4 + l)).exp());
        let log_weights = objective::log_weights(&log_prob(&z), &latents::kl_sampled(&held, &z, &own), KL_WEIGHT);
        -log_weights
            .iter()
            .zip(&weights)
            .map(|(log_weight, w)| w * (1.0 - KL_WEIGHT * (1.0 - w)) * log_weight)
            .sum::<f64>()
            / 2.0
    };
    check(&gradient, &posterior, surrogate).unwrap();
}

#[test]
fn penalties() {
    let kl = matrix(4, 6, 1.0, 7).abs();
    for (name, penalty) in
        [("free bits", objective::free_bits as fn(&Matrix, f64, f64) -> _), ("capacity", objective::capacity)]
    {
        let (value, weights) = penalty(&kl, 0.45, KL_WEIGHT);
        assert!(value > 0.0);
        let gradient = Matrix::from_fn(4, 6, |_, l| weights[l] / 4.0);
        check(&gradient, &kl, |kl| penalty(kl, 0.45, KL_WEIGHT).0).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let (_, weights) = objective::free_bits(&kl, 0.45, KL_WEIGHT);
    assert!(weights.contains(&0.0) && weights.contains(&KL_WEIGHT), "latents on both sides: {weights:?}");
}

/// The mean over examples of the sum over a row.
fn mean(terms: &Matrix) -> f64 {
    terms.values().iter().sum::<f64>() / terms.rows() as f64
}

/// A VAE with one hidden layer on either side, on one batch.
struct TinyVae {
    x: Matrix,
    noise: Matrix,
    activation: Activation,
    /// Whether the likelihood is Gaussian with a learned variance, or else Bernoulli.
    gaussian: bool,
    kl_weight: f64,
    /// Weight and bias of the encoder, the posterior, the decoder and the likelihood, and the log variance.
    parameters: Vec<Matrix>,
}

/// What the forward pass leaves for the backward pass.
struct Values {
    encoder: Matrix,
    encoded: Matrix,
    posterior: Matrix,
    z: Matrix,
    decoder: Matrix,
    decoded: Matrix,
    output: Matrix,
}

impl TinyVae {
    fn new(activation: Activation, gaussian: bool) -> TinyVae {
        let (rows, dimensions, hidden, latents) = (4, 6, 5, 2);
        let layers = [(dimensions, hidden), (hidden, 2 * latents), (latents, hidden), (hidden, dimensions)];
        let mut parameters = Vec::new();
        for (index, (inputs, outputs)) in layers.into_iter().enumerate() {
            parameters.push(matrix(outputs, inputs, 0.8, 2 * index));
            parameters.push(matrix(1, outputs, 0.5, 2 * index + 1));
        }
        parameters.push(Matrix::vector(vec![-0.6]));
        let (x, noise) = (matrix(rows, dimensions, 1.0, 20).abs(), matrix(rows, latents, 2.0, 21));
        TinyVae { x, noise, activation, gaussian, kl_weight: 0.3, parameters }
    }

    fn forward(&self, parameters: &[Matrix]) -> Values {
        let layer =
            |index: usize, input: &Matrix| dense::forward(input, &parameters[2 * index], &parameters[2 * index + 1]);
        let activate = |pre: &Matrix| pre.map(|x| activation::activate(self.activation, x));
        let encoder = layer(0, &self.x);
        let encoded = activate(&encoder);
        let posterior = layer(1, &encoded);
        let z = latents::reparameterise(&posterior, &self.noise);
        let decoder = layer(2, &z);
        let decoded = activate(&decoder);
        let output = layer(3, &decoded);
        Values { encoder, encoded, posterior, z, decoder, decoded, output }
    }

    fn loss(&self, parameters: &[Matrix]) -> f64 {
        let Values { posterior, output, .. } = self.forward(parameters);
        let log_prob = match self.gaussian {
            true => gaussian::log_prob(&self.x, &output, parameters[8].at(0, 0)),
            false => bernoulli::log_prob(&self.x, &output),
        };
        self.kl_weight * mean(&latents::kl(&posterior)) - mean(&log_prob)
    }

    /// The gradient of each parameter.
    fn gradients(&self) -> Vec<Matrix> {
        let Values { encoder, encoded, posterior, z, decoder, decoded, output } = self.forward(&self.parameters);
        let through =
            |pre: &Matrix, gradient: &Matrix| gradient.zip(pre, |g, x| g * activation::derivative(self.activation, x));
        let logvar = self.parameters[8].at(0, 0);
        let doutput = match self.gaussian {
            true => gaussian::backward(&self.x, &output, logvar),
            false => bernoulli::backward(&self.x, &output),
        };
        let ddecoder = through(&decoder, &dense::backward_input(&doutput, &self.parameters[6]));
        let dz = dense::backward_input(&ddecoder, &self.parameters[4]);
        let dposterior = latents::reparameterise_backward(&posterior, &z, &dz)
            .zip(&latents::kl_backward(&posterior, self.kl_weight), |a, b| a + b);
        let dencoder = through(&encoder, &dense::backward_input(&dposterior, &self.parameters[2]));
        let mut gradients = Vec::new();
        let layers = [(&self.x, &dencoder), (&encoded, &dposterior), (&z, &ddecoder), (&decoded, &doutput)];
        for (input, doutput) in layers {
            let (dweight, dbias) = dense::backward_weight(input, doutput);
            gradients.extend([dweight, dbias]);
        }
        let log_prob = gaussian::log_prob(&self.x, &output, logvar);
        let dlogvar = gaussian::backward_logvar(&log_prob, self.x.columns(), logvar, &alike(self.x.rows()));
        gradients.push(Matrix::vector(vec![if self.gaussian { dlogvar } else { 0.0 }]));
        gradients
    }

    /// The whole loss as a function of one parameter.
    fn loss_of(&self, index: usize, value: &Matrix) -> f64 {
        let mut parameters = self.parameters.clone();
        parameters[index] = value.clone();
        self.loss(&parameters)
    }
}

#[test]
fn the_whole_loss_in_every_parameter() {
    let cases = of_one_value().flat_map(|kind| [(kind, false), (kind, true)]);
    for (activation, gaussian) in cases {
        let vae = TinyVae::new(activation, gaussian);
        for (index, gradient) in vae.gradients().iter().enumerate() {
            let result = check(gradient, &vae.parameters[index], |value| vae.loss_of(index, value));
            result.unwrap_or_else(|error| panic!("{activation:?}, Gaussian: {gaussian}, parameter {index} {error}"));
        }
    }
}

#[test]
fn a_wrong_gradient_is_seen() {
    let vae = TinyVae::new(Activation::Tanh, true);
    for (index, gradient) in vae.gradients().iter().enumerate() {
        let f = |value: &Matrix| vae.loss_of(index, value);
        let at = &vae.parameters[index];
        check(gradient, at, f).unwrap();
        let (last_row, last_column) = (at.rows() - 1, at.columns() - 1);
        let spoiled = |spoil: fn(f64) -> f64| {
            Matrix::from_fn(at.rows(), at.columns(), |r, c| {
                let value = gradient.at(r, c);
                if (r, c) == (last_row, last_column) { spoil(value) } else { value }
            })
        };
        assert!(check(&gradient.map(|value| -value), at, f).is_err(), "the other sign, parameter {index}");
        assert!(check(&spoiled(|value| -value), at, f).is_err(), "one other sign, parameter {index}");
        assert!(check(&spoiled(|value| 1.001 * value), at, f).is_err(), "one part in a thousand, parameter {index}");
        assert!(check(&spoiled(|_| f64::NAN), at, f).is_err(), "not a number, parameter {index}");
    }
}
