//! A stack of gated or normalised layers in f64, and the same on the GPU.

use elbo::gpu::{Program, Tensor};
use elbo::nn::{
    self, Activation, Epilogue, Extent, Layers, Mode, NormKind, ParameterSpec, Recording, Stack, StackConfig, Upsample,
};
use elbo::selftest::Matrix;
use elbo::selftest::nn::{activation, dense, normalise as reference};
use elbo::step::{At, Step};

use crate::support::differences::matrix;
use crate::support::gpu;

/// A stack in f64, and the same on the GPU.
pub struct Model {
    activation: Activation,
    normalise: NormKind,
    pub specs: Vec<ParameterSpec>,
    pub parameters: Vec<Matrix>,
}

pub const INPUTS: usize = 9;
const HIDDEN_WIDTHS: [usize; 2] = [10, 7];
pub const OUTPUTS: usize = 5;

/// The most examples of the tensors, the examples of the batch, and the rows of each example.
pub const SIZES: [usize; 3] = [7, 5, 2];

/// The values of the forward pass of a hidden layer.
pub struct Hidden {
    input: Matrix,
    pre: Matrix,
    xhat: Matrix,
    normalised: Matrix,
}

impl Model {
    fn stack(activation: Activation, normalise: NormKind) -> Stack {
        let (hidden, upsample) = (&Layers::dense(&HIDDEN_WIDTHS), Upsample::default());
        let config = StackConfig { hidden, activation, normalise, upsample };
        Stack::encoder(["stack", "output"], Extent::vector(INPUTS), OUTPUTS, config)
    }

    pub fn new(activation: Activation, normalise: NormKind) -> Model {
        let specs: Vec<_> = Model::stack(activation, normalise).parameters().collect();
        let draw = |(seed, spec): (usize, &ParameterSpec)| {
            // The GPU has f32 values.
            matrix(spec.rows(), spec.columns(), 0.9, seed + 1).map(|value| f64::from(value as f32))
        };
        let parameters = specs.iter().enumerate().map(draw).collect();
        Model { activation, normalise, specs, parameters }
    }

