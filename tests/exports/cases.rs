//! Models of every kind of layer, likelihood and prior, and what Elbo computes with them.

use std::path::{Path, PathBuf};

use elbo::data::{Binarize, Examples, Images};
use elbo::eval::{Evaluation, LossWeights};
use elbo::files::npy;
use elbo::files::safetensors::Values;
use elbo::likelihood::{Pixels, Support};
use elbo::nn::exact::HostParameters;
use elbo::nn::{Init, ParameterSpec};
use elbo::objective::ObjectiveConfig;
use elbo::vae::{Model, Network, Vae};
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::support::gpu;

/// The name and the description of each.
pub const CASES: [(&str, &str); 10] = [
    ("dense", r#"{"height": 5, "width": 7, "hidden": [24, 16], "latents": 3}"#),
    (
        "sigmoid",
        r#"{"height": 4, "width": 3, "hidden": [9], "latents": 2, "activation": "sigmoid", "likelihood": "gaussian"}"#,
    ),
    (
        "batch",
        r#"{"height": 1, "width": 12, "hidden": [16], "latents": 3, "activation": "tanh", "normalise": "batch",
            "likelihood": "gaussian", "standardisation": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 2.0, 1.0], "range": [0, 1]}}"#,
    ),
    (
        "convolutions",
        r#"{"height": 13, "width": 11, "hidden": ["conv8k4s2", "conv12k3s2p0", 20], "latents": 4, "activation": "silu",
            "normalise": "batch", "likelihood": "gaussian-per-dimension"}"#,
    ),
    (
        "residual",
        r#"{"height": 14, "width": 10, "channels": 3, "hidden": ["conv8k3s2", "res16", "pool", "res16", 12], "latents": 4,
            "activation": "gated", "normalise": "layer", "upsample": "nearest", "likelihood": "discretised-logistic"}"#,
    ),
    (
        "nearest",
        r#"{"height": 14, "width": 11, "hidden": ["conv8k4s2", "conv8k5s3p0"], "latents": 2, "activation": "elu",
            "upsample": "nearest", "prior": "vamp-prior", "components": 3, "binarize": "threshold"}"#,
    ),
    (
        "linear",
        r#"{"height": 4, "width": 4, "hidden": [], "latents": 2, "likelihood": "gaussian-predicted", "prior": "mixture",
            "components": 4, "logvar_range": {"min": -0.2, "max": 0.1}}"#,
    ),
    (
        "binomial",
        r#"{"height": 6, "width": 6, "hidden": [8, 12], "decoder_hidden": [10], "latents": 2, "activation": "gelu",
            "normalise": "layer", "likelihood": "beta-binomial"}"#,
    ),
    (
        "categorical",
        r#"{"height": 6, "width": 6, "hidden": [16], "latents": 2, "activation": "softplus", "likelihood": "categorical",
            "categories": 5}"#,
    ),
    (
        "fixed",
        r#"{"height": 4, "width": 5, "channels": 3, "hidden": ["conv4", 9], "latents": 2, "activation": "leaky-relu",
            "prior": "vamp-prior", "components": 3,
            "likelihood": "gaussian-fixed", "variance": 0.3, "standardisation": {"mean": [0.1], "std": [0.5], "range": [0, 1]}}"#,
    ),
];

/// The default model for MNIST.
pub const OF_MNIST: (&str, &str) = ("mnist", r#"{"height": 28, "width": 28}"#);

/// Examples, and rows of latents.
const COUNT: usize = 7;

/// A model with random parameters, and what Elbo computes with it, in a directory.
pub struct Case {
    pub directory: PathBuf,
    pub vae: Vae,
    pub images: Images,
    /// The mean log probability and KL divergence of the images.
    pub terms: [f64; 2],
}

impl Case {
    /// Makes a model in a directory of its name: its file, images and latents, and results for them.
    pub fn make((name, description): &(&str, &str), directory: &Path) -> Case {
        let directory = directory.join(name);
        std::fs::create_dir(&directory).unwrap();
        let model = Model::parse(Path::new(name), description).unwrap();
        let vae = Vae::new(gpu(), model, 3).unwrap();
        write_other_values(&vae);
        vae.save(&directory.join("model.safetensors")).unwrap();
        let images = images(vae.model());
        let latents = vae.model().config.latents;
        let sizes = [vec![COUNT], images.shape().sizes()].concat();
        let write = |name: &str, values: &[f32], shape: &[usize]| {
            npy::write(&directory.join(name).with_extension("npy"), values, shape).unwrap();
        };
        // The rows of other programs are what the model sees, but for the standardisation.
        write("x", &images.pixels().collect::<Vec<_>>(), &sizes);
        let posterior = vae.encode(&images, 0).unwrap();
        write("mean", &posterior.mean, &[COUNT, latents]);
        write("logvar", &posterior.logvar, &[COUNT, latents]);
        let z: Vec<f32> = numbers().take(COUNT * latents).map(|x| 4.0 * x).collect();
        write("z", &z, &[COUNT, latents]);
        write("image", &vae.decode(&z, Pixels::Mean).unwrap(), &sizes);
        let (terms, draws) = elbo_of(&vae, &images);
        write("draws", &draws, &[COUNT, latents]);
        Case { directory, vae, images, terms }
    }

    /// The parameters in host memory.
    pub fn parameters(&self) -> HostParameters {
        let path = self.directory.join("model.safetensors");
        Model::read(&path, &std::fs::read(&path).unwrap()).unwrap().1
    }
}

/// The mean log probability and KL divergence of examples, and the draws from the posterior that they are for.
pub fn elbo_of<'a>(vae: &Vae, examples: impl Into<Examples<'a>>) -> ([f64; 2], Vec<f32>) {
    let examples = examples.into();
    let network = Network::evaluation(vae, examples.count(), &ObjectiveConfig::default()).unwrap();
    let described = vae.model().describe("evaluating", examples, "given").unwrap();
    let mut evaluation = Evaluation::new(vae, &network, described, LossWeights::default(), 5).unwrap();
    let averages = evaluation.run().unwrap();
    ([-averages.nll, averages.kl], network.z.read::<f32>(gpu()).unwrap())
}

