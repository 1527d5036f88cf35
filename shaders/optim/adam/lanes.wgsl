// The arenas of an update in words of eight values, as four pairs of 64 bits. They are for adapters that run on a CPU and
// load lane by lane: half as many loads take two thirds of the time.

const VALUES = 8u;      // of a word

@group(0) @binding(1) var<storage, read> gradients: array<vec4<u64>>;           // (P), the whole arena or a piece of it
@group(0) @binding(2) var<storage, read_write> parameters: array<vec4<u64>>;    // (P)
@group(0) @binding(3) var<storage, read_write> moment1: array<vec4<u64>>;       // (P)
@group(0) @binding(4) var<storage, read_write> moment2: array<vec4<u64>>;       // (P)

fn low(word: vec4<u64>) -> vec4f {
    return bitcast<vec4f>(vec4u(word));
}

fn high(word: vec4<u64>) -> vec4f {
    return bitcast<vec4f>(vec4u(word >> vec4u(32u)));
}

fn joined(low: vec4f, high: vec4f) -> vec4<u64> {
    return vec4<u64>(bitcast<vec4u>(low)) | (vec4<u64>(bitcast<vec4u>(high)) << vec4u(32u));
}

fn update_word(i: u32) {
    let g = gradients[i];
    let p = parameters[i];
    let m = moment1[i];
    let v = moment2[i];
    let first = updated(State(low(p), low(m), low(v)), low(g));
    let second = updated(State(high(p), high(m), high(v)), high(g));
    parameters[i] = joined(first.parameter, second.parameter);
    moment1[i] = joined(first.moment1, second.moment1);
    moment2[i] = joined(first.moment2, second.moment2);
}
