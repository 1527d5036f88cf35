// Matrices are row-major with rows padded to whole vec4s ("quads"); the padding always holds zeros, so that sums over
// a row need no special case for its end.

// Keeps the components whose column exists; the others become zero.
fn keep(value: vec4f, first_column: u32, columns: u32) -> vec4f {
    return select(vec4f(), value, vec4u(first_column) + vec4u(0u, 1u, 2u, 3u) < vec4u(columns));
}
