//! Stacks of blocks: products with a normalisation and an activation between them, the last one linear.

use std::ops::Range;

use super::{
    Activation, Dense, Epilogue, Extent, Layer, Norm, NormKind, NormValues, ParameterSpec, Product, Recording,
    WeightGradient,
};
use crate::Error;
use crate::gpu::{Arena, Dispatch, Gpu, Tensor};

/// A stack of blocks and a linear output layer.
#[derive(Clone, Debug)]
pub struct Stack {
    blocks: Vec<Block>,
    output: Product,
}

/// A product, its normalisation and its activation.
#[derive(Clone, Debug)]
struct Block {
    product: Product,
    norm: Option<Norm>,
    activation: Activation,
}

/// The shape of a stack.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig<'a> {
    /// Widths of the hidden layers, first to last.
    pub hidden: &'a [usize],
    /// The activation after each of them.
    pub activation: Activation,
    /// The normalisation before each activation.
    pub normalise: NormKind,
}

/// The values inside a [`Stack`] for one batch.
#[derive(Debug)]
pub struct StackValues {
    input: Tensor,
    blocks: Vec<BlockValues>,
}

#[derive(Debug)]
struct BlockValues {
    output: Tensor,
    norm: Option<NormValues>,
}

/// The tensors of a backward pass through a [`Stack`], apart from the values: for each block the derivative of the
/// activation, which the forward pass stores, and the gradient with respect to the activation's input.
#[derive(Debug)]
pub struct StackGradients {
    blocks: Vec<[Tensor; 2]>,
}

impl StackValues {
    /// The input of a layer, by its number; the last one is the output layer's.
    pub fn input_of(&self, layer: usize) -> &Tensor {
        if layer == 0 { &self.input } else { &self.blocks[layer - 1].output }
    }
}

