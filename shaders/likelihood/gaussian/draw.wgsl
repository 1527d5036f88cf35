// A draw from the Gaussian likelihood whose mean is what the decoder puts out: mean + exp(logvar / 2) * noise.

override LOGVAR_STEP: u32;      // from one dimension's log variance to the next: 0 where one is for all

@group(0) @binding(10) var<storage, read> logvar: array<f32>;   // (1) or (D)

fn pixel(row: u32, d: u32) -> f32 {
    let noise = box_muller(random_words(row, d, 0u).xy).x;
    return output(row, d) + exp(0.5 * logvar[d * LOGVAR_STEP]) * noise;
}
