// Gathers a batch of images by index and turns its bytes into floats: x[b, d] = images[order[first + b], d] / 255.
//
// One thread makes four pixels: x is the quad of columns, y the row b.

#import lib/step.wgsl

override D: u32;
override QUADS: u32 = (D + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> images: array<u32>;       // (N, D), bytes, rows padded to whole words with zeros
@group(0) @binding(2) var<storage, read> order: array<u32>;        // (N)
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;    // (B, D)

@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let b = id.y;
    if quad < QUADS && b < step.rows {
        x[b * QUADS + quad] = unpack4x8unorm(images[order[step.first + b] * QUADS + quad]);
    }
}
