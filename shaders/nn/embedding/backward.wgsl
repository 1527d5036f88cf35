// The gradients of looking tokens up:
//
//   dtable[token, e] = sum over the places of the token, and their samples, of dresult[row, e]
//   dz[draw, l]      = sum_p dresult[(p, draw), E + l]
//
// They are added to the stored ones if ACCUMULATE is set: two networks may share a table, and latents have other uses. One thread makes a quad: x is the quad,
// y the token or the draw.

#import lib/step.wgsl

override TOKENS: u32;           // rows of the table
override TABLE_QUADS: u32;      // quads of a token's vector
override DRESULT_QUADS: u32;
override DZ_QUADS: u32;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> first: array<u32>;                 // (TOKENS)
@group(0) @binding(2) var<storage, read> next: array<u32>;                  // (T * B)
@group(0) @binding(3) var<storage, read> dresult: array<vec4f>;             // (T * B * SAMPLES, E), or (.., E + L)
@group(0) @binding(4) var<storage, read_write> dtable: array<vec4f>;        // (TOKENS, E)
@group(0) @binding(5) var<storage, read_write> dz: array<vec4f>;            // (B * SAMPLES, L)

const NOTHING = 0xFFFFFFFFu;

@compute @workgroup_size(8, 8)
fn sum_places(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let token = id.y;
    if quad < TABLE_QUADS && token < TOKENS {
        let i = token * TABLE_QUADS + quad;
        var sum = vec4f();
        if ACCUMULATE {
            sum = dtable[i];
        }
        for (var place = first[token]; place != NOTHING; place = next[place]) {
            for (var sample = 0u; sample < SAMPLES; sample++) {
                sum += dresult[(place * SAMPLES + sample) * DRESULT_QUADS + quad];
            }
        }
        dtable[i] = sum;
    }
}

@compute @workgroup_size(8, 8)
fn sum_positions(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let draw = id.y;
    if quad < DZ_QUADS && draw < rows_of_position() {
        var sum = vec4f();
        if ACCUMULATE {
            sum = dz[draw * DZ_QUADS + quad];
        }
        for (var row = draw; row < live_rows(); row += rows_of_position()) {
            sum += dresult[row * DRESULT_QUADS + TABLE_QUADS + quad];
        }
        dz[draw * DZ_QUADS + quad] = sum;
    }
}
