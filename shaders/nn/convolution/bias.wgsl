// The gradient of a transposed convolution's bias: dbias[c] = sum over examples and positions of doutput[b, p, c].
//
// `sum_slices` sums a slice of the positions: workgroups along x have 64 channels each, those along y a slice. If there are fewer
// channels, several positions share a workgroup, and adjacent threads load adjacent values. `add_slices` adds the slices in order.

#import lib/step.wgsl

override CHANNELS: u32;
override POSITION_COUNT: u32;   // of an image
override SLICES: u32;
override ACCUMULATE: bool = false;
override CHANNEL_STRIDE: u32 = (CHANNELS + 3u) / 4u * 4u;
override IMAGE_STRIDE: u32 = (POSITION_COUNT * CHANNELS + 3u) / 4u * 4u;
override GROUP_CHANNELS: u32 = min(CHANNELS, 64u);
override GROUP_POSITIONS: u32 = 64u / GROUP_CHANNELS;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> doutput: array<f32>;               // (B, positions * CHANNELS)
@group(0) @binding(2) var<storage, read_write> partial_bias: array<f32>;    // (SLICES, CHANNELS)
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;           // (CHANNELS)

var<workgroup> sums: array<f32, 64>;    // [position][channel]

@compute @workgroup_size(64)
fn sum_slices(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let channel = group.x * GROUP_CHANNELS + thread % GROUP_CHANNELS;
    let own = thread / GROUP_CHANNELS;
    let positions = live_rows() * POSITION_COUNT;
    let size = (positions + SLICES - 1u) / SLICES;
    let end = min((group.y + 1u) * size, positions);
    var sum = 0.0;
    if channel < CHANNELS && own < GROUP_POSITIONS {
        for (var p = group.y * size + own; p < end; p += GROUP_POSITIONS) {
            sum += doutput[p / POSITION_COUNT * IMAGE_STRIDE + p % POSITION_COUNT * CHANNELS + channel];
        }
    }
    sums[thread] = sum;
    workgroupBarrier();
    if channel < CHANNELS && own == 0u {
        for (var p = 1u; p < GROUP_POSITIONS; p++) {
            sum += sums[p * GROUP_CHANNELS + thread];
        }
        partial_bias[group.y * CHANNEL_STRIDE + channel] = sum;
    }
}

@compute @workgroup_size(64)
fn add_slices(@builtin(global_invocation_id) id: vec3u) {
    if id.x < CHANNELS {
        var sum = partial_bias[id.x];
        for (var s = 1u; s < SLICES; s++) {
            sum += partial_bias[s * CHANNEL_STRIDE + id.x];
        }
        if ACCUMULATE {
            sum += dbias[id.x];
        }
        dbias[id.x] = sum;
    } else if id.x < CHANNEL_STRIDE {
        dbias[id.x] = 0.0;
    }
}
