// Dropout, in place: each of the first columns of a row becomes 0 with the probability PROBABILITY, or is divided by its complement.
// The same call on a gradient is the backward pass: the draw depends only on the seed, the step, the example and the place.
//
// Rows are those of a sequence: (position, example, sample). One thread processes a quad: x is the quad, y the row.

#import lib/rng.wgsl
#import lib/step.wgsl

override QUADS: u32;            // of the columns that may be dropped
override PROBABILITY: f32;
override LAYER: u32;            // so that two layers have draws of their own
override STREAM: u32;
override VALUES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read_write> values: array<vec4f>;        // (T * B * SAMPLES, C)

@compute @workgroup_size(8, 8)
fn drop_out(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < QUADS && row < live_rows() {
        let sample = row % SAMPLES;
        let example = row / SAMPLES % step.examples;
        let place = row / rows_of_position() * SAMPLES + sample;
        let words = threefry(vec4u(step.key.xy, STREAM, LAYER), vec4u(quad, step.first + example, step.t, place));
        let kept = vec4f(words >> vec4u(8u)) * 0x1p-24 >= vec4f(PROBABILITY);
        let i = row * VALUES_QUADS + quad;
        values[i] = select(vec4f(), values[i] / (1.0 - PROBABILITY), kept);
    }
}
