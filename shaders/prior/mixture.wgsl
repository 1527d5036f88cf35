// A mixture of normals as the prior, p(z) = 1/M sum_c N(z; m_c, exp(v_c)), for the kernels of the posterior: the sample
// estimate of its KL divergence, and the gradients.
//
//   kl = log q(z|x) = -1/2 * (log(2 pi) + logvar + noise^2), latent by latent; `mixture/combine.wgsl` subtracts log p(z)
//   dkl / dz = -dlog p(z) / dz, from `mixture/backward_z.wgsl`

#import lib/normal.wgsl

override PRIOR_DZ_QUADS: u32;

@group(0) @binding(30) var<storage, read> prior_dz: array<vec4f>;   // (B * SAMPLES, L)

fn kl_term(mean: vec4f, logvar: vec4f, z: vec4f, noise: vec4f) -> vec4f {
    return -0.5 * (LOG_TWO_PI + logvar + noise * noise);
}

fn kl_dz(row: u32, quad: u32, z: vec4f) -> vec4f {
    return prior_dz[row * PRIOR_DZ_QUADS + quad];
}

fn kl_dmean(mean: vec4f, logvar: vec4f) -> vec4f {
    return vec4f();
}

fn kl_dlogvar(mean: vec4f, logvar: vec4f) -> vec4f {
    return vec4f(-0.5);
}
