// One row of the table of steps that the host uploads for an epoch, the copy of it that the kernels read as `step`, and the
// rows of matrices. A row is (example, sample, position), the last one varies fastest.

override SAMPLES: u32 = 1u;     // importance samples of each example, in kernels after z is drawn
override POSITIONS: u32 = 1u;   // positions of each sample, in layers that have several
override SEQUENCE: bool = false; // whether a row is (position, example, sample) instead, in layers over sentences

struct Step {
    row: u32,           // this row's number in the table
    t: u32,             // updates so far, this one included; 0 outside training
    first: u32,         // the batch's first position in the epoch's order
    examples: u32,      // in this batch; the last batch may be short
    key: vec4u,         // noise key: seed (low, high), stream, 0
    optimiser: array<vec4f, 2>, // the optimiser's constants for this update, of the encoder and of the rest; zeros: no update
    objective: vec4f,   // the objective's constants for this update; the first one is the KL weight
    first_sample: u32,  // index of an example's first importance sample in this step: its samples may be split over steps
    live_samples: u32,  // samples of each example that count in this step
    chunk: u32,         // steps of the same batch before this one: a batch that is too large for memory is split
    chunks_left: u32,   // steps of the same batch after this one; the last one updates the parameters
    share: f32,         // fraction of its batch's examples
    length: u32,        // positions of its longest sentence, in layers over sentences
}

// The rows of this step. Kernels leave the rows after them unchanged.
fn live_rows() -> u32 {
    return step.examples * SAMPLES * select(POSITIONS, step.length, SEQUENCE);
}

// Rows of each position of a sequence.
fn rows_of_position() -> u32 {
    return step.examples * SAMPLES;
}

// The row of the draws that a row belongs to, in layers over sentences.
fn draw_of(row: u32) -> u32 {
    return select(row, row % rows_of_position(), SEQUENCE);
}

// The example that a row belongs to: its row of the data, whose positions are all in one row.
fn example_of(row: u32) -> u32 {
    return row / (SAMPLES * POSITIONS);
}

// A row's share of a mean over the rows of this step.
fn share_of_row(value: vec4f) -> vec4f {
    return value / f32(live_rows());
}

fn kl_weight_of_step() -> f32 {
    return step.objective.x;
}
