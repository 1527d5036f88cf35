//! The peer built on candle: the same VAE, on the CPU.

use std::{error::Error, process::ExitCode};

use candle_core::{D, Device, Tensor};
use candle_nn::{AdamW, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear};
use clap::Parser;
use protocol::{Data, Flags, PIXELS, Peer};

#[derive(Parser)]
#[command(about = "Trains the benchmark's VAE with candle on the CPU and prints images a second")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

/// Dense layers with a ReLU between each two.
struct Mlp(Vec<Linear>);

impl Mlp {
    fn new(widths: &[usize], variables: VarBuilder) -> candle_core::Result<Self> {
        let layer = |(number, pair): (usize, &[usize])| linear(pair[0], pair[1], variables.pp(number));
        widths.windows(2).enumerate().map(layer).collect::<candle_core::Result<_>>().map(Self)
    }
}

impl Module for Mlp {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        let mut output = self.0[0].forward(input)?;
        for layer in &self.0[1..] {
            output = layer.forward(&output.relu()?)?;
        }
        Ok(output)
    }
}

struct Vae {
    encoder: Mlp,
    decoder: Mlp,
    adam: AdamW,
    images: Tensor,
    batches: Vec<Tensor>,
    loss: Tensor,
}

impl Vae {
    fn new(flags: &Flags, data: &Data) -> candle_core::Result<Self> {
        let device = Device::Cpu;
        let map = VarMap::new();
        let variables = VarBuilder::from_varmap(&map, candle_core::DType::F32, &device);
        let encoder = Mlp::new(&flags.encoder(), variables.pp("encoder"))?;
        let decoder = Mlp::new(&flags.decoder(), variables.pp("decoder"))?;
        // candle has Adam with decoupled weight decay only; without decay that is Adam.
        let adam = AdamW::new(map.all_vars(), ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..Default::default() })?;
        let batches = data.batches.iter().map(|rows| Tensor::new(rows.as_slice(), &device));
        Ok(Self {
            encoder,
            decoder,
            adam,
            images: Tensor::from_slice(&data.pixels, (data.images, PIXELS), &device)?,
            batches: batches.collect::<candle_core::Result<_>>()?,
            loss: Tensor::new(f32::NAN, &device)?,
        })
    }

    /// The mean over the batch of `nll + kl`.
    fn loss_of(&self, batch: usize) -> candle_core::Result<Tensor> {
        let x = self.images.index_select(&self.batches[batch], 0)?;
        let posterior = self.encoder.forward(&x)?.chunk(2, D::Minus1)?;
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
    match protocol::run(&flags, |data| Vae::new(&flags, data).map_err(Box::<dyn Error>::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
