// The way into a block without a product of its own: finish(row, c, values[row, c]), or the sum with a second matrix. It also brings
// the gradients of a block and of its shortcut together.
//
// One thread processes a quad: x is the quad, y the row.

#import lib/step.wgsl
#import epilogue

override VALUES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;      // (B, C)
@group(0) @binding(2) var<storage, read> others: array<vec4f>;      // (B, C)

@compute @workgroup_size(8, 32)
fn pass_on(@builtin(global_invocation_id) id: vec3u) {
    if id.x < VALUES_QUADS && id.y < live_rows() {
        finish(id.y, id.x, values[id.y * VALUES_QUADS + id.x]);
    }
}

@compute @workgroup_size(8, 32)
fn add(@builtin(global_invocation_id) id: vec3u) {
    if id.x < VALUES_QUADS && id.y < live_rows() {
        let i = id.y * VALUES_QUADS + id.x;
        finish(id.y, id.x, values[i] + others[i]);
    }
}
