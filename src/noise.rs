//! Names the streams of random numbers, so that no two purposes ever share draws.

/// The purpose of random numbers. Together with the seed it keys every generator, on the host and on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// The parameters' initial values.
    Initialisation = 0,
    /// The reparameterisation's noise in training.
    Training = 1,
    /// The reparameterisation's noise in evaluation: the same for an example in every batch.
    Evaluation = 2,
    /// Draws from the prior.
    Prior = 3,
    /// The order of the examples, new in each epoch.
    Order = 4,
    /// The draws that binarise training data.
    Binarise = 5,
    /// The same for data that a model is evaluated on, or that it encodes.
    BinariseEvaluation = 6,
    /// Draws of pixels from the likelihood.
    Pixels = 8,
    /// The choice of the words that a decoder of text does not see in training.
    WordDropout = 9,
    /// Draws of words from a decoder of text.
    Words = 10,
    /// Draws from posteriors for the mutual information.
    Information = 11,
    /// The choice of the values that dropout leaves out.
    Dropout = 12,
}

/// The key of WGSL's generator: seed (low, high), stream, 0.
pub fn key(seed: u64, stream: Stream) -> [u32; 4] {
    [seed as u32, (seed >> 32) as u32, stream as u32, 0]
}
