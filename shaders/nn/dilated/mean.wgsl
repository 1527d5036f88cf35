// The mean over the positions of each sentence, and the way back:
//
//   average:   mean[b, c] = sum of values[(p, b), c] over p < lengths[b] / lengths[b]
//   share_out: dvalues[(p, b), c] = dmean[b, c] / lengths[b] if p < lengths[b], else 0
//
// One thread makes a quad: x is the quad, y the row.

#import lib/step.wgsl

override VALUES_QUADS: u32;
override DVALUES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;               // (B)
@group(0) @binding(2) var<storage, read> values: array<vec4f>;              // (T * B, C)
@group(0) @binding(3) var<storage, read_write> mean: array<vec4f>;          // (B, C)
@group(0) @binding(4) var<storage, read> dmean: array<vec4f>;               // (B, C)
@group(0) @binding(5) var<storage, read_write> dvalues: array<vec4f>;       // (T * B, C)

@compute @workgroup_size(8, 8)
fn average(@builtin(global_invocation_id) id: vec3u) {
    if id.x < VALUES_QUADS && id.y < step.examples {
        var sum = vec4f();
        for (var p = 0u; p < lengths[id.y]; p++) {
            sum += values[(p * step.examples + id.y) * VALUES_QUADS + id.x];
        }
        mean[id.y * VALUES_QUADS + id.x] = sum / f32(lengths[id.y]);
    }
}

@compute @workgroup_size(8, 8)
fn share_out(@builtin(global_invocation_id) id: vec3u) {
    if id.x < DVALUES_QUADS && id.y < live_rows() {
        let b = id.y % step.examples;
        var value = vec4f();
        if id.y / step.examples < lengths[b] {
            value = dmean[b * DVALUES_QUADS + id.x] / f32(lengths[b]);
        }
        dvalues[id.y * DVALUES_QUADS + id.x] = value;
    }
}
