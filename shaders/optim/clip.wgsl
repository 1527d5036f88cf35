// The norm of a batch's gradients, and the factor that clips it (Pascanu et al. 2013).
//
//   norm = sqrt(sum g^2)
//   factor = MOST / norm if the norm is larger than MOST, or else 1
//
// `square` reduces the gradients to GROUPS partial sums for each piece of the arena, `limit` reduces these in one workgroup. If
// a batch is split into several steps, the last one does both. A sum of squares is a pair, scale^2 * sum, where the scale is
// the largest absolute value: the squares of gradients above 1.8e19 would overflow.

#import lib/step.wgsl

override FIRST: u32;        // the piece's first partial sum
override MOST: f32;         // the largest norm
override SKIPS: bool;       // whether an update is left out if the norm is NaN or infinite

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;           // (P), the whole arena or a piece of it
@group(0) @binding(2) var<storage, read_write> partials: array<vec4f>;      // (pieces * GROUPS, 4): scale, sum, whether NaN or infinite
@group(0) @binding(3) var<storage, read_write> clip: vec4f;                 // the norm, the factor, whether the update is left out
@group(0) @binding(4) var<storage, read_write> metrics: array<vec4f>;       // one row a step of the epoch; the norm is the last value

const SIZE = 256u;
const GROUPS = 64u;
const SMALLEST = 1e-30;             // the first scale: nothing is divided by 0
const INFINITY = 0x7F800000u;

var<workgroup> sums: array<vec3f, SIZE>;

fn joined(a: vec3f, b: vec3f) -> vec3f {
    let scale = max(a.x, b.x);
    let kept = vec2f(a.x, b.x) / scale;
    return vec3f(scale, dot(vec2f(a.y, b.y), kept * kept), max(a.z, b.z));
}

// The sum of a workgroup as a tree of fixed shape; every thread gets it.
fn workgroup_joined(value: vec3f, lane: u32) -> vec3f {
    sums[lane] = value;
    for (var width = SIZE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sums[lane] = joined(sums[lane], sums[lane + width]);
        }
    }
    workgroupBarrier();
    return sums[0];
}

fn with_squares(sum: vec3f, g: vec4f) -> vec3f {
    let size = abs(g);
    let scale = max(sum.x, max(max(size.x, size.y), max(size.z, size.w)));
    let kept = sum.x / scale;
    let scaled = g / scale;
    let is_finite = all((bitcast<vec4u>(g) & vec4u(INFINITY)) < vec4u(INFINITY));
    return vec3f(scale, sum.y * kept * kept + dot(scaled, scaled), select(1.0, sum.z, is_finite));
}

@compute @workgroup_size(SIZE)
fn square(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    var sum = vec3f(SMALLEST, 0.0, 0.0);
    if step.chunks_left == 0u {
        for (var i = group.x * SIZE + lane; i < arrayLength(&gradients); i += GROUPS * SIZE) {
            sum = with_squares(sum, gradients[i]);
        }
    }
    sum = workgroup_joined(sum, lane);
    if lane == 0u {
        partials[FIRST + group.x] = vec4f(sum, 0.0);
    }
}

@compute @workgroup_size(SIZE)
fn limit(@builtin(local_invocation_index) lane: u32) {
    var sum = vec3f(SMALLEST, 0.0, 0.0);
    for (var i = lane; i < arrayLength(&partials); i += SIZE) {
        sum = joined(sum, partials[i].xyz);
    }
    sum = workgroup_joined(sum, lane);
    if lane == 0u && step.chunks_left == 0u {
        let bits = select(bitcast<u32>(sum.x * sqrt(sum.y)), INFINITY, sum.z > 0.0);
        let is_finite = bits < INFINITY;
        let norm = bitcast<f32>(bits);
        let factor = select(1.0, MOST / norm, is_finite && norm > MOST);
        clip = vec4f(norm, factor, select(0.0, 1.0, SKIPS && !is_finite), 0.0);
        metrics[step.row].w = norm;
    }
}
