//! Gated and normalised layers: their gradients by differences, a whole network against its f64 model, training and evaluation;
//! parameters.

mod model;
mod parameters;

use std::ops::ControlFlow;

use elbo::config::Config;
use elbo::eval::{Evaluation, LossWeights};
use elbo::likelihood::{Likelihood, Pixels};
use elbo::nn::{Activation, NormKind};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::selftest::Matrix;
use elbo::selftest::nn::{activation, dense, normalise as reference};
use elbo::train::Trainer;
use elbo::vae::{Network, Vae};

use self::model::{INPUTS, Model, OUTPUTS, SIZES};
use crate::support::differences::{check, matrix, sum_of_products};
use crate::support::gpu;
use crate::support::synthetic::{HIDDEN, LATENTS, config, dataset, described, images, trainer};

const KINDS: [(Activation, NormKind); 5] = [
    (Activation::Gated, NormKind::None),
    (Activation::Silu, NormKind::Batch),
    (Activation::Silu, NormKind::Layer),
    (Activation::Gated, NormKind::Batch),
    (Activation::Gated, NormKind::Layer),
];

#[test]
fn the_gradients_of_gated_units() {
    let (pre, doutput) = (matrix(3, 8, 3.0, 1), matrix(3, 4, 1.0, 2));
    let gradient = activation::gate_backward(&activation::gate_slopes(&pre), &doutput);
    check(&gradient, &pre, |pre| sum_of_products(&doutput, &activation::gate(pre))).unwrap();
    let spoiled = gradient.map(|value| 1.001 * value);
    check(&spoiled, &pre, |pre| sum_of_products(&doutput, &activation::gate(pre))).unwrap_err();
}

#[test]
fn the_gradients_of_normalisation() {
    let (values, dxhat) = (matrix(5, 4, 2.0, 3), matrix(5, 4, 1.0, 4));
    let f = |values: &Matrix| sum_of_products(&dxhat, &reference::standardise(values, &reference::statistics(values)));
    let statistics = reference::statistics(&values);
    let gradient = reference::standardise_backward(&values, &statistics, &dxhat);
    check(&gradient, &values, f).unwrap();
    check(&gradient.map(|value| 1.001 * value), &values, f).unwrap_err();
    // The control: the statistics are no constants.
    let constant = Matrix::from_fn(5, 4, |r, c| dxhat.at(r, c) * statistics.at(1, c));
    check(&constant, &values, f).unwrap_err();
    let (xhat, norm) = (reference::standardise(&values, &statistics), matrix(2, 4, 1.0, 5));
    let gradient = reference::parameters_backward(&xhat, &dxhat);
    check(&gradient, &norm, |norm| sum_of_products(&dxhat, &reference::scale_and_shift(&xhat, norm))).unwrap();
}

