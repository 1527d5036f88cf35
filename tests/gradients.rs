//! The f64 gradients of the references against central differences of their forward passes.
//!
//! The kernels' gradients are compared with the same references, so this closes the chain.

use clap::ValueEnum;

use elbo::nn::Activation;
use elbo::selftest::Matrix;
use elbo::selftest::likelihood::{
    Share, bernoulli, beta_binomial, categorical, discretised_logistic, evaluate, gaussian, gaussian_predicted, tokens,
};
use elbo::selftest::nn::recurrent::{gru, lstm};
use elbo::selftest::nn::{activation, dense};
use elbo::selftest::objective::{penalised, weighted};
use elbo::selftest::posterior::normal;
use elbo::selftest::prior::standard_normal;

use crate::support::differences::{
    KL_WEIGHT, SAMPLES, check, importance_samples, log_prob, log_weights, map_elements, matrix, mean, samples_gradient,
    sum_of_products,
};

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

#[test]
fn recurrent_units() {
    let (d, e) = (1.3, -0.7);
    // The products of the input and of the state, and the state before.
    let x = matrix(1, 7, 1.5, 1);
    let parts = |x: &Matrix| {
        let at = |first: usize| [0, 1, 2].map(|gate| x.at(0, first + gate));
        (at(0), at(3), x.at(0, 6))
    };
    let (a, c, state) = parts(&x);
    let (da, dc, dstate) = gru::go_back(gru::advance(a, c, state).0, c[2], state, d);
    let gradient = Matrix::vector([&da[..], &dc, &[dstate]].concat());
    check(&gradient, &x, |x| {
        let (a, c, state) = parts(x);
        d * gru::advance(a, c, state).1
    })
    .unwrap();
    // The sums of the products, and the cell before.
    let x = matrix(1, 5, 1.5, 2);
    let advance = |x: &Matrix| lstm::advance([0, 1, 2, 3].map(|gate| x.at(0, gate)), x.at(0, 4));
    let (gates, cell, _) = advance(&x);
    let (sums, dcell) = lstm::go_back(gates, [x.at(0, 4), cell], d, e);
    check(&Matrix::vector([&sums[..], &[dcell]].concat()), &x, |x| {
        let (_, cell, state) = advance(x);
        d * state + e * cell
    })
    .unwrap();
    let logits = matrix(1, 5, 4.0, 3);
    let gradient = Matrix::vector(tokens::backward(logits.row(0), 2));
    check(&gradient, &logits, |logits| -tokens::log_prob(logits.row(0), 2)).unwrap();
}

/// The activations that are functions of one value.
fn of_one_value() -> impl Iterator<Item = Activation> {
    Activation::value_variants().iter().copied().filter(|kind| kind.inputs() == 1)
}

#[test]
fn activations() {
    // Away from 0, where some of them have a kink.
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
    let z = normal::reparameterise(&posterior, &noise);
    let gradient = normal::reparameterise_backward(&posterior, &z, &dz);
    check(&gradient, &posterior, |posterior| sum_of_products(&dz, &normal::reparameterise(posterior, &noise))).unwrap();
    let gradient = standard_normal::kl_backward(&posterior, 0.7);
    check(&gradient, &posterior, |posterior| 0.7 * mean(&standard_normal::kl(posterior))).unwrap();
}

/// The weight of each row if all have the same.
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
    // Each has values that are clamped.
    let spread = |scale: f64, far: f64| {
        map_elements(&matrix(3, 14, scale, 2), |r, c, v| if (r, c % 5) == (1, 1) { far } else { v })
    };
    let gradient_of = |output: &Matrix, share: fn(f64, [f64; 2]) -> Share| {
        let (_, gradient) = evaluate(&x, output, share);
        check(&gradient, output, |output| -mean(&evaluate(&x, output, share).0)).unwrap();
    };
    gradient_of(&spread(2.0, -9.0), |x, output| gaussian_predicted::share(x, output, 0.1));
    gradient_of(&spread(1.5, -6.0), discretised_logistic::share);
    gradient_of(&spread(4.0, 8.0), beta_binomial::share);
    let (binary, logits) = (x.map(f64::round), spread(3.0, 5.0));
    let gradient = categorical::backward(&binary, &logits);
    check(&gradient, &logits, |logits| -mean(&categorical::log_prob(&binary, logits))).unwrap();
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

