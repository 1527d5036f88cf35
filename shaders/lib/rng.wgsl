// Counter-based noise: the same key and counter give the same draw on every thread, in any batch and order.
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

// -log(u), u from 2^-24 to 1, by the series of the inverse hyperbolic tangent where u is near 1: there a driver's logarithm
// may be off by 2^-21, which is more than its value.
fn minus_log(u: f32) -> f32 {
    let t = (1.0 - u) / (1.0 + u);
    let s = t * t;
    let series = s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0 + s / 13.0)))));
    return select(-log(u), 2.0 * t * (1.0 + series), u > 0.5);
}

// Cosine and sine of an angle from -pi to pi, given as the upper 24 bits of a word. A whole number of quarter turns is
// exact. The rest, at most an eighth of a turn, uses Taylor's series: a driver's own functions may be off by 2^-11.
fn cos_sin(word: u32) -> vec2f {
    let eighths = (word >> 8u) + (1u << 21u);
    let quarters = (eighths >> 22u) + 2u;
    let x = 1.5707963267948966 * (f32(eighths & 0x3FFFFFu) * 0x1p-22 - 0.5);
    let s = x * x;
    let cosine = 1.0 - s * (1.0 / 2.0 - s * (1.0 / 24.0 - s * (1.0 / 720.0 - s * (1.0 / 40320.0 - s / 3628800.0))));
    let sine = x - x * s * (1.0 / 6.0 - s * (1.0 / 120.0 - s * (1.0 / 5040.0 - s / 362880.0)));
    let turned = select(vec2f(cosine, sine), vec2f(-sine, cosine), quarters % 2u == 1u);
    return select(turned, -turned, (quarters & 2u) != 0u);
}

// Two standard normals from two words (Box-Muller). The uniform under the logarithm is in (0, 1], never 0.
fn box_muller(words: vec2u) -> vec2f {
    return sqrt(2.0 * minus_log((f32(words.x >> 8u) + 1.0) * 0x1p-24)) * cos_sin(words.y);
}

// Four standard normals: those of latents 4 * block .. 4 * block + 3, for a sample of the example at `position` in step `t`.
fn normal_noise(key: vec4u, block: u32, position: u32, t: u32, sample: u32) -> vec4f {
    let words = threefry(key, vec4u(block, position, t, sample));
    return vec4f(box_muller(words.xy), box_muller(words.zw));
}
