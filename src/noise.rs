//! Names the streams of random numbers, so that no two purposes ever share draws.

/// What random numbers are for. Together with the seed it keys every generator, on the host and on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// The parameters' initial values.
    Initialisation = 0,
    /// The reparameterisation's noise in training.
    Training = 1,
    /// The reparameterisation's noise in evaluation: the same for an example whatever the batch.
    Evaluation = 2,
    /// Draws from the prior.
    Prior = 3,
    /// The order of the examples, anew each epoch.
    Order = 4,
    /// The draws that make training data black and white.
    Binarise = 5,
    /// The same for data that a model is evaluated on, or that it encodes.
    BinariseEvaluation = 6,
    /// Draws of pixels from the likelihood.
    Pixels = 8,
}

/// The key that WGSL's generator takes: seed (low, high), stream, 0.
pub fn key(seed: u64, stream: Stream) -> [u32; 4] {
    [seed as u32, (seed >> 32) as u32, stream as u32, 0]
}
