// What the kernels of batch normalisation and of layer normalisation share. A workgroup makes eight sums of vectors, each over
// 32 threads: thread (x, y) adds to the sum of number x.

const SUMS = 8u;
const THREADS_PER_SUM = 32u;

// As in PyTorch: what keeps a variance of zero from being divided by.
const VARIANCE_EPSILON = 1e-5;

fn inverse_std(variance: vec4f) -> vec4f {
    return inverseSqrt(variance + VARIANCE_EPSILON);
}
