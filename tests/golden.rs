//! Ten steps of training against PyTorch's, from the same parameters, order and noise; `tests/fixtures/README.md`
//! describes the fixtures and how they were made.

use std::ops::ControlFlow;
use std::sync::Arc;

use elbo::config::{ModelConfig, TextConfig, TrainingConfig};
use elbo::data::batch::{DeviceExamples, DeviceImages, DeviceSentences};
use elbo::data::{Binarize, ImageShape, Images, Sentences, TextShape, Tokens, Vocabulary};
use elbo::gpu::{Program, Tensor};
use elbo::likelihood::{Likelihood, LikelihoodConfig};
use elbo::nn::{Activation, Layers, NormKind, Upsample};
use elbo::noise::{self, Stream};
use elbo::optim::{Adam, OptimiserConfig, UpdateRule};
use elbo::posterior::{Draws, PosteriorConfig};
use elbo::prior::{KlEstimate, standard_normal};
use elbo::step::{At, Segment, Step, batches};
use elbo::train::{StepSizes, TrainingStep};
use elbo::vae::{Model, Vae};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::support::gpu;
use crate::support::sources::repository;

/// Bernoulli with one hidden layer; a learned variance, two hidden layers and warm-up; no hidden layer; gated units with layer
/// normalisation; batch normalisation. Convolutions with batch normalisation and a dense layer; residual blocks, pooling and
/// layer normalisation; nearest enlargement, gated units and batches of one example. Text: sentences of 1 to 7 words; two layers,
/// a shared table, dropped words, and a vocabulary that is longer than the threads of a row; a decoder alone; convolutions
/// over up to 19 words.
const FIXTURES: [&str; 12] = [
    "bernoulli-relu",
    "gaussian-tanh",
    "linear",
    "gated-layer",
    "silu-batch",
    "conv-batch",
    "conv-residual",
    "conv-nearest",
    "text-gru",
    "text-lstm",
    "text-alone",
    "text-cnn",
];

/// A float32 run by PyTorch is within 9e-7; errors of up to 1e-5 in the noise move it by 9e-6.
const LOSS_TOLERANCE: f64 = 1e-4;

/// Absolute; the sources of difference are those of the losses.
const PARAMETER_TOLERANCE: f64 = 1e-4;

/// Of the largest value of each tensor.
const GRADIENT_TOLERANCE: f64 = 1e-4;

/// Vulkan's bound on the error of sine and cosine, 2^-11, times the largest radius of a Box-Muller draw, 5.8.
const NOISE_TOLERANCE: f64 = 5.8 / 2048.0;

/// The metadata of a fixture.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    dimensions: usize,
    /// Height, width and channels, if the data are images.
    image: Option<[usize; 3]>,
    hidden: Layers,
    #[serde(default)]
    upsample: Upsample,
    latents: usize,
    #[serde(default)]
    activation: Activation,
    #[serde(default)]
    normalise: NormKind,
    #[serde(default)]
    likelihood: Likelihood,
    /// The words of the vocabulary, if the data are sentences.
    words: Option<usize>,
    #[serde(default, flatten)]
    text: TextConfig,
    batch_size: usize,
    kl_weight: Vec<f64>,
    learning_rate: f64,
    seed: String,
}

impl Case {
    fn shape(&self) -> ImageShape {
        let [height, width, channels] = self.image.unwrap_or([1, self.dimensions, 1]);
        ImageShape { channels, height, width }
    }

    /// The words by their numbers, and the unknown one under its own name.
    fn word(number: i32) -> String {
        if number as u32 == Vocabulary::UNKNOWN { "<unk>".to_owned() } else { format!("w{number}") }
    }
}

struct Fixture {
    bytes: Vec<u8>,
    case: Case,
}

