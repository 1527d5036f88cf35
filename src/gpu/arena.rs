//! Arenas: one buffer that holds many named tensors.
//!
//! Parameters, gradients and Adam's moments are one arena each, so that an update is one dispatch and a checkpoint one
//! read.

use super::{Gpu, Tensor};
use crate::Error;

/// A named tensor's shape and its place in the arena.
#[derive(Clone, Debug, PartialEq)]
struct Slot {
    name: String,
    rows: usize,
    columns: usize,
    offset: u64,
}

/// One buffer that holds many named tensors, in the order of registration.
#[derive(Clone, Debug)]
pub struct Arena {
    slots: Vec<Slot>,
    whole: Tensor,
    /// Where tensors, and what kernels bind, may start: at multiples of this number of bytes.
    alignment: u64,
}

impl Arena {
    /// Makes an arena of zeros for tensors of the given names and `(rows, columns)`.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn zeros<'a>(gpu: &Gpu, shapes: impl IntoIterator<Item = (&'a str, usize, usize)>) -> Result<Arena, Error> {
        /// Bytes that a kernel loads at once: `optim/adam/lanes.wgsl`.
        const WORD: u32 = 32;
        let alignment = u64::from(gpu.inner.device.limits().min_storage_buffer_offset_alignment.max(WORD));
        let mut end = 0;
        let mut slots = Vec::new();
        for (name, rows, columns) in shapes {
            slots.push(Slot { name: name.to_owned(), rows, columns, offset: end });
            end += Tensor::bytes_of(rows, columns).next_multiple_of(alignment);
        }
        let whole = Tensor::zeros(gpu, 1, (end / size_of::<f32>() as u64) as usize)?;
        Ok(Arena { slots, whole, alignment })
    }

    /// The whole arena as one vector, padding included.
    pub fn whole(&self) -> &Tensor {
        &self.whole
    }

    /// The whole arena in vectors that fit one binding each, padding included.
    pub fn pieces(&self, gpu: &Gpu) -> Vec<Tensor> {
        const WORD: usize = size_of::<f32>();
        let most = (gpu.most_bytes() / self.alignment).max(1) * self.alignment;
        let (most, end) = (most as usize / WORD, self.whole.columns());
        let piece = |start: usize| self.whole.region((start * WORD) as u64, 1, most.min(end - start));
        (0..end).step_by(most).map(piece).collect()
    }

    /// The tensors with their names, in the order of registration.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Tensor)> {
        self.slots.iter().map(|slot| (slot.name.as_str(), self.whole.region(slot.offset, slot.rows, slot.columns)))
    }

    /// Words before a tensor, by its number in the order of registration; before the end, if there is no such tensor.
    pub fn words_before(&self, tensor: usize) -> usize {
        self.slots.get(tensor).map_or(self.whole.columns(), |slot| slot.offset as usize / size_of::<f32>())
    }

    /// The tensor of a name.
    ///
    /// # Panics
    ///
    /// If no such name was registered: a bug, since names come from the layers that registered them.
    pub fn get(&self, name: &str) -> Tensor {
        let found = self.tensors().find(|(other, _)| *other == name);
        found.map(|(_, tensor)| tensor).unwrap_or_else(|| panic!("the arena holds no tensor `{name}`"))
    }

    /// The name of a tensor of this arena.
    pub fn name_of(&self, tensor: &Tensor) -> Option<&str> {
        self.tensors().find(|(_, own)| own.is_same(tensor)).map(|(name, _)| name)
    }

    /// Waits for the GPU and downloads all tensors in one go: the values of each, row-major, without the padding, in the
    /// order of registration.
    ///
    /// # Errors
    ///
    /// As [`Tensor::read`].
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<Vec<f32>>, Error> {
        let words: Vec<f32> = self.whole.read(gpu)?;
        let start = |slot: &Slot| slot.offset as usize / size_of::<f32>();
        let values = |(slot, (_, tensor)): (&Slot, (&str, Tensor))| tensor.unpadded(&words[start(slot)..]);
        Ok(self.slots.iter().zip(self.tensors()).map(values).collect())
    }
}
