//! Gradients that are clipped or NaN, updates that are left out, and where a value that is not finite comes from.

use std::ops::ControlFlow;

use elbo::Error;
use elbo::config::Config;
use elbo::data::{Dataset, Images};
use elbo::likelihood::Likelihood;
use elbo::nn::Activation;
use elbo::optim::OnNan;
use elbo::step::metrics::EpochMetrics;
use elbo::train::Trainer;

use super::{parameter_bits, relu, values};
use crate::support::gpu;
use crate::support::synthetic::{ACTIVATIONS, LIKELIHOODS, SHAPE, config, dataset, images, train, trainer};

fn epoch(trainer: &mut Trainer) -> Result<EpochMetrics, Error> {
    trainer.epoch(|_| ControlFlow::Continue(())).map(|metrics| metrics.expect("nothing breaks the epoch"))
}

fn clipped(clip_norm: f64) -> Config {
    let mut config = relu();
    config.training.optimiser.clip.clip_norm = Some(clip_norm);
    config
}

#[test]
fn a_norm_that_is_never_reached_changes_no_bit() {
    let data = dataset(300, 100);
    let (curve, plain) = train(gpu(), &data, &relu());
    let (clipped_curve, clipped) = train(gpu(), &data, &clipped(1e30));
    assert_eq!(values(&curve), values(&clipped_curve));
    assert_eq!(parameter_bits(plain.vae()), parameter_bits(clipped.vae()));
    assert!(curve[0].gradient_norm.is_none() && clipped_curve[0].gradient_norm.is_some());
}

#[test]
fn the_norm_is_that_of_the_gradients_also_of_a_batch_in_parts() {
    for micro_batch_size in [None, Some(24)] {
        let mut config = clipped(1e-3);
        config.training.micro_batch_size = micro_batch_size;
        let mut trainer = trainer(gpu(), &dataset(64, 16), &config);
        let metrics = epoch(&mut trainer).unwrap();
        let gradients: Vec<f32> = trainer.batch_gradients().whole().read(gpu()).unwrap();
        let norm = gradients.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let found = metrics.gradient_norm.unwrap();
        assert!((found - norm).abs() < 1e-5 * norm, "{found}, of the gradients {norm}");
        // Adam's first moment after one update is a tenth of the clipped gradient.
        let moments = trainer.snapshot().unwrap();
        let moment = |name: &str| moments.state(&format!("moment1.{name}")).unwrap().to_vec();
        let squares: f64 = trainer
            .vae()
            .parameters()
            .tensors()
            .flat_map(|(name, _)| moment(name))
            .map(|m| (10.0 * f64::from(m)).powi(2))
            .sum();
        assert!((squares.sqrt() - 1e-3).abs() < 1e-7, "clipped to {}", squares.sqrt());
    }
}

/// One image of 1e30 among those of a Gaussian model: the batch that has it overflows.
fn with_an_outlier() -> (Dataset, Config) {
    let mut data = dataset(320, 64);
    let mut pixels: Vec<f32> = images(320, 1).pixels().collect();
    pixels[..SHAPE.dimensions()].fill(1e30);
    data.train.images = Images::from_floats(pixels, 320, SHAPE).unwrap();
    (data, config(1, Activation::Relu, Likelihood::GaussianFixed))
}

#[test]
fn an_update_from_gradients_that_are_not_finite_is_left_out() {
    let (data, mut config) = with_an_outlier();
    config.training.optimiser.clip.on_nan = OnNan::Skip;
    let (curve, trainer) = train(gpu(), &data, &config);
    assert_eq!(curve.iter().map(|metrics| metrics.left_out).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(values(&curve).iter().flatten().all(|value| value.is_finite()));
    assert!(curve[2].train.elbo > curve[0].train.elbo && curve[2].gradient_norm.is_some());
    trainer.snapshot().unwrap();
    // If every update is left out, nothing was learned.
    let mut all = data.clone();
    all.train.images = Images::from_floats(vec![1e30; 320 * SHAPE.dimensions()], 320, SHAPE).unwrap();
    let error = epoch(&mut super::trainer(gpu(), &all, &config)).unwrap_err();
    assert!(matches!(error, Error::Diverged { epoch: 1, step: 5, .. }), "{error}");
}

#[test]
fn the_first_value_that_is_not_finite_is_found() {
    let (data, config) = with_an_outlier();
    let error = epoch(&mut trainer(gpu(), &data, &config)).unwrap_err();
    let Error::Diverged { epoch: 1, step, advice, .. } = &error else { panic!("{error}") };
    assert!(advice.contains("the data reach 1e30") && advice.contains("--scale"), "{advice}");
    let origin = trainer(gpu(), &data, &config).trace(*step, || ControlFlow::Continue(())).unwrap().expect("an origin");
    assert_eq!(origin.step, *step);
    let text = origin.to_string();
    assert!(!origin.value.is_finite() && text.contains(".wgsl") && text.contains(&format!("of step {step}")), "{text}");
    // A parameter that is NaN is named before any kernel.
    let mut broken = trainer(gpu(), &data, &config);
    let name = broken.vae().specs()[2].name.clone();
    let tensor = broken.vae().parameters().get(&name);
    tensor.write(gpu(), &vec![f32::NAN; tensor.rows() * tensor.columns()]).unwrap();
    let origin = broken.trace(1, || ControlFlow::Continue(())).unwrap().expect("an origin");
    assert!(origin.to_string().contains(&format!("the parameter {name}")), "{origin}");
}

#[test]
fn a_healthy_step_has_finite_values_only() {
    let data = dataset(128, 16);
    let kinds = ACTIVATIONS.map(|activation| config(1, activation, Likelihood::Bernoulli));
    let mut kinds = [kinds.as_slice(), &LIKELIHOODS.map(|kind| config(2, Activation::Relu, kind))].concat();
    for prior in ["mixture", "vamp-prior"] {
        let mut config = relu();
        config.model.prior.kind = serde_json::from_value(prior.into()).unwrap();
        config.model.prior.components = 5;
        kinds.push(config);
    }
    let mut weighted = relu();
    weighted.training.objective.kind = serde_json::from_value("iwae".into()).unwrap();
    weighted.training.objective.samples = 3;
    weighted.training.optimiser.clip.clip_norm = Some(1.0);
    kinds.push(weighted);
    for config in kinds {
        let origin = trainer(gpu(), &data, &config).trace(2, || ControlFlow::Continue(())).unwrap();
        assert_eq!(origin, None, "{:?}", config.model);
    }
}