impl Fixture {
    fn load(name: &str) -> Fixture {
        let path = repository().join("tests/fixtures").join(name).with_extension("safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let case = serde_json::from_str(&header.metadata().as_ref().unwrap()["elbo"]).unwrap();
        Fixture { bytes, case }
    }

    fn bytes_of(&self, tensor: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.bytes).unwrap().tensor(tensor).unwrap().data().to_vec()
    }

    fn f32s(&self, tensor: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&self.bytes_of(tensor))
    }

    fn f64s(&self, tensor: &str) -> Vec<f64> {
        bytemuck::pod_collect_to_vec(&self.bytes_of(tensor))
    }

    /// The sentences, if the data are sentences.
    fn sentences(&self) -> Option<Sentences> {
        let words = (2..self.case.words? as i32).map(Case::word);
        let vocabulary = Arc::new(Vocabulary::of_words(Tokens::Word, words));
        let [tokens, lengths] =
            ["tokens", "lengths"].map(|name| -> Vec<i32> { bytemuck::pod_collect_to_vec(&self.bytes_of(name)) });
        let mut tokens = tokens.into_iter().map(Case::word);
        let lines =
            lengths.into_iter().map(|length| tokens.by_ref().take(length as usize).collect::<Vec<_>>().join(" "));
        let lines: Vec<_> = lines.collect();
        Some(Sentences::new(lines.iter().map(String::as_str), &vocabulary).unwrap())
    }

    fn order(&self) -> Vec<u32> {
        bytemuck::pod_collect_to_vec(&self.bytes_of("order"))
    }

    /// The names of the parameters, sorted.
    fn parameters(&self) -> Vec<String> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let names = tensors.names().into_iter().filter_map(|name| name.strip_prefix("initial.").map(str::to_owned));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// The values of a parameter that can be compared. The gradient of a bias before batch normalisation is only
    /// rounding, and Adam turns it into whole steps. So such a bias is left out, and so are the running means, which
    /// follow it.
    fn settled(&self, parameter: &str, mut values: Vec<f64>) -> Vec<f64> {
        let hidden = parameter.starts_with("encoder") || parameter.starts_with("decoder");
        if self.case.normalise == NormKind::Batch && hidden {
            if parameter.ends_with(".bias") {
                values.clear();
            } else if parameter.ends_with(".norm") {
                let width = values.len() / 4;
                values.drain(2 * width..3 * width);
            }
        }
        values
    }

    /// The fixture's table of steps.
    fn steps(&self, optimiser: Adam) -> Vec<Step> {
        let Case { batch_size, kl_weight, learning_rate, seed, .. } = &self.case;
        let key = noise::key(seed.parse().unwrap(), Stream::Training);
        let order = self.order();
        let lengths: Vec<_> = self.sentences().map(|sentences| sentences.lengths().collect()).unwrap_or_default();
        let rows = batches(self.order().len(), *batch_size).zip(kl_weight).zip(0..);
        rows.map(|(((first, examples), &kl_weight), row)| {
            let (t, share) = (row + 1, 1.0);
            let objective = [kl_weight as f32, 0.0, 0.0, 0.0];
            let optimiser = [optimiser.constants(*learning_rate, t); 2];
            let own = &order[first as usize..][..examples as usize];
            let length = own.iter().filter_map(|example| lengths.get(*example as usize)).max().copied().unwrap_or(0);
            Step { row, t, first, examples, key, optimiser, objective, share, length, ..Step::default() }
        })
        .collect()
    }
}

/// A fixture's training by the recipe of every training, recorded but not yet run.
struct Replay {
    vae: Vae,
    step: TrainingStep,
    program: Program,
    order: Vec<u32>,
    steps: Vec<Step>,
}

