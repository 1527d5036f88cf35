//! The table of steps of an epoch: batches, their learning rates, their weights.

use crate::config::TrainingConfig;
use crate::data::order;
use crate::noise::{self, Stream};
use crate::step::{Step, batches};

/// Updates of the encoder for each one of the decoder, in aggressive epochs.
const DECODER_EVERY: u32 = 10;

/// How an epoch is cut into steps.
#[derive(Clone, Debug)]
pub struct Table {
    config: TrainingConfig,
    examples: usize,
    /// The positions of each example, if they are sentences.
    lengths: Vec<u32>,
    /// Examples of a batch that are processed at a time.
    micro_batch: usize,
}

impl Table {
    /// Cuts epochs of `examples` into batches, and these into parts of at most `most` examples. Sentences have lengths.
    pub fn new(config: &TrainingConfig, examples: usize, lengths: Vec<u32>, most: usize) -> Table {
        let micro_batch = config.micro_batch_size.unwrap_or(config.batch_size).min(config.batch_size).min(most.max(1));
        Table { config: config.clone(), examples, lengths, micro_batch }
    }

    /// Examples of a batch that are processed at a time.
    pub fn micro_batch(&self) -> usize {
        self.micro_batch
    }

    /// Steps of a whole batch: what [`Step::chunk`] counts.
    pub fn chunks(&self) -> usize {
        self.config.batch_size.div_ceil(self.micro_batch)
    }

    /// The mean number of positions of an example, if they are sentences.
    pub fn mean_length(&self) -> Option<f64> {
        let total: u64 = self.lengths.iter().map(|length| u64::from(*length)).sum();
        (total > 0).then(|| total as f64 / self.examples as f64)
    }

    /// Updates of an epoch.
    fn updates(&self) -> usize {
        self.examples.div_ceil(self.config.batch_size)
    }

    /// Steps of an epoch.
    pub fn len(&self) -> usize {
        let last = self.examples - (self.updates() - 1) * self.config.batch_size;
        (self.updates() - 1) * self.chunks() + last.div_ceil(self.micro_batch)
    }

    /// The steps of an epoch and the order of its examples; batches have sentences of similar length. `cuts` is the number of cuts of
    /// the learning rate by the schedule `plateau`.
    pub fn epoch(&self, epoch: u32, cuts: u32) -> (Vec<Step>, Vec<u32>) {
        let TrainingConfig { batch_size, seed, .. } = self.config;
        let mut steps = self.steps(epoch, cuts);
        if self.lengths.is_empty() {
            return (steps, order::shuffled(self.examples, seed, epoch));
        }
        let order = order::by_length(&self.lengths, batch_size, seed, epoch);
        steps.iter_mut().for_each(|step| step.length = step.longest(&order, &self.lengths));
        (steps, order)
    }

    fn steps(&self, epoch: u32, cuts: u32) -> Vec<Step> {
        let TrainingConfig { batch_size, seed, ref optimiser, ref objective, .. } = self.config;
        let rule = optimiser.rule();
        let key = noise::key(seed, Stream::Training);
        let learning_rate = self.learning_rate(epoch, cuts);
        let mut steps = Vec::with_capacity(self.len());
        for (update, (batch_first, batch_rows)) in batches(self.examples, batch_size).enumerate() {
            let t = (epoch - 1) * self.updates() as u32 + update as u32 + 1;
            let (kl_weight, capacity) =
                (self.kl_weight(epoch, update), objective.capacity_after(self.done(epoch, update)));
            let decoder = self.decoder_updates(t).map_or([0.0; 4], |own| rule.constants(learning_rate, own));
            let chunks = (batch_rows as usize).div_ceil(self.micro_batch) as u32;
            for (chunk, (first, examples)) in batches(batch_rows as usize, self.micro_batch).enumerate() {
                steps.push(Step {
                    row: steps.len() as u32,
                    t,
                    first: batch_first + first,
                    examples,
                    key,
                    optimiser: [rule.constants(learning_rate, t), decoder],
                    objective: [kl_weight as f32, capacity as f32, 0.0, 0.0],
                    chunk: chunk as u32,
                    chunks_left: chunks - chunk as u32 - 1,
                    share: examples as f32 / batch_rows as f32,
                    ..Step::default()
                });
            }
        }
        steps
    }

    /// The number of the decoder's update that is part of update `t`, if it is updated.
    fn decoder_updates(&self, t: u32) -> Option<u32> {
        let aggressive = self.config.aggressive.saturating_mul(self.updates() as u32);
        match t.checked_sub(aggressive) {
            Some(after) if after > 0 => Some(aggressive / DECODER_EVERY + after),
            _ => t.is_multiple_of(DECODER_EVERY).then_some(t / DECODER_EVERY),
        }
    }

    /// The learning rate of an epoch.
    pub fn learning_rate(&self, epoch: u32, cuts: u32) -> f64 {
        self.config.learning_rate.rate(epoch, cuts, self.config.epochs_for(self.examples))
    }

