//! The recipe of a training step: its dispatches, in phases.

use super::player::Player;
use crate::Error;
use crate::config::TrainingConfig;
use crate::data::batch::DeviceExamples;
use crate::gpu::Program;
use crate::step::Pass;
use crate::vae::{Network, Vae};

/// The sizes of the steps of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct StepSizes {
    /// Examples of a step.
    pub examples: usize,
    /// Steps of a batch.
    pub chunks: usize,
    /// Steps of an epoch.
    pub steps: usize,
}

/// A step of training, recorded over tensors of its own.
///
/// Its phases are forward and backward; the exchange of gradients, which one process does not need; and the update.
/// [`Player::batch_gradients`] are exchanged between the two programs.
#[derive(Debug)]
pub struct TrainingStep {
    /// The model's tensors.
    pub network: Network,
    /// The table of steps and their sums.
    pub pass: Pass,
    /// The units of training, each with parameters of its own.
    pub players: Vec<Player>,
    /// The first phase: from the examples to the gradients.
    pub gradients: Program,
    /// The last phase: from the gradients to the parameters, and on to the next step.
    pub update: Program,
}

impl TrainingStep {
    /// Makes the tensors and records the phases.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] for sizes beyond the adapter's; [`Error::Gpu`] if memory runs out.
    pub fn new(
        vae: &Vae,
        examples: &DeviceExamples,
        config: &TrainingConfig,
        sizes: StepSizes,
    ) -> Result<TrainingStep, Error> {
        let gpu = vae.gpu();
        let network = Network::training(vae, sizes.examples, &config.objective)?;
        let pass = Pass::with_steps(gpu, examples.count(), sizes.steps)?;
        let specs = (vae.specs(), vae.model().encoder_parameters());
        let player = Player::new(gpu, specs, vae.parameters(), &config.optimiser, sizes.chunks)?;
        let at = network.at(&pass.step);
        let (mut gradients, mut update) = (Program::default(), Program::default());
        gradients.extend(network.training_step(examples, &pass, &player.gradients)?);
        gradients.extend(player.accumulate(at)?);
        update.extend(player.update(at, &pass.metrics)?);
        update.push(network.finish(&pass)?);
        Ok(TrainingStep { network, pass, players: vec![player], gradients, update })
    }

    /// Both phases as one program, for one process.
    pub fn joined(&self) -> Program {
        let mut program = self.gradients.clone();
        program.extend(self.update.dispatches().iter().cloned());
        program
    }
}
