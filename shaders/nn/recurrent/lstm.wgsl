// A position of a long short-term memory, from the products of its input and of its state. Hochreiter & Schmidhuber 1997, with the
// forget gate of Gers et al. 2000, as PyTorch computes it:
//
//   i = sigmoid(a_i + c_i),  f = sigmoid(a_f + c_f),  g = tanh(a_g + c_g),  o = sigmoid(a_o + c_o)
//   cell = f cell + i g,  state = o tanh(cell)
//
// where a = input weight^T + bias and c = state weight^T + bias, of which `gates` and `product` have four runs of H values each. The
// gates overwrite a. The cells before a position are in its own rows of `cells`, those after it in the next ones. One thread makes a
// quad of units: x is the quad, y the row, (example, sample).

#import lib/activation.wgsl
#import lib/step.wgsl

override STATE_QUADS: u32;
override STARTS_AT_ZERO: bool;      // whether state and cell before the first position are 0

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> position: array<u32>;              // (1)
@group(0) @binding(2) var<storage, read> product: array<vec4f>;             // (B * SAMPLES, 4 H): c
@group(0) @binding(3) var<storage, read_write> gates: array<vec4f>;         // (T * B * SAMPLES, 4 H): a, then i, f, g and o
@group(0) @binding(4) var<storage, read_write> state: array<vec4f>;         // (B * SAMPLES, H)
@group(0) @binding(5) var<storage, read_write> previous: array<vec4f>;      // (T * B * SAMPLES, H): the states before
@group(0) @binding(6) var<storage, read_write> output: array<vec4f>;        // (T * B * SAMPLES, H): the states after
@group(0) @binding(7) var<storage, read_write> cells: array<vec4f>;         // ((T + 1) * B * SAMPLES, H)

@compute @workgroup_size(8, 8)
fn advance(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < STATE_QUADS && row < rows_of_position() && position[0] < step.length {
        let now = position[0] * rows_of_position() + row;
        let a = 4u * now * STATE_QUADS + quad;
        let c = 4u * row * STATE_QUADS + quad;
        let at = now * STATE_QUADS + quad;
        let i = sigmoid(gates[a] + product[c]);
        let f = sigmoid(gates[a + STATE_QUADS] + product[c + STATE_QUADS]);
        let g = activate(TANH, gates[a + 2u * STATE_QUADS] + product[c + 2u * STATE_QUADS]);
        let o = sigmoid(gates[a + 3u * STATE_QUADS] + product[c + 3u * STATE_QUADS]);
        var state_before = state[row * STATE_QUADS + quad];
        var cell_before = cells[at];
        if STARTS_AT_ZERO && position[0] == 0u {
            state_before = vec4f();
            cell_before = vec4f();
            cells[at] = vec4f();
        }
        let cell = f * cell_before + i * g;
        let after = o * activate(TANH, cell);
        gates[a] = i;
        gates[a + STATE_QUADS] = f;
        gates[a + 2u * STATE_QUADS] = g;
        gates[a + 3u * STATE_QUADS] = o;
        cells[at + rows_of_position() * STATE_QUADS] = cell;
        previous[at] = state_before;
        output[at] = after;
        state[row * STATE_QUADS + quad] = after;
    }
}
