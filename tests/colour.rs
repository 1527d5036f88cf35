//! Colour, from images to pictures and files: channels stand side by side in a pixel everywhere.

use std::ops::ControlFlow;
use std::path::Path;

use elbo::config::Config;
use elbo::data::{ImageShape, Images, Split};
use elbo::eval::{ReportRequest, report};
use elbo::files::npy;
use elbo::image::{Grid, paired_rows};
use elbo::likelihood::{Likelihood, Pixels};
use elbo::nn::{Activation, NormKind};
use elbo::{Dataset, Plan, Trainer};

use crate::support::gpu;
use crate::support::program::{refuses, succeeds};
use crate::support::synthetic::{LATENTS, config, trainer};

const SHAPE: ImageShape = ImageShape { channels: 3, ..ImageShape::grey(6, 7) };
/// The pixels in the columns on the left: red, and those on the right: blue.
const LEFT: [u8; 3] = [220, 60, 10];
const RIGHT: [u8; 3] = [30, 100, 250];
/// The first column on the right.
const MIDDLE: usize = 3;

/// Images of two colours, with noise of up to 5 levels, and with green that differs from image to image.
fn images(count: usize, shape: ImageShape) -> Images {
    let value = |at: usize| {
        let (image, pixel, channel) = (at / SHAPE.dimensions(), at / 3 % (SHAPE.dimensions() / 3), at % 3);
        let base = if pixel % SHAPE.width < MIDDLE { LEFT } else { RIGHT }[channel];
        let own = if channel == 1 { (image * 37 % 50) as u8 } else { 0 };
        base + own + (at * 7919 % 6) as u8
    };
    Images::new((0..count * SHAPE.dimensions()).map(value).collect(), count, shape).unwrap()
}

fn dataset(shape: ImageShape) -> Dataset {
    let split = |count| Split { images: images(count, shape), labels: None };
    Dataset { name: "two colours".to_owned(), train: split(320), validation: None, test: split(20) }
}

fn settings(likelihood: Likelihood) -> Config {
    let mut config = config(1, Activation::Relu, likelihood);
    config.training.epochs = Some(25);
    config.training.batch_size = 16;
    config
}

fn trained(data: &Dataset, likelihood: Likelihood) -> Trainer {
    let mut trainer = trainer(gpu(), data, &settings(likelihood));
    trainer.run(|_, _| Ok(ControlFlow::Continue(()))).unwrap();
    trainer
}

/// Checks that images have the two colours, to within a tolerance.
#[track_caller]
fn assert_coloured(values: &[f32], tolerance: f32, what: &str) {
    for (at, value) in values.iter().enumerate().filter(|(at, _)| at % 3 != 1) {
        let want = if at / 3 % SHAPE.width < MIDDLE { LEFT } else { RIGHT }[at % 3];
        assert!((value - f32::from(want) / 255.0).abs() < tolerance, "{what}: {value} as value {at}, not {want} / 255");
    }
}

#[test]
fn every_likelihood_describes_each_channel() {
    let data = dataset(SHAPE);
    for likelihood in [Likelihood::Bernoulli, Likelihood::GaussianPerDimension, Likelihood::DiscretisedLogistic] {
        let trainer = trained(&data, likelihood);
        let vae = trainer.vae();
        let reconstructions = vae.reconstruct(&data.test.images, 0, Pixels::Mean).unwrap();
        assert_coloured(&reconstructions, 0.1, &format!("{likelihood:?}"));
        // Only the reading of the files and the drawing of pictures know what the dimensions are.
        let vectors = dataset(ImageShape::grey(1, SHAPE.dimensions()));
        let same = trained(&vectors, likelihood);
        let draws = [vae, same.vae()].map(|vae| vae.sample(9, 1, Pixels::Draw { seed: 1 }).unwrap());
        assert_eq!(draws[0], draws[1]);
    }
}

#[test]
fn bits_are_per_value_of_an_image() {
    let data = dataset(SHAPE);
    let trainer = trained(&data, Likelihood::DiscretisedLogistic);
    let request = ReportRequest { batch_size: 20, importance_samples: None, seed: 0 };
    let found = report(trainer.vae(), &data.test.images, request, |_| ControlFlow::Continue(())).unwrap().unwrap();
    let bits = -found.elbo / std::f64::consts::LN_2 / (6 * 7 * 3) as f64;
    assert!((found.bits_per_dim.unwrap() - bits).abs() < 1e-12 * bits, "{found:?}");
    // The noise alone takes log2(6) bits, and a model without any knowledge 8.
    assert!((2.0..6.0).contains(&bits), "{bits}");
}

