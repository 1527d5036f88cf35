// One row of the table of steps that the host uploads for an epoch, and the copy of it that the kernels read.

// Importance samples of each example. Behind the draw from the posterior, an example has so many rows, one after the other.
override SAMPLES: u32 = 1u;

struct Step {
    row: u32,           // this row's number in the table
    t: u32,             // updates so far, this one included; 0 outside training
    first: u32,         // the batch's first position in the epoch's order
    rows: u32,          // examples in this batch; the last batch may be short
    learning_rate: f32,
    kl_weight: f32,
    correction1: f32,   // 1 - beta1^t, Adam's bias corrections
    correction2: f32,   // 1 - beta2^t
    key: vec4u,         // noise key: seed (low, high), stream, 0
    sample: u32,        // the number of an example's first importance sample: they may come in several steps
    capacity: f32,      // what the KL divergence is drawn to, in nats, where the objective has a capacity
    samples: u32,       // samples of each example that count, where they come in several steps
    chunk: u32,         // steps of the same batch before this one: one that is too large for memory comes in several
    chunks_left: u32,   // those after it; the last one updates the parameters
    share: f32,         // of its batch's examples
    unused: vec2u,
}
