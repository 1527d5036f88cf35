//! One batch of a model with a mixture as its prior: its gradients from the GPU, and its loss in f64.

use elbo::config::Config;
use elbo::gpu::{Gpu, Program};
use elbo::nn::{self, Mode};
use elbo::noise::{self, Stream};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::prior::Prior;
use elbo::selftest::reference::likelihood::bernoulli;
use elbo::selftest::reference::{Matrix, activation, dense, latents, mixture, objective};
use elbo::steps::Step;
use elbo::train::Trainer;
use elbo::vae::{Network, Vae};

use crate::support::synthetic::{LATENTS, SIZE, dataset, images};

/// One batch of a model on the GPU: its loss's gradients, and the same loss in f64.
pub struct Batch {
    config: Config,
    vae: Vae,
    x: Matrix,
    /// What the GPU drew.
    noise: Matrix,
    pub gradients: Vec<Matrix>,
}

const EXAMPLES: usize = 6;
const KL_WEIGHT: f64 = 0.7;
const CAPACITY: f64 = 0.5;

impl Batch {
    pub fn new(gpu: &Gpu, config: Config) -> Batch {
        let [height, width] = SIZE;
        let data = dataset(40, 8);
        let vae = Trainer::new(gpu, &data, &config).unwrap().vae().clone();
        let network = Network::new(&vae, EXAMPLES, &config.training.objective).unwrap();
        let pixels: Vec<f32> = images(EXAMPLES, 5).pixels().collect();
        network.x.write(gpu, &pixels).unwrap();
        let key = noise::key(3, Stream::Training);
        let (rows, kl_weight, capacity) = (EXAMPLES as u32, KL_WEIGHT as f32, CAPACITY as f32);
        let step = Step { t: 1, rows, kl_weight, capacity, key, ..Step::default() };
        let step_tensor = Step::tensor(gpu).unwrap();
        step_tensor.write(gpu, bytemuck::cast_slice::<Step, u32>(&[step])).unwrap();
        let specs = vae.model().parameters();
        let gradients = nn::arena(gpu, &specs).unwrap();
        let mut program = Program::default();
        program.extend(network.prepare().unwrap());
        program.extend(network.forward(&step_tensor, Mode::Training).unwrap());
        program.extend(network.backward(&step_tensor, &gradients).unwrap());
        gpu.run(&program, 1);
        let (posterior, z) = (network.posterior.read::<f32>(gpu).unwrap(), network.z.read::<f32>(gpu).unwrap());
        let samples = config.training.objective.samples;
        let noise = Matrix::from_fn(EXAMPLES * samples, LATENTS, |r, l| {
            let row = &posterior[r / samples * 2 * LATENTS..];
            let [mean, logvar, z] = [row[l], row[l + LATENTS], z[r * LATENTS + l]].map(f64::from);
            (z - mean) / (0.5 * Batch::held(&config, logvar)).exp()
        });
        let x = Matrix::from_fn(EXAMPLES, height * width, |b, d| f64::from(pixels[b * height * width + d]));
        let gradients = gradients.read(gpu).unwrap();
        let gradients = specs.iter().zip(gradients).map(|(spec, values)| Batch::wide(spec.columns, &values)).collect();
        Batch { config, vae, x, noise, gradients }
    }

    fn wide(columns: usize, values: &[f32]) -> Matrix {
        Matrix::from_fn(values.len() / columns, columns, |r, c| f64::from(values[r * columns + c]))
    }

    fn parameters(&self) -> Vec<Matrix> {
        let values = self.vae.parameters().read(self.vae.gpu()).unwrap();
        let specs = self.vae.model().parameters();
        specs.iter().zip(values).map(|(spec, values)| Batch::wide(spec.columns, &values)).collect()
    }

    fn held(config: &Config, logvar: f64) -> f64 {
        config.model.posterior.logvar_range.map_or(logvar, |range| logvar.clamp(range.min.into(), range.max.into()))
    }

    /// A posterior, from inputs or from pseudo-inputs.
    fn encode(&self, parameters: &[Matrix], input: &Matrix) -> Matrix {
        let hidden = dense::forward(input, &parameters[0], &parameters[1]);
        let hidden = hidden.map(|x| activation::activate(self.config.model.activation, x));
        let posterior = dense::forward(&hidden, &parameters[2], &parameters[3]);
        Matrix::from_fn(posterior.rows(), 2 * LATENTS, |r, c| {
            let value = posterior.at(r, c);
            if c < LATENTS { value } else { Batch::held(&self.config, value) }
        })
    }

    /// The components of the prior.
    fn components(&self, parameters: &[Matrix]) -> Matrix {
        let own = parameters.last().unwrap();
        if self.config.model.prior.prior == Prior::VampPrior {
            return self.encode(parameters, own);
        }
        Matrix::from_fn(own.rows(), 2 * LATENTS, |r, c| {
            if c < LATENTS { own.at(r, c) } else { Batch::held(&self.config, own.at(r, c)) }
        })
    }

    fn loss(&self, parameters: &[Matrix], components: &Matrix) -> f64 {
        let ObjectiveConfig { objective, samples, .. } = self.config.training.objective;
        let posterior = latents::repeat(&self.encode(parameters, &self.x), samples);
        let z = latents::reparameterise(&posterior, &self.noise);
        let hidden = dense::forward(&z, &parameters[4], &parameters[5]);
        let hidden = hidden.map(|x| activation::activate(self.config.model.activation, x));
        let logits = dense::forward(&hidden, &parameters[6], &parameters[7]);
        let log_prob = bernoulli::log_prob(&latents::repeat(&self.x, samples), &logits);
        let prior = mixture::log_prob(&mixture::scores(&z, &mixture::prepare(components)));
        let log_posterior = mixture::log_posterior(&posterior, &self.noise);
        let kl = Matrix::from_fn(z.rows(), 1, |r, _| log_posterior.row(r).iter().sum::<f64>() - prior[r]);
        let mean = |values: &[f64], count: usize| values.iter().sum::<f64>() / count as f64;
        match objective {
            Objective::Iwae => {
                let log_weights = objective::log_weights(&log_prob, &kl, KL_WEIGHT);
                -mean(&objective::bounds(&log_weights, samples), EXAMPLES)
            }
            Objective::Capacity => {
                KL_WEIGHT * (mean(kl.values(), z.rows()) - CAPACITY).abs() - mean(log_prob.values(), z.rows())
            }
            _ => KL_WEIGHT * mean(kl.values(), z.rows()) - mean(log_prob.values(), z.rows()),
        }
    }

    /// The largest difference of a parameter's gradient from central differences of the loss, relative to the largest element;
    /// with the components as they are, they do not move with the parameters.
    pub fn difference(&self, index: usize, fixed_components: bool) -> f64 {
        const H: f64 = 1e-5;
        let parameters = self.parameters();
        let given = self.components(&parameters);
        let loss = |row: usize, column: usize, by: f64| {
            let mut moved = parameters.clone();
            let at = &parameters[index];
            moved[index] = Matrix::from_fn(at.rows(), at.columns(), |r, c| {
                at.at(r, c) + if (r, c) == (row, column) { by } else { 0.0 }
            });
            let components = if fixed_components { given.clone() } else { self.components(&moved) };
            self.loss(&moved, &components)
        };
        let gradient = &self.gradients[index];
        let expected =
            Matrix::from_fn(gradient.rows(), gradient.columns(), |r, c| (loss(r, c, H) - loss(r, c, -H)) / (2.0 * H));
        let largest = |matrix: &Matrix| matrix.values().iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        largest(&gradient.zip(&expected, |found, expected| found - expected)) / largest(&expected)
    }
}
