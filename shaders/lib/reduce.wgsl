// A sum over one workgroup as a tree of fixed shape: the same inputs give the same bits.

const REDUCE_SIZE = 64u;

var<workgroup> partial_sums: array<f32, REDUCE_SIZE>;

// Adds up one value a thread; every thread gets the sum. Call it from uniform control flow: it holds barriers.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
    partial_sums[lane] = value;
    for (var width = REDUCE_SIZE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            partial_sums[lane] += partial_sums[lane + width];
        }
    }
    workgroupBarrier();
    let sum = partial_sums[0];
    // The next call writes to the same memory: nobody may still be reading it.
    workgroupBarrier();
    return sum;
}
