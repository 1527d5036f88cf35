//! The self-test of `shaders/posterior/normal/bottleneck.wgsl`.
//!
//! What a stage computes is compared with the reference from what the stage before it stored: then the errors do not add.

use super::drawn;
use crate::Error;
use crate::gpu::{Program, Tensor};
use crate::nn::{self, Dense, Epilogue, Layer};
use crate::posterior::normal::Normal;
use crate::posterior::{Bottleneck, Draws, Reparameterised};
use crate::selftest::bench::{Bench, Output, UNTOUCHED};
use crate::selftest::logvar_range::{RANGE, clamped};
use crate::selftest::nn::dense;
use crate::selftest::prior::Kl;
use crate::selftest::{Matrix, Sizes, tolerance};

pub(super) fn check(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs, .. } = bench.sizes;
    let (encoder, decoder) = (Dense::new("encoder", outputs, 2 * latents), Dense::new("decoder", latents, outputs + 3));
    let parameters = nn::arena(bench.gpu, &[encoder.parameters(), decoder.parameters()].concat())?;
    let [weight, bias] = [encoder.weight(), encoder.bias()].map(|name| dense::parameter(bench, &parameters.get(&name)));
    let (weight, bias) = (weight?, bias?);
    let of_decoder = [decoder.weight(), decoder.bias()].map(|name| dense::parameter(bench, &parameters.get(&name)));
    let [decoder_weight, decoder_bias] = of_decoder;
    let (decoder_weight, decoder_bias) = (decoder_weight?, decoder_bias?);
    for (range, estimate) in [(None, Kl::ALL[0]), (Some(RANGE), Kl::ALL[1])] {
        let hidden = bench.input(outputs, |draw, _| 3.0 * draw)?;
        // The kernel writes it word by word.
        let posterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
        let [z, kl, result] = [latents, latents, outputs + 3].map(|columns| bench.output(columns));
        let (z, kl, result) = (z?, kl?, result?);
        let prior = estimate.part(&z);
        let draws = Draws { prior: &prior, outputs: &posterior, z: &z };
        let store = Epilogue::store(&result);
        let around = Bottleneck { hidden: &hidden.tensor, encoder: &encoder, decoder: &decoder, epilogue: &store };
        let normal = Normal { logvar_range: range };
        let Some(dispatch) = normal.bottleneck(bench.recording(&parameters), draws, &kl, &around)? else {
            return Ok(());
        };
        let program = Program::from(dispatch);
        bench.gpu.run(&program, 1);
        let seen = clamped(&stored(bench, &posterior)?, range);
        let [draws, divergence] = drawn(bench, &seen, 1, estimate, [&z, &kl]);
        let of_posterior = product("posterior", &posterior, &hidden.values, &weight, &bias);
        let of_result = product("result", &result, &stored(bench, &z)?, &decoder_weight, &decoder_bias);
        bench.check_variant(&format!("{estimate:?}"), program, [of_posterior, draws, divergence, of_result])?;
    }
    Ok(())
}

/// The rows of the step.
fn stored(bench: &Bench<'_>, tensor: &Tensor) -> Result<Matrix, Error> {
    let values: Vec<f32> = tensor.read(bench.gpu)?;
    let columns = tensor.columns();
    Ok(Matrix::from_fn(bench.sizes.rows, columns, |row, column| f64::from(values[row * columns + column])))
}

/// A product, within the error of its sums.
fn product(name: &'static str, tensor: &Tensor, input: &Matrix, weight: &Matrix, bias: &Matrix) -> Output {
    let magnitudes = dense::forward(&input.abs(), &weight.abs(), &bias.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(input.columns() + 1, magnitude));
    Output::matrix(name, tensor, &dense::forward(input, weight, bias), &errors)
}
