//! `elbo bench --products`: each product with every variant of its kernels.

use elbo::config::Config;
use elbo::data::Dataset;
use elbo::gpu::{AdapterRequest, Candidate, Clock, Comparison, Gpu, KernelRequest, KernelTable, Tensor};
use elbo::nn::{self, Dense, Epilogue, Layer, Mode, Recording};
use elbo::step::{At, Step};
use elbo::{Error, Plan, Trainer};
use serde::Serialize;

use crate::cli::say;

/// Sizes of square products: on a software adapter only the first, since the others take minutes there.
const SQUARES: [usize; 4] = [512, 1024, 2048, 4096];

/// A product, with its epilogue, and the variants of its kernels.
#[derive(Serialize)]
pub struct Product {
    /// The entry point, the sizes of the layer, and the rows of the batch.
    name: String,
    flops: f64,
    /// The variant that training uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen: Option<String>,
    /// Its seconds over those of the fastest variant: 1 if it is the fastest.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_fastest: Option<f64>,
    /// The fastest first.
    variants: Vec<Timed>,
}

#[derive(Serialize)]
struct Timed {
    name: &'static str,
    seconds: f64,
    clock: Clock,
    gflops: f64,
    /// Loaded from buffers and stored, if a workgroup loads each value once.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<f64>,
    /// From public figures of the GPU, or of another one if it is not among those of `docs/kernels.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_seconds: Option<f64>,
}

/// Measures the products of a training step; `chosen` has the variants that training uses.
pub fn of_model(
    request: &AdapterRequest,
    data: &Dataset,
    config: &Config,
    chosen: &KernelTable,
) -> Result<Vec<Product>, Error> {
    let gpu = compared(request)?;
    Trainer::new(&gpu, &Plan::new(config, data)?)?;
    Ok(gpu.comparisons().into_iter().map(|comparison| Product::of(comparison, Some(chosen))).collect())
}

/// Measures a layer of N x N with N rows, whose products have N x N x N multiply-adds.
pub fn of_squares(request: &AdapterRequest) -> Result<Vec<Product>, Error> {
    let gpu = compared(request)?;
    let sizes = if gpu.adapter().is_software() { &SQUARES[..1] } else { &SQUARES[..] };
    for &n in sizes {
        let layer = Dense::new("square", n, n);
        let (parameters, gradients) = (nn::arena(&gpu, &layer.parameters())?, nn::arena(&gpu, &layer.parameters())?);
        let [input, output] = [Tensor::zeros(&gpu, n, n)?, Tensor::zeros(&gpu, n, n)?];
        let step = Step::default().upload(&gpu)?;
        let recording = Recording::new(At::new(&gpu, &step, 1), &parameters, Mode::Training);
        layer.forward(recording, &input, &Epilogue::store(&output))?;
        layer.backward(recording, &gradients, &input, &output, Some(&Epilogue::store(&Tensor::zeros(&gpu, n, n)?)))?;
    }
    Ok(gpu.comparisons().into_iter().map(|comparison| Product::of(comparison, None)).collect())
}

/// A device that measures every variant of each product that is recorded.
fn compared(request: &AdapterRequest) -> Result<Gpu, Error> {
    Gpu::open(&AdapterRequest { kernels: KernelRequest::Compared, ..request.clone() })
}

impl Product {
    fn of(Comparison { question, flops, candidates }: Comparison, chosen: Option<&KernelTable>) -> Product {
        let of = |(candidate, seconds, clock): (Candidate, f64, Clock)| Timed {
            name: candidate.name,
            seconds,
            clock,
            gflops: 1e-9 * flops / seconds,
            bytes: candidate.bytes,
            expected_seconds: candidate.expected_seconds,
        };
        let mut variants: Vec<_> = candidates.into_iter().map(of).collect();
        variants.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let chosen = chosen.and_then(|table| table.get(&question)).map(str::to_owned);
        let time = chosen.as_ref().and_then(|name| variants.iter().find(|timed| timed.name == name));
        let over_fastest = time.map(|timed| timed.seconds / variants[0].seconds);
        Product { name: question, flops, chosen, over_fastest, variants }
    }

    pub fn print(&self, peak_gflops: f64) -> Result<(), Error> {
        let chosen = match (&self.chosen, self.over_fastest) {
            (Some(name), Some(ratio)) => format!("; chosen: {name}, {ratio:.2} times the fastest"),
            _ => String::new(),
        };
        say(format_args!("    {}: {:.1} MFLOP{chosen}", self.name, 1e-6 * self.flops))?;
        say("        variant                   us    GFLOP/s (of peak)         MB      GB/s   expected us")?;
        for Timed { name, seconds, clock, gflops, bytes, expected_seconds } in &self.variants {
            let clock = if *clock == Clock::Wall { "   (wall clock)" } else { "" };
            let or_dash = |value: Option<f64>, scale: f64, digits: usize| {
                value.map_or("-".to_owned(), |value| format!("{:.digits$}", scale * value))
            };
            let (mb, expected) = (or_dash(*bytes, 1e-6, 2), or_dash(*expected_seconds, 1e6, 1));
            let gb_per_second = or_dash(*bytes, 1e-9 / seconds, 1);
            say(format_args!(
                "        {name:<18} {:>9.1} {gflops:>10.1} {:>8.0}% {mb:>10} {gb_per_second:>9} {expected:>13}{clock}",
                1e6 * seconds,
                100.0 * gflops / peak_gflops,
            ))?;
        }
        Ok(())
    }
}
