// The last state of each sentence, and the way back:
//
//   take:    last[b, h] = output[(lengths[b] - 1, b), h]
//   spread:  doutput[(p, b), h] = dlast[b, h] if p = lengths[b] - 1, else 0
//
// One thread makes a quad: x is the quad, y the row.

#import lib/step.wgsl

override LAST_QUADS: u32;
override DLAST_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;               // (B)
@group(0) @binding(2) var<storage, read> output: array<vec4f>;              // (T * B, H)
@group(0) @binding(3) var<storage, read_write> last: array<vec4f>;          // (B, H)
@group(0) @binding(4) var<storage, read> dlast: array<vec4f>;               // (B, H)
@group(0) @binding(5) var<storage, read_write> doutput: array<vec4f>;       // (T * B, H)

@compute @workgroup_size(8, 8)
fn take(@builtin(global_invocation_id) id: vec3u) {
    if id.x < LAST_QUADS && id.y < step.examples {
        let row = (lengths[id.y] - 1u) * step.examples + id.y;
        last[id.y * LAST_QUADS + id.x] = output[row * LAST_QUADS + id.x];
    }
}

@compute @workgroup_size(8, 8)
fn spread(@builtin(global_invocation_id) id: vec3u) {
    if id.x < DLAST_QUADS && id.y < live_rows() {
        let b = id.y % step.examples;
        var value = vec4f();
        if id.y / step.examples + 1u == lengths[b] {
            value = dlast[b * DLAST_QUADS + id.x];
        }
        doutput[id.y * DLAST_QUADS + id.x] = value;
    }
}
