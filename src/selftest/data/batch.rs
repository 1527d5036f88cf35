//! The self-test of `shaders/data/batch.wgsl`, which begins a step.

pub(super) mod sentences;

use crate::Error;
use crate::data::batch::DeviceImages;
use crate::data::{Binarize, ImageShape, Images, order};
use crate::gpu::Tensor;
use crate::noise::{self, Stream};
use crate::selftest::bench::{Bench, Output};
use crate::selftest::noise::uniform;
use crate::selftest::tolerance::DIVISION;
use crate::selftest::{Checks, Matrix, Sizes};

pub(super) const CHECKS: Checks = &[("data/batch.wgsl", check_gather)];

/// Images in a shard: those of some cases fit one, others need three, the last of which is shorter.
const SHARD: usize = 40;

/// Both kinds of pixels, in every way that the model may see them.
fn check_gather(bench: &mut Bench<'_>) -> Result<(), Error> {
    let Sizes { batch, rows, first, columns, .. } = bench.sizes;
    let count = first + batch;
    let bytes: Vec<u8> = (0..count * columns).map(|_| (128.0 * (1.0 + bench.draw())) as u8).collect();
    // Multiples of 1/64, so that one half is among them.
    let floats = (0..count * columns).map(|_| (64.0 * bench.draw().abs()).round() / 64.0).collect();
    let shape = ImageShape::grey(1, columns);
    let images = [Images::new(bytes, count, shape)?, Images::from_floats(floats, count, shape)?];
    let order = order::shuffled(count, 0, 1);
    let order_tensor = Tensor::from_values(bench.gpu, 1, count, &order)?;
    for binarize in [Binarize::None, Binarize::Threshold, Binarize::Static, Binarize::Dynamic] {
        for (kind, images) in ["bytes", "floats"].iter().zip(&images) {
            let x = bench.output(columns)?;
            let stream = Stream::BinariseEvaluation;
            let device_images = DeviceImages::upload_in_shards(bench.gpu, images, binarize, stream, SHARD)?;
            let dispatches = device_images.gather(bench.at(), &order_tensor, &x)?;
            let pixels: Vec<f32> = images.pixels().collect();
            let image = |b: usize| order[first + b];
            let grey = Matrix::from_fn(rows, columns, |b, d| f64::from(pixels[image(b) as usize * columns + d]));
            let key = noise::key(u64::from(bench.step.key[1]) << 32 | u64::from(bench.step.key[0]), stream);
            let t = if binarize == Binarize::Dynamic { bench.step.t } else { 0 };
            let (values, errors) = match binarize {
                Binarize::None => (grey.clone(), grey.map(|value| DIVISION * value)),
                Binarize::Threshold => (grey.map(|value| f64::from(u8::from(value >= 0.5))), grey.map(|_| 0.0)),
                Binarize::Static | Binarize::Dynamic => {
                    let random = |b, d: usize| uniform(key, [d as u32 / 4, image(b), t, 0], d % 4);
                    let white = |b, d| f64::from(u8::from(random(b, d) < grey.at(b, d)));
                    // A grey level may be off by its rounding: a draw that close to it can go either way.
                    let close = |b, d| f64::from(u8::from((random(b, d) - grey.at(b, d)).abs() < DIVISION));
                    (Matrix::from_fn(rows, columns, white), Matrix::from_fn(rows, columns, close))
                }
            };
            let outputs = [Output::matrix("x", &x, &values, &errors)];
            bench.check_variant(&format!("{kind}, {binarize:?}"), dispatches, outputs)?;
        }
    }
    Ok(())
}
