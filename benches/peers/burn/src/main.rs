//! The peer built on burn: the same VAE, on a wgpu adapter or on the CPU.

use std::process::ExitCode;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{relu, softplus};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use protocol::{Data, Flags, PIXELS, Peer};

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

/// Dense layers with a ReLU between each two.
#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    fn new(widths: &[usize], device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self { layers: widths.windows(2).map(layer).collect() }
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let mut output = self.layers[0].forward(input);
        for layer in &self.layers[1..] {
            output = layer.forward(relu(output));
        }
        output
    }
}

#[derive(Module, Debug)]
struct Vae {
    encoder: Mlp,
    decoder: Mlp,
}

impl Vae {
    /// The mean over the batch of `nll + kl`.
    fn loss(&self, x: Tensor<2>) -> Tensor<1> {
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
    images: Tensor<2>,
    batches: Vec<Tensor<1, Int>>,
    loss: Option<Tensor<1>>,
}

impl Training {
    fn new(backend: Backend, flags: &Flags, data: &Data) -> Self {
        let device = backend.device().autodiff();
        let model = Vae { encoder: Mlp::new(&flags.encoder(), &device), decoder: Mlp::new(&flags.decoder(), &device) };
        let indices = |rows: &Vec<u32>| {
            let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
            Tensor::from_data(TensorData::from(rows.as_slice()), &device)
        };
        Self {
            backend,
            model: Some(model),
            adam: AdamConfig::new().with_epsilon(1e-8).init(),
            images: Tensor::from_data(TensorData::new(data.pixels.clone(), [data.images, PIXELS]), &device),
            batches: data.batches.iter().map(indices).collect(),
            loss: None,
            device,
        }
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
    match protocol::run(&cli.flags, |data| Ok(Training::new(cli.backend, &cli.flags, data))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
