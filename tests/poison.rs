//! Hostile values: NaN, infinities, denormals and 1e38 end in a finite result or a named error, never in silence.

use std::ops::ControlFlow;

use elbo::Error;
use elbo::config::Config;
use elbo::eval::{Evaluation, LossWeights};
use elbo::gpu::{Dispatch, Program, Tensor};
use elbo::likelihood::{Likelihood, LikelihoodConfig, Pixels, Terms};
use elbo::nn::{self, Activation, Dense, Layer, Mode, NormKind, Recording};
use elbo::objective::ObjectiveConfig;
use elbo::posterior::{Draws, PosteriorConfig};
use elbo::prior::{KlEstimate, standard_normal};
use elbo::step::metrics::EpochMetrics;
use elbo::step::{At, Step};
use elbo::train::Trainer;
use elbo::vae::{Network, Vae};

use crate::support::gpu;
use crate::support::synthetic::{self, ACTIVATIONS, LATENTS, LIKELIHOODS, config, dataset, described, images};

const DENORMAL: f32 = 1e-40;
const POISONS: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38, -1e38, DENORMAL];

/// Steps of an epoch here.
const STEPS: u32 = 2;

fn trainer(config: &Config) -> Trainer {
    let mut config = config.clone();
    config.training.batch_size = 32;
    synthetic::trainer(gpu(), &dataset(32 * STEPS as usize, 16), &config)
}

fn epoch(trainer: &mut Trainer) -> Result<EpochMetrics, Error> {
    trainer.epoch(|_| ControlFlow::Continue(())).map(|metrics| metrics.expect("nothing breaks the epoch"))
}

/// Puts a value into the middle of a parameter.
fn poison(vae: &Vae, parameter: &str, value: f32) {
    let tensor = vae.parameters().get(parameter);
    let mut values: Vec<f32> = tensor.read(gpu()).unwrap();
    let middle = values.len() / 2;
    values[middle] = value;
    tensor.write(gpu(), &values).unwrap();
}

/// Fails unless the result is finite or an error that names where the training stopped, no later than the given step.
fn check_training(result: &Result<EpochMetrics, Error>, latest: (u32, u32)) -> Result<(), String> {
    match result {
        Ok(metrics) => {
            let terms =
                [metrics.train, metrics.held_out().1].map(|terms| [terms.elbo, terms.nll, terms.kl, terms.loss]);
            if terms.iter().flatten().all(|term| term.is_finite()) { Ok(()) } else { Err(format!("silent: {terms:?}")) }
        }
        Err(error @ Error::Diverged { epoch, step, value, .. }) => {
            let named = error.to_string().contains(&format!("in epoch {epoch}, step {step}"));
            let fits = named && !value.is_finite() && (*epoch, *step) <= latest && (*epoch, *step) >= (1, 1);
            if fits { Ok(()) } else { Err(format!("{error}, expected by {latest:?}")) }
        }
        Err(error) => Err(format!("not the error for this: {error}")),
    }
}

/// As [`check_training`], for the output of a model.
fn check_output(result: &Result<Vec<f32>, Error>, row: Option<usize>) -> Result<(), String> {
    match result {
        Ok(values) if values.iter().all(|value| value.is_finite()) => Ok(()),
        Ok(_) => Err("silent".to_owned()),
        Err(Error::NotFinite { place, value, .. }) => {
            let fits = !value.is_finite() && row.is_none_or(|row| place.starts_with(&format!("row {row} of ")));
            if fits { Ok(()) } else { Err(format!("found {value} in {place}, expected row {row:?}")) }
        }
        Err(error) => Err(format!("not the error for this: {error}")),
    }
}

#[test]
fn silence_is_noticed() {
    let config = config(1, Activation::Relu, Likelihood::Bernoulli);
    let mut metrics = epoch(&mut trainer(&config)).unwrap();
    check_training(&Ok(metrics.clone()), (1, 1)).unwrap();
    metrics.train.kl = f64::NAN;
    check_training(&Ok(metrics), (1, 1)).unwrap_err();
    let advice = String::new();
    let late = Error::Diverged { what: "the loss", epoch: 1, step: 2, value: f32::NAN, advice };
    check_training(&Err(late), (1, 1)).unwrap_err();
    check_output(&Ok(vec![0.0, f32::INFINITY]), None).unwrap_err();
}

