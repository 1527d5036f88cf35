// Adds up the gradients of a batch that comes in several steps, each of which has the mean over its own examples.
//
//   total = share * gradients + (total, or nothing in the batch's first step)
//
// One thread takes four parameters.

#import lib/step.wgsl

override QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;       // (P), the whole arena
@group(0) @binding(2) var<storage, read_write> total: array<vec4f>;     // (P)

@compute @workgroup_size(64)
fn accumulate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    // The grid is folded, as Adam's is.
    let i = id.x + id.y * groups.x * 64u;
    if i < QUADS {
        total[i] = step.share * gradients[i] + select(total[i], vec4f(), step.chunk == 0u);
    }
}
