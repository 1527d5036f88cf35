//! The self-test of `shaders/posterior/normal/bottleneck.wgsl` and of the file below it.
//!
//! What a stage computes is compared with the reference from what the stage before it stored: then the errors do not add.

use super::{drawn, passed_on, posterior};
use crate::Error;
use crate::gpu::{Arena, Program, Tensor};
use crate::nn::{self, Dense, Epilogue, Layer};
use crate::posterior::normal::Normal;
use crate::posterior::{Bottleneck, Draws, Reparameterised};
use crate::selftest::bench::{Bench, Output, UNTOUCHED};
use crate::selftest::logvar_range::{RANGE, clamped};
use crate::selftest::nn::dense;
use crate::selftest::prior::Kl;
use crate::selftest::{Matrix, Sizes, tolerance};

/// The two layers, the arena of their parameters, and the weight and bias of each.
struct Layers {
    encoder: Dense,
    decoder: Dense,
    parameters: Arena,
    encoder_values: [Matrix; 2],
    decoder_values: [Matrix; 2],
}

fn layers(bench: &mut Bench<'_>) -> Result<Layers, Error> {
    let Sizes { columns: latents, outputs, .. } = bench.sizes;
    let (encoder, decoder) = (Dense::new("encoder", outputs, 2 * latents), Dense::new("decoder", latents, outputs + 3));
    let parameters = nn::arena(bench.gpu, &[encoder.parameters(), decoder.parameters()].concat())?;
    let mut values = |layer: &Dense| -> Result<[Matrix; 2], Error> {
        let [weight, bias] = [layer.weight(), layer.bias()].map(|name| parameters.get(&name));
        Ok([dense::parameter(bench, &weight)?, dense::parameter(bench, &bias)?])
    };
    let (encoder_values, decoder_values) = (values(&encoder)?, values(&decoder)?);
    Ok(Layers { encoder, decoder, parameters, encoder_values, decoder_values })
}

pub(super) fn check(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs, .. } = bench.sizes;
    let Layers { encoder, decoder, parameters, encoder_values, decoder_values } = layers(bench)?;
    for (range, estimate) in [(None, Kl::ClosedForm), (Some(RANGE), Kl::Sampled)] {
        let hidden = bench.input(outputs, |draw, _| 3.0 * draw)?;
        // The kernel writes it word by word.
        let posterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
        let (z, kl, result) = (bench.output(latents)?, bench.output(latents)?, bench.output(outputs + 3)?);
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
        let of_posterior = product("posterior", &posterior, &hidden.values, &encoder_values);
        let of_result = product("result", &result, &stored(bench, &z)?, &decoder_values);
        bench.check_variant(&format!("{estimate:?}"), program, [of_posterior, draws, divergence, of_result])?;
    }
    Ok(())
}

pub(super) fn check_backward(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { columns: latents, outputs, .. } = bench.sizes;
    let Layers { encoder, decoder, parameters, encoder_values: [weight, _], decoder_values: [decoder_weight, _] } =
        layers(bench)?;
    for range in [None, Some(RANGE)] {
        let posterior = posterior(bench)?;
        let (z, doutput) = (bench.input(latents, |draw, _| 4.0 * draw)?, bench.input(outputs + 3, |draw, _| draw)?);
        let dposterior = bench.in_place(2 * latents, |_, _| UNTOUCHED)?.tensor;
        let dhidden = bench.output(outputs)?;
        let prior = Kl::ClosedForm.part(&z.tensor);
        let draws = Draws { prior: &prior, outputs: &posterior.tensor, z: &z.tensor };
        let store = Epilogue::store(&dhidden);
        let around = Bottleneck { hidden: &dhidden, encoder: &encoder, decoder: &decoder, epilogue: &store };
        let (normal, recording) = (Normal { logvar_range: range }, bench.recording(&parameters));
        let dispatch = normal.bottleneck_backward(recording, draws, &doutput.tensor, &dposterior, &around)?;
        let Some(dispatch) = dispatch else { return Ok(()) };
        let program = Program::from(dispatch);
        bench.gpu.run(&program, 1);
        let dz = dense::backward_input(&doutput.values, &decoder_weight);
        let magnitudes = dense::backward_input(&doutput.values.abs(), &decoder_weight.abs());
        let errors = magnitudes.map(|magnitude| tolerance::sum(outputs + 3, magnitude));
        let of_posterior = passed_on(bench, [&posterior.values, &z.values], [&dz, &errors], range, &dposterior);
        let seen = stored(bench, &dposterior)?;
        let magnitudes = dense::backward_input(&seen.abs(), &weight.abs());
        let errors = magnitudes.map(|magnitude| tolerance::sum(2 * latents, magnitude));
        let of_hidden = Output::matrix("result", &dhidden, &dense::backward_input(&seen, &weight), &errors);
        bench.check_variant(if range.is_some() { "clamped" } else { "" }, program, [of_posterior, of_hidden])?;
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
fn product(name: &'static str, tensor: &Tensor, input: &Matrix, [weight, bias]: &[Matrix; 2]) -> Output {
    let magnitudes = dense::forward(&input.abs(), &weight.abs(), &bias.abs());
    let errors = magnitudes.map(|magnitude| tolerance::sum(input.columns() + 1, magnitude));
    Output::matrix(name, tensor, &dense::forward(input, weight, bias), &errors)
}
