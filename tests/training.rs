//! Training as a whole, on small synthetic data: determinism, interruptions, flat memory, backends, weights, warm-up, phases, small bindings.

mod bindings;
mod kernels;
mod limits;
mod phases;

use std::ops::ControlFlow;
use std::process::Command;

use elbo::config::Config;
use elbo::data::Dataset;
use elbo::eval::{Evaluation, LossWeights};
use elbo::gpu::{AdapterRequest, Backend, Gpu, adapters};
use elbo::likelihood::{Likelihood, Pixels};
use elbo::nn::{Activation, NormKind};
use elbo::objective::ObjectiveConfig;
use elbo::step::metrics::EpochMetrics;
use elbo::train::{Progress, Trainer};
use elbo::vae::{Network, Vae};

use crate::support::synthetic::{
    ACTIVATIONS, HIDDEN, LATENTS, LIKELIHOODS, config, dataset, described, train, trainer,
};
use crate::support::{gpu, report_ignored};

fn relu() -> Config {
    config(1, Activation::Relu, Likelihood::Bernoulli)
}

fn parameter_bits(vae: &Vae) -> Vec<u32> {
    vae.parameters().whole().read(vae.gpu()).unwrap()
}

/// The values that must be the same when a training is repeated: all but the times.
fn values(curve: &[EpochMetrics]) -> Vec<[f64; 10]> {
    let epoch = |m: &EpochMetrics| {
        let [train, test] = [m.train, m.held_out().1].map(|terms| [terms.elbo, terms.nll, terms.kl, terms.loss]);
        let mut all = [0.0; 10];
        all[..4].copy_from_slice(&train);
        all[4..8].copy_from_slice(&test);
        all[8..].copy_from_slice(&[m.kl_weight, m.learning_rate]);
        all
    };
    curve.iter().map(epoch).collect()
}

fn relative(found: f64, want: f64) -> f64 {
    (found - want).abs() / want.abs()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_does_not() {
    let data = dataset(300, 100);
    let (curve, trainer) = train(gpu(), &data, &relu());
    let (again, trainer_again) = train(gpu(), &data, &relu());
    assert_eq!(values(&curve), values(&again));
    assert_eq!(parameter_bits(trainer.vae()), parameter_bits(trainer_again.vae()));
    let mut config = relu();
    config.training.seed = 1;
    let (other, other_trainer) = train(gpu(), &data, &config);
    assert_ne!(values(&curve), values(&other));
    assert_ne!(parameter_bits(trainer.vae()), parameter_bits(other_trainer.vae()));
}

#[test]
fn an_interrupted_training_ends_with_the_same_bits() {
    let data = dataset(300, 100);
    let mut config = relu();
    config.training.batch_size = 7;
    config.training.objective.kl_warmup = 2;
    let (curve, straight) = train(gpu(), &data, &config);

    let mut interrupted = trainer(gpu(), &data, &config);
    let (mut interruptions, mut interrupted_curve) = (0, Vec::new());
    while interrupted_curve.len() < curve.len() {
        match interrupted.epoch(|_| ControlFlow::Break(())).unwrap() {
            Some(metrics) => interrupted_curve.push(metrics),
            None => {
                interruptions += 1;
                assert!(interrupted.progress().steps > 0);
            }
        }
    }
    // A submission has at most twice the steps of the one before, and an epoch has 43.
    assert!(interruptions >= 3, "the training was interrupted {interruptions} times");
    assert_eq!(values(&curve), values(&interrupted_curve));
    assert_eq!(parameter_bits(straight.vae()), parameter_bits(interrupted.vae()));
}

#[test]
fn a_snapshot_is_written_later_and_resumed_to_the_same_bits() {
    let data = dataset(300, 100);
    let directory = tempfile::tempdir().unwrap();
    let [checkpoint, model] = ["checkpoint", "model"].map(|name| directory.path().join(name));
    let mut trainer = trainer(gpu(), &data, &relu());
    trainer.epoch(|_| ControlFlow::Continue(())).unwrap();
    let (snapshot, bits, progress) = (trainer.snapshot().unwrap(), parameter_bits(trainer.vae()), trainer.progress());
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    snapshot.write(&checkpoint).unwrap();
    snapshot.write_model(&model).unwrap();
    assert_eq!(parameter_bits(&Vae::load(gpu(), &model).unwrap()), bits);
    let mut resumed = Trainer::resume(gpu(), &data, &relu().training, &checkpoint).unwrap();
    assert_eq!((parameter_bits(resumed.vae()), resumed.progress()), (bits, progress));
    resumed.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    assert_eq!(parameter_bits(resumed.vae()), parameter_bits(trainer.vae()));
    // `Vae::save` writes the same file.
    let again = directory.path().join("again");
    resumed.snapshot().unwrap().write_model(&model).unwrap();
    resumed.vae().save(&again).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&model).unwrap());
}

