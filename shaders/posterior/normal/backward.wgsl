// Epilogue of the product that makes dz: passes the gradient through the reparameterisation, and adds that of the KL
// divergence in closed form. It is for one sample of each example and the ELBO as the objective; `backward/general.wgsl` is
// for the rest.
//
//   dmean = dz + w * dkl / dmean,  dlogvar = dz * (z - mean) / 2 + w * dkl / dlogvar,  w = kl_weight / examples
//
// z is the input of the layer that makes dz, and z - mean is exp(logvar / 2) * noise: the noise need not be recomputed.

#import posterior/normal/parameters.wgsl
#import prior
#import nn/epilogue/no_sums.wgsl

fn finish(row: u32, quad: u32, dz: vec4f) -> f32 {
    let q = load_normals(row, quad);
    let weight = kl_weight_of_step() / f32(step.examples);
    let dmean = dz + weight * kl_dmean(q.mean, q.logvar);
    let dlogvar = 0.5 * dz * (input_quad(row, quad) - q.mean) + weight * kl_dlogvar(q.mean, q.logvar);
    store_gradients(row, quad, dmean, through_clamp(q.given, dlogvar));
    return 0.0;
}
