//! The checkpoints of earlier epochs.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{CHECKPOINTS, RunDirectory, remove};
use crate::Error;
use crate::train::Checkpoint;

impl RunDirectory {
    /// Keeps the checkpoint of an epoch, and those of the epochs before it, up to `count` in all. It comes before the run's own
    /// checkpoint, so that no kill between the two loses it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written, or another one cannot be removed.
    pub fn keep_checkpoint(&self, checkpoint: &Checkpoint, epoch: u32, count: u32) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let directory = self.path.join(CHECKPOINTS);
        fs::create_dir_all(&directory).map_err(Error::io("create the directory", &directory))?;
        checkpoint.write(&self.kept(epoch))?;
        for other in self.kept_epochs()? {
            // Those of later epochs are from before the run went back.
            if other > epoch || other + count <= epoch {
                remove(&self.kept(other), |path| fs::remove_file(path))?;
            }
        }
        Ok(())
    }

    /// The path of the checkpoint of an epoch.
    pub(super) fn kept(&self, epoch: u32) -> PathBuf {
        self.path.join(CHECKPOINTS).join(format!("{epoch:04}.safetensors"))
    }

    /// The epochs whose checkpoints were kept, in order.
    pub(super) fn kept_epochs(&self) -> Result<Vec<u32>, Error> {
        let directory = self.path.join(CHECKPOINTS);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read the directory", &directory))?,
        };
        let epoch = |name: &std::ffi::OsStr| name.to_str()?.strip_suffix(".safetensors")?.parse().ok();
        let mut epochs: Vec<u32> = entries.flatten().filter_map(|entry| epoch(&entry.file_name())).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }
}
