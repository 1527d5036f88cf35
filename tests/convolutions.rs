//! Convolutions: every geometry against f64 loops, with every family of kernels; a convolution and its transposed one are adjoint; models
//! of them train, resume and save.

use std::ops::ControlFlow;

use elbo::config::Config;
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest, Program, Tensor};
use elbo::likelihood::{Likelihood, Pixels};
use elbo::nn::{
    self, Activation, Convolution, Direction, Epilogue, Extent, Layer, Mode, NormKind, Recording, Upsample, Variant,
};
use elbo::objective::Objective;
use elbo::prior::Prior;
use elbo::selftest::nn::convolution::{GEOMETRIES, Geometry};
use elbo::selftest::{self, Sizes};
use elbo::step::{At, Step};
use elbo::{Trainer, Vae};

use crate::support::gpu;
use crate::support::synthetic::{config, dataset, train, trainer};

/// Cases whose convolutions have each geometry, with whole batches, short ones, and single examples.
fn cases() -> Vec<(&'static str, Sizes)> {
    let count = GEOMETRIES.len();
    let of = |batch: usize, geometry: usize| Sizes::new(batch, (geometry + 10 * count - batch) % count + count, 1);
    let all = (0..count).flat_map(|geometry| [of(1, geometry), of(3, geometry).short(2, 5)]);
    all.chain([of(70, 0), of(70, 2)]).map(|sizes| ("nn/convolution", sizes)).collect()
}

fn assert_right(gpu: &Gpu, cases: &[(&'static str, Sizes)]) {
    let mut faults = Vec::new();
    let run = selftest::run_cases(gpu, cases, &|_| (), |outcome| {
        if !outcome.passed() {
            faults.push(outcome.to_string());
        }
    });
    run.unwrap();
    assert!(faults.is_empty(), "{} outputs are wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn convolutions_of_every_geometry_are_right() {
    assert_right(gpu(), &cases());
}

#[test]
fn convolutions_are_right_with_every_variant_of_the_kernels() {
    // One of each family with every geometry, the others, the same code with other tiles, with one.
    let mut families = Vec::new();
    for variant in Variant::all().iter().filter(|variant| variant.runs_on(gpu())) {
        let kernels = KernelRequest::Only(variant.name());
        let device = Gpu::open(&AdapterRequest { kernels, ..AdapterRequest::default() }).unwrap();
        let is_first = !families.contains(&variant.family());
        families.push(variant.family());
        let cases = cases();
        assert_right(&device, if is_first { &cases } else { &cases[1..2] });
    }
}

/// A convolution of images of 6 x 7 with one channel, a residual block, pooling and a dense layer.
const LAYERS: &str = "conv8k3s2,res16,pool,12";

fn settings(layers: &str) -> Config {
    let mut config = config(1, Activation::Elu, Likelihood::Bernoulli);
    config.model.hidden = Some(layers.parse().unwrap());
    config.training.epochs = Some(6);
    config
}

#[test]
fn a_convolution_and_its_transpose_are_adjoint() {
    // <down(x), y> = <x, up(y)>: the sums of the products differ by rounding alone.
    for Geometry { large, channels, window } in GEOMETRIES {
        let layers =
            [Direction::Down, Direction::Up].map(|way| Convolution::new("layer", large, channels, window, way));
        let small = layers[0].output();
        let examples = 3;
        let step = Step { examples: examples as u32, ..Step::default() }.upload(gpu()).unwrap();
        let at = At::new(gpu(), &step, 1);
        let tensor = |extent: Extent, seed: usize| {
            let [rows, columns] = extent.matrix(examples);
            let values: Vec<f32> =
                (0..rows * columns).map(|i| ((i * 7919 + seed) % 201) as f32 / 100.0 - 1.0).collect();
            (Tensor::from_values(gpu(), rows, columns, &values).unwrap(), values)
        };
        let (x, xs) = tensor(large, 3);
        let (y, ys) = tensor(small, 5);
        let through = |layer: &Convolution, input: &Tensor| {
            let parameters = nn::arena(gpu(), &layer.parameters()).unwrap();
            let weight = parameters.get("layer.weight");
            let weights: Vec<f32> =
                (0..weight.rows() * weight.columns()).map(|i| (i * 31 % 17) as f32 / 8.0 - 1.0).collect();
            weight.write(gpu(), &weights).unwrap();
            let [rows, columns] = layer.output().matrix(examples);
            let output = Tensor::zeros(gpu(), rows, columns).unwrap();
            let recording = Recording::new(at, &parameters, Mode::Evaluation);
            let dispatches = layer.forward(recording, input, &Epilogue::store(&output)).unwrap();
            gpu().run(&Program::from(dispatches), 1);
            output.read::<f32>(gpu()).unwrap()
        };
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let magnitude = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a * b).abs())).sum::<f64>();
        let (down, up) = (through(&layers[0], &x), through(&layers[1], &y));
        let [left, right] = [product(&down, &ys), product(&xs, &up)];
        assert!((left - right).abs() < 1e-6 * magnitude(&down, &ys), "{window} of {large:?}: {left} and {right}");
        assert!(left.abs() > 1e-3 * magnitude(&down, &ys), "{window} of {large:?}: {left} is too small to tell");
    }
}

