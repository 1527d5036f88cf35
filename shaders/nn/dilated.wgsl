// The operand of a dilated convolution over sentences, and the gradient with respect to its input:
//
//   windows[(p, draw), tap * C + c] = relu(values[(p + tap * DILATION - BEFORE, draw), c]), or 0 outside the sentence
//   dvalues[(p, draw), c]          += relu'(values[(p, draw), c]) * sum over the taps whose windows have this value
//                                     of dwindows[(p - tap * DILATION + BEFORE, draw), tap * C + c]
//
// The convolution itself is a dense product with the windows. Rows are those of a sequence: (position, example, sample). One thread
// makes a quad: x is the quad, y the row.

#import lib/step.wgsl

override TAPS: u32;             // positions that a window sees
override DILATION: u32;         // from one of them to the next
override BEFORE: u32;           // positions from the first of them to the window's own
override VALUES_QUADS: u32;
override DVALUES_QUADS: u32;

@group(0) @binding(0) var<storage, read> step: Step;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;               // (B)
@group(0) @binding(2) var<storage, read> values: array<vec4f>;              // (T * B * SAMPLES, C)
@group(0) @binding(3) var<storage, read_write> windows: array<vec4f>;       // (T * B * SAMPLES, TAPS * C)
@group(0) @binding(4) var<storage, read> dwindows: array<vec4f>;            // (T * B * SAMPLES, TAPS * C)
@group(0) @binding(5) var<storage, read_write> dvalues: array<vec4f>;       // (T * B * SAMPLES, C)

// Positions of the sentence that a row belongs to.
fn length_of(row: u32) -> u32 {
    return lengths[row % rows_of_position() / SAMPLES];
}

@compute @workgroup_size(8, 8)
fn gather(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y;
    if id.x < TAPS * VALUES_QUADS && row < live_rows() {
        let quad = id.x % VALUES_QUADS;
        // A place before the sentence is a huge number, and not in it.
        let p = row / rows_of_position() + id.x / VALUES_QUADS * DILATION - BEFORE;
        var value = vec4f();
        if p < length_of(row) {
            value = max(values[(p * rows_of_position() + draw_of(row)) * VALUES_QUADS + quad], vec4f());
        }
        windows[row * TAPS * VALUES_QUADS + id.x] = value;
    }
}

@compute @workgroup_size(8, 8)
fn spread(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y;
    if id.x < DVALUES_QUADS && row < live_rows() {
        let p = row / rows_of_position();
        var sum = vec4f();
        if p < length_of(row) {
            for (var tap = 0u; tap < TAPS; tap++) {
                let window = p + BEFORE - tap * DILATION;
                if window < step.length {
                    let source = window * rows_of_position() + draw_of(row);
                    sum += dwindows[(source * TAPS + tap) * DVALUES_QUADS + id.x];
                }
            }
        }
        let i = row * DVALUES_QUADS + id.x;
        dvalues[i] += select(vec4f(), sum, values[i] > vec4f());
    }
}
