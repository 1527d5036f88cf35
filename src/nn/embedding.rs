//! Tables of tokens' vectors. The twin of `shaders/nn/embedding.wgsl` and of the files below it.

use super::{Init, ParameterSpec, Role};
use crate::Error;
use crate::error::require_shapes;
use crate::gpu::{Arena, Dispatch, Gpu, Part, Source, Tensor, source};
use crate::step::At;

const LOOK_UP: Source = source!("nn/embedding.wgsl");
const OCCURRENCES: Source = source!("nn/embedding/occurrences.wgsl");
const BACKWARD: Source = source!("nn/embedding/backward.wgsl");

/// The initial vectors are uniform within this bound.
const BOUND: f32 = 0.1;

/// A table with a vector for each token; it is in an arena under `name.weight`.
#[derive(Clone, Debug)]
pub struct Embedding {
    name: String,
    /// Rows of the table.
    pub tokens: usize,
    /// Values of a vector, a multiple of 4.
    pub width: usize,
}

/// The places of each token in a batch, as chains.
#[derive(Debug)]
pub struct Places {
    /// `(tokens)`: the first place of each.
    pub(crate) first: Tensor,
    /// `(T * B)`: the place after each.
    pub(crate) next: Tensor,
}

impl Embedding {
    /// Describes a table.
    pub fn new(name: impl Into<String>, tokens: usize, width: usize) -> Embedding {
        Embedding { name: name.into(), tokens, width }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// `weight` `(tokens, width)`, uniform within 0.1.
    pub fn parameter(&self) -> ParameterSpec {
        let (shape, init) = (vec![self.tokens, self.width], Init::Uniform { bound: BOUND });
        ParameterSpec { name: self.weight(), shape, role: Role::Weight, init }
    }

    /// Records `result[row, e] = weight[tokens[row], e]`, zero where there is no token. With latents, each row has those of its draw
    /// after that.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `(T * B)`
    /// - `latents`: `(B * samples, L)`
    /// - `result`: `(T * B * samples, width)`, or `(T * B * samples, width + L)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the columns do not fit.
    pub fn look_up(
        &self,
        at: At<'_>,
        parameters: &Arena,
        tokens: &Tensor,
        latents: Option<&Tensor>,
        result: &Tensor,
    ) -> Result<Dispatch, Error> {
        let columns = self.width + latents.map_or(0, Tensor::columns);
        let rows = tokens.columns() * at.samples;
        require_shapes("looking tokens up", [[rows, columns]], [result.shape()])?;
        let table = parameters.get(&self.weight());
        let mut part = Part::new(LOOK_UP).bind("tokens", tokens).bind("table", &table).bind("result", result);
        let mut entry = "look_up";
        if let Some(latents) = latents {
            (part, entry) = (part.bind("z", latents), "look_up_beside_latents");
        }
        // The override of a tensor that an entry point does not bind still needs a value.
        part = part.offer("Z_QUADS", latents.map_or(0, Tensor::stride) / 4);
        at.launch(part, entry)?.over([result.stride() / 4, result.rows(), 1])
    }

    /// Makes room for the places of tokens, `(T * B)`.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn places(&self, gpu: &Gpu, tokens: &Tensor) -> Result<Places, Error> {
        Ok(Places { first: Tensor::zeros(gpu, 1, self.tokens)?, next: Tensor::zeros(gpu, 1, tokens.columns())? })
    }

    /// Records the gradient with respect to the table from `dresult`, that with respect to the result of [`Embedding::look_up`]:
    /// `dweight[token, e] = sum of dresult[row, e]` over the token's rows, in their order. It is added to the stored one if
    /// `accumulate` is set.
    ///
    /// # Shapes
    ///
    /// - `tokens`: `(T * B)`
    /// - `dresult`: `(T * B * samples, at least width)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the rows do not fit.
    pub fn backward(
        &self,
        at: At<'_>,
        gradients: &Arena,
        (tokens, places): (&Tensor, &Places),
        dresult: &Tensor,
        accumulate: bool,
    ) -> Result<Vec<Dispatch>, Error> {
        let rows = tokens.columns() * at.samples;
        require_shapes("the gradient of an embedding", [[rows, dresult.columns()]], [dresult.shape()])?;
        let dtable = gradients.get(&self.weight());
        let chain = Part::new(OCCURRENCES).bind("tokens", tokens);
        let sum = Part::new(BACKWARD)
            .size("TABLE_QUADS", dtable.stride() / 4)
            .flag("ACCUMULATE", accumulate)
            .bind("dresult", dresult)
            .bind("dtable", &dtable)
            .offer("DZ_QUADS", 0);
        let with_places =
            |part: Part| part.size("TOKENS", self.tokens).bind("first", &places.first).bind("next", &places.next);
        Ok(vec![
            at.launch(with_places(chain), "chain")?.over([self.tokens, 1, 1])?,
            at.launch(with_places(sum), "sum_places")?.over([dtable.stride() / 4, self.tokens, 1])?,
        ])
    }

    /// Records the gradient with respect to the latents beside the vectors: `dz[draw, l] = sum_p dresult[(p, draw), width + l]`. It is
    /// added to the stored one if `accumulate` is set.
    ///
    /// # Shapes
    ///
    /// - `dresult`: `(T * B * samples, width + L)`
    /// - `dz`: `(B * samples, L)`
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the columns do not fit.
    pub fn backward_latents(
        &self,
        at: At<'_>,
        dresult: &Tensor,
        dz: &Tensor,
        accumulate: bool,
    ) -> Result<Dispatch, Error> {
        let columns = self.width + dz.columns();
        require_shapes("the gradient of latents", [[dresult.rows(), columns]], [dresult.shape()])?;
        let part = Part::new(BACKWARD)
            .size("TABLE_QUADS", self.width / 4)
            .flag("ACCUMULATE", accumulate)
            .offer("TOKENS", self.tokens)
            .bind("dresult", dresult)
            .bind("dz", dz);
        at.launch(part, "sum_positions")?.over([dz.stride() / 4, dz.rows(), 1])
    }
}
