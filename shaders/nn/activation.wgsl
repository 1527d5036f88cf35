// Applies an activation to a matrix, and its derivative to a gradient.
//
//   forward:   output[b, c] = activation(pre[b, c])
//   backward:  dpre[b, c] = doutput[b, c] * activation'(pre[b, c]), in place
//
// One thread makes four elements: x is the quad of columns, y the row b.

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import lib/step.wgsl

override ACTIVATION: u32;
override COLUMNS: u32;
override QUADS: u32 = (COLUMNS + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> pre: array<vec4f>;              // (B, COLUMNS)
@group(0) @binding(2) var<storage, read_write> output: array<vec4f>;     // (B, COLUMNS)
@group(0) @binding(3) var<storage, read_write> gradient: array<vec4f>;   // (B, COLUMNS): doutput, then dpre

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let i = b * QUADS + quad;
        // The padding must stay zero, and not every activation of zero is.
        output[i] = keep(activate(ACTIVATION, pre[i]), 4u * quad, COLUMNS);
    }
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        let i = b * QUADS + quad;
        gradient[i] *= activation_derivative(ACTIVATION, pre[i]);
    }
}
