//! Compression: the network on the CPU is the GPU's, streams come back bit for bit on any device, damaged ones are refused.

use std::fs;
use std::path::Path;

use elbo::compress::{self, Codec, CodecConfig, Header, Rate, Stream};
use elbo::config::Config;
use elbo::data::{ImageShape, Images};
use elbo::files::npy;
use elbo::likelihood::{Likelihood, LikelihoodConfig, Pixels};
use elbo::nn::{Activation, NormKind};
use elbo::selftest::likelihood::{beta_binomial, discretised_logistic};
use elbo::vae::{ExactModel, Model, Vae};

use crate::support::finished::home;
use crate::support::gpu;
use crate::support::program::{command, refuses, succeeds};
use crate::support::synthetic::{ACTIVATIONS, SHAPE, config, dataset, images, train};

/// A model that was trained a little, as a file, and on the CPU.
fn saved(vae: &Vae) -> ExactModel {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    vae.save(&path).unwrap();
    let (model, parameters) = Model::read(&path, &fs::read(&path).unwrap()).unwrap();
    ExactModel::new(&model, &parameters).unwrap()
}

fn trained(mut config: Config) -> Vae {
    config.training.epochs = Some(1);
    train(gpu(), &dataset(128, 16), &config).1.vae().clone()
}

/// The largest difference between what the GPU and the CPU make of images, relative to the largest value.
fn difference(vae: &Vae, images: &Images) -> f64 {
    let exact = saved(vae);
    let posterior = vae.encode(images, 0).unwrap();
    let (dimensions, latents) = (images.dimensions(), exact.latents());
    let pixels: Vec<f32> = images.pixels().collect();
    let mut worst = 0.0f64;
    let mut compare = |found: &[f32], want: &[f32]| {
        let most = want.iter().fold(1e-3f32, |most, value| most.max(value.abs()));
        let differences = found.iter().zip(want).map(|(found, want)| f64::from((found - want).abs() / most));
        worst = differences.fold(worst, f64::max);
    };
    for (index, image) in pixels.chunks(dimensions).enumerate() {
        let [mean, logvar] = exact.encode(image);
        compare(&mean, &posterior.mean[index * latents..(index + 1) * latents]);
        compare(&logvar, &posterior.logvar[index * latents..(index + 1) * latents]);
    }
    let means = vae.decode(&posterior.mean, Pixels::Mean).unwrap();
    let mut probabilities = vec![0.0; exact.levels.count()];
    for (z, want) in posterior.mean.chunks(latents).zip(means.chunks(dimensions)) {
        let outputs = exact.decode(z);
        let highest = (probabilities.len() - 1) as f64;
        let found: Vec<f32> = outputs
            .chunks(outputs.len() / dimensions)
            .map(|outputs| {
                exact.levels.probabilities(outputs, &mut probabilities);
                let sum: f64 = probabilities.iter().enumerate().map(|(level, p)| level as f64 * p).sum();
                (sum / highest) as f32
            })
            .collect();
        compare(&found, want);
    }
    worst
}

#[test]
fn the_network_on_the_cpu_is_the_gpus() {
    let few = images(5, 3);
    let mut kinds: Vec<Config> =
        ACTIVATIONS.iter().map(|activation| config(2, *activation, Likelihood::Bernoulli)).collect();
    for kind in [Likelihood::DiscretisedLogistic, Likelihood::BetaBinomial, Likelihood::Categorical] {
        let mut config = config(1, Activation::Relu, kind);
        config.model.likelihood = LikelihoodConfig { kind, categories: 256, ..LikelihoodConfig::default() };
        kinds.push(config);
    }
    for normalise in [NormKind::Batch, NormKind::Layer] {
        let mut config = config(2, Activation::Silu, Likelihood::Bernoulli);
        config.model.normalise = Some(normalise);
        kinds.push(config);
    }
    for hidden in ["conv8k3s2,res8,pool,10", "conv8k4s2,conv4k3s1p0,10", "conv4k3s1,conv8k4s2"] {
        for (normalise, upsample) in [(NormKind::None, "transposed"), (NormKind::Batch, "nearest")] {
            let mut config = config(1, Activation::Gelu, Likelihood::Bernoulli);
            config.model.hidden = Some(hidden.parse().unwrap());
            config.model.normalise = Some(normalise);
            config.model.upsample = serde_json::from_value(upsample.into()).unwrap();
            kinds.push(config);
        }
    }
    for config in kinds {
        let worst = difference(&trained(config.clone()), &few);
        assert!(worst < 2e-4, "{worst:.1e}: {:?}", config.model);
    }
}

