// The last state of each sentence, and the way back:
//
//   take:    last[b, first + h] = output[(lengths[b] - 1, b), h]
//   spread:  doutput[(p, b), h] = dlast[b, first + h] if p = lengths[b] - 1, else 0
//
// where `first` is 0, or H for the states of the layers over the reversed sentence. One thread makes a quad: x is the quad, y the row.

#import lib/step.wgsl

override FIRST_QUAD: u32;       // of the states among the last ones
override LAST_QUADS: u32;
override DLAST_QUADS: u32;
override OUTPUT_QUADS: u32;
override DOUTPUT_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;               // (B)
@group(0) @binding(2) var<storage, read> output: array<vec4f>;              // (T * B, H)
@group(0) @binding(3) var<storage, read_write> last: array<vec4f>;          // (B, H)
@group(0) @binding(4) var<storage, read> dlast: array<vec4f>;               // (B, H)
@group(0) @binding(5) var<storage, read_write> doutput: array<vec4f>;       // (T * B, H)

@compute @workgroup_size(8, 8)
fn take(@builtin(global_invocation_id) id: vec3u) {
    if id.x < OUTPUT_QUADS && id.y < step.examples {
        let row = (lengths[id.y] - 1u) * step.examples + id.y;
        last[id.y * LAST_QUADS + FIRST_QUAD + id.x] = output[row * OUTPUT_QUADS + id.x];
    }
}

@compute @workgroup_size(8, 8)
fn spread(@builtin(global_invocation_id) id: vec3u) {
    if id.x < DOUTPUT_QUADS && id.y < live_rows() {
        let b = id.y % step.examples;
        var value = vec4f();
        if id.y / step.examples + 1u == lengths[b] {
            value = dlast[b * DLAST_QUADS + FIRST_QUAD + id.x];
        }
        doutput[id.y * DOUTPUT_QUADS + id.x] = value;
    }
}
