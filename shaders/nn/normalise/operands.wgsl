// Shared by the kernels of batch and layer normalisation: the step, the product to normalise, and sums. A workgroup makes
// eight sums of vectors, each over 32 threads: thread (x, y) adds to sum x. Each sum is a tree of fixed shape: the same
// inputs give the same bits.

#import lib/step.wgsl

override WIDTH: u32;
override PRE_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> pre: array<vec4f>;     // (B * SAMPLES, WIDTH), the product

const SUMS = 8u;
const THREADS_PER_SUM = 32u;
const NORMALISE_SIZE = SUMS * THREADS_PER_SUM;

// Added to a variance, as in PyTorch, so that the divisor is never zero.
const VARIANCE_EPSILON = 1e-5;

var<workgroup> partial_sums_of_x: array<vec4f, NORMALISE_SIZE>;

// Sums one vector of each thread over the threads of the same x; each of them gets the sum. Call it from uniform control
// flow: it has barriers. After the last one, it can be called again.
fn sum_over_y(value: vec4f, lane: u32) -> vec4f {
    partial_sums_of_x[lane] = value;
    for (var width = NORMALISE_SIZE / 2u; width >= SUMS; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            partial_sums_of_x[lane] += partial_sums_of_x[lane + width];
        }
    }
    workgroupBarrier();
    let sum = partial_sums_of_x[lane % SUMS];
    workgroupBarrier();
    return sum;
}

fn inverse_std(variance: vec4f) -> vec4f {
    return inverseSqrt(variance + VARIANCE_EPSILON);
}
