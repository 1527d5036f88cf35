// The standard normal prior p(z) = N(0, I), for the kernels of the posterior: its KL divergence as the sample estimate
// log q(z|x) - log p(z), latent by latent, and the gradients.
//
//   kl = 1/2 * (z^2 - logvar - noise^2)
//
// The noise does not depend on the parameters, so log q(z|x), as a function of the noise, does not depend on the mean.

fn kl_term(mean: vec4f, logvar: vec4f, z: vec4f, noise: vec4f) -> vec4f {
    return 0.5 * (z * z - noise * noise - logvar);
}

fn kl_dz(row: u32, quad: u32, z: vec4f) -> vec4f {
    return z;
}

fn kl_dmean(mean: vec4f, logvar: vec4f) -> vec4f {
    return vec4f();
}

fn kl_dlogvar(mean: vec4f, logvar: vec4f) -> vec4f {
    return vec4f(-0.5);
}
