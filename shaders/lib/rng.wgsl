// Counter-based noise: the same key and counter give the same draw on every thread, whatever the batch or the order.
//
// Threefry-4x32 with 20 rounds: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

fn rotate_left(x: u32, bits: u32) -> u32 {
    return (x << bits) | (x >> (32u - bits));
}

// Two mixes side by side, on (x, y) and on (z, w).
fn threefry_mix(x: vec4u, bits: vec2u) -> vec4u {
    let a = x.x + x.y;
    let c = x.z + x.w;
    return vec4u(a, rotate_left(x.y, bits.x) ^ a, c, rotate_left(x.w, bits.y) ^ c);
}

// Four rounds; y and w swap places after each.
fn threefry_rounds(counter: vec4u, bits0: vec2u, bits1: vec2u, bits2: vec2u, bits3: vec2u) -> vec4u {
    var x = threefry_mix(counter, bits0).xwzy;
    x = threefry_mix(x, bits1).xwzy;
    x = threefry_mix(x, bits2).xwzy;
    return threefry_mix(x, bits3).xwzy;
}

fn threefry_even(x: vec4u) -> vec4u {
    return threefry_rounds(x, vec2u(10u, 26u), vec2u(11u, 21u), vec2u(13u, 27u), vec2u(23u, 5u));
}

fn threefry_odd(x: vec4u) -> vec4u {
    return threefry_rounds(x, vec2u(6u, 20u), vec2u(17u, 11u), vec2u(25u, 10u), vec2u(18u, 20u));
}

fn threefry(key: vec4u, counter: vec4u) -> vec4u {
    let k4 = 0x1BD11BDAu ^ key.x ^ key.y ^ key.z ^ key.w;
    var x = counter + key;
    x = threefry_even(x) + vec4u(key.y, key.z, key.w, k4 + 1u);
    x = threefry_odd(x) + vec4u(key.z, key.w, k4, key.x + 2u);
    x = threefry_even(x) + vec4u(key.w, k4, key.x, key.y + 3u);
    x = threefry_odd(x) + vec4u(k4, key.x, key.y, key.z + 4u);
    return threefry_even(x) + vec4u(key.x, key.y, key.z, key.w + 5u);
}

// From 0 to just below 1, of 24 bits.
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) * 0x1p-24;
}

// Two standard normals from two words (Box-Muller). The uniform under the logarithm is in (0, 1], never 0.
fn box_muller(words: vec2u) -> vec2f {
    let uniform_radius = (f32(words.x >> 8u) + 1.0) * 0x1p-24;
    let turn = unit(words.y);
    // A driver's log(1) may be a hair above 0, and its square root is then NaN.
    let radius = sqrt(max(-2.0 * log(uniform_radius), 0.0));
    // From -pi to pi, where drivers' sine and cosine are at their best.
    let angle = 6.283185307179586 * turn - 3.141592653589793;
    return radius * vec2f(cos(angle), sin(angle));
}

// Four standard normals: those of latents 4 * block .. 4 * block + 3, for a sample of the example at `position` in step `t`.
fn normal_noise(key: vec4u, block: u32, position: u32, t: u32, sample: u32) -> vec4f {
    let words = threefry(key, vec4u(block, position, t, sample));
    return vec4f(box_muller(words.xy), box_muller(words.zw));
}
