// The ELBO as the objective: every row weighs the same.
//
// An objective is imported by kernels, whose `step` it sees, and defines:
//
//   DOUBLY: bool                         whether the posterior's gradient is the doubly reparameterised one
//   row_weight(row) -> f32               the weight of a row's -log_prob in the loss
//   kl_weight(row, quad) -> vec4f        that of its KL divergence, latent by latent
//   draw_weight(row) -> f32              what the gradient through a row's draw is multiplied by once more, if DOUBLY
//   loss_part(lane, lanes, log_prob, kl) one lane's part of the loss, summed over the batch, given its part of both terms
//
// Its bindings start at 20.

const DOUBLY = false;

fn row_weight(row: u32) -> f32 {
    return 1.0 / f32(step.rows * SAMPLES);
}

fn kl_weight(row: u32, quad: u32) -> vec4f {
    return vec4f(step.kl_weight * row_weight(row));
}

fn draw_weight(row: u32) -> f32 {
    return 1.0;
}

fn loss_part(lane: u32, lanes: u32, log_prob: f32, kl: f32) -> f32 {
    return step.kl_weight * kl - log_prob;
}
