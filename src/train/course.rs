//! How the held-out loss has gone.

use serde::{Deserialize, Serialize};

/// How the held-out loss has gone: what the best model, early stopping and the schedule `plateau` go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The epoch of the lowest loss, and that loss.
    pub best: Option<(u32, f64)>,
    /// Epochs since then that count: those of the KL warm-up do not.
    pub stalled: u32,
    /// Epochs since then, or since the last cut of the learning rate.
    plateau: u32,
    /// How often the learning rate was cut.
    pub(super) cuts: u32,
}

impl Course {
    /// The course after an epoch of that loss.
    pub(super) fn after(self, epoch: u32, loss: f64, warming_up: bool, patience: u32) -> Course {
        if self.best.is_none_or(|(_, best)| loss < best) {
            return Course { best: Some((epoch, loss)), stalled: 0, plateau: 0, ..self };
        }
        let stalled = if warming_up { 0 } else { self.stalled + 1 };
        let plateau = self.plateau + 1;
        if plateau < patience {
            return Course { stalled, plateau, ..self };
        }
        Course { stalled, plateau: 0, cuts: self.cuts + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(losses: &[f64], warming_up: u32) -> Course {
        losses
            .iter()
            .zip(1..)
            .fold(Course::default(), |course, (loss, epoch)| course.after(epoch, *loss, epoch <= warming_up, 2))
    }

    #[test]
    fn what_is_no_better_counts_from_the_best_epoch_on() {
        assert_eq!(course(&[3.0, 2.0, 2.5, 2.0], 0).best, Some((2, 2.0)));
        assert_eq!(course(&[3.0, 2.0, 2.5, 2.0], 0).stalled, 2);
        assert_eq!(course(&[3.0, 2.0, 2.5, 2.0, 1.0], 0).stalled, 0);
        assert_eq!(course(&[3.0, 2.0, 2.5, 2.0], 3).stalled, 1);
    }

    #[test]
    fn a_plateau_cuts_the_learning_rate_and_then_waits_again() {
        let cuts: Vec<u32> = (1..=6).map(|epochs| course(&[1.0, 2.0, 2.0, 2.0, 2.0, 0.5][..epochs], 0).cuts).collect();
        assert_eq!(cuts, [0, 0, 1, 1, 2, 2]);
    }
}
