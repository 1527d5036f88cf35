// The standard normal prior p(z) = N(0, I), for the kernels of the posterior: its KL divergence in closed form, latent by
// latent, and the gradients.
//
//   kl = 1/2 * (mean^2 + exp(logvar) - logvar - 1)

fn kl_term(mean: vec4f, logvar: vec4f) -> vec4f {
    return 0.5 * (mean * mean + (exp(logvar) - logvar - 1.0));
}

fn kl_dmean(mean: vec4f, logvar: vec4f) -> vec4f {
    return mean;
}

fn kl_dlogvar(mean: vec4f, logvar: vec4f) -> vec4f {
    return 0.5 * (exp(logvar) - 1.0);
}
