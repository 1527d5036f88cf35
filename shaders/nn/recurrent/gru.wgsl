// A position of a gated recurrent unit, from the products of its input and of its state. Cho et al. 2014, as PyTorch computes it:
//
//   r = sigmoid(a_r + c_r),  u = sigmoid(a_u + c_u),  n = tanh(a_n + r c_n)
//   state = (1 - u) n + u state
//
// where a = input weight^T + bias and c = state weight^T + bias, of which `gates` and `product` have three runs of H values each. The
// gates overwrite a; c_n goes to the last run of `hidden`, for the backward pass. One thread makes a quad of units: x is the quad, y
// the row, (example, sample).

#import lib/activation.wgsl
#import lib/step.wgsl

override STATE_QUADS: u32;
override STARTS_AT_ZERO: bool;      // whether the state before the first position is 0

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> position: array<u32>;              // (1)
@group(0) @binding(2) var<storage, read> product: array<vec4f>;             // (B * SAMPLES, 3 H): c
@group(0) @binding(3) var<storage, read_write> gates: array<vec4f>;         // (T * B * SAMPLES, 3 H): a, then r, u and n
@group(0) @binding(4) var<storage, read_write> state: array<vec4f>;         // (B * SAMPLES, H)
@group(0) @binding(5) var<storage, read_write> previous: array<vec4f>;      // (T * B * SAMPLES, H): the states before
@group(0) @binding(6) var<storage, read_write> output: array<vec4f>;        // (T * B * SAMPLES, H): the states after
@group(0) @binding(7) var<storage, read_write> hidden: array<vec4f>;        // (T * B * SAMPLES, 3 H)

@compute @workgroup_size(8, 8)
fn advance(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < STATE_QUADS && row < rows_of_position() && position[0] < step.length {
        let now = position[0] * rows_of_position() + row;
        let a = 3u * now * STATE_QUADS + quad;
        let c = 3u * row * STATE_QUADS + quad;
        let i = row * STATE_QUADS + quad;
        let c_new = product[c + 2u * STATE_QUADS];
        let r = sigmoid(gates[a] + product[c]);
        let u = sigmoid(gates[a + STATE_QUADS] + product[c + STATE_QUADS]);
        let n = activate(TANH, gates[a + 2u * STATE_QUADS] + r * c_new);
        var before = state[i];
        if STARTS_AT_ZERO && position[0] == 0u {
            before = vec4f();
        }
        let after = (1.0 - u) * n + u * before;
        gates[a] = r;
        gates[a + STATE_QUADS] = u;
        gates[a + 2u * STATE_QUADS] = n;
        hidden[a + 2u * STATE_QUADS] = c_new;
        previous[now * STATE_QUADS + quad] = before;
        output[now * STATE_QUADS + quad] = after;
        state[i] = after;
    }
}
