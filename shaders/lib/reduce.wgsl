// Sums over one workgroup as trees of fixed shape: the same inputs give the same bits.

const REDUCE_SIZE = 256u;

var<workgroup> partial_sums: array<vec4f, REDUCE_SIZE>;

// Adds up one vector a thread, over the threads whose numbers are equal modulo `sums`, a power of two; each thread gets the
// sum that it is part of. Call it from uniform control flow: it holds barriers.
fn workgroup_sums(value: vec4f, lane: u32, sums: u32) -> vec4f {
    partial_sums[lane] = value;
    for (var width = REDUCE_SIZE / 2u; width >= sums; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            partial_sums[lane] += partial_sums[lane + width];
        }
    }
    workgroupBarrier();
    let sum = partial_sums[lane % sums];
    // The next sum must not begin before every thread has this one.
    workgroupBarrier();
    return sum;
}

// The same for one sum over all threads.
fn workgroup_sum(value: vec4f, lane: u32) -> vec4f {
    return workgroup_sums(value, lane, 1u);
}
