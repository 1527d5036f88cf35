// The importance-weighted bound as the objective: a row weighs as much as its share of its example's importance weights.
// These come from `weighted/weights.wgsl`.

override DOUBLY: bool;      // whether the posterior's gradient is the doubly reparameterised one

@group(0) @binding(20) var<storage, read> weights: array<f32>;      // (B * SAMPLES), each example's add up to 1
@group(0) @binding(21) var<storage, read> loss: array<f32>;         // (B)

fn row_weight(row: u32) -> f32 {
    return weights[row] / f32(step.rows);
}

fn kl_weight(row: u32, quad: u32) -> vec4f {
    return vec4f(step.kl_weight * row_weight(row));
}

// Of log q(z|x), the loss holds kl_weight times: so much of its gradient by the posterior's parameters is reparameterised again.
fn draw_weight(row: u32) -> f32 {
    return mix(1.0, weights[row], step.kl_weight);
}

fn loss_part(lane: u32, lanes: u32, log_prob: f32, kl: f32) -> f32 {
    var sum = 0.0;
    for (var b = lane; b < step.rows; b += lanes) {
        sum += loss[b];
    }
    return sum;
}
