// The Gaussian likelihood p(x|z) = prod_d N(x_d; mean_d, exp(logvar_d)) with one log variance for all dimensions, or one
// for each, as the epilogue of the product that makes the mean.
//
//   log_prob[row, block] = -1/2 * sum_d (log(2 pi) + logvar_d + (x - mean)^2 * exp(-logvar_d))
//   gradient = (mean - x) * exp(-logvar_d) / rows, the gradient of the mean of -log_prob with respect to the mean

#import lib/matrix.wgsl
#import lib/normal.wgsl
#import likelihood/log_prob.wgsl
#import gradient

override D: u32;
override X_QUADS: u32;
override PER_DIMENSION: bool;   // whether each dimension has a log variance of its own

@group(0) @binding(10) var<storage, read> x: array<vec4f>;              // (B, D)
@group(0) @binding(12) var<storage, read> logvar: array<vec4f>;         // (D) if PER_DIMENSION, or (1)

fn logvar_of(quad: u32) -> vec4f {
    if PER_DIMENSION {
        return logvar[quad];
    }
    return vec4f(logvar[0].x);
}

fn finish(row: u32, quad: u32, mean: vec4f) -> f32 {
    let logvars = logvar_of(quad);
    let error = keep(mean - x[example_of(row) * X_QUADS + quad], 4u * quad, D);
    let scaled = error * exp(-logvars);
    keep_gradient(row, quad, scaled);
    return -0.5 * dot(keep(LOG_TWO_PI + logvars + error * scaled, 4u * quad, D), vec4f(1.0));
}
