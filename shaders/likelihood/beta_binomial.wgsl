// The beta-binomial likelihood: level k of n = 255 is a binomial draw whose probability is a beta draw. It reads the stored
// product: log alpha and log beta of each dimension. The gradient overwrites the product.
//
//   log p = log choose(n, k) + T(alpha, k) + T(beta, n - k) - T(alpha + beta, n),  T(z, k) = lgamma(z + k) - lgamma(z)
//   -dlog p / dlog alpha = -alpha (P(alpha, k) - P(alpha + beta, n)),  P(z, k) = digamma(z + k) - digamma(z)
//
// T and P come from Stirling's series at Z = z + 8, where it is exact in f32, and from the ratio of the eight factors
// below. The largest part of T is k log(Z + k) - k. The sum of the three T combines these parts in logarithms of quotients,
// so that little cancels:
//
//   T(z, k) = k (log(Z + k) - 1) + (Z - 1/2) log(1 + k/Z) + S(Z + k) - S(Z) - log prod_i (z + k + i) / (z + i),  i = 0 .. 7
//
// One thread processes two dimensions: x is the quad (log alpha, log beta, log alpha, log beta), y the row.

#import lib/levels.wgsl
#import lib/matrix.wgsl
#import lib/step.wgsl

override D: u32;
override X_QUADS: u32;
override OUTPUT_QUADS: u32;
override LOG_PROB_STRIDE: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec2f>;                   // (B, D)
@group(0) @binding(2) var<storage, read> log_choose: array<f32>;            // (256), log choose(255, k)
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;        // (B * SAMPLES, 2D): the product, then its gradient
@group(0) @binding(4) var<storage, read_write> log_prob: array<f32>;        // (B * SAMPLES, quads of 2D)

const SHIFT = 8.0;

// log(1 + y) for y >= 0: by the series of the inverse hyperbolic tangent where y is small.
fn log1p(y: vec4f) -> vec4f {
    let t = y / (2.0 + y);
    let s = t * t;
    let series = 1.0 + s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s / 11.0))));
    return select(log(1.0 + y), 2.0 * t * series, y < vec4f(0.5));
}

// The part of Stirling's series in lgamma(z), z >= 8.
fn stirling(z: vec4f) -> vec4f {
    let inverse = 1.0 / z;
    return inverse * (1.0 / 12.0 - inverse * inverse / 360.0);
}

// Its part in digamma(z) - log(z).
fn stirling_slope(z: vec4f) -> vec4f {
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    return square * (square / 120.0 - 1.0 / 12.0) - 0.5 * inverse;
}

// z (z + 1) ... (z + 7)
fn eight_factors(z: vec4f) -> vec4f {
    return z * (z + 1.0) * (z + 2.0) * (z + 3.0) * (z + 4.0) * (z + 5.0) * (z + 6.0) * (z + 7.0);
}

// T(z, k) without k (log(Z + k) - 1)
fn rest(z: vec4f, k: vec4f) -> vec4f {
    let shifted = z + SHIFT;
    let series = stirling(shifted + k) - stirling(shifted);
    return (shifted - 0.5) * log1p(k / shifted) + series - log(eight_factors(z + k) / eight_factors(z));
}

// P(z, k)
fn digamma_difference(z: vec4f, k: vec4f) -> vec4f {
    let shifted = z + SHIFT;
    var sum = log1p(k / shifted) + stirling_slope(shifted + k) - stirling_slope(shifted);
    for (var i = 0.0; i < SHIFT; i += 1.0) {
        sum += k / ((z + i) * (z + k + i));
    }
    return sum;
}

@compute @workgroup_size(8, 8)
fn evaluate(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < OUTPUT_QUADS && row < live_rows() {
        let at = row * OUTPUT_QUADS + quad;
        let raw = output[at];
        let z = exp(log_count(raw));
        let both = z + z.yxwz;
        let level = round(LEVELS * x[2u * example_of(row) * X_QUADS + quad]);
        let k = vec4f(level.x, LEVELS - level.x, level.y, LEVELS - level.y);
        let n = vec4f(LEVELS);
        let own = k * log((z + SHIFT + k) / (both + SHIFT + n)) + rest(z, k);
        let chosen = vec2f(log_choose[u32(level.x)], log_choose[u32(level.y)]);
        let log_p = chosen + own.xz + own.yw - rest(both, n).xz;
        let shares = keep(or_nan(vec4f(log_p.x, 0.0, log_p.y, 0.0), raw), 4u * quad, 2u * D);
        log_prob[row * LOG_PROB_STRIDE + quad] = dot(shares, vec4f(1.0));
        let slope = z * (digamma_difference(both, n) - digamma_difference(z, k));
        let gradient = select(slope, vec4f(), abs(raw) > vec4f(LOG_COUNT_MAX));
        output[at] = keep(share_of_row(gradient), 4u * quad, 2u * D);
    }
}
