//! One batch of a model with a mixture as its prior: its gradients from the GPU, and its loss in f64.

use elbo::config::Config;
use elbo::data::Binarize;
use elbo::data::batch::{DeviceExamples, DeviceImages};
use elbo::data::order::sequential;
use elbo::gpu::Gpu;
use elbo::noise::{self, Stream};
use elbo::objective::{Objective, ObjectiveConfig};
use elbo::prior::Prior;
use elbo::selftest::Matrix;
use elbo::selftest::likelihood::bernoulli;
use elbo::selftest::nn::{activation, dense};
use elbo::selftest::objective::weighted;
use elbo::selftest::posterior::normal;
use elbo::selftest::prior::mixture;
use elbo::step::Step;
use elbo::train::{StepSizes, TrainingStep};
use elbo::vae::Vae;

use crate::support::synthetic::{LATENTS, dataset, images, trainer};

/// One batch of a model on the GPU: its loss's gradients, and the same loss in f64.
pub struct Batch {
    config: Config,
    vae: Vae,
    x: Matrix,
    /// The GPU's noise.
    noise: Matrix,
    pub gradients: Vec<Matrix>,
}

const EXAMPLES: usize = 6;
const KL_WEIGHT: f64 = 0.7;
const CAPACITY: f64 = 0.5;

impl Batch {
    pub fn new(gpu: &Gpu, config: Config) -> Batch {
        let vae = trainer(gpu, &dataset(40, 8), &config).vae().clone();
        let images = images(EXAMPLES, 5);
        let uploaded = DeviceImages::upload(gpu, &images, Binarize::None, Stream::Binarise).unwrap();
        let uploaded = DeviceExamples::Images(uploaded);
        let sizes = StepSizes { examples: EXAMPLES, chunks: 1, steps: 1 };
        let TrainingStep { network, pass, players, gradients: program, .. } =
            TrainingStep::new(&vae, &uploaded, &config.training, sizes).unwrap();
        let (key, objective) = (noise::key(3, Stream::Training), [KL_WEIGHT as f32, CAPACITY as f32, 0.0, 0.0]);
        let step = Step { t: 1, examples: EXAMPLES as u32, key, objective, share: 1.0, ..Step::default() };
        step.write_to(gpu, &pass.step).unwrap();
        pass.order.write(gpu, &sequential(EXAMPLES)).unwrap();
        gpu.run(&program, 1);
        let (posterior, z) = (network.posterior.read::<f32>(gpu).unwrap(), network.z.read::<f32>(gpu).unwrap());
        let samples = config.training.objective.samples;
        let noise = Matrix::from_fn(EXAMPLES * samples, LATENTS, |r, l| {
            let row = &posterior[r / samples * 2 * LATENTS..];
            let [mean, logvar, z] = [row[l], row[l + LATENTS], z[r * LATENTS + l]].map(f64::from);
            (z - mean) / (0.5 * Batch::clamped(&config, logvar)).exp()
        });
        let pixels: Vec<f32> = images.pixels().collect();
        let x = Batch::wide(images.dimensions(), &pixels);
        let gradients = players[0].gradients.read(gpu).unwrap();
        let gradients = vae.specs().iter().zip(gradients);
        let gradients = gradients.map(|(spec, values)| Batch::wide(spec.columns(), &values)).collect();
        Batch { config, vae, x, noise, gradients }
    }

    fn wide(columns: usize, values: &[f32]) -> Matrix {
        Matrix::from_fn(values.len() / columns, columns, |r, c| f64::from(values[r * columns + c]))
    }

    fn parameters(&self) -> Vec<Matrix> {
        let values = self.vae.parameters().read(self.vae.gpu()).unwrap();
        self.vae.specs().iter().zip(values).map(|(spec, values)| Batch::wide(spec.columns(), &values)).collect()
    }

    fn clamped(config: &Config, logvar: f64) -> f64 {
        config.model.posterior.logvar_range.map_or(logvar, |range| logvar.clamp(range.min.into(), range.max.into()))
    }

    /// A posterior, from inputs or from pseudo-inputs.
    fn encode(&self, parameters: &[Matrix], input: &Matrix) -> Matrix {
        let hidden = dense::forward(input, &parameters[0], &parameters[1]);
        let hidden = hidden.map(|x| activation::activate(self.config.model.activation, x));
        let posterior = dense::forward(&hidden, &parameters[2], &parameters[3]);
        Matrix::from_fn(posterior.rows(), 2 * LATENTS, |r, c| {
            let value = posterior.at(r, c);
            if c < LATENTS { value } else { Batch::clamped(&self.config, value) }
        })
    }

    /// The components of the prior.
    fn components(&self, parameters: &[Matrix]) -> Matrix {
        let own = parameters.last().unwrap();
        if self.config.model.prior.kind == Prior::VampPrior {
            return self.encode(parameters, own);
        }
        Matrix::from_fn(own.rows(), 2 * LATENTS, |r, c| {
            if c < LATENTS { own.at(r, c) } else { Batch::clamped(&self.config, own.at(r, c)) }
        })
    }

    fn loss(&self, parameters: &[Matrix], components: &Matrix) -> f64 {
        let ObjectiveConfig { kind: objective, samples, .. } = self.config.training.objective;
        let posterior = normal::repeat(&self.encode(parameters, &self.x), samples);
        let z = normal::reparameterise(&posterior, &self.noise);
        let hidden = dense::forward(&z, &parameters[4], &parameters[5]);
        let hidden = hidden.map(|x| activation::activate(self.config.model.activation, x));
        let logits = dense::forward(&hidden, &parameters[6], &parameters[7]);
        let log_prob = bernoulli::log_prob(&normal::repeat(&self.x, samples), &logits);
        let prior = mixture::log_prob(&mixture::scores(&z, &mixture::prepare(components)));
        let log_posterior = mixture::log_posterior(&posterior, &self.noise);
        let kl = Matrix::from_fn(z.rows(), 1, |r, _| log_posterior.row(r).iter().sum::<f64>() - prior[r]);
        let mean = |values: &[f64], count: usize| values.iter().sum::<f64>() / count as f64;
        match objective {
            Objective::Iwae => {
                let log_weights = weighted::log_weights(&log_prob, &kl, KL_WEIGHT);
                -mean(&weighted::bounds(&log_weights, samples), EXAMPLES)
            }
            Objective::Capacity => {
                KL_WEIGHT * (mean(kl.values(), z.rows()) - CAPACITY).abs() - mean(log_prob.values(), z.rows())
            }
            _ => KL_WEIGHT * mean(kl.values(), z.rows()) - mean(log_prob.values(), z.rows()),
        }
    }

    /// The largest difference of a parameter's gradient from central differences of the loss, relative to the largest
    /// element; with fixed components, they do not depend on the parameters.
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
