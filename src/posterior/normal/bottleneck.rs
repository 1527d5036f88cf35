//! The draws from the posterior and the products around them in one kernel. The twin of
//! `shaders/posterior/normal/bottleneck.wgsl`.

use super::{Normal, check, clamped};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Dispatch, Part, Source, Tensor, source};
use crate::nn::{Layer, Recording};
use crate::posterior::{Bottleneck, Draws};

const SOURCE: Source = source!("posterior/normal/bottleneck.wgsl");

impl Normal {
    /// The formulas are those of the two products and of [`Reparameterised::draw`](super::Reparameterised::draw).
    pub(super) fn record_bottleneck(
        &self,
        recording: Recording<'_>,
        draws: Draws<'_>,
        kl: &Tensor,
        around: &Bottleneck<'_>,
    ) -> Result<Option<Dispatch>, Error> {
        let Bottleneck { hidden, encoder, decoder, epilogue } = *around;
        let (at, latents) = (recording.at, draws.z.columns());
        let filled = Part::new(SOURCE).fill("prior", draws.prior).fill("epilogue", epilogue.part());
        if at.samples != 1 || latents > at.gpu.shader(filled.source())?.constant("MOST_LATENTS")? as usize {
            return Ok(None);
        }
        check("the bottleneck", at, draws, Some(kl), None)?;
        let wanted = [[draws.z.rows(), encoder.input().channels], [2 * latents, latents]];
        let found = [hidden.shape(), [encoder.output().channels, decoder.input().channels]];
        require_shapes("the bottleneck", wanted, found)?;
        let start = |name: &str| recording.parameters.get(name).first_quad();
        let part = filled
            .size("L", latents)
            .size("NORMALS_STRIDE", draws.outputs.stride())
            .size("OUTPUTS", decoder.output().channels)
            .size("WEIGHT", start(&encoder.weight()))
            .size("BIAS", start(&encoder.bias()))
            .size("DECODER_WEIGHT", start(&decoder.weight()))
            .size("DECODER_BIAS", start(&decoder.bias()))
            .bind("hidden", hidden)
            .bind("parameters", recording.parameters.whole())
            .bind("posterior", draws.outputs)
            .bind("z", draws.z)
            .bind("kl", kl);
        let launch = recording.launch(clamped(part, self.logvar_range), "forward")?;
        let groups = draws.z.rows().div_ceil(launch.constant("ROWS")?);
        Ok(Some(launch.over_groups([groups, 1, 1])?))
    }
}
