//! Parameters: their roles, and how many are learned.

use clap::ValueEnum;
use elbo::config::ModelConfig;
use elbo::likelihood::Likelihood;
use elbo::nn::{Activation, NormKind, Role};
use elbo::prior::{Prior, PriorConfig};
use elbo::vae::{Model, Vae};

use crate::support::gpu;
use crate::support::synthetic::{HIDDEN, LATENTS, SHAPE, config};

const COMPONENTS: usize = 9;

/// Every likelihood, normalisation and prior, each with each.
fn models() -> impl Iterator<Item = ModelConfig> {
    Likelihood::value_variants().iter().flat_map(|likelihood| {
        NormKind::value_variants().iter().flat_map(|normalise| {
            Prior::value_variants().iter().map(|prior| {
                let mut model = config(2, Activation::Relu, *likelihood).model;
                model.normalise = Some(*normalise);
                model.prior = PriorConfig { kind: *prior, components: COMPONENTS };
                model
            })
        })
    })
}

/// The expected role of a parameter of a model with two hidden layers, by its name, and the number of its learned
/// elements.
fn expected(model: &ModelConfig, name: &str) -> (Role, usize) {
    const PIXELS: usize = 42;
    const NORM: &[Role] = &[Role::Scale, Role::Bias];
    const BATCH_NORM: &[Role] = &[Role::Scale, Role::Bias, Role::Statistic, Role::Statistic];
    let outputs = PIXELS * model.likelihood.density().outputs_per_dimension();
    let (layer, part) = name.rsplit_once('.').unwrap();
    let [inputs, width] = match layer {
        "encoder.0" => [PIXELS, HIDDEN],
        "decoder.0" => [LATENTS, HIDDEN],
        "encoder.1" | "decoder.1" => [HIDDEN, HIDDEN],
        "posterior" => [HIDDEN, 2 * LATENTS],
        "likelihood" => [HIDDEN, outputs],
        _ => [0, 0],
    };
    match part {
        "weight" => (Role::Weight, inputs * width),
        "bias" => (Role::Bias, width),
        "norm" => (Role::Rows(if model.normalise == Some(NormKind::Batch) { BATCH_NORM } else { NORM }), 2 * width),
        "logvar" if model.likelihood.kind == Likelihood::Gaussian => (Role::Scale, 1),
        "logvar" => (Role::Scale, PIXELS),
        "components" => (Role::Bias, COMPONENTS * 2 * LATENTS),
        "pseudo_inputs" => (Role::Bias, COMPONENTS * PIXELS),
        _ => panic!("{name} is a parameter that this test does not know"),
    }
}

#[test]
fn each_parameter_has_its_role_and_its_number_of_learned_elements() {
    for config in models() {
        let specs = Model { data: SHAPE.into(), config: config.clone() }.parameters();
        for spec in &specs {
            let found = (spec.role, spec.learned());
            assert_eq!(found, expected(&config, &spec.name), "{}: {config:?}", spec.name);
            let statistics = (0..spec.rows()).filter(|row| spec.role_of(*row) == Role::Statistic).count();
            assert_eq!(spec.learned() + statistics * spec.columns(), spec.len(), "{}: {config:?}", spec.name);
        }
        // Six layers with two parameters each, the norms of the hidden ones, a variance, a prior's.
        let norms = if config.normalise == Some(NormKind::None) { 0 } else { 4 };
        let learned = [Likelihood::Gaussian, Likelihood::GaussianPerDimension];
        let variances = usize::from(learned.contains(&config.likelihood.kind));
        let of_prior = usize::from(config.prior.kind != Prior::StandardNormal);
        assert_eq!(specs.len(), 12 + norms + variances + of_prior, "{config:?}");
    }
}

#[test]
fn the_number_of_parameters_leaves_out_running_statistics() {
    let count = |normalise| {
        let mut config = config(2, Activation::Relu, Likelihood::Bernoulli).model;
        config.normalise = Some(normalise);
        let vae = Vae::new(gpu(), Model { data: SHAPE.into(), config }, 0).unwrap();
        let all: usize = vae.parameters().read(gpu()).unwrap().iter().map(Vec::len).sum();
        [vae.parameter_count(), all]
    };
    let ([plain, _], [batch, all_of_batch], [layer, all_of_layer]) =
        (count(NormKind::None), count(NormKind::Batch), count(NormKind::Layer));
    // A scale and a shift for each unit of four hidden layers; over the batch, a running mean and a running variance.
    let units = 4 * HIDDEN;
    assert_eq!([batch, layer], [plain + 2 * units; 2]);
    assert_eq!([all_of_batch, all_of_layer], [batch + 2 * units, layer]);
}