#[test]
fn probabilities_of_levels_are_the_references() {
    use elbo::likelihood::Levels;
    let levels = |kind| -> Box<dyn Levels> {
        LikelihoodConfig { kind, categories: 3, ..LikelihoodConfig::default() }.density().levels().unwrap()
    };
    let mut found = [0.0; 256];
    for outputs in [[0.3f32, -1.0], [0.5, 2.0], [-3.0, -9.0], [6.9, -6.9], [-7.0, -7.0], [7.5, 7.5], [1.2, 0.1]] {
        let wide = outputs.map(f64::from);
        for (kind, share) in [
            (Likelihood::DiscretisedLogistic, &discretised_logistic::share as &dyn Fn(f64, [f64; 2]) -> _),
            (Likelihood::BetaBinomial, &beta_binomial::share),
        ] {
            levels(kind).probabilities(&outputs, &mut found);
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for (level, p) in found.iter().enumerate() {
                let want = share(level as f64 / 255.0, wide).log_prob.exp();
                assert!((p - want).abs() < 1e-8 * want + 1e-13, "{kind:?} {outputs:?} {level}: {p:e}, {want:e}");
            }
        }
    }
    let mut few = [0.0; 3];
    levels(Likelihood::Categorical).probabilities(&[1.0, 2.0, -500.0], &mut few);
    assert!((few[1] / few[0] - 1f64.exp()).abs() < 1e-12 && few[2] < 1e-200);
    levels(Likelihood::Bernoulli).probabilities(&[-2.0], &mut few);
    assert!((few[1] - 1.0 / (1.0 + 2f64.exp())).abs() < 1e-15);
}

fn coded(codec: &Codec, levels: &[u8]) -> (Vec<u8>, Rate) {
    let (chunks, rate) = compress::encode(codec, levels, &|_| ()).unwrap();
    let header = Header {
        model: codec.model().hash().to_owned(),
        images: levels.len() / SHAPE.dimensions(),
        image: SHAPE,
        codec: codec.config(),
        names: None,
        labels: None,
    };
    let mut stream = Vec::new();
    compress::write(&mut stream, &header, None, &chunks).unwrap();
    (stream, rate)
}

fn decoded(codec: &Codec, stream: &[u8]) -> Result<Vec<u8>, String> {
    let stream = Stream::read(Path::new("a.elbo"), stream).map_err(|error| error.to_string())?;
    let decoded = stream.decode(codec, &|_| ()).map_err(|error| error.to_string())?;
    decoded.fault.map_or(Ok(decoded.levels), Err)
}

#[test]
fn every_discrete_model_gives_the_images_back_at_the_rate_of_its_elbo() {
    let mut kinds = vec![(config(1, Activation::Relu, Likelihood::Bernoulli), true)];
    for kind in [Likelihood::DiscretisedLogistic, Likelihood::BetaBinomial, Likelihood::Categorical] {
        let mut config = config(1, Activation::Relu, kind);
        config.model.likelihood = LikelihoodConfig { kind, categories: 256, ..LikelihoodConfig::default() };
        kinds.push((config, false));
    }
    for prior in ["mixture", "vamp-prior"] {
        let mut config = config(1, Activation::Tanh, Likelihood::BetaBinomial);
        config.model.prior.kind = serde_json::from_value(prior.into()).unwrap();
        config.model.prior.components = 5;
        kinds.push((config, false));
    }
    for (config, binary) in kinds {
        let vae = trained(config.clone());
        let images = images(300, 9);
        let images = if binary {
            let bytes = images.bytes().unwrap().iter().map(|byte| if *byte > 127 { 255 } else { 0 }).collect();
            Images::new(bytes, 300, SHAPE).unwrap()
        } else {
            images
        };
        let codec = Codec::new(saved(&vae), CodecConfig::default()).unwrap();
        let levels = codec.levels_of(&images).unwrap();
        let (stream, rate) = coded(&codec, &levels);
        assert!(decoded(&codec, &stream).unwrap() == levels, "{:?}", config.model);
        let loss = (rate.bits - rate.initial_bits) / rate.elbo_bits - 1.0;
        // Levels that the model thinks impossible take fewer bits than that: each has a part of the whole.
        assert!(loss < 5e-3 && loss > -0.1, "{loss:+.4} of {:?}", config.model);
        // More than one chunk, and fewer bins: the same images.
        let precisions = CodecConfig { bins: 6, precision: 16, chunk: 70 };
        let codec = Codec::new(saved(&vae), precisions).unwrap();
        let (stream, coarse) = coded(&codec, &levels);
        let alone = levels.chunks(70 * SHAPE.dimensions()).map(|chunk| codec.encode(chunk).unwrap().0);
        assert!(compress::encode(&codec, &levels, &|_| ()).unwrap().0 == alone.collect::<Vec<_>>(), "threads differ");
        assert!(decoded(&codec, &stream).unwrap() == levels);
        // Fewer parts are no loss to a model that gives what happens less than a part.
        assert!(coarse.bits > rate.bits || !binary, "{} after {}", coarse.bits, rate.bits);
    }
}