/// Trains and uses models with one poisoned value in one parameter.
fn try_poisons(config: &Config) {
    for (name, _) in trainer(config).vae().parameters().tensors() {
        for value in POISONS {
            let case = || format!("{value:e} in {name} of {:?}", config.model);
            let mut trainer = trainer(config);
            poison(trainer.vae(), name, value);
            let vae = trainer.vae();
            for result in [vae.sample(3, 0, Pixels::Mean), vae.reconstruct(&images(3, 0), 0, Pixels::Mean)] {
                check_output(&result, None).unwrap_or_else(|error| panic!("{error}: {}", case()));
                assert!(value != DENORMAL || result.is_ok(), "{result:?}: {}", case());
            }
            let result = epoch(&mut trainer);
            check_training(&result, (1, STEPS)).unwrap_or_else(|error| panic!("{error}: {}", case()));
            assert!(value != DENORMAL || result.is_ok(), "{result:?}: {}", case());
            assert!(!value.is_nan() || result.is_err(), "{result:?}: {}", case());
            // Some drivers lose NaN in an activation. If no activation follows, the very first loss has to show it.
            let direct = name.starts_with("posterior") || name.starts_with("likelihood");
            let at_once = matches!(result, Err(Error::Diverged { epoch: 1, step: 1, .. }));
            assert!(!value.is_nan() || !direct || at_once, "{result:?}: {}", case());
        }
    }
}

#[test]
fn a_poisoned_parameter_behind_any_activation() {
    for activation in ACTIVATIONS {
        try_poisons(&config(1, activation, Likelihood::Bernoulli));
    }
}

#[test]
fn a_poisoned_parameter_of_any_kind_of_model() {
    for (layers, likelihood) in [(0, Likelihood::Gaussian), (1, Likelihood::GaussianFixed), (2, Likelihood::Gaussian)] {
        try_poisons(&config(layers, Activation::Tanh, likelihood));
    }
}

#[test]
fn a_poisoned_parameter_of_a_normalised_model() {
    for normalise in [NormKind::Batch, NormKind::Layer] {
        let mut config = config(1, Activation::Relu, Likelihood::Bernoulli);
        config.model.normalise = Some(normalise);
        try_poisons(&config);
    }
}

#[test]
fn a_learning_rate_that_is_too_large_stops_the_training() {
    for likelihood in LIKELIHOODS {
        for activation in ACTIVATIONS {
            for learning_rate in [1e30, 3e38] {
                let mut config = config(1, activation, likelihood);
                config.training.learning_rate.initial = learning_rate;
                let result = epoch(&mut trainer(&config));
                check_training(&result, (1, 2)).unwrap_or_else(|error| panic!("{error}: {config:?}"));
                result.expect_err("such steps lead nowhere");
            }
        }
    }
}

#[test]
fn a_kl_weight_that_is_too_large_stops_the_training() {
    for (kl_weight, may_train) in [(1e37, true), (1e39, false)] {
        let mut config = config(1, Activation::Relu, Likelihood::Bernoulli);
        config.training.objective.kl_weight = kl_weight;
        let result = epoch(&mut trainer(&config));
        check_training(&result, (1, STEPS)).unwrap();
        assert!(may_train || result.is_err(), "{result:?}");
    }
}

#[test]
fn a_log_variance_that_overflows_stops_the_training() {
    let mut trainer = trainer(&config(1, Activation::Relu, Likelihood::Bernoulli));
    let mut bias = vec![0f32; 2 * LATENTS];
    bias[LATENTS..].fill(1e3);
    trainer.vae().parameters().get("posterior.bias").write(gpu(), &bias).unwrap();
    let result = epoch(&mut trainer);
    check_training(&result, (1, 1)).unwrap();
    result.expect_err("exp(1000) is not a number that f32 holds");
}

#[test]
fn a_training_that_stopped_stops_again() {
    // Enough steps for another submission to be in flight when the first one is found to have failed.
    let mut config = config(1, Activation::Relu, Likelihood::Bernoulli);
    config.training.batch_size = 1;
    let mut trainer = synthetic::trainer(gpu(), &dataset(64, 16), &config);
    poison(trainer.vae(), "posterior.bias", f32::NAN);
    for _ in 0..3 {
        let result = epoch(&mut trainer);
        check_training(&result, (1, 1)).unwrap();
        result.expect_err("the parameter is still NaN");
    }
}

