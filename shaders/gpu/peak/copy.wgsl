// As many bytes as memory moves: what the speed of kernels that do little arithmetic is held against.
//
//   copied[i] = values[i]
//
// One thread copies one vec4, the next thread the next one.

@group(0) @binding(0) var<storage, read> values: array<vec4f>;          // (N)
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;    // (N)

@compute @workgroup_size(64)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    // Many values need more workgroups than one axis holds: the grid is folded, x within y.
    let i = id.x + id.y * groups.x * 64u;
    if i < arrayLength(&copied) {
        copied[i] = values[i];
    }
}