/// `tests/fixtures/README.md` has the commands that wrote it.
#[test]
fn a_stream_that_was_written_once_is_decoded_for_ever() {
    let bytes = include_bytes!("fixtures/stream.elbo");
    let path = Path::new("stream.elbo");
    let stream = Stream::read(path, bytes).unwrap();
    let (model, parameters) = Model::read(path, stream.model.unwrap()).unwrap();
    let codec = Codec::new(ExactModel::new(&model, &parameters).unwrap(), stream.header.codec).unwrap();
    assert_eq!(codec.model().hash(), "fca5f97327f3b4401f74920837a7a6b3");
    let decoded = stream.decode(&codec, &|_| ()).unwrap();
    assert_eq!((decoded.fault, decoded.levels.len()), (None, 24 * 64));
    assert!(decoded.levels.iter().enumerate().all(|(i, level)| usize::from(*level) == i * i / 7 % 251));
    // It is written with the same bytes, too.
    let (chunks, _) = compress::encode(&codec, &decoded.levels, &|_| ()).unwrap();
    let mut again = Vec::new();
    compress::write(&mut again, &stream.header, stream.model, &chunks).unwrap();
    // Another version of zlib may pack the header in another way.
    let rest = 12 + stream.model.unwrap().len() + chunks.iter().map(|words| 12 + 4 * words.len()).sum::<usize>();
    assert!(again[again.len() - rest..] == bytes[bytes.len() - rest..], "the format, or a probability, is another one");
}

#[test]
fn damaged_streams_are_refused_with_the_place_and_what_is_whole_is_restored() {
    let vae = trained(config(1, Activation::Relu, Likelihood::BetaBinomial));
    let precisions = CodecConfig { chunk: 20, ..CodecConfig::default() };
    let codec = Codec::new(saved(&vae), precisions).unwrap();
    let levels = codec.levels_of(&images(60, 4)).unwrap();
    let (stream, _) = coded(&codec, &levels);
    let read = |bytes: &[u8]| decoded(&codec, bytes).unwrap_err();
    assert!(read(b"hello").contains("a stream that `elbo compress` wrote"));
    assert!(read(&[b"PK\x03\x04", &stream[4..]].concat()).contains("another file"));
    let mut newer = stream.clone();
    newer[8] = 9;
    assert!(read(&newer).contains("version 9"));
    for at in [12, 20, stream.len() / 3, stream.len() - 5] {
        let mut damaged = stream.clone();
        damaged[at] ^= 0x40;
        assert!(read(&damaged).contains("at byte"), "{at}: {}", read(&damaged));
    }
    for length in (0..stream.len()).step_by(97) {
        assert!(decoded(&codec, &stream[..length]).is_err(), "{length}");
    }
    assert!(read(&[&stream[..], b"x"].concat()).contains("1 more bytes"));
    // The last chunk is cut short: two of three are whole.
    let cut = &stream[..stream.len() - 9];
    let parts = Stream::read(Path::new("a.elbo"), cut).unwrap().decode(&codec, &|_| ()).unwrap();
    assert!(parts.fault.is_some_and(|fault| fault.contains("the chunk from image 40")));
    assert!(parts.levels == levels[..40 * SHAPE.dimensions()]);
    // Another model.
    let mut other = config(1, Activation::Relu, Likelihood::BetaBinomial);
    other.training.seed = 5;
    let other = Codec::new(saved(&trained(other)), precisions).unwrap();
    assert!(decoded(&other, &stream).unwrap_err().contains("the model of hash"));
}

