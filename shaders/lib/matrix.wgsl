// Matrices are row-major with rows padded to whole vec4s ("quads"); the padding is always zero, so that sums over a row
// need no special case for its end.

const BLOCK = 32u;      // columns that one partial sum of a row covers

// Keeps the components whose column exists; the others become zero.
fn keep(value: vec4f, first_column: u32, columns: u32) -> vec4f {
    return select(vec4f(), value, vec4u(first_column) + vec4u(0u, 1u, 2u, 3u) < vec4u(columns));
}

// The same for two columns.
fn keep_pair(value: vec2f, first_column: u32, columns: u32) -> vec2f {
    return select(vec2f(), value, vec2u(first_column, first_column + 1u) < vec2u(columns));
}

// The starts of four rows of a matrix, in quads. Rows past the last one are clamped to it, which keeps loads in bounds.
fn row_starts(first: u32, rows: u32, quads: u32) -> vec4u {
    return min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(rows - 1u)) * quads;
}

// Four adjacent values of two quads that follow each other, from the given number of values on: only its remainder modulo four
// counts.
fn four_from(left: vec4f, right: vec4f, first: u32) -> vec4f {
    let even = select(left, vec4f(left.zw, right.xy), (first & 2u) != 0u);
    let odd = select(vec4f(left.yzw, right.x), vec4f(left.w, right.xyz), (first & 2u) != 0u);
    return select(even, odd, (first & 1u) != 0u);
}

// The product of a column of four values and a row of four. WGSL's matrices are made of columns: a row of the product is a
// column of the mat4x4f.
fn outer_product(column: vec4f, row: vec4f) -> mat4x4f {
    return mat4x4f(column.x * row, column.y * row, column.z * row, column.w * row);
}

// One of eight rows, from two matrices of four rows, selected by comparison. In a loop over the rows, the body is then
// compiled once; an index that is not constant would move the matrices to memory.
fn row_of(top: mat4x4f, bottom: mat4x4f, row: u32) -> vec4f {
    let even = select(select(top[0], top[2], row >= 2u), select(bottom[0], bottom[2], row >= 6u), row >= 4u);
    let odd = select(select(top[1], top[3], row >= 2u), select(bottom[1], bottom[3], row >= 6u), row >= 4u);
    return select(even, odd, row % 2u == 1u);
}
