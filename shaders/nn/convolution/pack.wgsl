// Puts the positions of images, each of whole quads, next to each other: finish(b, i, bias[c] + positions[b, p, c]), where i is
// p * CHANNELS + c.
//
// One thread makes a quad of an image: x is the quad, y the image.

#import lib/step.wgsl
#import epilogue
#import nn/dense/block.wgsl

override CHANNELS: u32;
override POSITION_COUNT: u32;   // of an image
override CHANNEL_STRIDE: u32 = (CHANNELS + 3u) / 4u * 4u;
override IMAGE_QUADS: u32 = (POSITION_COUNT * CHANNELS + 3u) / 4u;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> positions: array<f32>;     // (B * positions, CHANNELS)
@group(0) @binding(2) var<storage, read> bias: array<f32>;          // (CHANNELS)

fn value_at(row: u32, i: u32) -> f32 {
    let channel = i % CHANNELS;
    let position = row * POSITION_COUNT + min(i / CHANNELS, POSITION_COUNT - 1u);
    return bias[channel] + positions[position * CHANNEL_STRIDE + channel];
}

@compute @workgroup_size(BLOCK_QUADS, ROWS)
fn pack(
    @builtin(workgroup_id) group: vec3u,
    @builtin(global_invocation_id) id: vec3u,
    @builtin(local_invocation_id) thread: vec3u,
) {
    let is_live = id.x < IMAGE_QUADS && id.y < live_rows();
    var row_sum = 0.0;
    if is_live {
        let i = 4u * id.x;
        let value = vec4f(value_at(id.y, i), value_at(id.y, i + 1u), value_at(id.y, i + 2u), value_at(id.y, i + 3u));
        row_sum = finish(id.y, id.x, value);
    }
    finish_row_sums(row_sum, is_live, id.y, group.x, thread);
}
