// As many multiply-adds as a chip can do: the bound for the speed of products.
//
//   result[i] = 8 x, where x = 1 - 2^-n for the n multiply-adds x = x / 2 + 1 / 2 that begin at 0
//
// Each thread has eight independent chains; nothing is loaded.

override ROUNDS: u32;       // of four multiply-adds in each chain

@group(0) @binding(0) var<storage, read_write> result: array<vec4f>;

const FLOPS_PER_ROUND = 256u;   // of one thread: 4 multiply-adds, 8 chains, 4 components, 2 operations

fn four(x: vec4f, half: vec4f) -> vec4f {
    let two = (x * half + half) * half + half;
    return (two * half + half) * half + half;
}

@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3u) {
    // This is not a constant, since a compiler could then evaluate the loop.
    let half = vec4f(1.0 / f32(2u + id.y));
    var a = vec4f(); var b = vec4f(); var c = vec4f(); var d = vec4f();
    var e = vec4f(); var f = vec4f(); var g = vec4f(); var h = vec4f();
    for (var round = 0u; round < ROUNDS; round++) {
        a = four(a, half); b = four(b, half); c = four(c, half); d = four(d, half);
        e = four(e, half); f = four(f, half); g = four(g, half); h = four(h, half);
    }
    if id.x < arrayLength(&result) {
        result[id.x] = ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
}
