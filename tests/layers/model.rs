//! An MLP of gated or normalised layers in f64, and the same on the GPU.

use elbo::gpu::{Program, Tensor};
use elbo::nn::{self, Activation, Epilogue, Mlp, Mode, Normalise, ParameterSpec, Recording};
use elbo::selftest::reference::{Matrix, activation, dense, normalise as reference};
use elbo::steps::Step;

use crate::gradients::matrix;
use crate::support::gpu;

/// An MLP in f64, and the same on the GPU.
pub struct Model {
    activation: Activation,
    normalise: Normalise,
    pub specs: Vec<ParameterSpec>,
    pub parameters: Vec<Matrix>,
}

pub const INPUTS: usize = 9;
const HIDDEN_WIDTHS: [usize; 2] = [10, 7];
pub const OUTPUTS: usize = 5;

/// Examples that the tensors have room for, examples of the batch, and rows of each.
pub const SIZES: [usize; 3] = [7, 5, 2];

/// What the forward pass of a hidden layer leaves.
pub struct Hidden {
    input: Matrix,
    pre: Matrix,
    xhat: Matrix,
    normalised: Matrix,
}

impl Model {
    fn mlp(activation: Activation, normalise: Normalise) -> Mlp {
        Mlp::new("mlp", INPUTS, &HIDDEN_WIDTHS, activation, normalise, "output", OUTPUTS)
    }

    pub fn new(activation: Activation, normalise: Normalise) -> Model {
        let specs: Vec<_> = Model::mlp(activation, normalise).parameters().collect();
        let draw = |(seed, spec): (usize, &ParameterSpec)| {
            // What the GPU holds is f32.
            matrix(spec.rows.unwrap_or(1), spec.columns, 0.9, seed + 1).map(|value| f64::from(value as f32))
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

    /// `pre` or its transpose: what is normalised are the columns.
    fn over(&self, pre: &Matrix) -> Matrix {
        if self.normalise == Normalise::Layer { pre.transpose() } else { pre.clone() }
    }

    pub fn forward(&self, parameters: &[Matrix], input: &Matrix) -> (Vec<Hidden>, Matrix) {
        let (mut hidden, mut input) = (Vec::new(), input.clone());
        for index in 0..HIDDEN_WIDTHS.len() {
            let pre = self.layer(parameters, &format!("mlp.{index}"), &input);
            let (xhat, normalised) = match self.normalise {
                Normalise::None => (pre.clone(), pre.clone()),
                _ => {
                    let columns = self.over(&pre);
                    let xhat = self.over(&reference::standardise(&columns, &reference::statistics(&columns)));
                    let norm = self.parameter(parameters, &format!("mlp.{index}.norm"));
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
            let name = if index < HIDDEN_WIDTHS.len() { format!("mlp.{index}") } else { "output".to_owned() };
            if index < HIDDEN_WIDTHS.len() {
                dpre = match self.activation {
                    Activation::Gated => activation::gate_backward(&activation::gate_slopes(normalised), &dpre),
                    kind => dpre.zip(normalised, |d, value| d * activation::derivative(kind, value)),
                };
                if self.normalise != Normalise::None {
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

    /// The output, the gradients of the parameters, in order, and that of the input, as the GPU makes them.
    pub fn on_the_gpu(&self, input: &Matrix, doutput: &Matrix) -> (Matrix, Vec<Matrix>, Matrix) {
        let [capacity, examples, samples] = SIZES;
        let mlp = Model::mlp(self.activation, self.normalise);
        let [parameters, gradients] = [(); 2].map(|()| nn::arena(gpu(), &self.specs).unwrap());
        for (spec, values) in self.specs.iter().zip(&self.parameters) {
            let values: Vec<f32> = values.values().iter().map(|value| *value as f32).collect();
            parameters.get(&spec.name).write(gpu(), &values).unwrap();
        }
        let rows = capacity * samples;
        // Rows past the end hold what must not count.
        let tensor = |values: &Matrix| {
            let mut words = vec![1e3f32; rows * values.columns()];
            for (word, value) in words.iter_mut().zip(values.values()) {
                *word = *value as f32;
            }
            Tensor::from_values(gpu(), rows, values.columns(), &words).unwrap()
        };
        let (x, dy) = (tensor(input), tensor(doutput));
        let [y, dx] = [OUTPUTS, INPUTS].map(|columns| Tensor::zeros(gpu(), rows, columns).unwrap());
        let step = Step::tensor(gpu()).unwrap();
        let row = Step { rows: examples as u32, ..Step::default() };
        step.write(gpu(), bytemuck::cast_slice::<Step, u32>(&[row])).unwrap();
        let recording = Recording {
            gpu: gpu(),
            step: &step,
            parameters: &parameters,
            samples,
            mode: Mode::Training,
            accumulate: false,
        };
        let values = mlp.activations(gpu(), &x).unwrap();
        let mut program = Program::default();
        program.extend(mlp.forward(recording, &values, &Epilogue::store(&y)).unwrap());
        program.extend(mlp.backward(recording, &gradients, &values, &dy, Some(&Epilogue::store(&dx))).unwrap());
        gpu().run(&program, 1);
        let read = |tensor: &Tensor, rows: usize| {
            let (words, columns): (Vec<f32>, _) = (tensor.read(gpu()).unwrap(), tensor.columns());
            Matrix::from_fn(rows, columns, |r, c| f64::from(words[r * columns + c]))
        };
        let of_parameters =
            self.specs.iter().map(|spec| read(&gradients.get(&spec.name), spec.rows.unwrap_or(1))).collect();
        (read(&y, examples * samples), of_parameters, read(&dx, examples * samples))
    }
}
