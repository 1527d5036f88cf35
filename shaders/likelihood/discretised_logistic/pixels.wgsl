// Pixels of the logistic likelihood over levels.
//
//   mean:  1/255 * sum_k P(x >= k/255) = 1/255 * sum_k sigmoid((mean - (k - 1/2)/255) / s),  k = 1 .. 255
//   draw:  the nearest level to mean + s * logit(u), u uniform

#import lib/activation.wgsl
#import lib/levels.wgsl

fn pixel_mean(row: u32, d: u32) -> f32 {
    let mean = output(row, 2u * d);
    let inverse_s = exp_or_nan(-log_scale(vec2f(output(row, 2u * d + 1u))).x);
    var sum = vec4f();
    for (var k = 0u; k < 256u; k += 4u) {
        let edges = (vec4f(vec4u(k) + vec4u(0u, 1u, 2u, 3u)) - 0.5) / LEVELS;
        let above = sigmoid((mean - edges) * inverse_s);
        // There are no levels below 0.
        sum += select(above, vec4f(), edges < vec4f());
    }
    return dot(sum, vec4f(1.0)) / LEVELS;
}

fn pixel_draw(row: u32, d: u32) -> f32 {
    // 23 bits and a half: u and 1 - u are exact, and neither is 0.
    let u = (f32(random_words(row, d, 0u).x >> 9u) + 0.5) * 0x1p-23;
    let s = exp_or_nan(log_scale(vec2f(output(row, 2u * d + 1u))).x);
    return nearest_level(output(row, 2u * d) + s * (log(u) - log(1.0 - u)));
}