/// Changes the parameters that start with the same values everywhere.
pub fn write_other_values(vae: &Vae) {
    for spec in vae.specs() {
        if let Some(values) = other_values(spec) {
            vae.parameters().get(&spec.name).write(gpu(), &values).unwrap();
        }
    }
}

/// Numbers that look random, from -0.5 to 0.5.
fn numbers() -> impl Iterator<Item = f32> {
    (1_u64..).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_mul(i) >> 40) as f32 / (1 << 24) as f32 - 0.5)
}

/// Other values for a parameter whose initial ones are the same everywhere.
fn other_values(spec: &ParameterSpec) -> Option<Vec<f32>> {
    let numbers = numbers().take(spec.len());
    match spec.init {
        Init::Uniform { .. } => None,
        Init::Rows(rows) => {
            let initial = |index: usize| rows[index / spec.columns()];
            Some(numbers.enumerate().map(|(index, x)| initial(index) + 0.8 * x).collect())
        }
        Init::Constant(_) | Init::Normals { .. } => Some(numbers.collect()),
    }
}

/// Images that the likelihood describes.
fn images(model: &Model) -> Images {
    let shape = model.image().unwrap();
    let support = model.config.likelihood.density().support();
    let pixel = |x: f32| match support {
        _ if model.config.binarize != Binarize::None => (x + 0.5).round(),
        Support::Levels(levels) => ((x + 0.5) * (levels - 1) as f32).round() / (levels - 1) as f32,
        _ => x + 0.5,
    };
    let mut pixels: Vec<f32> = numbers().skip(100).map(pixel).take(COUNT * shape.dimensions()).collect();
    // The lowest and the highest level have cases of their own.
    (pixels[0], pixels[1]) = (0.0, 1.0);
    Images::from_floats(pixels, COUNT, shape).unwrap()
}

/// Writes files that differ from those of the run in one thing each, and says which.
pub fn wrong_files(directory: &Path) -> Vec<(String, &'static str)> {
    let path = directory.join("run/model.safetensors");
    let (_, parameters) = Model::read(&path, &std::fs::read(&path).unwrap()).unwrap();
    let write = |name: &str, change: &dyn Fn(&mut Values) -> Dtype| {
        let tensors: Vec<_> = parameters
            .tensors()
            .iter()
            .map(|tensor| {
                let mut tensor = tensor.clone();
                let dtype = change(&mut tensor);
                let mut bytes: Vec<u8> = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
                bytes.truncate(tensor.shape.iter().product::<usize>() * if dtype == Dtype::F32 { 4 } else { 2 });
                (tensor, dtype, bytes)
            })
            .collect();
        let views = tensors.iter().map(|(tensor, dtype, bytes)| {
            (tensor.name.clone(), TensorView::new(*dtype, tensor.shape.clone(), bytes).unwrap())
        });
        std::fs::write(directory.join(name), serialize(views, None).unwrap()).unwrap();
        name.to_owned()
    };
    let on = |name: &'static str, change: fn(&mut Values) -> Dtype| {
        move |tensor: &mut Values| if tensor.name == name { change(tensor) } else { Dtype::F32 }
    };
    let renamed = on("decoder.0.weight", |tensor| {
        tensor.name = "fc3.weight".to_owned();
        Dtype::F32
    });
    let shorter = on("posterior.bias", |tensor| {
        tensor.shape[0] -= 1;
        Dtype::F32
    });
    let halved = on("encoder.0.bias", |_| Dtype::F16);
    let not_finite = on("likelihood.bias", |tensor| {
        tensor.values[3] = f32::NAN;
        Dtype::F32
    });
    vec![
        (write("renamed", &renamed), "`decoder.0.weight` of shape [12, 3], found none, but `fc3.weight`"),
        (write("shorter", &shorter), "`posterior.bias` as F32 [6], found F32 [5]"),
        (write("halved", &halved), "`encoder.0.bias` as F32 [12], found F16 [12]"),
        (write("not-finite", &not_finite), "NaN in `likelihood.bias` at 3"),
    ]
}
