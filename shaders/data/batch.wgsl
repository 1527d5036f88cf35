// Gathers a batch of images by index, as the model sees them: x[b, d] = images[order[first + b], d].
//
// Bytes stand for 0 to 1. Grey pixels can be binarised: by a threshold, or by a draw that is 1 with the pixel as its
// probability. The draw is the same each time or new in each step. One thread makes four pixels: x is the quad of columns,
// y the row b.
//
// Images that are too large for one binding are in several buffers, the shards. A dispatch makes the rows whose images are in
// its own one.

#import lib/matrix.wgsl
#import lib/rng.wgsl
#import lib/step.wgsl

override D: u32;
override MODE: u32;
override STREAM: u32;       // of the draws
override X_QUADS: u32;
override SHARD: u32;        // images in a shard; the last one may have fewer
override NUMBER: u32;       // of this dispatch's shard

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> bytes: array<u32>;        // (SHARD, D), rows padded to whole words with zeros
@group(0) @binding(2) var<storage, read> floats: array<vec4f>;     // (SHARD, D)
@group(0) @binding(3) var<storage, read> order: array<u32>;        // (N)
@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;    // (B, D)

const NONE = 0u;
const THRESHOLD = 1u;
const STATIC = 2u;
const DYNAMIC = 3u;

fn seen(grey: vec4f, image: u32, quad: u32) -> vec4f {
    switch MODE {
        case NONE: { return grey; }
        case THRESHOLD: { return select(vec4f(), vec4f(1.0), grey >= vec4f(0.5)); }
        default: {
            let t = select(0u, step.t, MODE == DYNAMIC);
            let words = threefry(vec4u(step.key.xy, STREAM, 0u), vec4u(quad, image, t, 0u));
            // 24 bits, from 0 to just below 1: 0 stays 0, and 1 stays 1.
            let uniform = vec4f(words >> vec4u(8u)) * 0x1p-24;
            return select(vec4f(), vec4f(1.0), uniform < grey);
        }
    }
}

fn store(b: u32, quad: u32, image: u32, grey: vec4f) {
    x[b * X_QUADS + quad] = keep(seen(grey, image, quad), 4u * quad, D);
}

@compute @workgroup_size(64)
fn gather_bytes(@builtin(global_invocation_id) id: vec3u) {
    if id.x < X_QUADS && id.y < step.examples {
        let image = order[step.first + id.y];
        if image / SHARD == NUMBER {
            store(id.y, id.x, image, unpack4x8unorm(bytes[image % SHARD * X_QUADS + id.x]));
        }
    }
}

@compute @workgroup_size(64)
fn gather_floats(@builtin(global_invocation_id) id: vec3u) {
    if id.x < X_QUADS && id.y < step.examples {
        let image = order[step.first + id.y];
        if image / SHARD == NUMBER {
            store(id.y, id.x, image, floats[image % SHARD * X_QUADS + id.x]);
        }
    }
}
