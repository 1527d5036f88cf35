// The ELBO as the objective: every row has the same weight.
//
// Kernels import an objective, which can use their `step` and defines:
//
//   DOUBLY: bool                         whether the posterior's gradient is the doubly reparameterised one
//   row_weight(row) -> f32               the weight of a row's -log_prob in the loss
//   kl_weight(row, quad) -> vec4f        the weight of its KL divergence in the loss, latent by latent
//   draw_weight(row) -> f32              another factor of the gradient through a row's draw, if DOUBLY
//   loss_part(lane, lanes, log_prob, kl) a lane's part of the loss, summed over the batch, from its parts of both terms
//
// Its bindings start at 20.

const DOUBLY = false;

fn row_weight(row: u32) -> f32 {
    return 1.0 / f32(live_rows());
}

fn kl_weight(row: u32, quad: u32) -> vec4f {
    return vec4f(kl_weight_of_step() * row_weight(row));
}

fn draw_weight(row: u32) -> f32 {
    return 1.0;
}

fn loss_part(lane: u32, lanes: u32, log_prob: f32, kl: f32) -> f32 {
    return kl_weight_of_step() * kl - log_prob;
}
