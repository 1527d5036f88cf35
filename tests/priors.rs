//! Priors that are mixtures: their gradients, alone and through whole models; draws, training, files, importance weights.

mod batch;

use std::ops::ControlFlow;

use elbo::config::{Config, ModelConfig};
use elbo::data::{Dataset, ImageShape};
use elbo::eval;
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::likelihood::{Likelihood, LikelihoodConfig, Pixels};
use elbo::nn::Layers;
use elbo::nn::{Activation, Variant};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::posterior::LogvarRange;
use elbo::prior::{KlEstimate, Prior, PriorConfig};
use elbo::selftest::Matrix;
use elbo::selftest::prior::mixture;
use elbo::train::{Plan, Trainer};
use elbo::vae::{Model, Vae};

use batch::Batch;

use crate::support::differences::{check, matrix};
use crate::support::gpu;
use crate::support::synthetic::{LATENTS, config, dataset, described, images, trainer};

const PRIORS: [Prior; 2] = [Prior::Mixture, Prior::VampPrior];

const COMPONENTS: usize = 9;

fn with_prior(prior: Prior) -> Config {
    let mut config = config(1, Activation::Silu, Likelihood::Bernoulli);
    config.model.prior = PriorConfig { kind: prior, components: COMPONENTS };
    config.training.batch_size = 20;
    config
}

fn parameter_bits(vae: &Vae) -> Vec<u32> {
    vae.parameters().whole().read(vae.gpu()).unwrap()
}

/// `-sum_r weights[r] log p(z[r])`
fn weighted_nll(z: &Matrix, components: &Matrix, weights: &[f64]) -> f64 {
    let log_prob = mixture::log_prob(&mixture::scores(z, &mixture::prepare(components)));
    -log_prob.iter().zip(weights).map(|(log_prob, weight)| log_prob * weight).sum::<f64>()
}

#[test]
fn the_gradients_of_log_p_by_the_latents_and_by_the_components() {
    let (z, components) = (matrix(5, 3, 2.0, 1), matrix(4, 6, 1.5, 2));
    let responsibilities = mixture::responsibilities(&mixture::scores(&z, &mixture::prepare(&components)));
    let gradient = mixture::backward_z(&z, &mixture::prepare(&components), &responsibilities);
    check(&gradient, &z, |z| weighted_nll(z, &components, &[1.0; 5])).unwrap();
    let weights = [0.3, 0.0, 1.0, 0.7, 0.2];
    let gradient = mixture::backward_components(&z, &components, &responsibilities, &weights);
    check(&gradient, &components, |components| weighted_nll(&z, components, &weights)).unwrap();
    let wrong = gradient.map(|value| 1.001 * value);
    assert!(check(&wrong, &components, |components| weighted_nll(&z, components, &weights)).is_err());
}

/// The allowed error of a gradient in f32: sums of up to 150 terms a layer over six layers, as in `tolerance::sum`, in
/// units of 1.2e-7, where terms of both signs are a few times as large as their sum.
const ALLOWED: f64 = 4e-4;

#[test]
fn the_gradient_of_the_whole_loss_in_every_parameter() {
    let plain = ObjectiveConfig::default();
    let objectives = [
        plain.clone(),
        ObjectiveConfig { kind: Objective::Capacity, samples: 2, ..plain.clone() },
        ObjectiveConfig { kind: Objective::Iwae, samples: 3, ..plain },
    ];
    for prior in PRIORS {
        for (number, objective) in objectives.iter().enumerate() {
            let mut config = with_prior(prior);
            config.training.objective = objective.clone();
            // Clamped values have no gradient. The range ends at about the middle of an untrained encoder's outputs.
            config.model.posterior.logvar_range = (number == 1).then_some(LogvarRange { min: -4.0, max: -0.02 });
            let batch = Batch::new(gpu(), config);
            for index in 0..batch.gradients.len() {
                let found = batch.difference(index, false);
                println!("{prior:?}, {objective:?}, parameter {index}: {found:.1e}");
                assert!(found < ALLOWED, "{prior:?}, {objective:?}, parameter {index}: {found:.1e}");
            }
        }
    }
}

#[test]
fn the_encoder_learns_from_the_components_with_every_kernel_that_may_be_chosen() {
    for variant in Variant::of(gpu()) {
        let kernels = KernelRequest::Only(variant.name());
        let gpu = Gpu::open(&AdapterRequest { kernels, ..AdapterRequest::default() }).unwrap();
        let batch = Batch::new(&gpu, with_prior(Prior::VampPrior));
        for index in [0, 1, 2, 3, batch.gradients.len() - 1] {
            let found = batch.difference(index, false);
            assert!(found < ALLOWED, "{variant}, parameter {index}: {found:.1e}");
        }
        // The control: without the part through the components, the gradient differs.
        for index in 0..4 {
            assert!(batch.difference(index, true) > 20.0 * ALLOWED, "{variant}, parameter {index}");
        }
    }
}

