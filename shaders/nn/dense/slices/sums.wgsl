// The sums of the slices of a workgroup's tiles.

const TILES = TILE_COLUMNS / 4u;    // of a workgroup, each a quad wide
const ROW_QUADS = TILE_ROWS / 4u;

// Each row of a tile is summed by a thread of its own, and a workgroup is as wide as a block.
const_assert SLICES >= TILE_ROWS && TILE_ROWS % 4u == 0u && TILE_COLUMNS == 32u;

alias Sums = array<mat4x4f, ROW_QUADS>;     // four rows of a quad each

var<workgroup> partial_sums: array<mat4x4f, TILES * SLICES * ROW_QUADS>;    // [tile][slice][quad of rows]

fn put(tile: u32, slice: u32, sums: ptr<function, Sums>) {
    for (var n = 0u; n < ROW_QUADS; n++) {
        partial_sums[(tile * SLICES + slice) * ROW_QUADS + n] = sums[n];
    }
}

// Row `row` of a tile, `start` plus all its slices.
fn total(start: vec4f, tile: u32, row: u32) -> vec4f {
    var sum = start;
    for (var s = 0u; s < SLICES; s++) {
        sum += partial_sums[(tile * SLICES + s) * ROW_QUADS + row / 4u][row % 4u];
    }
    return sum;
}