#[test]
fn several_samples() {
    let (posterior, noise) = importance_samples();
    let alike = vec![1.0 / SAMPLES as f64; noise.rows()];
    let gradient = samples_gradient(&posterior, &noise, &alike, true, false);
    let elbo = |posterior: &Matrix| -log_weights(posterior, &noise).iter().sum::<f64>() / noise.rows() as f64;
    check(&gradient, &posterior, elbo).unwrap();
    let gradient = samples_gradient(&posterior, &noise, &alike, false, false);
    let closed = |posterior: &Matrix| {
        let z = normal::reparameterise(&normal::repeat(posterior, SAMPLES), &noise);
        KL_WEIGHT * mean(&standard_normal::kl(posterior)) - mean(&log_prob(&z))
    };
    check(&gradient, &posterior, closed).unwrap();
}

#[test]
fn the_importance_weighted_bound() {
    let (posterior, noise) = importance_samples();
    let weights = weighted::weights(&log_weights(&posterior, &noise), SAMPLES);
    let gradient = samples_gradient(&posterior, &noise, &weights, true, false);
    let loss = |posterior: &Matrix| {
        let bounds = weighted::bounds(&log_weights(posterior, &noise), SAMPLES);
        -bounds.iter().sum::<f64>() / bounds.len() as f64
    };
    check(&gradient, &posterior, loss).unwrap();
}

/// The doubly reparameterised gradient is that of the log weights with the parameters of log q(z|x) fixed, so that only
/// z depends on the posterior. The factor of each log weight, `w (1 - kl_weight (1 - w))`, is fixed too.
#[test]
fn the_doubly_reparameterised_gradient() {
    let (posterior, noise) = importance_samples();
    let weights = weighted::weights(&log_weights(&posterior, &noise), SAMPLES);
    let gradient = samples_gradient(&posterior, &noise, &weights, true, true);
    let fixed = normal::repeat(&posterior, SAMPLES);
    let surrogate = |posterior: &Matrix| {
        let z = normal::reparameterise(&normal::repeat(posterior, SAMPLES), &noise);
        // The noise that would give this z from the fixed posterior.
        let own = map_elements(&z, |r, l, z| (z - fixed.at(r, l)) * (-0.5 * fixed.at(r, 4 + l)).exp());
        let log_weights =
            weighted::log_weights(&log_prob(&z), &standard_normal::kl_sampled(&fixed, &z, &own), KL_WEIGHT);
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
    for (name, penalty) in [
        ("free bits", penalised::free_bits as fn(&Matrix, f64, f64) -> _),
        ("total", penalised::free_bits_total),
        ("capacity", penalised::capacity),
    ] {
        let (value, weights) = penalty(&kl, 0.45, KL_WEIGHT);
        assert!(value > 0.0);
        let gradient = Matrix::from_fn(4, 6, |_, l| weights[l] / 4.0);
        check(&gradient, &kl, |kl| penalty(kl, 0.45, KL_WEIGHT).0).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let (_, weights) = penalised::free_bits(&kl, 0.45, KL_WEIGHT);
    assert!(weights.contains(&0.0) && weights.contains(&KL_WEIGHT), "latents on both sides: {weights:?}");
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

/// The values of the forward pass that the backward pass needs.
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
        let z = normal::reparameterise(&posterior, &self.noise);
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
        self.kl_weight * mean(&standard_normal::kl(&posterior)) - mean(&log_prob)
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
        let dposterior = normal::reparameterise_backward(&posterior, &z, &dz)
            .zip(&standard_normal::kl_backward(&posterior, self.kl_weight), |a, b| a + b);
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