/// The gradients of all parameters in the first step, and its loss.
fn first_step(config: &Config, prepare: impl Fn(&Vae)) -> (Vec<Vec<f32>>, f64, f64) {
    let mut config = config.clone();
    (config.training.batch_size, config.training.epochs) = (60, Some(1));
    let mut trainer = trainer(gpu(), &dataset(60, 8), &config);
    prepare(trainer.vae());
    let metrics = trainer.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
    (trainer.gradients().read(gpu()).unwrap(), metrics.train.loss, metrics.train.kl)
}

#[test]
fn a_mixture_of_one_standard_normal_is_the_standard_normal_prior() {
    let mut one = with_prior(Prior::Mixture);
    one.model.prior.components = 1;
    let mut standard = with_prior(Prior::StandardNormal);
    standard.training.objective.kl = KlEstimate::Sampled;
    let (gradients, loss, kl) = first_step(&one, |vae| {
        vae.parameters().get("prior.components").write(gpu(), &[0f32; 2 * LATENTS]).unwrap();
    });
    let (expected, expected_loss, expected_kl) = first_step(&standard, |_| ());
    assert!((loss - expected_loss).abs() < 1e-6 * loss && (kl - expected_kl).abs() < 1e-5, "{kl} {expected_kl}");
    assert_eq!(gradients.len(), expected.len() + 1);
    for (found, expected) in gradients.iter().zip(&expected) {
        let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
        let difference = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5 * largest, "{difference} of {largest}");
    }
}

#[test]
fn draws_have_the_moments_of_the_mixture() {
    const ROWS: usize = 20_000;
    // A decoder that shows the latents themselves: they are the means of the pixels.
    let model = ModelConfig {
        hidden: Some(Layers::default()),
        latents: LATENTS,
        likelihood: LikelihoodConfig { kind: Likelihood::GaussianFixed, ..LikelihoodConfig::default() },
        prior: PriorConfig { kind: Prior::Mixture, components: 3 },
        ..ModelConfig::default()
    };
    let vae = Vae::new(gpu(), Model { data: ImageShape::grey(1, LATENTS).into(), config: model }, 0).unwrap();
    let identity: Vec<f32> = (0..LATENTS * LATENTS).map(|i| f32::from(i / LATENTS == i % LATENTS)).collect();
    vae.parameters().get("likelihood.weight").write(gpu(), &identity).unwrap();
    vae.parameters().get("likelihood.bias").write(gpu(), &[0f32; LATENTS]).unwrap();
    let means = [-3.0f32, 0.5, 4.0];
    let logvars = [0.0f32, -2.0, 1.0];
    let row = |c: usize| [[means[c]; LATENTS], [logvars[c]; LATENTS]].concat();
    vae.parameters().get("prior.components").write(gpu(), &[row(0), row(1), row(2)].concat()).unwrap();
    let z = vae.sample(ROWS, 1, Pixels::Mean).unwrap();
    // E[(m + s n)^k] for k = 1, 2 and 4, the mean over the components.
    let moment = |power: u32| -> f64 {
        let of = |(mean, logvar): (&f32, &f32)| {
            let (m, v) = (f64::from(*mean), f64::from(*logvar).exp());
            match power {
                1 => m,
                2 => m * m + v,
                _ => m.powi(4) + 6.0 * m * m * v + 3.0 * v * v,
            }
        };
        means.iter().zip(&logvars).map(of).sum::<f64>() / 3.0
    };
    for latent in 0..LATENTS {
        let values = || z.iter().skip(latent).step_by(LATENTS).map(|value| f64::from(*value));
        for power in [1, 2] {
            let found = values().map(|value| value.powi(power)).sum::<f64>() / ROWS as f64;
            let [expected, square] = [moment(power as u32), moment(2 * power as u32)];
            // Five standard errors.
            let allowed = 5.0 * ((square - expected * expected) / ROWS as f64).sqrt();
            assert!((found - expected).abs() < allowed, "moment {power}: {found}, expected {expected} +- {allowed}");
        }
    }
}

