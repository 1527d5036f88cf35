//! What every Rust peer does in the same way: flags, data, the clock, and the one line of JSON.
//!
//! A peer is a [`Peer`]: it trains one batch when told to, and says what the loss was. [`run`] does the rest, in the
//! order of `torch_vae.py`:
//!
//! 1. The pixels of `--images` images of MNIST, in 0..=1, and the rows of every batch, shuffled once, go to the device.
//!    With another `--image`, the same pixels are images of that size, as in `elbo bench --image`.
//! 2. The first step is timed alone: it is where kernels are compiled and tuned.
//! 3. `--warmup-steps` steps; then blocks of 1, 2, 4, … steps, each ended by reading the loss, until one takes a tenth
//!    of `--seconds`. Its speed gives the number of steps that fill `--seconds`.
//! 4. That many steps against the clock. The loss is read once, after the last of them and before the clock is stopped:
//!    no step waits for the host, and no work is left in a queue.

mod layer;

use std::{error::Error, fs::File, io::Read, path::Path, path::PathBuf, time::Instant};

use clap::Args;
pub use layer::{Kind, Layer, Size, Window};
use serde::Serialize;

/// Pixels of an image of MNIST.
const MNIST_PIXELS: usize = 784;

/// The flags that all peers share.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Images a step
    #[arg(long, default_value_t = 128)]
    pub batch: usize,
    /// Height, width and channels of the images
    #[arg(long, default_value = "28x28x1", value_parser = layer::image)]
    pub image: Size,
    /// The encoder's hidden layers, widths and convolutions such as conv32k4s2; the decoder mirrors them
    #[arg(long, value_delimiter = ',', default_value = "400")]
    pub hidden: Vec<String>,
    /// Latents
    #[arg(long, default_value_t = 20)]
    pub latents: usize,
    /// Seconds to fill with timed steps
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Steps before the clock is started
    #[arg(long, default_value_t = 20)]
    pub warmup_steps: usize,
    /// Images of MNIST whose pixels to train on; 40,000 of them in f32 fit the 128 MiB that some adapters can bind
    #[arg(long, default_value_t = 40_000)]
    pub images: usize,
    /// Folder with train-images-idx3-ubyte.br
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../assets/mnist"))]
    pub mnist: PathBuf,
}

/// A framework that can train the model.
pub trait Peer {
    /// Its name, version and way of running: `burn 0.22.1 (wgpu)`.
    fn name(&self) -> String;

    /// What it computes on.
    fn adapter(&self) -> String;

    /// The number of the model's parameters.
    fn parameters(&self) -> usize;

    /// Trains on one batch: forward, backward, Adam. Need not wait for the device.
    fn step(&mut self, batch: usize);

    /// The loss of the last step, in nats per image: waits for everything before it.
    fn loss(&mut self) -> f64;
}

/// The data of a run, on the host.
pub struct Data {
    /// `(images, channels, height, width)`, row-major, in 0..=1.
    pub pixels: Vec<f32>,
    /// The number of images.
    pub images: usize,
    /// The rows of each batch.
    pub batches: Vec<Vec<u32>>,
}

/// The line that is printed.
#[derive(Serialize)]
struct Report<'a> {
    peer: String,
    adapter: String,
    batch: usize,
    image: String,
    hidden: &'a [String],
    latents: usize,
    parameters: usize,
    images_per_second: f64,
    steps: usize,
    first_step_seconds: f64,
    loss: f64,
}

/// Measures a peer and prints one line of JSON.
///
/// # Errors
///
/// If the data cannot be read, hold fewer images than a batch, or if the loss is not finite.
pub fn run<P: Peer>(
    flags: &Flags,
    build: impl FnOnce(&Data) -> Result<P, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let data = read(flags)?;
    let batches = data.batches.len();
    let mut peer = build(&data)?;
    drop(data);

    let mut next = 0;
    let mut steps = |peer: &mut P, count: usize| {
        let start = Instant::now();
        for _ in 0..count {
            peer.step(next % batches);
            next += 1;
        }
        let loss = peer.loss();
        (start.elapsed().as_secs_f64(), loss)
    };

    let (first_step_seconds, _) = steps(&mut peer, 1);
    steps(&mut peer, flags.warmup_steps);
    let (mut count, mut seconds) = (1, steps(&mut peer, 1).0);
    while seconds < flags.seconds / 10.0 {
        count *= 2;
        seconds = steps(&mut peer, count).0;
    }
    let count = (flags.seconds / seconds * count as f64).ceil() as usize;

    let (seconds, loss) = steps(&mut peer, count);
    if !loss.is_finite() {
        return Err(format!("the loss after the last step is {loss}: the model did not train").into());
    }
    let [channels, height, width] = flags.image;
    let report = Report {
        peer: peer.name(),
        adapter: peer.adapter(),
        batch: flags.batch,
        image: format!("{height}x{width}x{channels}"),
        hidden: &flags.hidden,
        latents: flags.latents,
        parameters: peer.parameters(),
        images_per_second: (count * flags.batch) as f64 / seconds,
        steps: count,
        first_step_seconds,
        loss,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// The processor's name and the number of threads that a pool would use.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", name.unwrap_or(std::env::consts::ARCH))
}

/// Reads the images and draws the batches.
fn read(flags: &Flags) -> Result<Data, Box<dyn Error>> {
    const HEADER: usize = 16;
    let path = flags.mnist.join("train-images-idx3-ubyte.br");
    let bytes = unpack(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let there = bytes.len().saturating_sub(HEADER) / MNIST_PIXELS;
    let (channels, values) = (flags.image[0], flags.image.iter().product::<usize>());
    let images = flags.images.min(there) * MNIST_PIXELS / values;
    if flags.batch == 0 || flags.batch > images || flags.images > there {
        let Flags { batch, images: digits, .. } = flags;
        return Err(format!(
            "wanted batches of {batch} out of {images} images with the pixels of {digits} of {}, which has {there}",
            path.display()
        )
        .into());
    }
    let bytes = bytes[HEADER..].chunks_exact(values).take(images);
    let channels_first =
        bytes.flat_map(|image| (0..channels).flat_map(|first| image[first..].iter().step_by(channels)));
    let mut rows: Vec<u32> = (0..images as u32).collect();
    shuffle(&mut rows);
    Ok(Data {
        pixels: channels_first.map(|&byte| f32::from(byte) / 255.0).collect(),
        images,
        batches: rows.chunks_exact(flags.batch).map(<[u32]>::to_vec).collect(),
    })
}

/// The content of a Brotli file.
fn unpack(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    brotli_decompressor::Decompressor::new(File::open(path)?, 1 << 16).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Fisher-Yates with a linear congruential generator: the same order in every run.
fn shuffle(rows: &mut [u32]) {
    let mut state = 1_u64;
    for last in (1..rows.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        rows.swap(last, (state >> 33) as usize % (last + 1));
    }
}
