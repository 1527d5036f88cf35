// The mean of the Gaussian likelihood whose variances the decoder puts out too: the first of a dimension's two numbers.

fn pixel(row: u32, d: u32) -> f32 {
    return output(row, 2u * d);
}
