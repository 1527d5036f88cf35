//! A small data set that is the same everywhere, and models for it.
//!
//! All models have the same widths, so that they share most of their kernels: a software adapter compiles each for up to
//! half a second.

use std::ops::ControlFlow;

use elbo::config::{Config, ModelConfig, TrainingConfig};
use elbo::data::{DataConfig, Dataset, ImageShape, Images, Split};
use elbo::gpu::Gpu;
use elbo::likelihood::{Likelihood, LikelihoodConfig};
use elbo::nn::Activation;
use elbo::nn::Layers;
use elbo::optim::schedule::LearningRate;
use elbo::step::metrics::EpochMetrics;
use elbo::train::{Plan, Trainer};
use elbo::vae::{Described, Vae};

/// The size of an image: 42 pixels, not a multiple of four.
pub const SHAPE: ImageShape = ImageShape::grey(6, 7);

/// The width of hidden layers, and of the posterior.
pub const HIDDEN: usize = 10;

/// The latents.
pub const LATENTS: usize = HIDDEN / 2;

pub const ACTIVATIONS: [Activation; 9] = [
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Elu,
    Activation::Silu,
    Activation::Gelu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Softplus,
    Activation::Gated,
];

pub const LIKELIHOODS: [Likelihood; 3] = [Likelihood::Bernoulli, Likelihood::Gaussian, Likelihood::GaussianFixed];

/// Four patterns of stripes with noise on every pixel; black, white and grey all occur.
pub fn images(count: usize, seed: u32) -> Images {
    let mut state = seed;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut bytes = Vec::new();
    for _ in 0..count {
        let pattern = random(4);
        for pixel in 0..SHAPE.dimensions() {
            let (row, column) = ((pixel / SHAPE.width) as u32, (pixel % SHAPE.width) as u32);
            let light = (row * (pattern + 1) + column * (4 - pattern)) % 5 < 2;
            let value = if light { 200 } else { 0 } + random(80);
            bytes.push(value.min(255) as u8);
        }
    }
    Images::new(bytes, count, SHAPE).unwrap()
}

/// `train` training images and `test` test images.
pub fn dataset(train: usize, test: usize) -> Dataset {
    let split = |count, seed| Split { images: images(count, seed), labels: Some(vec![0; count]) };
    Dataset { name: "synthetic".to_owned(), train: split(train, 1), validation: None, test: split(test, 2) }
}

/// A model of `layers` hidden layers, trained in batches of 64, fast.
pub fn config(layers: usize, activation: Activation, likelihood: Likelihood) -> Config {
    Config {
        data: DataConfig { source: "synthetic".to_owned(), ..DataConfig::default() },
        model: ModelConfig {
            hidden: Some(Layers::dense(&vec![HIDDEN; layers])),
            latents: LATENTS,
            activation,
            likelihood: LikelihoodConfig { kind: likelihood, ..LikelihoodConfig::default() },
            ..ModelConfig::default()
        },
        training: TrainingConfig {
            epochs: Some(3),
            batch_size: 64,
            learning_rate: LearningRate { initial: 0.01, ..LearningRate::default() },
            ..TrainingConfig::default()
        },
    }
}

/// A fresh model whose training is recorded and has not begun.
pub fn trainer(gpu: &Gpu, data: &Dataset, config: &Config) -> Trainer {
    Trainer::new(gpu, &Plan::new(config, data).unwrap()).unwrap()
}

/// Trains to the end, without a pause.
pub fn train(gpu: &Gpu, data: &Dataset, config: &Config) -> (Vec<EpochMetrics>, Trainer) {
    let mut trainer = trainer(gpu, data, config);
    let mut curve = Vec::new();
    trainer
        .run(|metrics, _| {
            curve.push(metrics.clone());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    (curve, trainer)
}

/// Images that a model can describe.
pub fn described<'a>(vae: &Vae, images: &'a Images) -> Described<'a> {
    vae.model().describe("testing a model", images, "given").unwrap()
}
