// What the kernels of batch normalisation and of layer normalisation share. A workgroup makes eight sums of vectors, each over
// 32 threads: thread (x, y) adds to the sum of number x. Each is a tree of fixed shape: the same inputs give the same bits.

const SUMS = 8u;
const THREADS_PER_SUM = 32u;
const NORMALISE_SIZE = 256u;

// As in PyTorch: what keeps a variance of zero from being divided by.
const VARIANCE_EPSILON = 1e-5;

var<workgroup> partial_sums_of_x: array<vec4f, NORMALISE_SIZE>;

// Adds up one vector a thread over the threads of the same x; each of them gets the sum. Call it from uniform control flow: it
// holds barriers, the last of which lets it be called again.
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