    fn parameter<'a>(&self, parameters: &'a [Matrix], name: &str) -> &'a Matrix {
        &parameters[self.specs.iter().position(|spec| spec.name == name).unwrap()]
    }

    fn layer(&self, parameters: &[Matrix], name: &str, input: &Matrix) -> Matrix {
        let parameter = |part: &str| self.parameter(parameters, &format!("{name}.{part}"));
        dense::forward(input, parameter("weight"), parameter("bias"))
    }

    /// `pre` or its transpose: the columns are normalised.
    fn over(&self, pre: &Matrix) -> Matrix {
        if self.normalise == NormKind::Layer { pre.transpose() } else { pre.clone() }
    }

    pub fn forward(&self, parameters: &[Matrix], input: &Matrix) -> (Vec<Hidden>, Matrix) {
        let (mut hidden, mut input) = (Vec::new(), input.clone());
        for index in 0..HIDDEN_WIDTHS.len() {
            let pre = self.layer(parameters, &format!("stack.{index}"), &input);
            let (xhat, normalised) = match self.normalise {
                NormKind::None => (pre.clone(), pre.clone()),
                _ => {
                    let columns = self.over(&pre);
                    let xhat = self.over(&reference::standardise(&columns, &reference::statistics(&columns)));
                    let norm = self.parameter(parameters, &format!("stack.{index}.norm"));
                    let normalised = reference::scale_and_shift(&xhat, norm);
                    (xhat, normalised)
                }
            };
            let output = match self.activation {
                Activation::Gated => activation::gate(&normalised),
                kind => normalised.map(|value| activation::activate(kind, value)),
            };
            hidden.push(Hidden { input, pre, xhat, normalised });
            input = output;
        }
        let output = self.layer(parameters, "output", &input);
        hidden.push(Hidden { input, pre: output.clone(), xhat: output.clone(), normalised: output.clone() });
        (hidden, output)
    }

    /// The gradients of the parameters, in order, and of the input.
    pub fn backward(&self, input: &Matrix, doutput: &Matrix) -> (Vec<Matrix>, Matrix) {
        let (hidden, _) = self.forward(&self.parameters, input);
        let mut gradients = Vec::new();
        let mut doutput = doutput.clone();
        for (index, Hidden { input, pre, xhat, normalised }) in hidden.iter().enumerate().rev() {
            let mut of_layer = Vec::new();
            let mut dpre = doutput;
            let name = if index < HIDDEN_WIDTHS.len() { format!("stack.{index}") } else { "output".to_owned() };
            if index < HIDDEN_WIDTHS.len() {
                dpre = match self.activation {
                    Activation::Gated => activation::gate_backward(&activation::gate_slopes(normalised), &dpre),
                    kind => dpre.zip(normalised, |d, value| d * activation::derivative(kind, value)),
                };
                if self.normalise != NormKind::None {
                    let norm = self.parameter(&self.parameters, &format!("{name}.norm"));
                    let dnorm = reference::parameters_backward(xhat, &dpre);
                    let or_zero = |r: usize, c| if r < 2 { dnorm.at(r, c) } else { 0.0 };
                    of_layer.push(Matrix::from_fn(norm.rows(), norm.columns(), or_zero));
                    let (columns, g) = (self.over(pre), self.over(&reference::through_scale(&dpre, norm)));
                    let statistics = reference::statistics(&columns);
                    dpre = self.over(&reference::standardise_backward(&columns, &statistics, &g));
                }
            }
            let (dweight, dbias) = dense::backward_weight(input, &dpre);
            of_layer.extend([dbias, dweight]);
            gradients.extend(of_layer);
            doutput = dense::backward_input(&dpre, self.parameter(&self.parameters, &format!("{name}.weight")));
        }
        gradients.reverse();
        (gradients, doutput)
    }

    /// The output, the gradients of the parameters, in order, and that of the input, as the GPU computes them.
    pub fn on_the_gpu(&self, input: &Matrix, doutput: &Matrix) -> (Matrix, Vec<Matrix>, Matrix) {
        let [capacity, examples, samples] = SIZES;
        let stack = Model::stack(self.activation, self.normalise);
        let [parameters, gradients] = [(); 2].map(|()| nn::arena(gpu(), &self.specs).unwrap());
        for (spec, values) in self.specs.iter().zip(&self.parameters) {
            let values: Vec<f32> = values.values().iter().map(|value| *value as f32).collect();
            parameters.get(&spec.name).write(gpu(), &values).unwrap();
        }
        let rows = capacity * samples;
        // Rows past the end have values that must not count.
        let tensor = |values: &Matrix| {
            let mut words = vec![1e3f32; rows * values.columns()];
            for (word, value) in words.iter_mut().zip(values.values()) {
                *word = *value as f32;
            }
            Tensor::from_values(gpu(), rows, values.columns(), &words).unwrap()
        };
        let (x, dy) = (tensor(input), tensor(doutput));
        let [y, dx] = [OUTPUTS, INPUTS].map(|columns| Tensor::zeros(gpu(), rows, columns).unwrap());
        let step = Step { examples: examples as u32, ..Step::default() }.upload(gpu()).unwrap();
        let at = At::new(gpu(), &step, samples);
        let recording = Recording::new(at, &parameters, Mode::Training);
        let values = stack.values(gpu(), &x).unwrap();
        let through = stack.gradients(gpu(), &values).unwrap();
        let dinput = Epilogue::store(&dx);
        let mut program = Program::default();
        program.extend(stack.forward(recording, &values, Some(&through), &Epilogue::store(&y)).unwrap());
        program.extend(stack.backward(recording, &gradients, (&values, &through), &dy, Some(&dinput)).unwrap());
        gpu().run(&program, 1);
        let read = |tensor: &Tensor, rows: usize| {
            let (words, columns): (Vec<f32>, _) = (tensor.read(gpu()).unwrap(), tensor.columns());
            Matrix::from_fn(rows, columns, |r, c| f64::from(words[r * columns + c]))
        };
        let of_parameters = self.specs.iter().map(|spec| read(&gradients.get(&spec.name), spec.rows())).collect();
        (read(&y, examples * samples), of_parameters, read(&dx, examples * samples))
    }
}
