// Sums the gradients of a batch that is split into several steps. The gradients of a step are means over its own examples.
//
//   total = share * gradients + (total, or 0 in the batch's first step)
//
// One thread processes four parameters.

#import lib/folded.wgsl
#import lib/step.wgsl

override GRADIENTS_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;       // (P), the whole arena or a piece of it
@group(0) @binding(2) var<storage, read_write> total: array<vec4f>;     // (P)

@compute @workgroup_size(FOLDED_SIZE)
fn accumulate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = folded_index(id, groups);
    if i < GRADIENTS_QUADS {
        total[i] = step.share * gradients[i] + select(total[i], vec4f(), step.chunk == 0u);
    }
}