#[test]
fn training_lowers_the_loss_and_is_resumed_to_the_same_bits_and_files_keep_all() {
    let data = dataset(300, 60);
    let directory = tempfile::tempdir().unwrap();
    let [checkpoint, model] = ["checkpoint", "model"].map(|name| directory.path().join(name));
    for prior in PRIORS {
        let mut config = with_prior(prior);
        config.training.epochs = Some(6);
        let mut trainer = trainer(gpu(), &data, &config);
        let start = trainer.vae().parameters().read(gpu()).unwrap().pop().unwrap();
        let first = trainer.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
        trainer.snapshot().unwrap().write(&checkpoint).unwrap();
        let mut last = None;
        let run = |trainer: &mut Trainer, last: &mut Option<f64>| {
            trainer
                .run(|metrics, _| {
                    *last = Some(metrics.held_out().1.loss);
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
        };
        run(&mut trainer, &mut last);
        assert!(last.unwrap() < first.train.loss - 2.0, "{prior:?}: {first:?} -> {last:?}");
        let end = trainer.vae().parameters().read(gpu()).unwrap().pop().unwrap();
        assert!(start.iter().zip(&end).any(|(start, end)| (start - end).abs() > 0.01), "{prior:?} does not learn");

        let mut resumed = Trainer::resume(gpu(), &data, &config.training, &checkpoint).unwrap();
        let mut resumed_last = None;
        run(&mut resumed, &mut resumed_last);
        assert_eq!(parameter_bits(trainer.vae()), parameter_bits(resumed.vae()), "{prior:?}");
        assert_eq!(last, resumed_last, "{prior:?}");

        trainer.vae().save(&model).unwrap();
        let loaded = Vae::load(gpu(), &model).unwrap();
        assert_eq!(loaded.model(), trainer.vae().model());
        assert_eq!(parameter_bits(&loaded), parameter_bits(trainer.vae()));
        let dreams = loaded.sample(5, 1, Pixels::Mean).unwrap();
        assert_eq!(dreams, trainer.vae().sample(5, 1, Pixels::Mean).unwrap());
        assert_ne!(dreams, loaded.sample(5, 2, Pixels::Mean).unwrap());
    }
}

#[test]
fn the_estimate_of_log_p_rises_with_the_samples() {
    let images = images(100, 3);
    for prior in PRIORS {
        let mut config = with_prior(prior);
        config.training.objective.kl_weight = 0.1;
        let mut trainer = trainer(gpu(), &dataset(300, 30), &config);
        trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
        let estimate = |samples| {
            let images = described(trainer.vae(), &images);
            eval::estimate(trainer.vae(), images, samples, 0, |_| ControlFlow::Continue(())).unwrap().unwrap()
        };
        let means = [1, 5, 50, 500].map(|samples| estimate(samples).mean());
        assert!(means.is_sorted() && means[3] > means[0] + 0.1, "{prior:?}: {means:?}");
        let (one, many) = (estimate(1), estimate(500));
        assert!(one.log_prob.iter().zip(&one.elbo).all(|(log_prob, elbo)| (log_prob - elbo).abs() < 1e-3));
        assert!(many.log_prob.iter().zip(&many.elbo).all(|(log_prob, elbo)| log_prob > elbo));
    }
}

#[test]
fn pseudo_inputs_start_as_different_training_images() {
    let data = dataset(40, 8);
    let start = |seed: u64| {
        let mut config = with_prior(Prior::VampPrior);
        config.training.seed = seed;
        let trainer = trainer(gpu(), &data, &config);
        trainer.vae().parameters().get("prior.pseudo_inputs").read::<f32>(gpu()).unwrap()
    };
    let pixels: Vec<f32> = data.train.images.pixels().collect();
    let dimensions = data.train.images.dimensions();
    let inputs = start(0);
    assert_eq!(inputs.len(), COMPONENTS * dimensions);
    let mut found: Vec<_> = inputs
        .chunks(dimensions)
        .map(|input| {
            let same = |image: &[f32]| image.iter().zip(input).all(|(a, b)| (a - b).abs() < 1e-6);
            pixels.chunks(dimensions).position(same).expect("a training image")
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), COMPONENTS);
    assert_eq!(inputs, start(0));
    assert_ne!(inputs, start(1));
}

fn refusal(data: &Dataset, config: &Config) -> String {
    Plan::new(config, data).and_then(|plan| Trainer::new(gpu(), &plan)).expect_err("refused").to_string()
}

#[test]
fn what_cannot_work_is_refused() {
    let mut config = with_prior(Prior::VampPrior);
    config.training.batch_size = 8;
    let error = refusal(&dataset(8, 8), &config);
    assert!(error.starts_with("--components: expected at most the 8 training images, found 9"), "{error}");
    config.training.objective.kind = Objective::FreeBits;
    let error = refusal(&dataset(40, 8), &config);
    assert!(error.starts_with("--objective: expected ") && error.contains("free-bits"), "{error}");
    assert!(config.model.kl_is_estimate() && !with_prior(Prior::StandardNormal).model.kl_is_estimate());
}