#[test]
fn training_lowers_the_loss_of_convolutional_models() {
    let data = dataset(300, 100);
    let variations: [fn(&mut Config); 6] = [
        |_| (),
        |config| config.model.normalise = Some(NormKind::Batch),
        |config| (config.model.normalise, config.model.activation) = (Some(NormKind::Layer), Activation::Gated),
        |config| config.model.upsample = Upsample::Nearest,
        |config| config.model.prior.kind = Prior::VampPrior,
        |config| {
            config.model.decoder_hidden = Some("conv4k5,conv8k2s2p0,10".parse().unwrap());
            config.training.objective.samples = 3;
            config.training.objective.kind = Objective::Iwae;
        },
    ];
    for vary in variations {
        let mut config = settings(LAYERS);
        vary(&mut config);
        config.model.prior.components = 20;
        let (curve, _) = train(gpu(), &data, &config);
        let [first, last] = [curve[0].train, curve[curve.len() - 1].held_out().1];
        assert!(last.loss < first.loss - 1.0, "{first:?} -> {last:?}: {:?}", config.model);
    }
}

#[test]
fn a_resumed_training_of_convolutions_ends_with_the_same_bits() {
    let (data, mut config) = (dataset(150, 20), settings(LAYERS));
    config.model.normalise = Some(NormKind::Batch);
    config.training.epochs = Some(2);
    let directory = tempfile::tempdir().unwrap();
    let checkpoint = directory.path().join("checkpoint");
    let mut trainer = trainer(gpu(), &data, &config);
    trainer.epoch(|_| ControlFlow::Continue(())).unwrap();
    trainer.snapshot().unwrap().write(&checkpoint).unwrap();
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    let mut resumed = Trainer::resume(gpu(), &data, &config.training, &checkpoint).unwrap();
    resumed.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    let bits = |trainer: &Trainer| trainer.vae().parameters().whole().read::<u32>(gpu()).unwrap();
    assert_eq!(bits(&resumed), bits(&trainer));
    // A saved model has the layers, and makes the same images.
    let path = directory.path().join("model.safetensors");
    trainer.vae().save(&path).unwrap();
    let loaded = Vae::load(gpu(), &path).unwrap();
    assert_eq!(loaded.model().hidden().to_string(), LAYERS);
    assert_eq!(loaded.sample(3, 1, Pixels::Mean).unwrap(), trainer.vae().sample(3, 1, Pixels::Mean).unwrap());
}

#[test]
fn parts_of_a_batch_have_the_gradient_of_the_whole() {
    let (data, mut config) = (dataset(128, 20), settings(LAYERS));
    config.training.epochs = Some(1);
    let (_, whole) = train(gpu(), &data, &config);
    config.training.micro_batch_size = Some(24);
    let (_, parts) = train(gpu(), &data, &config);
    let values = |trainer: &Trainer| trainer.vae().parameters().whole().read::<f32>(gpu()).unwrap();
    let difference = values(&whole).iter().zip(values(&parts)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-3, "{difference}");
}