#[test]
fn training_lowers_the_loss_of_every_kind_of_model() {
    let data = dataset(300, 100);
    let mut configs = Vec::new();
    for likelihood in LIKELIHOODS {
        configs.extend(ACTIVATIONS.map(|activation| config(1, activation, likelihood)));
        configs.extend([0, 2].map(|layers| config(layers, Activation::Relu, likelihood)));
    }
    for mut config in configs {
        config.training.epochs = Some(8);
        let (curve, _) = train(gpu(), &data, &config);
        let [first, last] = [curve[0].train, curve[curve.len() - 1].held_out().1];
        println!("{:6.2} -> {:6.2}: {:?}", first.loss, last.loss, config.model);
        assert!(last.loss < first.loss - 2.0, "{first:?} -> {last:?}: {:?}", config.model);
        assert!(last.kl > 0.0 && first.kl > 0.0, "{last:?}: {:?}", config.model);
    }
    // The control: steps that are too small lower nothing.
    let mut config = relu();
    config.training.learning_rate.initial = 1e-12;
    let (curve, _) = train(gpu(), &data, &config);
    assert!(curve[2].held_out().1.loss > curve[0].train.loss - 2.0, "{curve:?}");
}

/// The kl of each image, from its posterior, on the host in f64.
fn kl_of_each(vae: &Vae, data: &Dataset) -> Vec<f64> {
    let posterior = vae.encode(&data.train.images, 0).unwrap();
    let rows = posterior.mean.chunks(LATENTS).zip(posterior.logvar.chunks(LATENTS));
    let kl = |(mean, logvar): (&f32, &f32)| {
        let (mean, logvar) = (f64::from(*mean), f64::from(*logvar));
        0.5 * (mean * mean + logvar.exp() - logvar - 1.0)
    };
    rows.map(|(mean, logvar)| mean.iter().zip(logvar).map(kl).sum()).collect()
}

#[test]
fn every_example_counts_once_whatever_the_batch() {
    const EXAMPLES: usize = 300;
    let mut data = dataset(EXAMPLES, 1);
    data.test = data.train.clone();
    let (_, trained) = train(gpu(), &data, &relu());
    let parameters: Vec<f32> = trained.vae().parameters().whole().read(gpu()).unwrap();
    let each = kl_of_each(trained.vae(), &data);
    let kl = each.iter().sum::<f64>() / EXAMPLES as f64;

    let mut elbo = None;
    for batch_size in [1, 7, 64, EXAMPLES] {
        let network = Network::evaluation(trained.vae(), batch_size, &ObjectiveConfig::default()).unwrap();
        let images = described(trained.vae(), &data.test.images);
        let found = Evaluation::new(trained.vae(), &network, images, LossWeights::default(), 5).unwrap().run().unwrap();
        let want = *elbo.get_or_insert(found.elbo);
        assert!(relative(found.elbo, want) < 1e-6, "batch {batch_size}: {found:?}, expected elbo {want}");
        assert!(relative(found.kl, kl) < 1e-5, "batch {batch_size}: {found:?}, expected kl {kl}");

        // In training the noise differs with the batch; the kl does not depend on it, if the parameters stay.
        let mut config = relu();
        config.training.batch_size = batch_size;
        config.training.learning_rate.initial = 1e-12;
        let mut trainer = trainer(gpu(), &data, &config);
        trainer.vae().parameters().whole().write(gpu(), &parameters).unwrap();
        let metrics = trainer.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
        assert!(relative(metrics.train.kl, kl) < 1e-5, "batch {batch_size}: {metrics:?}, expected kl {kl}");
        assert!(relative(metrics.held_out().1.kl, kl) < 1e-5, "batch {batch_size}: {metrics:?}, expected kl {kl}");
        assert!(relative(metrics.train.nll, metrics.held_out().1.nll) < 0.05, "batch {batch_size}: {metrics:?}");
    }
    // The control: an average of the batches' means would be noticed.
    let means = each.chunks(64).map(|batch| batch.iter().sum::<f64>() / batch.len() as f64);
    let wrong = means.sum::<f64>() / EXAMPLES.div_ceil(64) as f64;
    assert!(relative(wrong, kl) > 1e-4, "{wrong} is too close to {kl}");
}

