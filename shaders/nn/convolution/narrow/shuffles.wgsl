// A block of the weight, for adapters that run on a CPU, whose workgroup is a subgroup: each lane loads a row, and all share them.

fn weight_block(at: u32, row: u32, lane: u32) -> mat4x4f {
    let own = weight_values(at + lane % 4u * row);
    return mat4x4f(
        subgroupShuffle(own, 0u),
        subgroupShuffle(own, 1u),
        subgroupShuffle(own, 2u),
        subgroupShuffle(own, 3u),
    );
}