#[test]
fn an_evaluation_of_a_poisoned_model_is_an_error() {
    let trainer = trainer(&config(1, Activation::Relu, Likelihood::Bernoulli));
    let (vae, images) = (trainer.vae(), images(20, 0));
    let evaluate = || {
        let network = Network::evaluation(vae, 16, &ObjectiveConfig::default())?;
        Evaluation::new(vae, &network, described(vae, &images), LossWeights::default(), 0)?.run()
    };
    evaluate().unwrap();
    poison(vae, "likelihood.bias", f32::NAN);
    let error = evaluate().expect_err("the loss is NaN");
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
}

#[test]
fn hostile_latents() {
    // More rows than are decoded at a time, the poisoned one among the last.
    const ROW: usize = 300;
    for likelihood in [Likelihood::Bernoulli, Likelihood::Gaussian] {
        for activation in ACTIVATIONS {
            for value in POISONS {
                let model = trainer(&config(1, activation, likelihood));
                let mut latents = vec![0.5f32; (ROW + 3) * LATENTS];
                latents[ROW * LATENTS + 1] = value;
                let result = model.vae().decode(&latents, Pixels::Mean);
                let case = || format!("{value:e} with {activation:?}, {likelihood:?}");
                check_output(&result, Some(ROW)).unwrap_or_else(|error| panic!("{error}: {}", case()));
                assert!(value.is_finite() || result.is_err(), "{}", case());
                assert!(value != DENORMAL || result.is_ok(), "{}", case());
                if likelihood == Likelihood::Bernoulli {
                    let probs = result.unwrap_or_default();
                    assert!(probs.iter().all(|prob| (0.0..=1.0).contains(prob)), "{}", case());
                }
            }
        }
    }
}

