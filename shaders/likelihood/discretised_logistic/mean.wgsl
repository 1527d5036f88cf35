// The mean of the logistic likelihood over levels: 1/255 * sum_k P(x >= k/255) = 1/255 * sum_k sigmoid((mean - (k - 1/2)/255) / s)
// over k = 1 .. 255.

#import lib/activation.wgsl
#import lib/levels.wgsl

fn pixel(row: u32, d: u32) -> f32 {
    let mean = output(row, 2u * d);
    let inverse_s = exp_or_nan(-log_scale(vec2f(output(row, 2u * d + 1u))).x);
    var sum = vec4f();
    for (var k = 0u; k < 256u; k += 4u) {
        let edges = (vec4f(vec4u(k) + vec4u(0u, 1u, 2u, 3u)) - 0.5) / LEVELS;
        let above = sigmoid((mean - edges) * inverse_s);
        // Below level 0 there is nothing to count.
        sum += select(above, vec4f(), edges < vec4f());
    }
    return dot(sum, vec4f(1.0)) / LEVELS;
}