#[test]
fn warm_up_raises_the_kl_weight_linearly_over_the_steps() {
    let data = dataset(300, 100);
    let mut config = relu();
    config.training.batch_size = 50;
    config.training.epochs = Some(4);
    config.training.learning_rate.initial = 1e-12;
    config.training.objective.kl_weight = 3.0;
    config.training.objective.kl_warmup = 3;
    let steps_of_warmup = 3.0 * 6.0;
    let mut trainer = trainer(gpu(), &data, &config);
    // With all weights zero, each example has the same kl, and the loss minus the nll gives the KL weight.
    let posterior = trainer.vae().parameters().get("posterior.weight");
    posterior.write(gpu(), &[0f32; 2 * LATENTS * HIDDEN]).unwrap();
    for epoch in 1..=4u32 {
        let weight = |step: u64| 3.0 * ((f64::from(epoch - 1) * 6.0 + (step + 1) as f64) / steps_of_warmup).min(1.0);
        let metrics = trainer.epoch(|update| {
            let steps = update.examples / 50;
            let want = (0..steps).map(weight).sum::<f64>() / steps as f64;
            let found = (update.averages.loss - update.averages.nll) / update.averages.kl;
            // The loss is an f32, and most of it is nll: its last bits are large compared with the KL term.
            let allowed = 8.0 * f64::from(f32::EPSILON) * update.averages.nll / (want * update.averages.kl);
            assert!(
                allowed < 0.01 && relative(found, want) < allowed,
                "epoch {epoch}, {steps} steps: found {found}, expected {want}"
            );
            ControlFlow::Continue(())
        });
        let metrics = metrics.unwrap().unwrap();
        assert!(relative(metrics.kl_weight, weight(5)) < 1e-12, "{metrics:?}");
        // The evaluation uses the whole KL weight, even while it is still growing in training.
        assert!(
            relative(metrics.held_out().1.loss, metrics.held_out().1.nll + 3.0 * metrics.held_out().1.kl) < 1e-6,
            "{metrics:?}"
        );
    }
}

