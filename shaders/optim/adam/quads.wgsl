// The arenas of an update in words of four values.

const VALUES = 4u;      // of a word

@group(0) @binding(1) var<storage, read> gradients: array<vec4f>;           // (P), the whole arena or a piece of it
@group(0) @binding(2) var<storage, read_write> parameters: array<vec4f>;    // (P)
@group(0) @binding(3) var<storage, read_write> moment1: array<vec4f>;       // (P)
@group(0) @binding(4) var<storage, read_write> moment2: array<vec4f>;       // (P)

fn update_word(i: u32) {
    let after = updated(State(parameters[i], moment1[i], moment2[i]), gradients[i]);
    parameters[i] = after.parameter;
    moment1[i] = after.moment1;
    moment2[i] = after.moment2;
}
