// Epilogue of a layer's product: multiplies each value with the sigmoid of its gate (Dauphin et al. 2017), and keeps the
// derivatives by both for the backward pass. The product's columns are pairs of a value and its gate.
//
//   output[row, j] = h * sigmoid(g),  h = value[2j],  g = value[2j + 1]
//   slope[row, 2j] = sigmoid(g),      slope[row, 2j + 1] = h * sigmoid(g) * (1 - sigmoid(g))

#import lib/activation.wgsl
#import lib/matrix.wgsl

override COLUMNS: u32;
override QUADS: u32 = (COLUMNS + 3u) / 4u;
override SLOPE_QUADS: u32 = (COLUMNS + 1u) / 2u;

@group(0) @binding(10) var<storage, read_write> output: array<vec2f>;   // (B, COLUMNS), half a quad of the product's
@group(0) @binding(11) var<storage, read_write> slope: array<vec4f>;    // (B, 2 * COLUMNS)

const ROW_SUMS = false;

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    // The padding must stay zero, whatever the value is there.
    let pairs = keep(value, 4u * quad, 2u * COLUMNS);
    let s = sigmoid(pairs).yw;
    let slope_of_gate = pairs.xz * (s * (1.0 - s));
    slope[row * SLOPE_QUADS + quad] =
        keep(vec4f(s.x, slope_of_gate.x, s.y, slope_of_gate.y), 4u * quad, 2u * COLUMNS);
    let i = 2u * row * QUADS + quad;
    output[i] = pairs.xz * s;
    // The output's last quad may have a half that no quad of the product covers.
    if quad + 1u == SLOPE_QUADS && SLOPE_QUADS < 2u * QUADS {
        output[i + 1u] = vec2f();
    }
    return 0.0;
}

fn finish_block(row: u32, block: u32, sum: f32) {}
