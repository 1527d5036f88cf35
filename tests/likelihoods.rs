//! Likelihoods: they sum to 1, their draws have their moments, models with them train, other data are refused.

mod data;

use std::ops::ControlFlow;

use clap::ValueEnum;
use elbo::config::Config;
use elbo::data::Binarize;
use elbo::gpu::{Arena, Dispatch, Program, Tensor};
use elbo::likelihood::{self, Density, Likelihood, LikelihoodConfig, Pixels, Terms};
use elbo::nn::{self, Activation, Dense, Epilogue, Layer, Mode, Recording};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::selftest::likelihood::{discretised_logistic, gaussian_predicted};
use elbo::step::{At, Step};
use elbo::vae::Vae;

use crate::support::gpu;
use crate::support::synthetic::{LATENTS, config, dataset, trainer};

fn all() -> impl Iterator<Item = Likelihood> {
    Likelihood::value_variants().iter().copied()
}

fn with_categories(likelihood: Likelihood, categories: usize) -> LikelihoodConfig {
    LikelihoodConfig { kind: likelihood, categories, variance: 0.05 }
}

/// A likelihood after a layer whose weight is the identity, so that the layer's input is the decoder's output.
struct Bare {
    density: Box<dyn Density>,
    layer: Dense,
    parameters: Arena,
    dimensions: usize,
    outputs: usize,
}

impl Bare {
    fn new(config: &LikelihoodConfig, dimensions: usize) -> Bare {
        let density = config.density();
        let outputs = dimensions * density.outputs_per_dimension();
        let layer = Dense::new("identity", outputs, outputs);
        let mut specs = layer.parameters();
        specs.extend(density.parameter(dimensions));
        let parameters = nn::arena(gpu(), &specs).unwrap();
        nn::initialise(gpu(), &specs, &parameters, 0).unwrap();
        let identity: Vec<f32> = (0..outputs * outputs).map(|i| f32::from(i / outputs == i % outputs)).collect();
        parameters.get("identity.weight").write(gpu(), &identity).unwrap();
        parameters.get("identity.bias").write(gpu(), &vec![0f32; outputs]).unwrap();
        Bare { density, layer, parameters, dimensions, outputs }
    }