#[test]
fn a_batch_in_parts_is_the_batch() {
    let data = dataset(150, 30);
    let run = |normalise, micro_batch_size, interrupt: bool| {
        let mut config = relu();
        config.model.normalise = Some(normalise);
        // Not a multiple of the parts, and a last batch that is short: 64 = 25 + 25 + 14, 22.
        config.training.micro_batch_size = micro_batch_size;
        let mut trainer = trainer(gpu(), &data, &config);
        while trainer.progress().epochs < 2 {
            let mut updates = 0;
            let epoch = trainer.epoch(|_| {
                updates += 1;
                if interrupt && updates <= 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            epoch.unwrap();
            if interrupt && trainer.progress().steps > 0 {
                let Progress { steps, sums, .. } = trainer.progress();
                assert_eq!(sums.examples, u64::from(steps) * 64, "a part of a batch counts before its update");
            }
        }
        trainer.vae().parameters().whole().read::<f32>(gpu()).unwrap()
    };
    // Every part changes the running statistics.
    let batch = |interrupt| run(NormKind::Batch, Some(25), interrupt);
    assert_eq!(batch(false), batch(true));
    let (whole, parts) = (run(NormKind::None, None, false), run(NormKind::None, Some(25), false));
    assert_eq!(parts, run(NormKind::None, Some(25), true));
    assert_ne!(whole, parts);
    // Adam's first steps are of the learning rate's size, 0.01, whatever the gradient: rounding is visible where the
    // gradient is nearly 0.
    let far = whole.iter().zip(&parts).filter(|(a, b)| (*a - *b).abs() > 1e-3).count();
    assert!(far * 100 <= whole.len(), "{far} of {} parameters differ", whole.len());
}

/// Set in the process that measures its own memory.
const PROBE: &str = "ELBO_TEST_MEMORY";

/// Resident memory of this process in KiB, where the system tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// The memory after an epoch: bytes of tensors, KiB of resident memory.
type Footprint = (u64, Option<u64>);

/// KiB by which resident memory may differ: allocators and drivers keep some MiB or give them back as they please.
const RESIDENT_NOISE: u64 = 8 << 10;

/// Fails if memory has grown from the second epoch to the last: tensors by any amount, resident memory by more than the
/// noise.
fn check_flat(epochs: &[Footprint]) -> Result<(), String> {
    let (early, late) = epochs[1..].split_at(epochs.len() / 2);
    let least = |epochs: &[Footprint]| epochs.iter().filter_map(|(_, resident)| *resident).min().unwrap_or(0);
    let flat =
        epochs[1..].iter().all(|(tensors, _)| *tensors == epochs[1].0) && least(late) <= least(early) + RESIDENT_NOISE;
    if flat { Ok(()) } else { Err(format!("memory grew: {epochs:?}")) }
}

/// Trains ten epochs on a device of its own, as the program does, with samples and reconstructions after each.
fn measure_memory() {
    let gpu = Gpu::open(&AdapterRequest::default()).unwrap();
    let data = dataset(2000, 100);
    let mut config = relu();
    config.training.batch_size = 8;
    config.training.epochs = Some(10);
    let mut epochs: Vec<Footprint> = Vec::new();
    let mut trainer = trainer(&gpu, &data, &config);
    let created = gpu.allocated_bytes();
    trainer
        .run(|_, vae| {
            vae.sample(64, 0, Pixels::Mean)?;
            vae.reconstruct(&data.test.images, 0, Pixels::Mean)?;
            parameter_bits(vae);
            epochs.push((gpu.allocated_bytes(), resident()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    println!("memory: {epochs:?}");
    assert_eq!(resident().is_some(), cfg!(target_os = "linux"));
    check_flat(&epochs).unwrap();
    assert_eq!(epochs[0].0, created, "training allocates tensors");
    assert!(created >= data.train.images.bytes().unwrap().len() as u64, "{created} bytes do not hold the data");
    drop(trainer);
    assert_eq!(gpu.allocated_bytes(), 0, "something outlives the training");
}

#[test]
fn memory_is_flat() {
    if std::env::var_os(PROBE).is_some() {
        return measure_memory();
    }
    // In a process of its own: the other tests use memory of this one.
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["training::memory_is_flat", "--exact", "--nocapture"])
        .env(PROBE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("memory: "), "nothing was measured: {text}");
    println!("{text}");
}

#[test]
fn growing_memory_is_noticed() {
    let grow = |tensors: u64, resident: u64| {
        (0..10).map(|epoch| (2000 + epoch * tensors, Some(90_000 + epoch * resident))).collect::<Vec<_>>()
    };
    check_flat(&grow(0, 0)).unwrap();
    check_flat(&grow(16, 0)).unwrap_err();
    check_flat(&grow(0, 2048)).unwrap_err();
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "Linux's software adapter is the one that has both backends")]
fn vulkan_and_gl_give_the_same_curve() {
    let request = |backend, adapter| AdapterRequest { backend: Some(backend), adapter, ..AdapterRequest::default() };
    let mut curves = Vec::new();
    for backend in [Backend::Vulkan, Backend::Gl] {
        // An empty name, so that the environment does not choose. A backend without any adapter is an error.
        let found = adapters(&request(backend, Some(String::new()))).map_or_else(|_| Vec::new(), |(found, _)| found);
        let Some(software) = found.iter().find(|adapter| adapter.kind == "software") else {
            return report_ignored(
                "vulkan_and_gl_give_the_same_curve",
                &format!("{backend:?} has no software adapter here"),
            );
        };
        let gpu = Gpu::open(&request(backend, Some(software.index.to_string()))).unwrap();
        let (curve, _) = train(&gpu, &dataset(300, 100), &relu());
        curves.push(values(&curve));
    }
    let [vulkan, gl] = &curves[..] else { unreachable!("two backends") };
    assert_eq!(vulkan.len(), 3);
    let pairs = vulkan.iter().flatten().zip(gl.iter().flatten());
    let worst = pairs.map(|(vulkan, gl)| relative(*gl, *vulkan)).fold(0.0, f64::max);
    println!("largest relative difference {worst:.1e}: Vulkan {:?}, GL {:?}", vulkan[2], gl[2]);
    assert!(worst < 1e-3, "Vulkan {vulkan:?}, GL {gl:?}");
}