impl Replay {
    fn record(fixture: &Fixture, optimiser: Adam) -> Replay {
        let Case { hidden, upsample, latents, activation, normalise, likelihood, batch_size, .. } = &fixture.case;
        let (shape, order, steps) = (fixture.case.shape(), fixture.order(), fixture.steps(optimiser));
        let config = ModelConfig {
            hidden: Some(hidden.clone()),
            upsample: *upsample,
            latents: *latents,
            activation: *activation,
            normalise: Some(*normalise),
            text: fixture.case.text,
            likelihood: LikelihoodConfig { kind: *likelihood, variance: 1.0, ..LikelihoodConfig::default() },
            ..ModelConfig::default()
        };
        let sentences = fixture.sentences();
        let data = match &sentences {
            None => shape.into(),
            Some(sentences) => {
                let (vocabulary, length) = (sentences.vocabulary().clone(), sentences.longest());
                TextShape { vocabulary, length }.into()
            }
        };
        let vae = Vae::new(gpu(), Model { data, config }, 0).unwrap();
        let mut names: Vec<_> = vae.parameters().tensors().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        assert_eq!(names, fixture.parameters());
        for (name, tensor) in vae.parameters().tensors() {
            tensor.write(gpu(), &fixture.f32s(&format!("initial.{name}"))).unwrap();
        }
        let examples = match &sentences {
            None => {
                let images = Images::new(fixture.bytes_of("images"), order.len(), shape).unwrap();
                let images = DeviceImages::upload(gpu(), &images, Binarize::None, Stream::Binarise);
                DeviceExamples::Images(images.unwrap())
            }
            Some(sentences) => DeviceExamples::Sentences(DeviceSentences::upload(gpu(), sentences).unwrap()),
        };
        let optimiser = OptimiserConfig { adam: optimiser, ..OptimiserConfig::default() };
        let config = TrainingConfig { batch_size: *batch_size, optimiser, ..TrainingConfig::default() };
        let sizes = StepSizes { examples: *batch_size, chunks: 1, steps: steps.len() };
        let step = TrainingStep::new(&vae, &examples, &config, sizes).unwrap();
        let program = step.joined();
        Replay { vae, step, program, order, steps }
    }

    /// Runs the first step only: its gradients are in the arena afterwards.
    fn run_first_step(&self) {
        self.step.pass.order.write(gpu(), &self.order).unwrap();
        self.steps[0].write_to(gpu(), &self.step.pass.step).unwrap();
        gpu().run(&self.program, 1);
    }