/// Makes a step of the given number of rows, records dispatches that read it, and runs them.
fn run(rows: usize, record: impl FnOnce(At<'_>) -> Result<Vec<Dispatch>, Error>) {
    let row = Step { examples: rows as u32, objective: [1.0, 0.0, 0.0, 0.0], ..Step::default() };
    let step = row.upload(gpu()).unwrap();
    let mut program = Program::default();
    program.extend(record(At::new(gpu(), &step, 1)).unwrap());
    gpu().run(&program, 1);
}

/// Whether a value is as expected: close, or the same infinity, or NaN as well.
fn agree(found: f32, want: f32) -> bool {
    (found - want).abs() <= 1e-30 + 1e-5 * want.abs() || found == want || found.is_nan() && want.is_nan()
}

/// One example: its logits, its pixels, and its log probability.
type Example = (Vec<f32>, Vec<f32>, f32);

#[test]
fn bernoulli_is_never_nan_for_a_finite_logit() {
    const D: usize = 42;
    let dense = |logit: f32, x: f32, want: f32| (vec![logit; D], vec![x; D], want);
    let one = |logit: f32, x: f32, want: f32| {
        let mut logits = vec![0.0; D];
        logits[7] = logit;
        (logits, vec![x; D], want)
    };
    let coin = D as f32 * -std::f32::consts::LN_2;
    let rows = [
        dense(1e38, 1.0, 0.0),
        dense(-1e38, 0.0, 0.0),
        // The sum itself is beyond f32.
        dense(1e38, 0.0, f32::NEG_INFINITY),
        dense(-1e38, 1.0, f32::NEG_INFINITY),
        dense(-1e38, 0.5, f32::NEG_INFINITY),
        one(1e38, 0.0, -1e38),
        one(-1e38, 1.0, -1e38),
        one(1e38, 0.5, -5e37),
        dense(100.0, 0.0, -4200.0),
        dense(DENORMAL, 0.0, coin),
        dense(-DENORMAL, DENORMAL, coin),
        // An infinite logit is an error later on: the product that makes it gives NaN, 0 times infinity, beside it.
        one(f32::NEG_INFINITY, 0.5, f32::NAN),
        one(f32::NAN, 1.0, f32::NAN),
    ];
    let matrix = |row: fn(&Example) -> &Vec<f32>| {
        let values: Vec<f32> = rows.iter().flat_map(row).copied().collect();
        Tensor::from_values(gpu(), rows.len(), D, &values).unwrap()
    };
    let (logits, x) = (matrix(|row| &row.0), matrix(|row| &row.1));
    let [dlogits, mean] = [(); 2].map(|()| Tensor::zeros(gpu(), rows.len(), D).unwrap());
    // The likelihood is an epilogue: a layer whose weight is the identity passes the logits to it unchanged.
    let layer = Dense::new("identity", D, D);
    let parameters = nn::arena(gpu(), &layer.parameters()).unwrap();
    let identity: Vec<f32> = (0..D * D).map(|i| if i / D == i % D { 1.0 } else { 0.0 }).collect();
    parameters.get("identity.weight").write(gpu(), &identity).unwrap();
    let density = LikelihoodConfig::default().density();
    let log_prob = Tensor::zeros(gpu(), rows.len(), density.partial_sums(gpu(), D).unwrap()).unwrap();
    run(rows.len(), |at| {
        let recording = Recording::new(at, &parameters, Mode::Training);
        let terms = Terms { x: &x, output: &dlogits, log_prob: &log_prob, trains: true };
        let epilogues = [density.log_prob(recording, terms)?.0, density.mean(&mean).expect("a function of one output")];
        let products = epilogues.iter().map(|epilogue| layer.forward(recording, &logits, epilogue));
        Ok(products.collect::<Result<Vec<_>, _>>()?.concat())
    });
    let log_prob: Vec<f32> = log_prob.read(gpu()).unwrap();
    for (found, (logits, x, want)) in log_prob.chunks(log_prob.len() / rows.len()).zip(&rows) {
        let found = found.iter().sum::<f32>();
        assert!(agree(found, *want), "found {found:e}, expected {want:e} for logits {:e} and x {:e}", logits[7], x[7]);
    }
    // Even if the log probability is infinite, the gradient and the mean are finite; the last two rows have other
    // logits.
    let numbers = (rows.len() - 2) * D;
    let (dlogits, mean): (Vec<f32>, Vec<f32>) = (dlogits.read(gpu()).unwrap(), mean.read(gpu()).unwrap());
    assert!(dlogits[..numbers].iter().all(|value| value.abs() <= 1.0), "{dlogits:?}");
    assert!(mean[..numbers].iter().all(|value| (0.0..=1.0).contains(value)), "{mean:?}");
    assert!(dlogits[numbers + D + 7].is_nan() && mean[numbers + D + 7].is_nan());
}

#[test]
fn kl_is_never_nan_for_a_finite_posterior() {
    let cases = [
        (0.0, 1e3, f32::INFINITY),
        (0.0, 1e38, f32::INFINITY),
        (1e38, 0.0, f32::INFINITY),
        (-1e38, -1e38, f32::INFINITY),
        (0.0, -1e3, 499.5),
        (0.0, -1e38, 5e37),
        (DENORMAL, DENORMAL, 0.0),
        (0.0, f32::NEG_INFINITY, f32::INFINITY),
        (f32::NAN, 0.0, f32::NAN),
        (0.0, f32::NAN, f32::NAN),
    ];
    let mut posterior = vec![0f32; cases.len() * 2 * LATENTS];
    for (row, (mean, logvar, _)) in posterior.chunks_exact_mut(2 * LATENTS).zip(cases) {
        row[2] = mean;
        row[LATENTS + 2] = logvar;
    }
    let posterior = Tensor::from_values(gpu(), cases.len(), 2 * LATENTS, &posterior).unwrap();
    let [z, kl] = [(); 2].map(|()| Tensor::zeros(gpu(), cases.len(), LATENTS).unwrap());
    run(cases.len(), |at| {
        let prior = standard_normal::kl(KlEstimate::ClosedForm);
        let draws = Draws { prior: &prior, outputs: &posterior, z: &z };
        Ok(vec![PosteriorConfig::default().distribution().draw(at, draws, &kl)?])
    });
    let kl: Vec<f32> = kl.read(gpu()).unwrap();
    for (found, (mean, logvar, want)) in kl.chunks(LATENTS).zip(cases) {
        let found = found.iter().sum::<f32>();
        assert!(agree(found, want), "found {found:e}, expected {want:e} for mean {mean:e}, logvar {logvar:e}");
    }
}