/// The pixels at the centres of the cells of the first image of a picture.
fn first_image(path: &Path, columns: usize) -> Vec<f32> {
    let picture = image::open(path).unwrap();
    assert_eq!(picture.color(), image::ColorType::Rgb8);
    let picture = picture.into_rgb8();
    let scale = picture.width() / (columns * (SHAPE.width + 1) + 1) as u32;
    let at = |pixel: usize| ((pixel % SHAPE.width + 1) as u32 * scale, (pixel / SHAPE.width + 1) as u32 * scale);
    let pixels = (0..SHAPE.height * SHAPE.width).map(at).flat_map(|(x, y)| picture.get_pixel(x, y).0);
    pixels.map(|level| f32::from(level) / 255.0).collect()
}

#[test]
fn the_commands_write_pictures_and_arrays_in_colour() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let data = dataset(SHAPE);
    let trainer = trained(&data, Likelihood::Bernoulli);
    trainer.vae().save(&home.join("model.safetensors")).unwrap();
    npy::write(&home.join("latents.npy"), &[0.0; 2 * LATENTS], &[2, LATENTS]).unwrap();
    let commands: [(&[&str], usize, usize); 4] = [
        (&["sample", "model.safetensors", "--count", "3", "--columns", "2"], 3, 2),
        (&["traverse", "model.safetensors", "--steps", "3", "--range", "1"], 3 * LATENTS, 3),
        (&["manifold", "model.safetensors", "--size", "2", "--range", "0.5"], 4, 2),
        (&["decode", "model.safetensors", "latents.npy"], 2, 2),
    ];
    for (arguments, count, columns) in commands {
        succeeds(home, &[arguments, &["--out", "x.png"]].concat());
        assert_coloured(&first_image(&home.join("x.png"), columns), 0.15, arguments[0]);
        succeeds(home, &[arguments, &["--out", "x.NPY"]].concat());
        let (values, shape) = npy::read(&home.join("x.NPY")).unwrap();
        assert_eq!(shape, [count, 6, 7, 3], "{arguments:?}");
        assert_coloured(&values, 0.15, arguments[0]);
        refuses(home, &[arguments, &["--out", "x.gif"]].concat(), &["--out", ".png or .npy", "x.gif"]);
        refuses(home, &[arguments, &["--out", "png"]].concat(), &["--out", ".png or .npy"]);
    }
    let images = &data.test.images;
    let (originals, path) = (images.pixels().collect::<Vec<_>>(), home.join("pairs.png"));
    let reconstructions = trainer.vae().reconstruct(images, 0, Pixels::Mean).unwrap();
    let pairs = paired_rows(&originals, &reconstructions, images.dimensions(), 10).unwrap();
    Grid { pixels: &pairs, image: SHAPE, columns: 10 }.write(&path).unwrap();
    assert_coloured(&first_image(&path, 10), 0.05, "originals");
}

#[test]
fn a_normalisation_that_was_chosen_needs_batches_of_two() {
    // Large enough for convolutions.
    let shape = ImageShape { height: 9, width: 9, ..SHAPE };
    let split = || Split { images: Images::new(vec![100; 4 * shape.dimensions()], 4, shape).unwrap(), labels: None };
    let data = Dataset { name: "large".to_owned(), train: split(), validation: None, test: split() };
    let mut config = settings(Likelihood::Bernoulli);
    config.model.hidden = None;
    config.training.batch_size = 1;
    let error = Plan::new(&config, &data).expect_err("one example has no variance").to_string();
    assert!(error.contains("--batch-size") && error.contains("at least 2"), "{error}");
    config.model.normalise = Some(NormKind::None);
    Plan::new(&config, &data).expect("no normalisation");
}

/// A grid of positions has more rows than a tensor: 100 samples would need more workgroups along an axis than an adapter has.
#[test]
fn samples_of_large_images_are_decoded_in_parts() {
    let image = elbo::data::ImageShape { height: 256, width: 256, channels: 1 };
    let config =
        elbo::config::ModelConfig { hidden: "conv4k4s4,conv4k8s8,4".parse().ok(), latents: 2, ..Default::default() };
    let model = elbo::vae::Model { data: image.into(), config };
    let vae = elbo::Vae::new(crate::support::gpu(), model, 1).unwrap();
    let samples = vae.sample(66, 0, elbo::likelihood::Pixels::Mean).unwrap();
    assert_eq!(samples.len(), 66 * image.dimensions());
}
