// The sums of a tile of a product, over the 8 lanes of a cluster: CLUSTER_ROWS rows by 32 columns, a quad of columns for each lane.
//
// A thread's number in its workgroup and in its subgroup are the same modulo 8: so it is with workgroups along one axis.
//
// An array stays in registers only if every index is a constant once the driver has unrolled its loops. Mesa unrolls a loop
// of at most 32 turns whose turns together have at most 832 scalar operations. So a tile is summed eight rows at a time, by
// loops that are written one after the other: a loop around them would not be unrolled, and the sums would be in memory.

const LANES = 8u;
const CLUSTER_ROWS = TILE_ROWS / CLUSTERS;
const CLUSTER_QUADS = CLUSTER_ROWS / 4u;

// The sums below are written for these.
const_assert CLUSTER_ROWS == 8u || CLUSTER_ROWS == 16u || CLUSTER_ROWS == 32u;
const_assert TILE_COLUMNS == 32u;

alias Sums = array<vec4f, CLUSTER_ROWS>;

// The number of a thread's cluster in its workgroup. If there is one, the driver knows it, and that all lanes take the same way.
fn cluster_of(thread: u32) -> u32 {
    return select(0u, thread / LANES, CLUSTERS > 1u);
}

// The lane of its subgroup where a thread's cluster starts.
fn cluster_start(subgroup_lane: u32) -> u32 {
    return select(0u, subgroup_lane / LANES * LANES, CLUSTERS > 1u);
}

// Adds the product of two quads of each row of the left operand and the corresponding eight rows of the right operand. Each
// lane has one of the two quads of every fourth row of the left operand: x[j] of lane 2 r + half is quad `half` of row 4 j
// + r.
fn add_product(
    sums: ptr<function, Sums>,
    x: ptr<function, array<vec4f, CLUSTER_QUADS>>,
    w: ptr<function, array<mat4x4f, 2>>,
    start: u32,
) {
    add_rows(sums, x, w, 0u, start);
    if CLUSTER_ROWS > 8u {
        add_rows(sums, x, w, 8u, start);
    }
    if CLUSTER_ROWS > 16u {
        add_rows(sums, x, w, 16u, start);
        add_rows(sums, x, w, 24u, start);
    }
}

fn add_rows(
    sums: ptr<function, Sums>,
    x: ptr<function, array<vec4f, CLUSTER_QUADS>>,
    w: ptr<function, array<mat4x4f, 2>>,
    first: u32,
    start: u32,
) {
    for (var r = first; r < first + 8u; r++) {
        for (var half = 0u; half < 2u; half++) {
            sums[r] += w[half] * subgroupShuffle(x[r / 4u], start + r % 4u * 2u + half);
        }
    }
}

// Adds the outer products of eight examples: lane k has the left operand's columns of example k, a quad in each d[j], and
// x[k] is the lane's quad of the right operand.
fn add_outer_products(
    sums: ptr<function, Sums>,
    d: ptr<function, array<vec4f, CLUSTER_QUADS>>,
    x: ptr<function, array<vec4f, LANES>>,
    start: u32,
) {
    add_columns(sums, d, x, 0u, start);
    if CLUSTER_ROWS > 8u {
        add_columns(sums, d, x, 2u, start);
    }
    if CLUSTER_ROWS > 16u {
        add_columns(sums, d, x, 4u, start);
        add_columns(sums, d, x, 6u, start);
    }
}

fn add_columns(
    sums: ptr<function, Sums>,
    d: ptr<function, array<vec4f, CLUSTER_QUADS>>,
    x: ptr<function, array<vec4f, LANES>>,
    first: u32,
    start: u32,
) {
    for (var j = first; j < first + 2u; j++) {
        for (var k = 0u; k < LANES; k++) {
            let column = subgroupShuffle(d[j], start + k);
            sums[4u * j] += column.x * x[k];
            sums[4u * j + 1u] += column.y * x[k];
            sums[4u * j + 2u] += column.z * x[k];
            sums[4u * j + 3u] += column.w * x[k];
        }
    }
}

// The sum over a cluster. On a CPU it is the subgroup; otherwise lane by lane, in order.
fn cluster_sum(value: f32, start: u32) -> f32 {
    if CLUSTERS == 1u {
        return subgroupAdd(value);
    }
    var sum = subgroupShuffle(value, start);
    for (var l = 1u; l < LANES; l++) {
        sum += subgroupShuffle(value, start + l);
    }
    return sum;
}

// One row of a tile, selected by comparison, so that a loop over the tile's rows need not be unrolled: a copy of the
// epilogue for each row takes long to compile.
fn pick(sums: ptr<function, Sums>, row: u32) -> vec4f {
    var value = sums[0];
    for (var r = 1u; r < CLUSTER_ROWS; r++) {
        value = select(value, sums[r], r == row);
    }
    return value;
}
