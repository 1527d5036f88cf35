//! The history of the loss on the images that are not trained on.

use serde::{Deserialize, Serialize};

/// The history of the held-out loss, the loss on the validation or test set. The best model, early stopping and the
/// schedule `plateau` depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOutHistory {
    /// The epoch of the lowest loss, and that loss.
    pub best: Option<(u32, f64)>,
    /// Epochs since then, without those of the KL warm-up.
    pub stalled: u32,
    /// Epochs since then, or since the last cut of the learning rate.
    plateau: u32,
    /// The number of cuts of the learning rate.
    #[serde(rename = "cuts")]
    pub(super) lr_cuts: u32,
}

impl HeldOutHistory {
    /// The history after an epoch with the given loss.
    pub(super) fn after(self, epoch: u32, loss: f64, warming_up: bool, patience: u32) -> HeldOutHistory {
        if self.best.is_none_or(|(_, best)| loss < best) {
            return HeldOutHistory { best: Some((epoch, loss)), stalled: 0, plateau: 0, ..self };
        }
        let stalled = if warming_up { 0 } else { self.stalled + 1 };
        let plateau = self.plateau + 1;
        if plateau < patience {
            return HeldOutHistory { stalled, plateau, ..self };
        }
        HeldOutHistory { stalled, plateau: 0, lr_cuts: self.lr_cuts + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64], warming_up: u32) -> HeldOutHistory {
        losses.iter().zip(1..).fold(HeldOutHistory::default(), |history, (loss, epoch)| {
            history.after(epoch, *loss, epoch <= warming_up, 2)
        })
    }

    #[test]
    fn what_is_no_better_counts_from_the_best_epoch_on() {
        assert_eq!(history(&[3.0, 2.0, 2.5, 2.0], 0).best, Some((2, 2.0)));
        assert_eq!(history(&[3.0, 2.0, 2.5, 2.0], 0).stalled, 2);
        assert_eq!(history(&[3.0, 2.0, 2.5, 2.0, 1.0], 0).stalled, 0);
        assert_eq!(history(&[3.0, 2.0, 2.5, 2.0], 3).stalled, 1);
    }

    #[test]
    fn a_plateau_cuts_the_learning_rate_and_then_waits_again() {
        let cuts: Vec<u32> =
            (1..=6).map(|epochs| history(&[1.0, 2.0, 2.0, 2.0, 2.0, 0.5][..epochs], 0).lr_cuts).collect();
        assert_eq!(cuts, [0, 0, 1, 1, 2, 2]);
    }
}
