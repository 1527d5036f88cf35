//! The draws from the posterior and the products around them in one kernel. The twin of
//! `shaders/posterior/normal/bottleneck.wgsl` and of the file below it.

use super::{Normal, check, clamped};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Launch, Part, Source, Tensor, source};
use crate::nn::{Layer, Recording};
use crate::posterior::{Bottleneck, Draws};

const FORWARD: Source = source!("posterior/normal/bottleneck.wgsl");
const BACKWARD: Source = source!("posterior/normal/bottleneck/backward.wgsl");

impl Normal {
    /// The formulas are those of the two products and of [`Reparameterised::draw`](super::Reparameterised::draw).
    pub(super) fn record_bottleneck(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        kl: &Tensor,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error> {
        check("the bottleneck", recording.at, draws, Some(kl), None)?;
        let Some(part) = self.filled(FORWARD, recording, draws, around)? else { return Ok(None) };
        let start = |name: &str| recording.parameters.get(name).first_quad();
        let part = clamped(part, self.logvar_range)
            .size("NORMALS_STRIDE", draws.outputs.stride())
            .size("BIAS", start(&around.encoder.bias()))
            .size("DECODER_BIAS", start(&around.decoder.bias()))
            .bind("hidden", around.hidden)
            .bind("posterior", draws.outputs)
            .bind("z", draws.z)
            .bind("kl", kl);
        over_examples(recording.launch(part, "forward")?, draws)
    }

    /// The formulas are those of [`Reparameterised::backward_epilogue`](super::Reparameterised::backward_epilogue) and of the two
    /// products' gradients.
    pub(super) fn record_bottleneck_backward(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        [doutput, dposterior]: [&Tensor; 2],
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error> {
        check("the bottleneck's gradient", recording.at, draws, None, Some(dposterior))?;
        let rows = [draws.z.rows(), around.decoder.output().channels];
        require_shapes("the bottleneck's gradient", [rows], [doutput.shape()])?;
        let Some(part) = self.filled(BACKWARD, recording, draws, around)? else { return Ok(None) };
        let part = clamped(part, self.logvar_range)
            .size("HIDDEN_QUADS", around.hidden.stride() / 4)
            .bind("doutput", doutput)
            .bind("z", draws.z)
            .bind("normals", draws.outputs)
            .bind("dnormals", dposterior);
        over_examples(recording.launch(part, "backward")?, draws)
    }

    /// The values that both kernels need, if they can process such latents.
    fn filled(
        &self,
        source: Source,
        recording: Recording<'_>,
        draws: Draws<'_>,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Part>, Error> {
        let Bottleneck { hidden, encoder, decoder, epilogue } = *around;
        let (at, latents) = (recording.at, draws.z.columns());
        let part = Part::new(source).fill("prior", draws.prior).fill("epilogue", epilogue.part());
        if at.samples != 1 || latents > at.gpu.shader(part.source())?.constant("MOST_LATENTS")? as usize {
            return Ok(None);
        }
        let wanted = [[draws.z.rows(), encoder.input().channels], [2 * latents, latents]];
        let found = [hidden.shape(), [encoder.output().channels, decoder.input().channels]];
        require_shapes("the bottleneck", wanted, found)?;
        let start = |name: &str| recording.parameters.get(name).first_quad();
        let part = part
            .size("L", latents)
            .size("OUTPUTS", decoder.output().channels)
            .size("WEIGHT", start(&encoder.weight()))
            .size("DECODER_WEIGHT", start(&decoder.weight()))
            .bind("parameters", recording.parameters.whole());
        Ok(Some(part))
    }
}

/// Binds the tensors: a workgroup has a few examples.
fn over_examples(launch: Launch<'_>, draws: Draws<'_>) -> Result<Option<Dispatch>, Error> {
    let groups = draws.z.rows().div_ceil(launch.constant("ROWS")?);
    Ok(Some(launch.over_groups([groups, 1, 1])?))
}