impl Block {
    fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        self.product.layer().parameters().into_iter().chain(self.norm.as_ref().map(Norm::parameter))
    }

    fn forward(
        &self,
        recording: Recording<'_>,
        input: &Tensor,
        values: &BlockValues,
        slope: Option<&Tensor>,
    ) -> Result<Vec<Dispatch>, Error> {
        let product = self.product.layer();
        let recording = recording.of(product.output());
        let activated = self.activation.forward(recording.at.gpu, &values.output, slope)?;
        match (&self.norm, &values.norm) {
            (Some(norm), Some(values)) => {
                let mut dispatches = product.forward(recording, input, &Epilogue::store(&values.pre))?;
                dispatches.push(norm.forward(recording, values, &activated)?);
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
}

impl Stack {
    /// Describes a stack of dense layers from `inputs` to `outputs`.
    ///
    /// The hidden layers are called `name.0`, `name.1`, and so on; the last one is called `output_name`.
    pub fn dense(
        [name, output_name]: [&str; 2],
        [inputs, outputs]: [usize; 2],
        StackConfig { hidden, activation, normalise }: StackConfig<'_>,
    ) -> Stack {
        let mut width = inputs;
        let mut blocks = Vec::new();
        for (index, &next) in hidden.iter().enumerate() {
            let (name, columns) = (format!("{name}.{index}"), next * activation.inputs());
            let norm = normalise.of_layer(&name, columns);
            blocks.push(Block { product: Product::Dense(Dense::new(name, width, columns)), norm, activation });
            width = next;
        }
        Stack { blocks, output: Product::Dense(Dense::new(output_name, width, outputs)) }
    }

    /// The products, first to last.
    fn layers(&self) -> impl Iterator<Item = &dyn Layer> {
        self.blocks.iter().map(|block| &block.product).chain([&self.output]).map(Product::layer)
    }

    /// The size of its output.
    pub fn output(&self) -> Extent {
        self.output.layer().output()
    }

    /// The parameters of all layers, first to last.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterSpec> {
        self.blocks.iter().flat_map(Block::parameters).chain(self.output.layer().parameters())
    }

    /// Floating-point operations of the forward pass for one sample of an example, product by product.
    pub fn flops(&self) -> Vec<f64> {
        self.layers().map(Layer::flops).collect()
    }

    /// The most values that a tensor has for each sample of an example.
    pub fn widest(&self) -> usize {
        let values = |extent: Extent| extent.rows() * extent.channels;
        self.layers().flat_map(|layer| [layer.input(), layer.output()]).map(values).max().unwrap_or(0)
    }

    /// The rows and columns of a product's result for a batch as large as the input of the stack.
    fn shape(&self, product: &Product, input: &Tensor) -> [usize; 2] {
        let first = self.layers().next().map_or(1, |layer| layer.input().rows());
        let output = product.layer().output();
        [input.rows() / first * output.rows(), output.channels]
    }

    /// Makes the tensors for batches as large as `input`, `(B * samples * positions, channels)`.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn values(&self, gpu: &Gpu, input: &Tensor) -> Result<StackValues, Error> {
        let mut blocks = Vec::new();
        for Block { product, norm, activation } in &self.blocks {
            let [rows, columns] = self.shape(product, input);
            blocks.push(BlockValues {
                output: Tensor::zeros(gpu, rows, columns / activation.inputs())?,
                norm: norm.as_ref().map(|norm| norm.values(gpu, rows)).transpose()?,
            });
        }
        Ok(StackValues { input: input.clone(), blocks })
    }

    /// Makes the tensors for a backward pass through the values.
    ///
    /// # Errors
    ///
    /// As [`Tensor::zeros`].
    pub fn gradients(&self, gpu: &Gpu, values: &StackValues) -> Result<StackGradients, Error> {
        let mut blocks = Vec::new();
        for Block { product, .. } in &self.blocks {
            let [rows, columns] = self.shape(product, &values.input);
            blocks.push([Tensor::zeros(gpu, rows, columns)?, Tensor::zeros(gpu, rows, columns)?]);
        }
        Ok(StackGradients { blocks })
    }

    /// The last layer, if it is a dense one.
    pub fn dense_output(&self) -> Option<&Dense> {
        let Product::Dense(dense) = &self.output;
        Some(dense)
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
        let Some(Block { product: Product::Dense(dense), norm: None, activation }) = self.blocks.first() else {
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
        Some(WeightGradient { layer, input: &values.input, doutput: &gradients.blocks[0][1] })
    }

    /// The epilogue that passes a gradient through the last hidden layer's activation, if no normalisation is before it.
    ///
    /// # Errors
    ///
    /// As [`Activation::backward`].
    pub fn through_last_hidden(&self, gradients: &StackGradients) -> Result<Option<Epilogue>, Error> {
        let (Some(Block { norm: None, activation, .. }), Some([slope, gradient])) =
            (self.blocks.last(), gradients.blocks.last())
        else {
            return Ok(None);
        };
        Ok(Some(activation.backward(slope, gradient)?))
    }

    /// Columns of the result of the first product.
    pub fn first_columns(&self) -> usize {
        self.layers().next().map_or(0, |layer| layer.output().channels)
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
            let slope = gradients.map(|gradients| &gradients.blocks[index][0]);
            let (input, values) = (values.input_of(index), &values.blocks[index]);
            dispatches.extend(self.blocks[index].forward(recording, input, values, slope)?);
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
        self.output.layer().forward(recording.of(self.output()), values.input_of(self.depth()), output)
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
            let (product, doutput) = match self.blocks.get(index) {
                Some(block) => (&block.product, &gradients.blocks[index][1]),
                None => (&self.output, doutput),
            };
            let (layer, input) = (product.layer(), values.input_of(index));
            let recording = recording.of(layer.output());
            let Some(below) = index.checked_sub(1) else {
                dispatches.extend(layer.backward(recording, parameters, input, doutput, dinput)?);
                continue;
            };
            let (block, [slope, gradient]) = (&self.blocks[below], &gradients.blocks[below]);
            let through = block.activation.backward(slope, gradient)?;
            dispatches.extend(layer.backward(recording, parameters, input, doutput, Some(&through))?);
            dispatches.extend(block.backward_norm(recording, parameters, &values.blocks[below], gradient)?);
        }
        Ok(dispatches)
    }
}
