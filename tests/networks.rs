//! Networks for evaluation: without the tensors of a backward pass, and with the same results.

use clap::ValueEnum;
use elbo::config::Config;
use elbo::data::Binarize;
use elbo::eval::{Evaluation, LossWeights};
use elbo::gpu::{AdapterRequest, Gpu};
use elbo::likelihood::Likelihood;
use elbo::nn::{Activation, NormKind};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::prior::{Prior, PriorConfig};
use elbo::step::metrics::Averages;
use elbo::vae::{Network, Vae};

use crate::support::synthetic::{HIDDEN, config, dataset, described, images, trainer};

const BATCH: usize = 16;

/// The bytes of a matrix: rows are padded to four words.
fn bytes(rows: usize, columns: usize) -> u64 {
    (rows * columns.next_multiple_of(4) * size_of::<f32>()) as u64
}

/// Models of every likelihood, and of every other part that has tensors of its own.
fn configs() -> Vec<Config> {
    let of = |likelihood| {
        let mut config = config(1, Activation::Relu, likelihood);
        config.training.batch_size = BATCH;
        if likelihood == Likelihood::Categorical {
            config.model.binarize = Binarize::Threshold;
        }
        config
    };
    let mut configs: Vec<_> = Likelihood::value_variants().iter().copied().map(of).collect();
    for (activation, normalise) in
        [(Activation::Silu, NormKind::Batch), (Activation::Silu, NormKind::Layer), (Activation::Gated, NormKind::None)]
    {
        let mut config = of(Likelihood::Bernoulli);
        (config.model.activation, config.model.normalise) = (activation, Some(normalise));
        configs.push(config);
    }
    for prior in [Prior::Mixture, Prior::VampPrior] {
        let mut config = of(Likelihood::Bernoulli);
        config.model.prior = PriorConfig { kind: prior, components: 9 };
        configs.push(config);
    }
    for objective in [Objective::Iwae, Objective::Dreg, Objective::Capacity] {
        let mut config = of(Likelihood::Bernoulli);
        config.training.objective = ObjectiveConfig { kind: objective, samples: 3, ..ObjectiveConfig::default() };
        configs.push(config);
    }
    configs
}

/// The bytes of a network, and its results for a set of images: the averages, and the last batch's log probabilities
/// and KL divergences, as bits.
fn evaluate(vae: &Vae, make: impl FnOnce() -> Network) -> (u64, Averages, [Vec<f32>; 2]) {
    let gpu = vae.gpu();
    let before = gpu.allocated_bytes();
    let network = make();
    let bytes = gpu.allocated_bytes() - before;
    let images = images(40, 3);
    let evaluation = Evaluation::new(vae, &network, described(vae, &images), LossWeights::default(), 5);
    let averages = evaluation.unwrap().run().unwrap();
    (bytes, averages, [&network.log_prob, &network.kl].map(|terms| terms.read(gpu).unwrap()))
}

#[test]
fn a_network_for_evaluation_takes_less_memory_and_gives_the_same_terms() {
    // A device of its own, so that no other test allocates on it.
    let gpu = Gpu::open(&AdapterRequest::default()).unwrap();
    for config in configs() {
        let vae = trainer(&gpu, &dataset(BATCH, 8), &config).vae().clone();
        let objective = &config.training.objective;
        let (training, averages, terms) = evaluate(&vae, || Network::training(&vae, BATCH, objective).unwrap());
        let (evaluation, same_averages, same_terms) =
            evaluate(&vae, || Network::evaluation(&vae, BATCH, objective).unwrap());
        // Kernels that keep no gradient may round in another way.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
        assert!(close(averages.nll, same_averages.nll), "{averages:?} {same_averages:?}: {config:?}");
        assert!(close(averages.kl, same_averages.kl), "{averages:?} {same_averages:?}: {config:?}");
        for (terms, same_terms) in terms.iter().zip(&same_terms) {
            let largest = terms.iter().fold(1f32, |largest, term| largest.max(term.abs()));
            assert!(terms.iter().zip(same_terms).all(|(a, b)| (a - b).abs() <= 1e-5 * largest), "{config:?}");
        }
        // At the least, each hidden layer's slopes and gradients, and the gradients of the posterior.
        let rows = BATCH * objective.samples;
        let hidden = HIDDEN * config.model.activation.inputs();
        let least = 2 * bytes(BATCH, hidden) + 2 * bytes(rows, hidden) + bytes(BATCH, HIDDEN);
        assert!(evaluation + least <= training, "{evaluation} and {least} of {training} bytes: {config:?}");
    }
}