#[test]
fn what_cannot_be_coded_is_refused() {
    let vae = trained(config(1, Activation::Relu, Likelihood::Gaussian));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    vae.save(&path).unwrap();
    let (model, parameters) = Model::read(&path, &fs::read(&path).unwrap()).unwrap();
    let error = ExactModel::new(&model, &parameters).unwrap_err().to_string();
    assert!(error.starts_with("--likelihood: expected a model of a discrete likelihood"), "{error}");
    let exact = || saved(&trained(config(1, Activation::Relu, Likelihood::Bernoulli)));
    for (precisions, option) in [
        (CodecConfig { bins: 0, ..CodecConfig::default() }, "--bins"),
        (CodecConfig { bins: 17, ..CodecConfig::default() }, "--bins"),
        (CodecConfig { precision: 25, ..CodecConfig::default() }, "--precision"),
        (CodecConfig { precision: 2, ..CodecConfig::default() }, "--precision"),
        (CodecConfig { chunk: 0, ..CodecConfig::default() }, "--chunk"),
    ] {
        assert!(Codec::new(exact(), precisions).unwrap_err().to_string().starts_with(option));
    }
    let codec = Codec::new(exact(), CodecConfig::default()).unwrap();
    let error = codec.levels_of(&images(2, 1)).unwrap_err().to_string();
    assert!(error.starts_with("DATA: expected pixels of 0 and 1 alone"), "{error}");
    let small = Images::new(vec![0; 12], 1, ImageShape::grey(3, 4)).unwrap();
    assert!(codec.levels_of(&small).unwrap_err().to_string().contains("images of 6 x 7"));
    // A model whose parameters make NaN of an image.
    let vae = trained(config(1, Activation::Relu, Likelihood::Bernoulli));
    let weight = vae.parameters().get("posterior.weight");
    weight.write(gpu(), &vec![3e38f32; weight.rows() * weight.columns()]).unwrap();
    let codec = Codec::new(saved(&vae), CodecConfig::default()).unwrap();
    let error = codec.encode(&vec![1; SHAPE.dimensions()]).unwrap_err().to_string();
    assert!(error.contains("of image 0"), "{error}");
}

/// A run of a beta-binomial model on pictures in a folder.
fn pictures() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("pictures/b")).unwrap();
    for index in 0..40u32 {
        let bytes: Vec<u8> = (0..64 * 3).map(|i| ((i * index + i / 7) % 251) as u8).collect();
        let name = format!("{}{index:02}.png", if index % 2 == 0 { "b/" } else { "" });
        let path = directory.path().join("pictures").join(name);
        elbo::image::write_picture(&path, &bytes, ImageShape { channels: 3, height: 8, width: 8 }).unwrap();
    }
    let small = ["--hidden", "8", "--latents", "2", "--epochs", "1", "--likelihood", "discretised-logistic"];
    succeeds(directory.path(), &[&["train", "--data", "pictures", "--out", "run", "--quiet"][..], &small].concat());
    directory
}