    /// Runs all steps: the loss, log_prob and kl of each, as means over its batch.
    fn run(&mut self) -> [Vec<f64>; 3] {
        let mut terms = [Vec::new(), Vec::new(), Vec::new()];
        let Replay { step, program, order, steps, .. } = self;
        let done = step.pass.run(gpu(), program, Segment { order, steps, from: 0 }, |row, sums| {
            for (step, sums) in steps[row..].iter().zip(sums) {
                for (values, sum) in terms.iter_mut().zip([sums.loss, sums.log_prob, sums.kl]) {
                    values.push(f64::from(sum) / f64::from(step.examples));
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(done.unwrap(), steps.len());
        terms
    }
}

/// The largest difference found so far, and where it was.
#[derive(Default)]
struct Worst {
    difference: f64,
    place: String,
}

impl Worst {
    /// Compares element by element; a difference counts as a multiple of `scale`, and NaN as infinite.
    fn add(&mut self, name: &str, found: &[f64], want: &[f64], scale: impl Fn(f64) -> f64) {
        assert_eq!(found.len(), want.len(), "{name}");
        for (i, (&found, &want)) in found.iter().zip(want).enumerate() {
            let difference = (found - want).abs() / scale(want);
            let difference = if difference.is_nan() { f64::INFINITY } else { difference };
            if difference > self.difference || self.place.is_empty() {
                *self = Worst { difference, place: format!("{name}[{i}]: found {found:e}, expected {want:e}") };
            }
        }
    }

    fn check(&self, tolerance: f64) -> Result<(), String> {
        let Worst { difference, place } = self;
        println!("    {difference:.1e} of {tolerance:.1e} permitted, at {place}");
        if *difference <= tolerance {
            return Ok(());
        }
        Err(format!("off by {difference:e}, permitted {tolerance:e}, at {place}"))
    }
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn read(tensor: &Tensor) -> Vec<f64> {
    widen(&tensor.read::<f32>(gpu()).unwrap())
}

/// Trains a fixture's ten steps and compares every loss, then the final parameters.
fn compare(name: &str, optimiser: Adam) -> [Result<(), String>; 2] {
    let fixture = Fixture::load(name);
    let mut replay = Replay::record(&fixture, optimiser);
    println!("{name}");
    let mut losses = Worst::default();
    for (term, found) in ["loss", "log_prob", "kl"].into_iter().zip(replay.run()) {
        losses.add(term, &found, &fixture.f64s(term), |want| want.abs().max(f64::MIN_POSITIVE));
    }
    let mut parameters = Worst::default();
    for (parameter, tensor) in replay.vae.parameters().tensors() {
        let want = widen(&fixture.f32s(&format!("final.{parameter}")));
        let [found, want] = [read(&tensor), want].map(|values| fixture.settled(parameter, values));
        parameters.add(parameter, &found, &want, |_| 1.0);
    }
    [losses.check(LOSS_TOLERANCE), parameters.check(PARAMETER_TOLERANCE)]
}

#[test]
fn training_is_that_of_pytorch() -> Result<(), String> {
    for name in FIXTURES {
        let [losses, parameters] = compare(name, Adam::default());
        losses?;
        parameters?;
    }
    Ok(())
}

#[test]
fn a_wrong_constant_in_adam_is_noticed() {
    for wrong in [Adam { beta2: 0.99, ..Adam::default() }, Adam { epsilon: 1e-6, ..Adam::default() }] {
        let [_, parameters] = compare("bernoulli-relu", wrong);
        parameters.expect_err("the parameters are compared too loosely");
    }
}

#[test]
fn the_first_gradients_are_those_of_pytorch() -> Result<(), String> {
    for name in FIXTURES {
        let fixture = Fixture::load(name);
        let replay = Replay::record(&fixture, Adam::default());
        replay.run_first_step();
        println!("{name}");
        let mut worst = Worst::default();
        for (parameter, tensor) in replay.step.players[0].gradients.tensors() {
            let want = widen(&fixture.f32s(&format!("gradient.{parameter}")));
            let largest = want.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            assert!(largest > 0.0, "{name}: the gradient of {parameter} is zero");
            let [found, want] = [read(&tensor), want].map(|values| fixture.settled(parameter, values));
            worst.add(parameter, &found, &want, |_| largest);
        }
        worst.check(GRADIENT_TOLERANCE)?;
    }
    Ok(())
}

#[test]
fn the_noise_is_the_one_specified() -> Result<(), String> {
    for name in FIXTURES {
        let fixture = Fixture::load(name);
        let Case { latents, batch_size, .. } = fixture.case;
        // With mean and log variance 0 the draw is the noise itself.
        let posterior = Tensor::zeros(gpu(), batch_size, 2 * latents).unwrap();
        let z = Tensor::zeros(gpu(), batch_size, latents).unwrap();
        let step = fixture.steps(Adam::default())[0].upload(gpu()).unwrap();
        let mut program = Program::default();
        let kl = Tensor::zeros(gpu(), batch_size, latents).unwrap();
        let prior = standard_normal::kl(KlEstimate::ClosedForm);
        let at = At::new(gpu(), &step, 1);
        let draws = Draws { prior: &prior, outputs: &posterior, z: &z };
        program.push(PosteriorConfig::default().distribution().draw(at, draws, &kl).unwrap());
        gpu().run(&program, 1);
        println!("{name}");
        let mut worst = Worst::default();
        worst.add("noise.0", &read(&z), &widen(&fixture.f32s("noise.0")), |_| 1.0);
        worst.check(NOISE_TOLERANCE)?;
    }
    Ok(())
}
