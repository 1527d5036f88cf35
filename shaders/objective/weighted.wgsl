// The importance-weighted bound as the objective: the weight of a row is its share of its example's importance weights. The
// shares come from `weighted/weights.wgsl`.

override DOUBLY: bool;      // whether the posterior's gradient is the doubly reparameterised one

@group(0) @binding(20) var<storage, read> weights: array<f32>;      // (B * SAMPLES), with sum 1 for each example
@group(0) @binding(21) var<storage, read> loss: array<f32>;         // (B), in nats

fn row_weight(row: u32) -> f32 {
    return weights[row] / f32(step.examples);
}

fn kl_weight(row: u32, quad: u32) -> vec4f {
    return vec4f(kl_weight_of_step() * row_weight(row));
}

// The loss contains kl_weight * log q(z|x). That fraction of its gradient with respect to the posterior's parameters is
// reparameterised a second time.
fn draw_weight(row: u32) -> f32 {
    return mix(1.0, weights[row], kl_weight_of_step());
}

fn loss_part(lane: u32, lanes: u32, log_prob: f32, kl: f32) -> f32 {
    var sum = 0.0;
    for (var b = lane; b < step.examples; b += lanes) {
        sum += loss[b];
    }
    return sum;
}
