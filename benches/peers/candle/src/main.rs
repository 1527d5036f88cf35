//! The peer built on candle: the same VAE, on the CPU.

use std::{error::Error, process::ExitCode};

use candle_core::{Device, Tensor};
use candle_nn::{
    AdamW, Conv2dConfig, ConvTranspose2dConfig, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, conv_transpose2d,
    conv2d, linear,
};
use clap::Parser;
use protocol::{Data, Flags, Kind, Layer, Peer};

#[derive(Parser)]
#[command(about = "Trains the benchmark's VAE with candle on the CPU and prints images a second")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

/// Layers with a ReLU between each two.
struct Network(Vec<(Layer, Box<dyn Module>)>);

impl Network {
    fn new(layers: &[Layer], variables: VarBuilder) -> Result<Self, Box<dyn Error>> {
        let layer = |(number, layer): (usize, &Layer)| Ok((*layer, module(layer, variables.pp(number))?));
        layers.iter().enumerate().map(layer).collect::<Result<_, _>>().map(Self)
    }
}

/// A layer with its parameters.
fn module(layer: &Layer, variables: VarBuilder) -> Result<Box<dyn Module>, Box<dyn Error>> {
    let (inputs, outputs) = (layer.input[0], layer.output[0]);
    Ok(match layer.kind {
        Kind::Dense => Box::new(linear(layer.inputs(), layer.outputs(), variables)?),
        Kind::Convolution(window) => {
            let config = Conv2dConfig { padding: window.padding, stride: window.stride, ..Default::default() };
            Box::new(conv2d(inputs, outputs, window.kernel, config, variables)?)
        }
        Kind::Transposed(window, [output_padding, of_width]) => {
            if output_padding != of_width {
                return Err("candle has one output padding for height and width: wanted a square image".into());
            }
            let config = ConvTranspose2dConfig {
                padding: window.padding,
                stride: window.stride,
                output_padding,
                ..Default::default()
            };
            Box::new(conv_transpose2d(inputs, outputs, window.kernel, config, variables)?)
        }
    })
}

impl Module for Network {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        let mut values = input.clone();
        for (number, (layer, module)) in self.0.iter().enumerate() {
            if number > 0 {
                values = values.relu()?;
            }
            let [channels, height, width] = layer.input;
            values = match layer.kind {
                Kind::Dense => values.flatten_from(1)?,
                _ => values.reshape(((), channels, height, width))?,
            };
            values = module.forward(&values)?;
        }
        values.flatten_from(1)
    }
}

struct Vae {
    encoder: Network,
    decoder: Network,
    parameters: usize,
    adam: AdamW,
    images: Tensor,
    batches: Vec<Tensor>,
    loss: Tensor,
}

impl Vae {
    fn new(flags: &Flags, data: &Data) -> Result<Self, Box<dyn Error>> {
        let [encoder, decoder] = Layer::networks(flags)?;
        let device = Device::Cpu;
        let map = VarMap::new();
        let variables = VarBuilder::from_varmap(&map, candle_core::DType::F32, &device);
        let encoder = Network::new(&encoder, variables.pp("encoder"))?;
        let decoder = Network::new(&decoder, variables.pp("decoder"))?;
        // candle has Adam with decoupled weight decay only; without decay that is Adam.
        let adam = AdamW::new(map.all_vars(), ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..Default::default() })?;
        let batches = data.batches.iter().map(|rows| Tensor::new(rows.as_slice(), &device));
        Ok(Self {
            encoder,
            decoder,
            parameters: map.all_vars().iter().map(|variable| variable.elem_count()).sum(),
            adam,
            images: Tensor::from_slice(&data.pixels, (data.images, data.pixels.len() / data.images), &device)?,
            batches: batches.collect::<candle_core::Result<_>>()?,
            loss: Tensor::new(f32::NAN, &device)?,
        })
    }

    /// The mean over the batch of `nll + kl`.
    fn loss_of(&self, batch: usize) -> candle_core::Result<Tensor> {
        let x = self.images.index_select(&self.batches[batch], 0)?;
        let posterior = self.encoder.forward(&x)?.chunk(2, 1)?;
        let (mean, logvar) = (&posterior[0], &posterior[1]);
        let z = (mean + (logvar * 0.5)?.exp()? * mean.randn_like(0.0, 1.0)?)?;
        let logits = self.decoder.forward(&z)?;
        // log(1 + exp(logit)) without overflow.
        let softplus = (logits.relu()? + (logits.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
        let nll = (softplus - (&logits * x)?)?.sum_all()?;
        let kl = (((mean.sqr()? + logvar.exp()?)? - logvar)? - 1.0)?.sum_all()?;
        (nll + (kl * 0.5)?)? / mean.dim(0)? as f64
    }
}

impl Peer for Vae {
    fn name(&self) -> String {
        "candle 0.11.1 (CPU)".into()
    }

    fn adapter(&self) -> String {
        protocol::processor()
    }

    fn parameters(&self) -> usize {
        self.parameters
    }

    fn step(&mut self, batch: usize) {
        let loss = self.loss_of(batch).expect("shapes are fixed at the start");
        self.adam.backward_step(&loss).expect("shapes are fixed at the start");
        self.loss = loss.detach();
    }

    fn loss(&mut self) -> f64 {
        f64::from(self.loss.to_scalar::<f32>().expect("the loss is one f32"))
    }
}

fn main() -> ExitCode {
    let flags = Cli::parse().flags;
    match protocol::run(&flags, |data| Vae::new(&flags, data)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
