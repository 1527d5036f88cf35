//! Stacks of blocks: products with a normalisation and an activation between them, the last one linear.

mod build;
mod describe;
mod values;

pub use build::{StackConfig, Upsample};
use values::BlockValues;
pub use values::{StackGradients, StackValues};

use std::ops::Range;

use super::exact::{ExactBlock, ExactShortcut, ExactStack, HostParameters};
use super::{Activation, Dense, Epilogue, Extent, Layer, Norm, ParameterSpec, Product, Recording, WeightGradient, sum};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};

/// A stack of blocks and a linear output layer.
#[derive(Clone, Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    shortcuts: Vec<Shortcut>,
    output: Product,
}

/// A product, its normalisation and its activation.
#[derive(Clone, Debug)]
struct Block {
    product: Product,
    norm: Option<Norm>,
    /// None for a block that is linear, such as the last one of a residual block.
    activation: Option<Activation>,
}

/// A way round some blocks: what enters the first of them is added to the product of the last one.
#[derive(Clone, Debug)]
struct Shortcut {
    blocks: Range<usize>,
    /// A product on the way, if the sizes differ.
    projection: Option<Product>,
}

impl Block {
    fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        self.product.layer().parameters().into_iter().chain(self.norm.as_ref().map(Norm::parameter))
    }

    /// The size of its output: a gated unit has two values of the product.
    fn output(&self) -> Extent {
        let product = self.product.layer().output();
        Extent { channels: product.channels / self.activation.map_or(1, Activation::inputs), ..product }
    }

    fn forward(
        &self,
        recording: Recording<'_>,
        input: &Tensor,
        values: &BlockValues,
        slope: Option<&Tensor>,
        shortcut: Option<&Tensor>,
    ) -> Result<Vec<Dispatch>, Error> {
        let product = self.product.layer();
        let activated = match (self.activation, shortcut) {
            (Some(activation), _) => activation.forward(recording.at.gpu, &values.output, slope)?,
            (None, Some(shortcut)) => Epilogue::plus(&values.output, shortcut)?,
            (None, None) => Epilogue::store(&values.output),
        };
        match (&self.norm, &values.norm) {
            (Some(norm), Some(values)) => {
                let mut dispatches = product.forward(recording, input, &Epilogue::store(&values.pre))?;
                dispatches.push(norm.forward(recording.of(product.output()), values, &activated)?);
                Ok(dispatches)
            }
            _ => product.forward(recording, input, &activated),
        }
    }

    /// Records the backward pass of the normalisation, which follows that of the activation.
    fn backward_norm(
        &self,
        recording: Recording<'_>,
        gradients: &Arena,
        values: &BlockValues,
        gradient: &Tensor,
    ) -> Result<Vec<Dispatch>, Error> {
        match (&self.norm, &values.norm) {
            (Some(norm), Some(values)) => {
                norm.backward(recording.of(self.product.layer().output()), gradients, values, gradient)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The epilogue that passes a gradient through the activation, for a layer that sees the output as `of`.
    fn through(&self, [slope, gradient]: &[Tensor; 2], of: Extent) -> Result<Epilogue, Error> {
        let examples = gradient.rows() / self.product.layer().output().rows();
        let [rows, columns] = of.matrix(examples);
        match self.activation {
            Some(activation) => {
                let shape = [rows, columns * activation.inputs()];
                activation.backward(&slope.reshaped(shape)?, &gradient.reshaped(shape)?)
            }
            None => Ok(Epilogue::store(&gradient.reshaped([rows, columns])?)),
        }
    }
}

impl Stack {
    /// The projections of the shortcuts, each if it has one.
    fn projections(&self) -> impl Iterator<Item = Option<&dyn Layer>> {
        self.shortcuts.iter().map(|shortcut| shortcut.projection.as_ref().map(Product::layer))
    }

    /// The products, first to last, with the projections of shortcuts.
    fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        let products = self.blocks.iter().map(|block| &block.product).chain([&self.output]);
        products.map(Product::layer).chain(self.projections().flatten())
    }

    /// The product of a layer, by its number; the last one is the output layer's.
    fn product(&self, layer: usize) -> &dyn Layer {
        self.blocks.get(layer).map_or(&self.output, |block| &block.product).layer()
    }

    /// The parameters of all layers, first to last; those of shortcuts after the others.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        let of_projections = self.projections().flatten().flat_map(Layer::parameters);
        self.blocks.iter().flat_map(Block::parameters).chain(self.output.layer().parameters()).chain(of_projections)
    }

    /// The stack on the CPU.
    pub fn exact(&self, parameters: &HostParameters) -> ExactStack {
        let product = |product: &Product| product.layer().exact(parameters);
        let block = |block: &Block| ExactBlock {
            product: product(&block.product),
            norm: block.norm.as_ref().map(|norm| norm.exact(parameters)),
            activation: block.activation,
        };
        let shortcut = |Shortcut { blocks, projection }: &Shortcut| ExactShortcut {
            blocks: blocks.clone(),
            projection: projection.as_ref().map(product),
        };
        ExactStack {
            blocks: self.blocks.iter().map(block).collect(),
            shortcuts: self.shortcuts.iter().map(shortcut).collect(),
            output: product(&self.output),
        }
    }

    /// Floating-point operations of the forward pass for one sample of an example, product by product.
    pub fn flops(&self) -> Vec<f64> {
        self.layers().map(Layer::flops).collect()
    }

    /// The most values that a tensor has for each sample of an example.
    pub fn widest(&self) -> usize {
        self.layers().flat_map(|layer| [layer.input(), layer.output()]).map(Extent::padded_len).max().unwrap_or(0)
    }

    /// The most positions of a grid for each sample of an example.
    pub fn most_positions(&self) -> usize {
        let grids = self.layers().flat_map(|layer| [layer.input(), layer.output()]);
        grids.map(|extent| extent.positions[0] * extent.positions[1]).max().unwrap_or(1)
    }

    /// The last layer, if it is a dense one.
    pub fn dense_output(&self) -> Option<&Dense> {
        match &self.output {
            Product::Dense(dense) => Some(dense),
            _ => None,
        }
    }

    /// The first hidden layer and what follows its product, if it is a dense one without normalisation.
    ///
    /// # Errors
    ///
    /// As [`Activation::forward`].
    pub fn dense_input(
        &self,
        gpu: &Gpu,
        values: &StackValues,
        gradients: Option<&StackGradients>,
    ) -> Result<Option<(&Dense, Epilogue)>, Error> {
        let Some(Block { product: Product::Dense(dense), norm: None, activation: Some(activation) }) =
            self.blocks.first()
        else {
            return Ok(None);
        };
        let slope = gradients.map(|gradients| &gradients.blocks[0][0]);
        Ok(Some((dense, activation.forward(gpu, &values.blocks[0].output, slope)?)))
    }

    /// The first hidden layer with its input and the gradient with respect to its product, if it is a dense one without
    /// normalisation.
    pub fn first_gradient<'a>(
        &'a self,
        values: &'a StackValues,
        gradients: &'a StackGradients,
    ) -> Option<WeightGradient<'a>> {
        let Some(Block { product: Product::Dense(layer), norm: None, .. }) = self.blocks.first() else { return None };
        Some(WeightGradient { layer, input: values.input_of(0), doutput: &gradients.blocks[0][1] })
    }

    /// The epilogue that passes a gradient through the last hidden layer's activation, if no normalisation is before it.
    ///
    /// # Errors
    ///
    /// As [`Activation::backward`].
    pub fn through_last_hidden(&self, gradients: &StackGradients) -> Result<Option<Epilogue>, Error> {
        let (Some(block @ Block { norm: None, activation: Some(_), .. }), Some(tensors)) =
            (self.blocks.last(), gradients.blocks.last())
        else {
            return Ok(None);
        };
        Ok(Some(block.through(tensors, self.output.layer().input())?))
    }

    /// Columns of the result of the first product.
    pub fn first_columns(&self) -> usize {
        self.product(0).output().channels
    }

    /// The number of hidden layers.
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Records all layers. The epilogue `output` decides what happens to the last one's output. If there are gradients,
    /// the derivatives that the backward pass needs are stored there.
    ///
    /// # Shapes
    ///
    /// - the input of `values`: `(B * samples * positions, channels)` of the input
    /// - the epilogue's result: `(B * samples * positions, channels)` of the output
    ///
    /// # Errors
    ///
    /// As [`Layer::forward`] and [`Norm::forward`].
    pub fn forward(
        &self,
        recording: Recording<'_>,
        values: &StackValues,
        gradients: Option<&StackGradients>,
        output: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = self.forward_hidden(recording, values, gradients, 0..self.depth())?;
        dispatches.extend(self.forward_output(recording, values, output)?);
        Ok(dispatches)
    }

    /// Records some of the hidden layers.
    ///
    /// # Errors
    ///
    /// As [`Stack::forward`].
    pub fn forward_hidden(
        &self,
        recording: Recording<'_>,
        values: &StackValues,
        gradients: Option<&StackGradients>,
        layers: Range<usize>,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        for index in layers {
            let mut brought = None;
            if let Some(number) = self.shortcuts.iter().position(|shortcut| shortcut.blocks.end == index + 1) {
                let from = values.input_of(self.shortcuts[number].blocks.start);
                brought = Some(from);
                if let (Some(projection), Some(to)) = (&self.shortcuts[number].projection, &values.projected[number]) {
                    dispatches.extend(projection.layer().forward(recording, from, &Epilogue::store(to))?);
                    brought = Some(to);
                }
            }
            let slope = gradients.map(|gradients| &gradients.blocks[index][0]);
            let (input, values) = (values.input_of(index), &values.blocks[index]);
            dispatches.extend(self.blocks[index].forward(recording, input, values, slope, brought)?);
        }
        Ok(dispatches)
    }

    /// Records the last layer.
    ///
    /// # Errors
    ///
    /// As [`Stack::forward`].
    pub fn forward_output(
        &self,
        recording: Recording<'_>,
        values: &StackValues,
        output: &Epilogue,
    ) -> Result<Vec<Dispatch>, Error> {
        self.output.layer().forward(recording, values.input_of(self.depth()), output)
    }

    /// Records the gradients of all parameters from `doutput`, the gradient with respect to the output, and passes the
    /// gradient with respect to the input to the epilogue `dinput`.
    ///
    /// # Shapes
    ///
    /// - `doutput`: `(B * samples * positions, channels)` of the output
    /// - the epilogue's result: `(B * samples * positions, channels)` of the input
    ///
    /// # Errors
    ///
    /// As [`Layer::backward`] and [`Norm::backward`].
    pub fn backward(
        &self,
        recording: Recording<'_>,
        parameters: &Arena,
        (values, gradients): (&StackValues, &StackGradients),
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
    ) -> Result<Vec<Dispatch>, Error> {
        self.backward_layers(recording, parameters, (values, gradients), doutput, dinput, 0..self.depth() + 1)
    }

    /// The same for some of the layers, which are counted from the input; the last one is the output layer. `doutput` is for the
    /// output layer, and `dinput` for the first one.
    ///
    /// # Errors
    ///
    /// As [`Stack::backward`].
    pub fn backward_layers(
        &self,
        recording: Recording<'_>,
        parameters: &Arena,
        (values, gradients): (&StackValues, &StackGradients),
        doutput: &Tensor,
        dinput: Option<&Epilogue>,
        layers: Range<usize>,
    ) -> Result<Vec<Dispatch>, Error> {
        let mut dispatches = Vec::new();
        for index in layers.rev() {
            let doutput = gradients.blocks.get(index).map_or(doutput, |[_, gradient]| gradient);
            let (layer, input) = (self.product(index), values.input_of(index));
            let Some(below) = index.checked_sub(1) else {
                dispatches.extend(layer.backward(recording, parameters, input, doutput, dinput)?);
                continue;
            };
            let through = self.blocks[below].through(&gradients.blocks[below], layer.input())?;
            match self.shortcuts.iter().position(|shortcut| shortcut.blocks.start == index) {
                None => dispatches.extend(layer.backward(recording, parameters, input, doutput, Some(&through))?),
                Some(number) => {
                    let Shortcut { blocks, projection } = &self.shortcuts[number];
                    let after = &gradients.blocks[blocks.end - 1][1];
                    let mut brought = after;
                    if let (Some(projection), Some(to)) = (projection, &gradients.projected[number]) {
                        let store = Epilogue::store(to);
                        let layer = projection.layer();
                        dispatches.extend(layer.backward(recording, parameters, input, after, Some(&store))?);
                        brought = to;
                    }
                    dispatches.push(sum(recording.of(layer.input()), doutput, Some(brought), &through)?);
                }
            }
            let (block, gradient) = (&self.blocks[below], &gradients.blocks[below][1]);
            dispatches.extend(block.backward_norm(recording, parameters, &values.blocks[below], gradient)?);
        }
        Ok(dispatches)
    }
}
