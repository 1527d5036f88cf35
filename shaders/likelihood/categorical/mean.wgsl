// The mean of the categorical likelihood: sum_c softmax(logits)[c] * c / (C - 1).

#import lib/nan.wgsl

override CATEGORIES: u32;

fn pixel(row: u32, d: u32) -> f32 {
    let first = d * CATEGORIES;
    var largest = output(row, first);
    for (var c = 1u; c < CATEGORIES; c++) {
        largest = max(largest, output(row, first + c));
    }
    var sum = vec2f();
    for (var c = 0u; c < CATEGORIES; c++) {
        sum += exp_or_nan(output(row, first + c) - largest) * vec2f(1.0, f32(c));
    }
    return sum.y / (sum.x * f32(CATEGORIES - 1u));
}
