// The windows of a causal dilated convolution where a sentence is written position by position:
//
//   windows[draw, tap * C + c] = history[(TAPS - 1 - tap) * DILATION - 1][draw, c], for the last tap relu(values[draw, c])
//
// after which the history moves on by a position, and relu(values) is its newest. It starts as zeros. One thread makes a quad of all
// taps, and moves the quad's history: x is the quad, y the row.

#import lib/step.wgsl

override TAPS: u32;             // positions that a window sees
override DILATION: u32;         // from one of them to the next
override VALUES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;              // (B * SAMPLES, C)
@group(0) @binding(2) var<storage, read_write> history: array<vec4f>;       // ((TAPS - 1) * DILATION * B * SAMPLES, C)
@group(0) @binding(3) var<storage, read_write> windows: array<vec4f>;       // (B * SAMPLES, TAPS * C)

// The place of a row and a quad in the history, `age` positions before the newest.
fn place(age: u32, row: u32, quad: u32) -> u32 {
    return (age * rows_of_position() + row) * VALUES_QUADS + quad;
}

@compute @workgroup_size(8, 8)
fn remember(@builtin(global_invocation_id) id: vec3u) {
    let quad = id.x;
    let row = id.y;
    if quad < VALUES_QUADS && row < rows_of_position() {
        let newest = max(values[row * VALUES_QUADS + quad], vec4f());
        for (var tap = 0u; tap < TAPS - 1u; tap++) {
            let age = (TAPS - 1u - tap) * DILATION - 1u;
            windows[(row * TAPS + tap) * VALUES_QUADS + quad] = history[place(age, row, quad)];
        }
        windows[(row * TAPS + TAPS - 1u) * VALUES_QUADS + quad] = newest;
        for (var age = (TAPS - 1u) * DILATION - 1u; age > 0u; age--) {
            history[place(age, row, quad)] = history[place(age - 1u, row, quad)];
        }
        history[place(0u, row, quad)] = newest;
    }
}