#[test]
fn a_folder_of_pictures_comes_back_with_two_commands_and_no_adapter() {
    let directory = pictures();
    let here = directory.path();
    let printed = succeeds(here, &["compress", "run", "pictures", "--out", "p.elbo", "--chunk", "16"]);
    assert!(printed.contains("40 images of 192 values") && printed.contains("decoded again"), "{printed}");
    // Without any adapter.
    let mut program = command(here, &["decompress", "p.elbo", "--model", "run", "--out", "restored"]);
    let hidden = program.env("VK_DRIVER_FILES", "/nonexistent").env("WGPU_BACKEND", "metal").output().unwrap();
    assert!(hidden.status.success(), "{}", String::from_utf8_lossy(&hidden.stderr));
    for name in ["01.png", "b/02.png", "b/38.png", "39.png"] {
        let pixels = |folder: &str| image::open(here.join(folder).join(name)).unwrap().into_rgb8().into_raw();
        assert_eq!(pixels("pictures"), pixels("restored"), "{name}");
    }
    // Pictures that are named one by one, from anywhere.
    let second = here.join("pictures/b/02.png");
    let list = ["compress", "run", "pictures/01.png", second.to_str().unwrap(), "pictures/39.png", "--out", "l.elbo"];
    succeeds(here, &list);
    succeeds(here, &["decompress", "l.elbo", "--model", "run", "--out", "list"]);
    assert!(here.join("list/pictures/01.png").is_file() && here.join("list/02.png").is_file());
    fs::copy(here.join("pictures/01.png"), here.join("01.png")).unwrap();
    let (one, other) = (here.join("01.png"), here.join("pictures/01.png"));
    let twice = ["compress", "run", one.to_str().unwrap(), other.to_str().unwrap(), "--out", "x.elbo"];
    refuses(here, &twice, &["different names"]);
    // Whatever threads do, the bytes are the same; the model may be in the file.
    succeeds(here, &["compress", "run", "pictures", "--out", "again.elbo", "--chunk", "16", "--no-verify"]);
    assert_eq!(fs::read(here.join("p.elbo")).unwrap(), fs::read(here.join("again.elbo")).unwrap());
    succeeds(here, &["compress", "run", "pictures", "--out", "whole.elbo", "--embed-model"]);
    succeeds(here, &["decompress", "whole.elbo", "--out", "images.npy"]);
    refuses(here, &["decompress", "p.elbo", "--out", "x"], &["--model: expected the run of the model of hash"]);
    refuses(here, &["decompress", "run/config.json", "--out", "x"], &["a stream that `elbo compress` wrote"]);
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(here, &["compress", "run", "pictures", "--out", "p.elbo", "--json"])).unwrap();
    assert!(json["net"].as_f64().unwrap() < json["gross"].as_f64().unwrap() && json["images"] == 40, "{json}");
}

#[test]
fn other_images_and_names_that_lead_out_of_the_folder_are_refused() {
    let grey: Vec<u8> = (0..20 * 64).map(|i| (i % 256) as u8).collect();
    npy::write_u8(&home().join("grey.npy"), &grey, &[20, 8, 8]).unwrap();
    refuses(home(), &["compress", "run", "grey.npy", "--out", "x.elbo"], &["DATA: expected pixels of 0 and 1"]);
    refuses(home(), &["compress", "run", "grey.npy", "--out", "no/x.elbo"], &["cannot write to the folder no"]);
    refuses(home(), &["compress", "run", "mnist", "--out", "x.elbo"], &["images of 8 x 8", "28 x 28"]);
    refuses(home(), &["compress", "run", "nowhere", "--out", "x.elbo"], &["does not exist"]);
    let directory = pictures();
    let here = directory.path();
    fs::create_dir(here.join("clear")).unwrap();
    let clear = image::RgbaImage::from_pixel(8, 8, image::Rgba([9, 9, 9, 100]));
    clear.save(here.join("clear/1.png")).unwrap();
    refuses(here, &["compress", "run", "clear", "--out", "x.elbo"], &["transparent", "1 others"]);
    succeeds(here, &["compress", "run", "pictures", "--out", "p.elbo", "--embed-model"]);
    let bytes = fs::read(here.join("p.elbo")).unwrap();
    let path = here.join("p.elbo");
    let stream = Stream::read(&path, &bytes).unwrap();
    let model = stream.model.unwrap();
    let (described, parameters) = Model::read(&path, model).unwrap();
    let codec = Codec::new(ExactModel::new(&described, &parameters).unwrap(), stream.header.codec).unwrap();
    let levels = stream.decode(&codec, &|_| ()).unwrap().levels;
    let (chunks, _) = compress::encode(&codec, &levels, &|_| ()).unwrap();
    let names = Some((0..40).map(|index| format!("../{index}.png")).collect());
    let mut hostile = Vec::new();
    compress::write(&mut hostile, &Header { names, ..stream.header.clone() }, Some(model), &chunks).unwrap();
    fs::write(here.join("hostile.elbo"), hostile).unwrap();
    refuses(here, &["decompress", "hostile.elbo", "--out", "out"], &["names of pictures below a folder", "../0"]);
    assert!(!here.join("0.png").exists());
}