    /// The KL weight of the last update of an epoch.
    pub fn last_kl_weight(&self, epoch: u32) -> f64 {
        self.kl_weight(epoch, self.updates() - 1)
    }

    /// Whether the KL weight still grows in an epoch.
    pub fn warms_up(&self, epoch: u32) -> bool {
        self.kl_weight(epoch, 0) < self.config.objective.kl_weight
    }

    /// Epochs done after an update.
    fn done(&self, epoch: u32, update: usize) -> f64 {
        f64::from(epoch - 1) + (update + 1) as f64 / self.updates() as f64
    }

    /// The KL weight of an update.
    fn kl_weight(&self, epoch: u32, update: usize) -> f64 {
        let total = self.config.epochs_for(self.examples);
        self.config.objective.kl_weight_after(self.done(epoch, update), self.updates(), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::ObjectiveConfig;

    fn table(micro_batch_size: Option<usize>, most: usize) -> Table {
        Table::new(
            &TrainingConfig { batch_size: 10, micro_batch_size, ..TrainingConfig::default() },
            23,
            Vec::new(),
            most,
        )
    }

    #[test]
    fn batches_are_cut_where_they_must_be() {
        let rows = |table: &Table| -> Vec<_> {
            table
                .steps(1, 0)
                .iter()
                .map(|step| (step.t, step.first, step.examples, step.chunk, step.chunks_left))
                .collect()
        };
        assert_eq!(rows(&table(None, 99)), [(1, 0, 10, 0, 0), (2, 10, 10, 0, 0), (3, 20, 3, 0, 0)]);
        let cut = [(1, 0, 6, 0, 1), (1, 6, 4, 1, 0), (2, 10, 6, 0, 1), (2, 16, 4, 1, 0), (3, 20, 3, 0, 0)];
        assert_eq!((rows(&table(Some(6), 99)), table(Some(6), 99).len()), (cut.to_vec(), 5));
        assert_eq!(rows(&table(None, 6)), cut);
        assert_eq!(table(Some(50), 0).micro_batch(), 1);
        for step in table(Some(6), 99).steps(2, 0) {
            assert!((step.share - step.examples as f32 / [10.0, 10.0, 3.0][step.t as usize - 4]).abs() < 1e-6);
        }
    }

    #[test]
    fn aggressive_epochs_update_the_decoder_now_and_then() {
        let config = TrainingConfig { batch_size: 2, aggressive: 2, ..TrainingConfig::default() };
        let table = Table::new(&config, 25, Vec::new(), 99);
        let constants: Vec<_> = [1, 2, 3].into_iter().flat_map(|epoch| table.steps(epoch, 0)).collect();
        let rule = config.optimiser.rule();
        for (t, step) in (1..).zip(&constants) {
            let decoder = match t {
                10 => 1,
                20 => 2,
                27.. => t - 24,
                _ => 0,
            };
            let expected = if decoder == 0 { [0.0; 4] } else { rule.constants(1e-3, decoder) };
            assert_eq!(step.optimiser, [rule.constants(1e-3, t), expected], "update {t}");
        }
    }

    #[test]
    fn warming_up_can_be_counted_in_epochs_or_in_updates() {
        let weights = |kl_warmup, kl_warmup_steps| {
            let objective = ObjectiveConfig { kl_warmup, kl_warmup_steps, ..ObjectiveConfig::default() };
            let config = TrainingConfig { batch_size: 10, objective, ..TrainingConfig::default() };
            let table = Table::new(&config, 23, Vec::new(), 99);
            let of_epoch = |epoch| table.steps(epoch, 0).into_iter().map(|step| step.objective[0]).collect::<Vec<_>>();
            ([of_epoch(1), of_epoch(2)].concat(), table.warms_up(1), table.warms_up(2))
        };
        let same = |found: Vec<f32>, want: [f32; 6]| found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
        let (found, first, second) = weights(2, 0);
        assert!(same(found, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|n| n / 6.0)) && first && second);
        let (found, first, second) = weights(0, 3);
        assert!(same(found, [1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0, 1.0, 1.0]) && first && !second);
        let cycles = ObjectiveConfig { kl_cycles: 3, kl_weight: 2.0, ..ObjectiveConfig::default() };
        let config = TrainingConfig { batch_size: 10, epochs: Some(6), objective: cycles, ..TrainingConfig::default() };
        let table = Table::new(&config, 20, Vec::new(), 99);
        let of_epoch = |epoch| table.steps(epoch, 0).into_iter().map(|step| step.objective[0]).collect::<Vec<_>>();
        for epoch in [1, 3, 5] {
            assert!(
                of_epoch(epoch) == [1.0, 2.0] && of_epoch(epoch + 1) == [2.0, 2.0],
                "{epoch}: {:?}",
                of_epoch(epoch)
            );
            assert!(table.warms_up(epoch) && !table.warms_up(epoch + 1));
        }
        let (found, first, _) = weights(0, 0);
        assert!(same(found, [1.0; 6]) && !first);
    }
}
