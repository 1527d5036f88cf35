//! Objectives and the estimate of log p(x), over whole models.

use std::ops::ControlFlow;

use elbo::config::{Config, ModelConfig};
use elbo::data::{ImageShape, Images};
use elbo::eval::{self, ImportanceEstimate, ReportRequest};
use elbo::likelihood::{Likelihood, LikelihoodConfig};
use elbo::nn::Activation;
use elbo::nn::Layers;
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::prior::KlEstimate;
use elbo::selftest::noise;
use elbo::selftest::objective::weighted;
use elbo::vae::{Model, Vae};

use crate::support::differences::{SAMPLES, importance_samples, log_weights, samples_gradient};
use crate::support::gpu;
use crate::support::synthetic::{config, dataset, described, images, trainer};

fn with_objective(objective: ObjectiveConfig) -> Config {
    let mut config = config(1, Activation::Relu, Likelihood::Bernoulli);
    config.training.objective = objective;
    config
}

/// The gradients of all parameters in the first step.
fn first_gradients(objective: ObjectiveConfig) -> Vec<f32> {
    let mut config = with_objective(objective);
    config.training.batch_size = 60;
    config.training.epochs = Some(1);
    let mut trainer = trainer(gpu(), &dataset(60, 8), &config);
    trainer.epoch(|_| ControlFlow::Continue(())).unwrap();
    trainer.gradients().whole().read(gpu()).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let size = a.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

#[test]
fn the_bound_of_one_sample_is_the_elbo() {
    let sampled = ObjectiveConfig { kl: KlEstimate::Sampled, ..ObjectiveConfig::default() };
    let elbo = first_gradients(sampled.clone());
    let iwae = first_gradients(ObjectiveConfig { kind: Objective::Iwae, ..sampled.clone() });
    // The bound is a sum of the same terms in another order, with a weight of exp(0) = 1.
    assert!(largest_difference(&elbo, &iwae) < 1e-6, "{}", largest_difference(&elbo, &iwae));
    let other = first_gradients(ObjectiveConfig { kind: Objective::Dreg, ..sampled });
    assert!(largest_difference(&elbo, &other) > 1e-3, "the doubly reparameterised gradient is another");
}

/// The KL weight is not 1, which would be a special case.
#[test]
fn the_doubly_reparameterised_gradient_has_the_mean_of_the_standard_one() {
    const DRAWS: u32 = 20_000;
    let (posterior, _) = importance_samples();
    let mut sums = vec![[0.0f64; 3]; posterior.values().len()];
    for t in 0..DRAWS {
        let noise = noise::noise([1, 2, 3, 0], t, 0, 0..SAMPLES as u32, posterior.rows() * SAMPLES, 4);
        let weights = weighted::weights(&log_weights(&posterior, &noise), SAMPLES);
        let gradient = |doubly| samples_gradient(&posterior, &noise, &weights, true, doubly);
        let (standard, doubly) = (gradient(false), gradient(true));
        for (sums, (doubly, standard)) in sums.iter_mut().zip(doubly.values().iter().zip(standard.values())) {
            let difference = doubly - standard;
            *sums = [sums[0] + difference, sums[1] + difference * difference, sums[2] + standard];
        }
    }
    let draws = f64::from(DRAWS);
    let mut largest = 0.0f64;
    for (index, [sum, squares, standard]) in sums.into_iter().enumerate() {
        let standard_error = ((squares / draws - (sum / draws).powi(2)) / draws).sqrt();
        assert!(sum.abs() / draws < 5.0 * standard_error, "[{index}]: {} off, {standard_error}", sum / draws);
        largest = largest.max(standard.abs() / draws / standard_error);
    }
    assert!(largest > 30.0, "the draws say too little: the largest gradient is {largest} standard errors");
}

#[test]
fn free_bits_of_nothing_and_a_capacity_of_nothing_are_the_elbo() {
    let elbo = first_gradients(ObjectiveConfig::default());
    for objective in [Objective::FreeBits, Objective::FreeBitsTotal, Objective::Capacity] {
        let nothing = ObjectiveConfig { kind: objective, free_bits: 0.0, capacity: 0.0, ..ObjectiveConfig::default() };
        let difference = largest_difference(&elbo, &first_gradients(nothing));
        assert!(difference < 1e-6, "{objective:?}: {difference}");
        let much = ObjectiveConfig { kind: objective, free_bits: 9.0, capacity: 900.0, ..ObjectiveConfig::default() };
        assert!(largest_difference(&elbo, &first_gradients(much)) > 1e-2, "{objective:?}");
    }
}

#[test]
fn every_objective_lowers_its_loss_and_is_resumed_to_the_same_bits() {
    let data = dataset(150, 30);
    for objective in [Objective::Elbo, Objective::FreeBits, Objective::Capacity, Objective::Iwae, Objective::Dreg] {
        let config = with_objective(ObjectiveConfig {
            kind: objective,
            samples: 3,
            capacity: 5.0,
            capacity_warmup: 2,
            ..ObjectiveConfig::default()
        });
        let run = |interrupt: bool| {
            let mut trainer = trainer(gpu(), &data, &config);
            let mut losses = Vec::new();
            while trainer.progress().epochs < trainer.epochs() {
                let mut updates = 0;
                let epoch = trainer.epoch(|_| {
                    updates += 1;
                    if interrupt && updates == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                losses.extend(epoch.unwrap().map(|metrics| metrics.train.loss));
            }
            (losses, trainer.vae().parameters().whole().read::<u32>(gpu()).unwrap())
        };
        let (losses, bits) = run(false);
        assert!(losses[2] < losses[0], "{objective:?}: {losses:?}");
        assert_eq!((losses, bits), run(true), "{objective:?}");
    }
}

#[test]
fn the_held_out_loss_has_the_final_capacity() {
    let config = with_objective(ObjectiveConfig {
        kind: Objective::Capacity,
        capacity: 7.0,
        capacity_warmup: 5,
        ..ObjectiveConfig::default()
    });
    let mut trainer = trainer(gpu(), &dataset(150, 30), &config);
    let metrics = trainer.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
    let held_out = metrics.held_out().1;
    // One batch, so that the mean over batches is that over examples.
    let want = held_out.nll + (held_out.kl - 7.0).abs();
    assert!((held_out.loss - want).abs() < 1e-4 * want, "{held_out:?}, expected a loss of {want}");
}

fn estimate(vae: &Vae, images: &Images, samples: usize, seed: u64) -> ImportanceEstimate {
    eval::estimate(vae, described(vae, images), samples, seed, |_| ControlFlow::Continue(())).unwrap().unwrap()
}

#[test]
fn the_estimate_of_log_p_rises_with_the_samples() {
    // A posterior far from the prior leaves a gap between the ELBO and log p(x).
    let mut config = with_objective(ObjectiveConfig::default());
    config.training.objective.kl_weight = 0.1;
    let mut trainer = trainer(gpu(), &dataset(600, 30), &config);
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    let images = images(200, 3);
    let means = [1, 5, 50, 500].map(|samples| estimate(trainer.vae(), &images, samples, 0).mean());
    assert!(means.is_sorted() && means[3] > means[0] + 0.1, "{means:?}");
    let one = estimate(trainer.vae(), &images, 1, 0);
    // In f32, 200 nats have a precision of 1e-5.
    assert!(one.log_prob.iter().zip(&one.elbo).all(|(log_prob, elbo)| (log_prob - elbo).abs() < 1e-3));
    let many = estimate(trainer.vae(), &images, 500, 0);
    assert!(many.log_prob.iter().zip(&many.elbo).all(|(log_prob, elbo)| log_prob > elbo));
    let elbo = many.elbo.iter().sum::<f64>() / 200.0;
    // The last step draws 12 samples that do not count.
    assert!((many.averages.elbo - elbo).abs() < 0.05, "{} {elbo}", many.averages.elbo);
}

/// A model without hidden layers and with a fixed variance, whose log p(x) is known: x is normal with the mean b and
/// the covariance W W^T + variance I. The columns of W are orthogonal, so the posterior is diagonal. The encoder has it
/// exactly, except for a shift of the means and a factor of the variances.
struct LinearGaussian {
    vae: Vae,
    weight: [[f64; 2]; 6],
    bias: f64,
}

const VARIANCE: f64 = 0.05;

impl LinearGaussian {
    fn new(shift: f64, factor: f64) -> LinearGaussian {
        let config = ModelConfig {
            hidden: Some(Layers::default()),
            latents: 2,
            likelihood: LikelihoodConfig {
                kind: Likelihood::GaussianFixed,
                variance: VARIANCE as f32,
                ..LikelihoodConfig::default()
            },
            ..ModelConfig::default()
        };
        let vae = Vae::new(gpu(), Model { data: ImageShape::grey(2, 3).into(), config }, 0).unwrap();
        let weight = [[0.5, 0.25], [-0.5, 0.25], [0.25, 0.0], [0.0, -0.5], [0.25, 0.5], [-0.25, 0.5]];
        assert_eq!((0..6).map(|d| weight[d][0] * weight[d][1]).sum::<f64>(), 0.0);
        let bias = 0.4;
        let mut encoder = [0.0f32; 4 * 6];
        let mut offsets = [0.0f32; 4];
        for l in 0..2 {
            let square: f64 = weight.iter().map(|row| row[l] * row[l]).sum();
            let variance = 1.0 / (1.0 + square / VARIANCE);
            for d in 0..6 {
                encoder[6 * l + d] = (variance * weight[d][l] / VARIANCE) as f32;
            }
            let mean_of_bias: f64 = (0..6).map(|d| variance * weight[d][l] / VARIANCE * bias).sum();
            offsets[l] = (shift * variance.sqrt() - mean_of_bias) as f32;
            offsets[2 + l] = (factor * variance).ln() as f32;
        }
        let decoder: Vec<f32> = weight.iter().flatten().map(|value| *value as f32).collect();
        for (name, values) in [
            ("posterior.weight", &encoder[..]),
            ("posterior.bias", &offsets[..]),
            ("likelihood.weight", &decoder[..]),
            ("likelihood.bias", &[bias as f32; 6][..]),
        ] {
            vae.parameters().get(name).write(gpu(), values).unwrap();
        }
        LinearGaussian { vae, weight, bias }
    }

    /// log p(x): the columns of W are eigenvectors of the covariance.
    fn log_prob(&self, x: &[u8]) -> f64 {
        let x: Vec<f64> = x.iter().map(|byte| f64::from(*byte) / 255.0 - self.bias).collect();
        let mut rest: f64 = x.iter().map(|x| x * x).sum();
        let (mut quadratic, mut log_determinant) = (0.0, 4.0 * VARIANCE.ln());
        for l in 0..2 {
            let square: f64 = self.weight.iter().map(|row| row[l] * row[l]).sum();
            let along: f64 = self.weight.iter().zip(&x).map(|(row, x)| row[l] * x).sum::<f64>() / square.sqrt();
            rest -= along * along;
            quadratic += along * along / (VARIANCE + square);
            log_determinant += (VARIANCE + square).ln();
        }
        quadratic += rest / VARIANCE;
        -0.5 * (6.0 * std::f64::consts::TAU.ln() + log_determinant + quadratic)
    }
}

fn small_images() -> Images {
    let bytes = (0..20 * 6u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Images::new(bytes, 20, ImageShape::grey(2, 3)).unwrap()
}

#[test]
fn with_the_true_posterior_one_sample_is_log_p() {
    let (model, images) = (LinearGaussian::new(0.0, 1.0), small_images());
    let found = estimate(&model.vae, &images, 1, 0).log_prob;
    for (x, found) in images.bytes().unwrap().chunks(6).zip(found) {
        // About 100 nats of terms that cancel, in f32, with a logarithm and exponentials of the driver's.
        assert!((found - model.log_prob(x)).abs() < 1e-3, "found {found}, expected {}", model.log_prob(x));
    }
}

#[test]
fn the_estimate_agrees_with_the_closed_form_within_its_standard_error() {
    const SEEDS: u64 = 12;
    let (model, images) = (LinearGaussian::new(0.4, 1.5), small_images());
    // 300 samples come in three steps, the last of which is not full.
    let runs: Vec<f64> = (0..SEEDS).map(|seed| estimate(&model.vae, &images, 300, seed).mean()).collect();
    let exact = images.bytes().unwrap().chunks(6).map(|x| model.log_prob(x)).sum::<f64>() / 20.0;
    let mean = runs.iter().sum::<f64>() / SEEDS as f64;
    let variance = runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>() / (SEEDS - 1) as f64;
    let standard_error = (variance / SEEDS as f64).sqrt();
    assert!(standard_error < 0.01, "{standard_error}");
    // The logarithm of a mean is low by half the relative variance of one example's estimate.
    let bias = 0.5 * 20.0 * variance;
    assert!((mean + bias - exact).abs() < 4.0 * standard_error, "{mean} + {bias} against {exact}, {standard_error}");
    let elbo = estimate(&model.vae, &images, 300, 0).averages.elbo;
    assert!(elbo < exact - 0.05, "the ELBO of a posterior that is off is lower: {elbo}");
}

#[test]
fn an_estimate_can_be_stopped() {
    let model = LinearGaussian::new(0.0, 1.0);
    let images = small_images();
    let images = described(&model.vae, &images);
    let stopped = eval::estimate(&model.vae, images, 100_000, 0, |_| ControlFlow::Break(())).unwrap();
    assert_eq!(stopped, None);
}

#[test]
fn a_report_says_what_its_parts_say() {
    let config = with_objective(ObjectiveConfig::default());
    let mut trainer = trainer(gpu(), &dataset(600, 30), &config);
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    let (vae, images) = (trainer.vae(), images(70, 3));
    let of = |importance_samples| {
        let request = ReportRequest { batch_size: 32, importance_samples, seed: 4 };
        eval::report(vae, &images, request, |_| ControlFlow::Continue(())).unwrap().unwrap()
    };
    let report = of(None);
    let kl = report.kl_per_latent.clone().unwrap();
    assert!((kl.iter().sum::<f64>() - report.kl).abs() < 1e-4 * report.kl, "{report:?}");
    assert!((report.elbo + report.nll + report.kl).abs() < 1e-9 && report.log_prob.is_none());
    // The images are grey.
    assert!(!report.is_log_likelihood && report.bits_per_dim.is_none());
    let posterior = vae.encode(&images, 0).unwrap();
    let count = images.count() as f64;
    let active = (0..report.latents).filter(|latent| {
        let means: Vec<f64> =
            posterior.mean.iter().skip(*latent).step_by(report.latents).copied().map(f64::from).collect();
        let mean = means.iter().sum::<f64>() / count;
        means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count > 0.01
    });
    assert_eq!(report.active_units, active.count());
    assert!(report.active_units > 0);
    let weighted = of(Some(100));
    let estimate = estimate(vae, &images, 100, 4);
    assert_eq!(weighted.log_prob.unwrap().mean, estimate.mean());
    assert_eq!(weighted.log_prob.unwrap().standard_error, estimate.standard_error());
    assert_eq!(weighted.estimate.unwrap().log_prob, estimate.log_prob);
    assert!(weighted.kl_is_estimate && !report.kl_is_estimate);
    let request = ReportRequest { batch_size: 32, importance_samples: Some(0), seed: 4 };
    let refused = eval::report(vae, &images, request, |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(refused.starts_with("--importance-samples: expected "), "{refused}");
}
