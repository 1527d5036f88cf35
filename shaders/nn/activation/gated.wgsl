// Epilogue of a layer's product: multiplies each value with the sigmoid of its gate (Dauphin et al. 2017). The part in the
// slot `slope` stores the derivatives with respect to both, or not. The product's columns are pairs of a value and its
// gate.
//
//   activated[row, j] = h * sigmoid(g),  h = value[2j],  g = value[2j + 1]
//   slope[row, 2j] = sigmoid(g),      slope[row, 2j + 1] = h * sigmoid(g) * (1 - sigmoid(g))

#import lib/activation.wgsl
#import lib/matrix.wgsl
#import slope
#import nn/epilogue/no_sums.wgsl

override COLUMNS: u32;
override ACTIVATED_QUADS: u32;
override PAIR_QUADS: u32 = (COLUMNS + 1u) / 2u;     // of the product

@group(0) @binding(10) var<storage, read_write> activated: array<vec2f>;    // (B, COLUMNS), half a quad of the product's

fn finish(row: u32, quad: u32, value: vec4f) -> f32 {
    // The padding must stay zero, whatever the value is there.
    let pairs = keep(value, 4u * quad, 2u * COLUMNS);
    let s = sigmoid(pairs).yw;
    let slope_of_gate = pairs.xz * (s * (1.0 - s));
    let slopes = vec4f(s.x, slope_of_gate.x, s.y, slope_of_gate.y);
    keep_slope(row, quad, keep(slopes, 4u * quad, 2u * COLUMNS));
    let i = 2u * row * ACTIVATED_QUADS + quad;
    activated[i] = pairs.xz * s;
    // The last quad may have a half that no quad of the product covers.
    if quad + 1u == PAIR_QUADS && PAIR_QUADS < 2u * ACTIVATED_QUADS {
        activated[i + 1u] = vec2f();
    }
    return 0.0;
}