fn largest(matrix: &Matrix) -> f64 {
    matrix.values().iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// The largest difference of two matrices.
fn difference(a: &Matrix, b: &Matrix) -> f64 {
    largest(&a.zip(b, |a, b| a - b))
}

/// The allowed error of the GPU, relative to the largest element: three layers' products with sums of up to 14 terms,
/// twice; sigmoids, whose exponentials are ten units off; normalisations over 10 rows or up to 20 columns, twice, whose
/// errors the division makes larger where a variance is smaller than the mean is large. All in all some 300 units in
/// the last place, which sums of opposite signs make worth three times as many.
const TOLERANCE: f64 = 1000.0 * f32::EPSILON as f64;

#[test]
fn whole_networks_on_the_gpu_are_their_f64_models() {
    let [_, examples, samples] = SIZES;
    let to_f32 = |value: f64| f64::from(value as f32);
    let input = matrix(examples * samples, INPUTS, 2.0, 11).map(to_f32);
    let doutput = matrix(examples * samples, OUTPUTS, 1.0, 12).map(to_f32);
    for (activation, normalise) in KINDS {
        let model = Model::new(activation, normalise);
        let case = format!("{activation:?}, {normalise:?}");
        let (_, output) = model.forward(&model.parameters, &input);
        let (gradients, dinput) = model.backward(&input, &doutput);
        let loss =
            |parameters: &[Matrix], input: &Matrix| sum_of_products(&doutput, &model.forward(parameters, input).1);
        check(&dinput, &input, |input| loss(&model.parameters, input))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let mut worst = 0.0f64;
        let (found_output, found_gradients, found_dinput) = model.on_the_gpu(&input, &doutput);
        for (name, found, want) in [("output", found_output, output), ("dinput", found_dinput, dinput)] {
            let error = difference(&found, &want) / largest(&want);
            assert!(error < TOLERANCE, "{case}: {name} is {error:e} off");
            worst = worst.max(error);
        }
        for (index, (want, spec)) in gradients.iter().zip(&model.specs).enumerate() {
            let of_parameter = |value: &Matrix| {
                let mut parameters = model.parameters.clone();
                parameters[index] = value.clone();
                loss(&parameters, &input)
            };
            check(want, &model.parameters[index], of_parameter)
                .unwrap_or_else(|error| panic!("{case}: {}: {error}", spec.name));
            // A bias before a normalisation has no gradient: the result is rounding of its layer's.
            let layer = spec.name.rsplit_once('.').unwrap().0;
            let of_layer = model.specs.iter().zip(&gradients).filter(|(spec, _)| spec.name.starts_with(layer));
            let scale = of_layer.map(|(_, gradient)| largest(gradient)).fold(0.0, f64::max);
            let error = difference(&found_gradients[index], want) / scale;
            assert!(error < TOLERANCE, "{case}: the gradient of {} is {error:e} off", spec.name);
            worst = worst.max(error);
            if spec.name.ends_with("norm") && normalise == NormKind::Batch {
                let running = &found_gradients[index].values()[2 * spec.columns()..];
                assert!(running.iter().all(|value| value.to_bits() == 0), "{case}: {running:?}");
            }
        }
        println!("{case}: at most {worst:.1e} off");
    }
}

fn configs() -> impl Iterator<Item = Config> {
    KINDS.into_iter().map(|(activation, normalise)| {
        let mut config = config(1, activation, Likelihood::Bernoulli);
        config.model.normalise = Some(normalise);
        config
    })
}

fn bits(vae: &Vae) -> Vec<u32> {
    vae.parameters().whole().read(gpu()).unwrap()
}

fn trained(config: &Config, examples: usize) -> Trainer {
    let mut trainer = trainer(gpu(), &dataset(examples, 30), config);
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    trainer
}

#[test]
fn training_lowers_the_loss_and_is_resumed_to_the_same_bits() {
    // The last batch has one example.
    let data = dataset(129, 30);
    let directory = tempfile::tempdir().unwrap();
    let checkpoint = directory.path().join("checkpoint");
    for (mut config, samples) in configs().zip([1, 1, 3, 3, 1]) {
        config.training.epochs = Some(4);
        config.training.objective = match samples {
            1 => ObjectiveConfig::default(),
            samples => ObjectiveConfig { kind: Objective::Iwae, samples, ..ObjectiveConfig::default() },
        };
        let mut trainer = trainer(gpu(), &data, &config);
        let first = trainer.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
        trainer.snapshot().unwrap().write(&checkpoint).unwrap();
        let mut last = first.clone();
        while trainer.progress().epochs < trainer.epochs() {
            last = trainer.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
        }
        assert!(last.train.loss < first.train.loss - 1.0, "{first:?} -> {last:?}: {:?}", config.model);
        assert!(last.held_out().1.loss < first.train.loss - 1.0, "{first:?} -> {last:?}: {:?}", config.model);
        let mut resumed = Trainer::resume(gpu(), &data, &config.training, &checkpoint).unwrap();
        while resumed.progress().epochs < resumed.epochs() {
            resumed
                .epoch(|update| match update.examples {
                    0..=64 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
                .unwrap();
        }
        assert_eq!(bits(resumed.vae()), bits(trainer.vae()), "{:?}", config.model);
    }
}

#[test]
fn evaluation_depends_on_no_batch_and_changes_nothing() {
    for config in configs() {
        let trainer = trained(&config, 150);
        let vae = trainer.vae();
        let before = bits(vae);
        let few = images(40, 5);
        let of_batches = |batch_size: usize| {
            let network = Network::evaluation(vae, batch_size, &ObjectiveConfig::default()).unwrap();
            Evaluation::new(vae, &network, described(vae, &few), LossWeights::default(), 5).unwrap().run().unwrap().elbo
        };
        let elbos = [40, 7, 1].map(of_batches);
        assert!(elbos.iter().all(|elbo| (elbo / elbos[0] - 1.0).abs() < 1e-6), "{elbos:?}: {:?}", config.model);
        let posterior = vae.encode(&few, 0).unwrap();
        let alone = vae.encode(&few.slice(3..4).unwrap(), 0).unwrap();
        let row = 3 * LATENTS..4 * LATENTS;
        let worst = posterior.mean[row].iter().zip(&alone.mean).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst}: {:?}", config.model);
        let samples = vae.sample(5, 0, Pixels::Mean).unwrap();
        assert_eq!(bits(vae), before, "{:?}", config.model);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        vae.save(&path).unwrap();
        let again = Vae::load(gpu(), &path).unwrap();
        assert_eq!((bits(&again), again.sample(5, 0, Pixels::Mean).unwrap()), (before, samples));
    }
}

#[test]
fn the_running_statistics_follow_the_batches() {
    let mut config = config(1, Activation::Relu, Likelihood::Bernoulli);
    config.model.normalise = Some(NormKind::Batch);
    config.training.learning_rate.initial = 1e-30;
    config.training.epochs = Some(40);
    config.training.batch_size = 100;
    let data = dataset(100, 30);
    let mut trainer = trainer(gpu(), &data, &config);
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    let read = |name: &str| trainer.vae().parameters().get(name).read::<f32>(gpu()).unwrap();
    let (weight, bias, norm) = (read("encoder.0.weight"), read("encoder.0.bias"), read("encoder.0.norm"));
    let to_f64 = |values: &[f32], columns: usize| {
        Matrix::from_fn(values.len() / columns, columns, |r, c| f64::from(values[r * columns + c]))
    };
    let pixels: Vec<f32> = data.train.images.bytes().unwrap().iter().map(|byte| f32::from(*byte) / 255.0).collect();
    let dimensions = pixels.len() / 100;
    let pre = dense::forward(&to_f64(&pixels, dimensions), &to_f64(&weight, dimensions), &to_f64(&bias, HIDDEN));
    let (means, variances) = (reference::means(&pre), reference::variances(&pre));
    // Every batch is the whole set: after 40 of them, 0.9^40 of the initial values is left.
    let left = 0.9f64.powi(40);
    for c in 0..HIDDEN {
        let want = [means.at(0, c) * (1.0 - left), variances.at(0, c) * 100.0 / 99.0 * (1.0 - left) + left];
        let found = [norm[2 * HIDDEN + c], norm[3 * HIDDEN + c]].map(f64::from);
        assert!(found.iter().zip(want).all(|(found, want)| (found - want).abs() < 1e-5), "{found:?} {want:?}");
    }
    // The scale and the shift are unchanged.
    assert!(
        norm[..HIDDEN].iter().all(|scale| *scale == 1.0)
            && norm[HIDDEN..2 * HIDDEN].iter().all(|shift| shift.abs() < 1e-20)
    );
}

#[test]
fn batches_of_one_example_cannot_be_normalised() {
    let mut config = config(1, Activation::Relu, Likelihood::Bernoulli);
    config.training.batch_size = 1;
    config.validate().unwrap();
    config.model.normalise = Some(NormKind::Layer);
    config.validate().unwrap();
    config.model.normalise = Some(NormKind::Batch);
    let error = config.validate().expect_err("one example has no variance").to_string();
    assert!(error.contains("--batch-size") && error.contains("at least 2"), "{error}");
}

#[test]
fn a_gated_layer_has_twice_the_products() {
    let flops = |activation, normalise| {
        let mut config = config(1, activation, Likelihood::Bernoulli);
        config.model.normalise = Some(normalise);
        let trainer = trainer(gpu(), &dataset(64, 30), &config);
        trainer.vae().model().training_flops(1)
    };
    let [plain, normalised] = [NormKind::None, NormKind::Batch].map(|normalise| flops(Activation::Relu, normalise));
    assert_eq!(plain, normalised);
    // The first layer has two products to make and the others three; one hidden layer on either side doubles.
    let (pixels, hidden, latents) = (42.0, HIDDEN as f64, LATENTS as f64);
    let more = 2.0 * (2.0 * pixels * hidden + 3.0 * latents * hidden);
    assert_eq!(flops(Activation::Gated, NormKind::None) - plain, more);
}
