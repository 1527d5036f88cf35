// For likelihoods that are epilogues: `finish` returns a quad's share of the log probability of its row.

override LOG_PROB_STRIDE: u32;

@group(0) @binding(11) var<storage, read_write> log_prob: array<f32>;   // (B * SAMPLES, blocks of the outputs)

const ROW_SUMS = true;

fn finish_block(row: u32, block: u32, sum: f32) {
    log_prob[row * LOG_PROB_STRIDE + block] = sum;
}
