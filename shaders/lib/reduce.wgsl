// A sum over one workgroup as a tree of fixed shape: the same inputs give the same bits.

const REDUCE_SIZE = 256u;

var<workgroup> partial_sums: array<vec4f, REDUCE_SIZE>;

// Sums one vector of each thread; every thread gets the sum. Call it once, from uniform control flow: it has barriers.
fn workgroup_sum(value: vec4f, lane: u32) -> vec4f {
    partial_sums[lane] = value;
    for (var width = REDUCE_SIZE / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            partial_sums[lane] += partial_sums[lane + width];
        }
    }
    workgroupBarrier();
    return partial_sums[0];
}
