// As many bytes as memory moves: the bound for kernels that do little arithmetic.
//
//   copied[i] = values[i]
//
// One thread copies one vec4, the next thread the next one.

#import lib/folded.wgsl

@group(0) @binding(0) var<storage, read> values: array<vec4f>;          // (N)
@group(0) @binding(1) var<storage, read_write> copied: array<vec4f>;    // (N)

@compute @workgroup_size(FOLDED_SIZE)
fn copy(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    // Many values need more workgroups than one axis holds: the grid is folded, x within y.
    let i = folded_index(id, groups);
    if i < arrayLength(&copied) {
        copied[i] = values[i];
    }
}
