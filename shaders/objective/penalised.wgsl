// The ELBO with a penalty in place of the KL divergence, as the objective: free bits or a capacity. The penalty and its
// derivatives come from `penalised/penalty.wgsl`.

@group(0) @binding(20) var<storage, read> kl_weights: array<vec4f>;     // (L), derivatives with respect to each latent's KL
@group(0) @binding(21) var<storage, read> penalty: array<f32>;          // (1), in nats

const DOUBLY = false;

fn row_weight(row: u32) -> f32 {
    return 1.0 / f32(live_rows());
}

fn kl_weight(row: u32, quad: u32) -> vec4f {
    return kl_weights[quad] * row_weight(row);
}

fn draw_weight(row: u32) -> f32 {
    return 1.0;
}

fn loss_part(lane: u32, lanes: u32, log_prob: f32, kl: f32) -> f32 {
    return select(0.0, penalty[0] * f32(step.examples), lane == 0u) - log_prob;
}
