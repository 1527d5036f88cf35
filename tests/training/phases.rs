//! The phases of a training step one after the other, with an exchange of gradients between them, as with several
//! processes.

use std::ops::ControlFlow;

use elbo::config::{Config, TrainingConfig};
use elbo::data::Binarize;
use elbo::data::batch::{DeviceExamples, DeviceImages};
use elbo::data::order;
use elbo::likelihood::Likelihood;
use elbo::nn::{Activation, NormKind};
use elbo::noise::{self, Stream};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::prior::{Prior, PriorConfig};
use elbo::step::{Segment, Step, batches};
use elbo::train::{StepSizes, TrainingStep};
use elbo::vae::Vae;

use super::parameter_bits;
use crate::support::gpu;
use crate::support::synthetic::{config, dataset, trainer};

/// The last batch is short: 75 = 32 + 32 + 11.
const EXAMPLES: usize = 75;
const BATCH: usize = 32;

/// An epoch, whose batches are split into parts of at most `micro_batch` examples.
fn steps(config: &TrainingConfig, micro_batch: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for ((first_of_batch, examples_of_batch), t) in batches(EXAMPLES, BATCH).zip(1..) {
        let chunks = (examples_of_batch as usize).div_ceil(micro_batch) as u32;
        for ((first, examples), chunk) in batches(examples_of_batch as usize, micro_batch).zip(0..) {
            steps.push(Step {
                row: steps.len() as u32,
                t,
                first: first_of_batch + first,
                examples,
                key: noise::key(config.seed, Stream::Training),
                optimiser: [config.optimiser.rule().constants(0.01, t); 2],
                objective: [1.0, 0.0, 0.0, 0.0],
                chunk,
                chunks_left: chunks - chunk - 1,
                share: examples as f32 / examples_of_batch as f32,
                ..Step::default()
            });
        }
    }
    steps
}

/// A training of a fresh model, recorded and not begun.
struct Recorded {
    vae: Vae,
    step: TrainingStep,
    order: Vec<u32>,
    steps: Vec<Step>,
}

impl Recorded {
    fn new(config: &Config, micro_batch: usize) -> Recorded {
        let data = dataset(EXAMPLES, 8);
        let vae = trainer(gpu(), &data, config).vae().clone();
        let images = DeviceImages::upload(gpu(), &data.train.images, Binarize::None, Stream::Binarise).unwrap();
        let images = DeviceExamples::Images(images);
        let steps = steps(&config.training, micro_batch);
        let sizes = StepSizes { examples: micro_batch, chunks: BATCH.div_ceil(micro_batch), steps: steps.len() };
        let step = TrainingStep::new(&vae, &images, &config.training, sizes).unwrap();
        Recorded { vae, step, order: order::shuffled(EXAMPLES, 0, 1), steps }
    }

    /// The parameters, the optimiser's state and the sums of each step, as bits.
    fn bits(&self) -> [Vec<u32>; 3] {
        let states = self.step.players.iter().flat_map(|player| player.download_states(gpu()).unwrap());
        let states = states.flat_map(|state| state.values).map(f32::to_bits).collect();
        [parameter_bits(&self.vae), states, self.step.pass.metrics.read(gpu()).unwrap()]
    }

    /// Runs both phases as one program.
    fn run_joined(mut self) -> [Vec<u32>; 3] {
        let program = self.step.joined();
        let Recorded { step, order, steps, .. } = &mut self;
        let done =
            step.pass.run(gpu(), &program, Segment { order, steps, from: 0 }, |_, _| Ok(ControlFlow::Continue(())));
        assert_eq!(done.unwrap(), steps.len());
        self.bits()
    }

    /// Runs the phases one by one. The gradients of each batch leave the GPU, and `exchange` decides what comes back.
    fn run_phases(self, exchange: impl Fn(f32) -> f32) -> [Vec<u32>; 3] {
        let TrainingStep { pass, players, gradients, update, .. } = &self.step;
        pass.order.write(gpu(), &self.order).unwrap();
        pass.steps.write(gpu(), bytemuck::cast_slice::<Step, u32>(&self.steps)).unwrap();
        self.steps[0].write_to(gpu(), &pass.step).unwrap();
        let is_learned = self.vae.model().config.normalise != Some(NormKind::Batch);
        for step in &self.steps {
            let before = parameter_bits(&self.vae);
            gpu().run(gradients, 1);
            // The first phase changes nothing but running statistics.
            assert!(!is_learned || parameter_bits(&self.vae) == before);
            if step.chunks_left == 0 {
                for player in players {
                    let whole = player.batch_gradients().whole();
                    let mut values: Vec<f32> = whole.read(gpu()).unwrap();
                    assert!(values.iter().any(|value| *value != 0.0));
                    whole.write(gpu(), &vec![f32::NAN; values.len()]).unwrap();
                    values.iter_mut().for_each(|value| *value = exchange(*value));
                    whole.write(gpu(), &values).unwrap();
                }
            }
            gpu().run(update, 1);
        }
        self.bits()
    }
}

#[test]
fn with_an_exchange_between_them_they_give_the_bits_of_the_whole_step() {
    let relu = config(1, Activation::Relu, Likelihood::Bernoulli);
    let mut normalised = config(1, Activation::Silu, Likelihood::Gaussian);
    normalised.model.normalise = Some(NormKind::Batch);
    let mut weighted = relu.clone();
    weighted.model.prior = PriorConfig { kind: Prior::VampPrior, components: 9 };
    weighted.training.objective = ObjectiveConfig { kind: Objective::Iwae, samples: 3, ..ObjectiveConfig::default() };
    for (config, micro_batch) in [(&relu, BATCH), (&relu, 10), (&normalised, 16), (&weighted, 16)] {
        let record = || Recorded::new(config, micro_batch);
        let start = record().bits();
        let whole = record().run_joined();
        assert!(start.iter().zip(&whole).all(|(start, whole)| start != whole), "{config:?}");
        assert!(record().run_phases(|gradient| gradient) == whole, "{micro_batch} of {config:?}");
        // The control: the update uses the exchanged gradients.
        let [other, ..] = record().run_phases(|gradient| -gradient);
        assert!(other != whole[0], "{micro_batch} of {config:?}");
    }
}
