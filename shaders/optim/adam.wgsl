// One Adam update of every parameter (Kingma & Ba 2015, Algorithm 1).
//
//   m += (1 - beta1) * (g - m)
//   v += (1 - beta2) * (g^2 - v)
//   p -= learning_rate * (m / correction1) / (sqrt(v / correction2) + epsilon)
//
// A batch that comes in several steps has its update in the last of them. One thread updates four parameters. The
// complements 1 - beta come from the host: in f32, 1 - 0.999 is 5e-5 off.

#import lib/step.wgsl

override QUADS: u32;
override COMPLEMENT1: f32;
override COMPLEMENT2: f32;
override EPSILON: f32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;           // (P), the whole arena
@group(0) @binding(2) var<storage, read_write> parameters: array<vec4f>;    // (P)
@group(0) @binding(3) var<storage, read_write> moment1: array<vec4f>;       // (P)
@group(0) @binding(4) var<storage, read_write> moment2: array<vec4f>;       // (P)

@compute @workgroup_size(64)
fn update(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    // A large arena needs more workgroups than one axis holds: the grid is folded, x within y.
    let i = id.x + id.y * groups.x * 64u;
    if i < QUADS && step.chunks_left == 0u {
        let g = gradients[i];
        let m = moment1[i] + COMPLEMENT1 * (g - moment1[i]);
        let v = moment2[i] + COMPLEMENT2 * (g * g - moment2[i]);
        moment1[i] = m;
        moment2[i] = v;
        parameters[i] -= step.learning_rate * (m / step.correction1) / (sqrt(v / step.correction2) + EPSILON);
    }
}
