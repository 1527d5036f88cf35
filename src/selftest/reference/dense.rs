//! The reference of `shaders/nn/dense/`.

use super::Matrix;

/// `output[b, o] = bias[o] + sum_i input[b, i] * weight[o, i]`
pub fn forward(input: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
    Matrix::from_fn(input.rows(), weight.rows(), |b, o| {
        let products = input.row(b).iter().zip(weight.row(o)).map(|(x, w)| x * w);
        bias.at(0, o) + products.sum::<f64>()
    })
}

/// `dinput[b, i] = sum_o doutput[b, o] * weight[o, i]`
pub fn backward_input(doutput: &Matrix, weight: &Matrix) -> Matrix {
    Matrix::from_fn(doutput.rows(), weight.columns(), |b, i| {
        doutput.row(b).iter().enumerate().map(|(o, d)| d * weight.at(o, i)).sum()
    })
}

/// `dweight[o, i] = sum_b doutput[b, o] * input[b, i]`, `dbias[o] = sum_b doutput[b, o]`
pub fn backward_weight(input: &Matrix, doutput: &Matrix) -> (Matrix, Matrix) {
    let rows = input.rows();
    let dweight = Matrix::from_fn(doutput.columns(), input.columns(), |o, i| {
        (0..rows).map(|b| doutput.at(b, o) * input.at(b, i)).sum()
    });
    let dbias = Matrix::from_fn(1, doutput.columns(), |_, o| (0..rows).map(|b| doutput.at(b, o)).sum());
    (dweight, dbias)
}
