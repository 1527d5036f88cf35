// The standard normal prior p(z) = N(0, I), for the kernels of the posterior: its KL divergence in closed form, latent by
// latent, and the gradients.
//
//   kl = 1/2 * (mean^2 + exp(logvar) - logvar - 1)
//
// A part in the slot `prior` defines the KL divergence as a function of a draw, its mean and its log variance, and the
// derivatives with respect to each of them with the others fixed.

fn kl_term(mean: vec4f, logvar: vec4f, z: vec4f, noise: vec4f) -> vec4f {
    return 0.5 * (mean * mean + (exp(logvar) - logvar - 1.0));
}

fn kl_dz(row: u32, quad: u32, z: vec4f) -> vec4f {
    return vec4f();
}

fn kl_dmean(mean: vec4f, logvar: vec4f) -> vec4f {
    return mean;
}

fn kl_dlogvar(mean: vec4f, logvar: vec4f) -> vec4f {
    return 0.5 * (exp(logvar) - 1.0);
}
