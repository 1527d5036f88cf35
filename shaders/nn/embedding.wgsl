// Looks tokens up in a table of their vectors:
//
//   result[row, e] = table[tokens[row], e], or 0 where there is no token
//
// beside which a row may have the latents of its draw. Rows are those of a sequence: (position, example, sample). One thread makes
// a quad: x is the quad, y the row.

#import lib/step.wgsl

override TABLE_QUADS: u32;
override RESULT_QUADS: u32;
override Z_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;                // (T * B)
@group(0) @binding(2) var<storage, read> table: array<vec4f>;               // (tokens, E)
@group(0) @binding(3) var<storage, read> z: array<vec4f>;                   // (B * SAMPLES, L)
@group(0) @binding(4) var<storage, read_write> result: array<vec4f>;        // (T * B * SAMPLES, E), or (.., E + L)

const NOTHING = 0xFFFFFFFFu;

fn embedding(row: u32, quad: u32) -> vec4f {
    let token = tokens[row / SAMPLES];
    var value = vec4f();
    if token != NOTHING {
        value = table[token * TABLE_QUADS + quad];
    }
    return value;
}

@compute @workgroup_size(8, 8)
fn look_up(@builtin(global_invocation_id) id: vec3u) {
    if id.x < RESULT_QUADS && id.y < live_rows() {
        result[id.y * RESULT_QUADS + id.x] = embedding(id.y, id.x);
    }
}

@compute @workgroup_size(8, 8)
fn look_up_beside_latents(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < RESULT_QUADS && row < live_rows() {
        var value = vec4f();
        if quad < TABLE_QUADS {
            value = embedding(row, quad);
        } else {
            value = z[draw_of(row) * Z_QUADS + quad - TABLE_QUADS];
        }
        result[row * RESULT_QUADS + quad] = value;
    }
}