    /// Runs the layer and the likelihood.
    fn run(
        &self,
        outputs: &Tensor,
        record: impl FnOnce(Recording<'_>) -> Result<(Epilogue, Option<Dispatch>), elbo::Error>,
    ) {
        let step = Step { examples: outputs.rows() as u32, ..Step::default() }.upload(gpu()).unwrap();
        let at = At::new(gpu(), &step, 1);
        let recording = Recording::new(at, &self.parameters, Mode::Training);
        let (epilogue, after) = record(recording).unwrap();
        let mut program = Program::default();
        program.extend(self.layer.forward(recording, outputs, &epilogue).unwrap());
        program.extend(after);
        gpu().run(&program, 1);
    }

    /// The log probability of each row.
    fn log_prob(&self, x: &[f32], outputs: &[f32]) -> Vec<f64> {
        let rows = x.len() / self.dimensions;
        let x = Tensor::from_values(gpu(), rows, self.dimensions, x).unwrap();
        let outputs = Tensor::from_values(gpu(), rows, self.outputs, outputs).unwrap();
        let doutput = Tensor::zeros(gpu(), rows, self.outputs).unwrap();
        let parts = self.density.partial_sums(gpu(), self.dimensions).unwrap();
        let log_prob = Tensor::zeros(gpu(), rows, parts).unwrap();
        let terms = Terms { x: &x, output: &doutput, log_prob: &log_prob, trains: true };
        self.run(&outputs, |recording| {
            terms.check(recording.at, &*self.density)?;
            self.density.log_prob(recording, terms)
        });
        let parts: Vec<f32> = log_prob.read(gpu()).unwrap();
        parts.chunks(log_prob.columns()).map(|row| row.iter().copied().map(f64::from).sum()).collect()
    }

    /// The pixels of `rows` rows with the same outputs.
    fn pixels(&self, pixels: Pixels, rows: usize, outputs: &[f32]) -> Vec<f32> {
        let values: Vec<f32> = (0..rows).flat_map(|_| outputs).copied().collect();
        let outputs = Tensor::from_values(gpu(), rows, self.outputs, &values).unwrap();
        let product = Tensor::zeros(gpu(), rows, self.outputs).unwrap();
        let result = Tensor::zeros(gpu(), rows, self.dimensions).unwrap();
        self.run(&outputs, |recording| {
            let shown = likelihood::show(&*self.density, recording, pixels, &product, &result)?;
            Ok((Epilogue::store(&product), Some(shown)))
        });
        result.read(gpu()).unwrap()
    }
}

/// The sum of the probabilities of some values of one pixel, with the same outputs.
fn total(bare: &Bare, values: &[f32], outputs: &[f32]) -> f64 {
    let all: Vec<f32> = values.iter().flat_map(|_| outputs).copied().collect();
    bare.log_prob(values, &all).iter().map(|log_prob| log_prob.exp()).sum()
}

fn levels(count: usize) -> Vec<f32> {
    (0..count).map(|k| k as f32 / (count - 1) as f32).collect()
}

#[test]
fn the_probabilities_of_all_levels_sum_to_one() {
    let pairs =
        [[0.3, 0.0], [0.5, -9.0], [-0.2, -1.0], [1.7, 2.0], [0.004, -4.0], [2.0, 6.5], [-6.9, -6.9], [0.0, 90.0]];
    for likelihood in [Likelihood::DiscretisedLogistic, Likelihood::BetaBinomial] {
        let bare = Bare::new(&with_categories(likelihood, 2), 1);
        for outputs in pairs {
            let total = total(&bare, &levels(256), &outputs);
            // A log probability of some hundred terms of a hundred nats, in f32.
            assert!((total - 1.0).abs() < 2e-4, "{likelihood:?}, {outputs:?}: {total}");
        }
    }
    for categories in [2, 5, 256] {
        let bare = Bare::new(&with_categories(Likelihood::Categorical, categories), 1);
        for scale in [1.0, 20.0] {
            let logits: Vec<f32> = (0..categories).map(|c| scale * ((c * c) as f32).sin()).collect();
            let total = total(&bare, &levels(categories), &logits);
            assert!((total - 1.0).abs() < 1e-5, "{categories} categories: {total}");
        }
    }
    let bare = Bare::new(&with_categories(Likelihood::Bernoulli, 2), 1);
    for logit in [0.0, 3.0, -20.0] {
        assert!((total(&bare, &levels(2), &[logit]) - 1.0).abs() < 1e-5);
    }
}

#[test]
fn the_densities_integrate_to_one() {
    for likelihood in [
        Likelihood::Gaussian,
        Likelihood::GaussianFixed,
        Likelihood::GaussianPerDimension,
        Likelihood::GaussianPredicted,
    ] {
        // Two pixels. The second stays at its mean: its density there is the result.
        let bare = Bare::new(&with_categories(likelihood, 2), 2);
        for raw in [0.0f32, 3.0, -30.0] {
            let (outputs, variance): (Vec<f32>, f64) = match likelihood {
                Likelihood::GaussianPredicted => {
                    (vec![0.3, raw, -0.2, raw], gaussian_predicted::logvar(raw.into(), 0.05f32.into()).exp())
                }
                _ => (vec![0.3, -0.2], 0.05),
            };
            let (std, step) = (variance.sqrt(), 1.0 / 32.0);
            let x: Vec<f32> = (-256..=256).flat_map(|i| [(0.3 + f64::from(i) * step * std) as f32, -0.2]).collect();
            let all: Vec<f32> = (-256..=256).flat_map(|_| &outputs).copied().collect();
            let total: f64 = bare.log_prob(&x, &all).iter().map(|log_prob| log_prob.exp() * step * std).sum();
            let density = 1.0 / (std::f64::consts::TAU * variance).sqrt();
            assert!((total / density - 1.0).abs() < 1e-4, "{likelihood:?}, {raw}: {total} of {density}");
        }
    }
}

/// The mean and the variance of a pixel by its formula.
fn moments(likelihood: Likelihood, outputs: &[f32]) -> (f64, f64) {
    let wide: Vec<f64> = outputs.iter().copied().map(f64::from).collect();
    let of_levels = |probs: &[f64]| {
        let at = |k: usize| k as f64 / (probs.len() - 1) as f64;
        let mean: f64 = probs.iter().enumerate().map(|(k, prob)| prob * at(k)).sum();
        (mean, probs.iter().enumerate().map(|(k, prob)| prob * (at(k) - mean).powi(2)).sum())
    };
    match likelihood {
        Likelihood::Bernoulli => {
            let prob = 1.0 / (1.0 + (-wide[0]).exp());
            (prob, prob * (1.0 - prob))
        }
        Likelihood::Gaussian | Likelihood::GaussianFixed | Likelihood::GaussianPerDimension => (wide[0], 0.05),
        Likelihood::GaussianPredicted => (wide[0], gaussian_predicted::logvar(wide[1], 0.05).exp()),
        Likelihood::DiscretisedLogistic => {
            let prob = |k: u32| discretised_logistic::share(f64::from(k) / 255.0, [wide[0], wide[1]]).log_prob.exp();
            of_levels(&(0..256).map(prob).collect::<Vec<_>>())
        }
        Likelihood::BetaBinomial => {
            let (alpha, beta) = (wide[0].exp(), wide[1].exp());
            let sum = alpha + beta;
            (alpha / sum, alpha * beta * (sum + 255.0) / (sum * sum * (sum + 1.0)) / 255.0)
        }
        Likelihood::Categorical => {
            let whole: f64 = wide.iter().map(|logit| logit.exp()).sum();
            of_levels(&wide.iter().map(|logit| logit.exp() / whole).collect::<Vec<_>>())
        }
    }
}

#[test]
fn draws_have_the_mean_and_the_variance_of_their_likelihood() {
    const ROWS: usize = 3000;
    const D: usize = 5;
    for likelihood in all() {
        let bare = Bare::new(&with_categories(likelihood, 4), D);
        let each = bare.outputs / D;
        let outputs: Vec<f32> = (0..bare.outputs).map(|i| 1.5 * ((3 * i * i + 1) as f32).sin()).collect();
        let means = bare.pixels(Pixels::Mean, 1, &outputs);
        let draws = bare.pixels(Pixels::Draw { seed: 3 }, ROWS, &outputs);
        assert_eq!(draws, bare.pixels(Pixels::Draw { seed: 3 }, ROWS, &outputs));
        assert_ne!(draws, bare.pixels(Pixels::Draw { seed: 4 }, ROWS, &outputs));
        for d in 0..D {
            let (mean, variance) = moments(likelihood, &outputs[d * each..][..each]);
            let case = format!("{likelihood:?}, {:?}", &outputs[d * each..][..each]);
            assert!((f64::from(means[d]) - mean).abs() < 1e-5, "{case}: mean {} for {mean}", means[d]);
            let own: Vec<f64> = draws.iter().skip(d).step_by(D).map(|x| f64::from(*x)).collect();
            let moment = |power: i32| own.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / ROWS as f64;
            let allowed = 5.0 * (variance / ROWS as f64).sqrt();
            assert!(moment(1).abs() < allowed, "{case}: off by {} of {allowed}", moment(1));
            let allowed = 5.0 * ((moment(4) - variance * variance).max(0.0) / ROWS as f64).sqrt() + 1e-6;
            let off = (moment(2) - variance).abs();
            assert!(off < allowed, "{case}: variance {} for {variance}, within {allowed}", moment(2));
            if with_categories(likelihood, 4).is_discrete() {
                let highest = match likelihood {
                    Likelihood::Bernoulli => 1.0,
                    Likelihood::Categorical => 3.0,
                    _ => 255.0,
                };
                assert!(own.iter().all(|x| (x * highest - (x * highest).round()).abs() < 1e-4), "{case}");
            }
        }
    }
}

/// A model on the synthetic data, which are bytes.
fn trainable(likelihood: Likelihood, categories: usize) -> Config {
    let mut config = config(1, Activation::Relu, likelihood);
    config.model.likelihood.categories = categories;
    if (likelihood, categories) == (Likelihood::Categorical, 2) {
        config.model.binarize = Binarize::Dynamic;
    }
    config
}

#[test]
fn every_likelihood_lowers_its_loss_and_is_resumed_to_the_same_bits() {
    let data = dataset(150, 30);
    let mut cases: Vec<_> = all().map(|likelihood| (trainable(likelihood, 2), 1, Objective::Elbo)).collect();
    cases.push((trainable(Likelihood::Categorical, 256), 1, Objective::Elbo));
    for likelihood in [
        Likelihood::Gaussian,
        Likelihood::GaussianPerDimension,
        Likelihood::DiscretisedLogistic,
        Likelihood::BetaBinomial,
        Likelihood::Categorical,
    ] {
        cases.push((trainable(likelihood, 2), 3, Objective::Iwae));
    }
    for (mut config, samples, objective) in cases {
        config.training.objective = ObjectiveConfig { samples, kind: objective, ..ObjectiveConfig::default() };
        let run = |interrupt: bool| {
            let mut trainer = trainer(gpu(), &data, &config);
            let mut losses = Vec::new();
            while trainer.progress().epochs < trainer.epochs() {
                let epoch = trainer.epoch(|update| {
                    let is_first = update.examples < 65;
                    if interrupt && is_first { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                losses.extend(epoch.unwrap().map(|metrics| metrics.train.loss));
            }
            (losses, trainer.vae().parameters().whole().read::<u32>(gpu()).unwrap())
        };
        let (losses, bits) = run(false);
        println!("{losses:?}: {:?}", config.model.likelihood.kind);
        assert!(losses[2] < losses[0], "{:?}: {losses:?}", config.model);
        assert_eq!((losses, bits), run(true), "{:?}", config.model);
    }
}

#[test]
fn a_learned_variance_is_that_of_the_data_whatever_the_samples_and_the_objective() {
    // A decoder that cannot move: the means stay at 0, and the variance's optimum is the mean square of the pixels.
    let data = dataset(64, 8);
    let pixels: Vec<f32> = data.train.images.pixels().collect();
    let square = |x: &f32| f64::from(x * x);
    let optimum = (pixels.iter().map(square).sum::<f64>() / pixels.len() as f64).ln() as f32;
    for (samples, objective) in [(1, Objective::Elbo), (3, Objective::Elbo), (3, Objective::Iwae)] {
        let mut config = trainable(Likelihood::Gaussian, 2);
        config.training.objective = ObjectiveConfig { samples, kind: objective, ..ObjectiveConfig::default() };
        config.training.epochs = Some(1);
        let dlogvar = |logvar: f32| {
            let mut trainer = trainer(gpu(), &data, &config);
            for (name, tensor) in trainer.vae().parameters().tensors() {
                let value = if name == "likelihood.logvar" { logvar } else { 0.0 };
                tensor.write(gpu(), &vec![value; tensor.rows() * tensor.columns()]).unwrap();
            }
            trainer.epoch(|_| ControlFlow::Continue(())).unwrap();
            trainer.gradients().get("likelihood.logvar").read::<f32>(gpu()).unwrap()[0]
        };
        // 42 pixels an example. Each contributes 1/2 (1 - ratio of the variances).
        let (at_optimum, above) = (dlogvar(optimum), dlogvar(optimum + std::f32::consts::LN_2));
        assert!(at_optimum.abs() < 1e-3, "{samples} samples, {objective:?}: {at_optimum}");
        assert!((above - 42.0 * 0.25).abs() < 1e-3, "{samples} samples, {objective:?}: {above}");
    }
}

#[test]
fn draws_of_a_model_are_repeated_and_have_its_means() {
    let trainer = trainer(gpu(), &dataset(64, 8), &trainable(Likelihood::Bernoulli, 2));
    let vae: &Vae = trainer.vae();
    // More rows than are decoded at a time, all alike.
    let latents = vec![0.25f32; 600 * LATENTS];
    let draw = |seed| vae.decode(&latents, Pixels::Draw { seed }).unwrap();
    let (means, draws) = (vae.decode(&latents, Pixels::Mean).unwrap(), draw(1));
    assert_eq!(draws, draw(1));
    assert_ne!(draws, draw(2));
    assert!(draws.iter().all(|x| *x == 0.0 || *x == 1.0));
    let rows: Vec<_> = draws.chunks(42).collect();
    assert!((1..600).all(|row| rows[row] != rows[0]), "every row has draws of its own");
    for d in 0..42 {
        let share = rows.iter().map(|row| f64::from(row[d])).sum::<f64>() / 600.0;
        let mean = f64::from(means[d]);
        assert!((share - mean).abs() < 5.0 * (mean * (1.0 - mean) / 600.0).sqrt(), "{share} for {mean}");
    }
    let sample = || vae.sample(300, 5, Pixels::Draw { seed: 5 }).unwrap();
    let samples = sample();
    assert_eq!(samples, sample());
    assert!(samples.iter().all(|x| *x == 0.0 || *x == 1.0));
}

#[test]
fn a_draw_of_a_broken_model_is_an_error() {
    for likelihood in all() {
        let trainer = trainer(gpu(), &dataset(64, 8), &trainable(likelihood, 256));
        let bias = trainer.vae().parameters().get("likelihood.bias");
        bias.write(gpu(), &vec![f32::NAN; bias.columns()]).unwrap();
        for shown in [Pixels::Mean, Pixels::Draw { seed: 0 }] {
            assert!(trainer.vae().sample(3, 0, shown).is_err(), "{likelihood:?}");
        }
    }
}

#[test]
fn a_log_probability_is_never_nan_for_finite_outputs() {
    for likelihood in all() {
        let bare = Bare::new(&with_categories(likelihood, 2), 2);
        for (mean, raw) in [(1e38, 1e38), (-1e38, -1e38), (1e38, -1e38), (-1e38, 1e38), (0.5, -1e38), (1e-40, 1e38)] {
            let outputs: Vec<f32> = [mean, raw].into_iter().cycle().take(4 * bare.outputs).collect();
            let log_prob = bare.log_prob(&[0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0], &outputs);
            assert!(log_prob.iter().all(|value| !value.is_nan()), "{likelihood:?}, {mean} {raw}: {log_prob:?}");
        }
    }
}
