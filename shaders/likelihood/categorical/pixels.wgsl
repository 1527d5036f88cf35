// Pixels of the categorical likelihood.
//
//   mean:  sum_c softmax(logits)[c] * c / (C - 1)
//   draw:  the first category at which the sum of exp(logits) exceeds its share u of the whole

#import lib/nan.wgsl

override CATEGORIES: u32;

fn largest_logit(row: u32, first: u32) -> f32 {
    var largest = output(row, first);
    for (var c = 1u; c < CATEGORIES; c++) {
        largest = max(largest, output(row, first + c));
    }
    return largest;
}

fn pixel_mean(row: u32, d: u32) -> f32 {
    let first = d * CATEGORIES;
    let largest = largest_logit(row, first);
    var sum = vec2f();
    for (var c = 0u; c < CATEGORIES; c++) {
        sum += exp_or_nan(output(row, first + c) - largest) * vec2f(1.0, f32(c));
    }
    return sum.y / (sum.x * f32(CATEGORIES - 1u));
}

fn pixel_draw(row: u32, d: u32) -> f32 {
    let first = d * CATEGORIES;
    let largest = largest_logit(row, first);
    var whole = 0.0;
    for (var c = 0u; c < CATEGORIES; c++) {
        whole += exp_or_nan(output(row, first + c) - largest);
    }
    let share = unit(random_words(row, d, 0u).x) * whole;
    var sum = 0.0;
    var category = 0.0;
    // The last category gets the rest, with its rounding.
    for (var c = 0u; c < CATEGORIES - 1u; c++) {
        sum += exp_or_nan(output(row, first + c) - largest);
        category += select(0.0, 1.0, share >= sum);
    }
    return or_nan_scalar(category / f32(CATEGORIES - 1u), whole);
}
