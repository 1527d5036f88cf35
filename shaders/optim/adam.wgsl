// One Adam update of every parameter (Kingma & Ba 2015, Algorithm 1).
//
//   m += (1 - beta1) * (g - m)
//   v += (1 - beta2) * (g^2 - v)
//   p -= learning_rate * (m / correction1) / (sqrt(v / correction2) + epsilon)
//
// where g is clipped. The encoder's parameters and the others have constants of their own; zeros leave them as they are. If a batch is
// split into several steps, the last one makes the update. One thread updates one word of the arenas. The part in the slot `words` defines the size of a word and `update_word(i)`. The complements 1 - beta come from the
// host: in f32, 1 - 0.999 is 5e-5 off.

#import lib/folded.wgsl
#import lib/step.wgsl
#import clip
#import words

override GRADIENTS_STRIDE: u32;     // values in the arena, or in the piece of it
override COMPLEMENT1: f32;
override COMPLEMENT2: f32;
override EPSILON: f32;
override FIRST: u32;                // values before these, in the whole arena
override ENCODER: u32;              // values of the encoder's parameters, which come first

@group(0) @binding(0) var<storage, read> step: Step;

// The step's constants for a word.
var<private> constants: vec4f;

struct State {
    parameter: vec4f,
    moment1: vec4f,
    moment2: vec4f,
}

fn updated(state: State, gradient: vec4f) -> State {
    let g = clipped(gradient);
    let m = state.moment1 + COMPLEMENT1 * (g - state.moment1);
    let v = state.moment2 + COMPLEMENT2 * (g * g - state.moment2);
    let change = constants.x * (m / constants.y) / (sqrt(v / constants.z) + EPSILON);
    return State(state.parameter - change, m, v);
}

@compute @workgroup_size(FOLDED_SIZE)
fn update(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = folded_index(id, groups);
    constants = step.optimiser[select(0u, 1u, FIRST + i * VALUES >= ENCODER)];
    if i < GRADIENTS_STRIDE / VALUES && step.chunks_left == 0u && constants.y > 0.0 && !is_left_out() {
        update_word(i);
    }
}
