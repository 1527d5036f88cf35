// The diagonal normal distribution, four dimensions at a time, and the reparameterisation that makes a draw from it
// differentiable: z = mean + exp(logvar / 2) * noise.

fn reparameterise(mean: vec4f, logvar: vec4f, noise: vec4f) -> vec4f {
    return mean + exp(0.5 * logvar) * noise;
}

// dz / dlogvar; dz / dmean is 1.
fn reparameterise_slope(logvar: vec4f, noise: vec4f) -> vec4f {
    return noise * 0.5 * exp(0.5 * logvar);
}
