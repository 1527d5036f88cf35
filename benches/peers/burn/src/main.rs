//! The peer built on burn: the same VAE, on a wgpu adapter or on the CPU.

use std::{error::Error, process::ExitCode};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{relu, softplus};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use protocol::{Data, Flags, Kind, Layer, Peer, Size};

#[derive(Parser)]
#[command(about = "Trains the benchmark's VAE with burn and prints images a second")]
struct Cli {
    /// What computes
    #[arg(long, value_enum)]
    backend: Backend,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// The adapter that wgpu ranks first; CUBECL_WGPU_DEFAULT_DEVICE=Cpu asks for a software one
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// burn's own CPU backend
    Flex,
    /// The CPU backend on ndarray, deprecated by burn
    Ndarray,
}

impl Backend {
    fn device(self) -> Device {
        match self {
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Device::wgpu(Default::default()),
            Self::Flex => Device::flex(),
            #[expect(deprecated, reason = "measured beside its successor as long as burn has it")]
            Self::Ndarray => Device::ndarray(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "vulkan")]
            Self::Wgpu => "wgpu, SPIR-V",
            #[cfg(all(feature = "wgpu", not(feature = "vulkan")))]
            Self::Wgpu => "wgpu",
            Self::Flex => "CPU, flex",
            Self::Ndarray => "CPU, ndarray",
        }
    }
}

/// A layer with its parameters.
#[derive(Module, Debug)]
enum Parameters {
    Dense(Linear),
    Convolution(Conv2d),
    Transposed(ConvTranspose2d),
}

impl Parameters {
    fn new(layer: &Layer, device: &Device) -> Self {
        let channels = [layer.input[0], layer.output[0]];
        match layer.kind {
            Kind::Dense => Self::Dense(LinearConfig::new(layer.inputs(), layer.outputs()).init(device)),
            Kind::Convolution(window) => {
                let padding = window.padding;
                let config = Conv2dConfig::new(channels, [window.kernel; 2])
                    .with_stride([window.stride; 2])
                    .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding));
                Self::Convolution(config.init(device))
            }
            Kind::Transposed(window, output_padding) => {
                let config = ConvTranspose2dConfig::new(channels, [window.kernel; 2])
                    .with_stride([window.stride; 2])
                    .with_padding([window.padding; 2])
                    .with_padding_out(output_padding);
                Self::Transposed(config.init(device))
            }
        }
    }
}

/// Layers with a ReLU between each two.
#[derive(Module, Debug)]
struct Network {
    layers: Vec<Parameters>,
    #[module(skip)]
    outputs: Vec<Size>,
}

impl Network {
    fn new(layers: &[Layer], device: &Device) -> Self {
        Self {
            layers: layers.iter().map(|layer| Parameters::new(layer, device)).collect(),
            outputs: layers.iter().map(|layer| layer.output).collect(),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let batch = input.dims()[0];
        let mut values = input;
        for (number, (layer, &[channels, height, width])) in self.layers.iter().zip(&self.outputs).enumerate() {
            let hidden = number + 1 < self.layers.len();
            values = match layer {
                Parameters::Dense(dense) => activated(dense.forward(values.flatten::<2>(1, 3)), hidden)
                    .reshape([batch, channels, height, width]),
                Parameters::Convolution(convolution) => activated(convolution.forward(values), hidden),
                Parameters::Transposed(transposed) => activated(transposed.forward(values), hidden),
            };
        }
        values
    }
}

/// The values of a layer, after a ReLU if it is hidden.
fn activated<const D: usize>(values: Tensor<D>, hidden: bool) -> Tensor<D> {
    if hidden { relu(values) } else { values }
}

#[derive(Module, Debug)]
struct Vae {
    encoder: Network,
    decoder: Network,
}

impl Vae {
    /// The mean over the batch of `nll + kl`.
    fn loss(&self, x: Tensor<4>) -> Tensor<1> {
        let batch = x.dims()[0];
        let posterior = self.encoder.forward(x.clone()).chunk(2, 1);
        let (mean, logvar) = (posterior[0].clone(), posterior[1].clone());
        let noise = mean.random_like(Distribution::Normal(0.0, 1.0));
        let z = mean.clone() + logvar.clone().mul_scalar(0.5).exp() * noise;
        let logits = self.decoder.forward(z);
        let nll = (softplus(logits.clone(), 1.0) - logits * x).sum();
        let kl = (mean.square() + logvar.clone().exp() - logvar - 1.0).sum().mul_scalar(0.5);
        (nll + kl).div_scalar(batch as f64)
    }
}

struct Training {
    backend: Backend,
    device: Device,
    model: Option<Vae>,
    adam: ModuleOptimizer,
    images: Tensor<4>,
    batches: Vec<Tensor<1, Int>>,
    loss: Option<Tensor<1>>,
}

impl Training {
    fn new(backend: Backend, flags: &Flags, data: &Data) -> Result<Self, Box<dyn Error>> {
        let [encoder, decoder] = Layer::networks(flags)?;
        let device = backend.device().autodiff();
        let model = Vae { encoder: Network::new(&encoder, &device), decoder: Network::new(&decoder, &device) };
        let indices = |rows: &Vec<u32>| {
            let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
            Tensor::from_data(TensorData::from(rows.as_slice()), &device)
        };
        let [channels, height, width] = flags.image;
        let shape = [data.images, channels, height, width];
        Ok(Self {
            backend,
            model: Some(model),
            adam: AdamConfig::new().with_epsilon(1e-8).init(),
            images: Tensor::from_data(TensorData::new(data.pixels.clone(), shape), &device),
            batches: data.batches.iter().map(indices).collect(),
            loss: None,
            device,
        })
    }
}

impl Peer for Training {
    fn name(&self) -> String {
        format!("burn 0.22.1 ({})", self.backend.name())
    }

    fn adapter(&self) -> String {
        #[cfg(feature = "wgpu")]
        if let Some(identity) = self.device.identity() {
            return identity.name;
        }
        protocol::processor()
    }

    fn parameters(&self) -> usize {
        self.model.as_ref().map_or(0, Vae::num_params)
    }

    fn step(&mut self, batch: usize) {
        let model = self.model.take().expect("put back by every step");
        let x = self.images.clone().select(0, self.batches[batch].clone());
        let loss = model.loss(x);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        self.model = Some(self.adam.step(1e-3, model, gradients));
        self.loss = Some(loss.detach());
    }

    fn loss(&mut self) -> f64 {
        let loss = self.loss.clone().map_or(f32::NAN, Tensor::into_scalar::<f32>);
        self.device.sync().expect("the device works");
        f64::from(loss)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match protocol::run(&cli.flags, |data| Training::new(cli.backend, &cli.flags, data)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
