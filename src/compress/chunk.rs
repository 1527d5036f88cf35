//! A chunk of images as one stack.

use sha2::{Digest, Sha256};

use super::CodecConfig;
use super::coder::{Cells, Coder, quantise, uniform};
use super::tables::Tables;
use crate::Error;
use crate::data::Images;
use crate::vae::ExactModel;

/// A model as a code for images.
#[derive(Debug)]
pub struct Codec {
    model: ExactModel,
    config: CodecConfig,
    tables: Tables,
    /// The components of the prior.
    components: Vec<Normals>,
}

/// What some images took, in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// The words of the stacks.
    pub bits: f64,
    /// Of these, the bits that were there before the first image.
    pub initial_bits: f64,
    /// The negative ELBO of the very same draws, `log2 q(z|x) - log2 p(x|z) - log2 p(z)`.
    pub elbo_bits: f64,
}

impl std::ops::AddAssign for Rate {
    fn add_assign(&mut self, other: Rate) {
        self.bits += other.bits;
        self.initial_bits += other.initial_bits;
        self.elbo_bits += other.elbo_bits;
    }
}

/// The log variances of a posterior, which are clamped to these: beyond them, all of its mass is in one bin, or spread evenly.
const LOGVARS: [f64; 2] = [-40.0, 40.0];

/// A normal distribution of each latent.
#[derive(Debug)]
struct Normals {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Normals {
    fn new([means, logvars]: &[Vec<f32>; 2]) -> Normals {
        let deviation = |logvar: &f32| libm::exp(0.5 * f64::from(*logvar).clamp(LOGVARS[0], LOGVARS[1]));
        Normals {
            means: means.iter().map(|mean| f64::from(*mean)).collect(),
            deviations: logvars.iter().map(deviation).collect(),
        }
    }

    /// The log density at a point, without the constant.
    fn log_density(&self, z: &[f64]) -> f64 {
        let term = |((z, mean), deviation): ((&f64, &f64), &f64)| {
            -0.5 * ((z - mean) / deviation) * ((z - mean) / deviation) - libm::log(*deviation)
        };
        z.iter().zip(&self.means).zip(&self.deviations).map(term).sum()
    }
}

/// The posterior of an image: the component of the prior that its latents are coded with, and the latents.
struct Posterior {
    /// The probability of each component, and the starts of their parts; empty if there is only one.
    components: Vec<f64>,
    starts: Vec<u32>,
    normals: Normals,
}

impl Codec {
    /// Makes a code of a model.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for precisions that cannot work.
    pub fn new(model: ExactModel, config: CodecConfig) -> Result<Codec, Error> {
        config.validate(model.levels.count())?;
        let tables = Tables::new(config.bins);
        let components = model.components.iter().map(Normals::new).collect();
        Ok(Codec { model, config, tables, components })
    }

    /// The model.
    pub fn model(&self) -> &ExactModel {
        &self.model
    }

    /// The precisions.
    pub fn config(&self) -> CodecConfig {
        self.config
    }

    /// The levels of images, a byte for each value.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if they have another size than the model's; [`Error::Config`] that names the first value that is no level.
    pub fn levels_of(&self, images: &Images) -> Result<Vec<u8>, Error> {
        let image = self.model.image();
        if images.shape() != image {
            return Err(Error::Argument {
                operation: "compressing images",
                expected: format!("images of {image}, as the model was trained on"),
                found: images.shape().to_string(),
            });
        }
        let highest = self.model.levels.count() - 1;
        let level = |(at, value): (usize, f32)| {
            let level = (value * highest as f32).round();
            let is_level = (0.0..=highest as f32).contains(&level) && (value - level / highest as f32).abs() <= 1e-6;
            is_level.then_some(level as u8).ok_or_else(|| Error::Config {
                option: "DATA",
                expected: match highest {
                    1 => "pixels of 0 and 1 alone, which the model's likelihood describes: binarise them first"
                        .to_owned(),
                    _ => format!("values k/{highest}, which the model's likelihood describes"),
                },
                found: format!("{value} in value {} of image {}", at % image.dimensions(), at / image.dimensions()),
            })
        };
        images.pixels().enumerate().map(level).collect()
    }

    /// Codes images, whose levels are one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the model gives NaN or infinity for one of them.
    pub fn encode(&self, levels: &[u8]) -> Result<(Vec<u32>, Rate), Error> {
        let initial = self.initial_words(levels);
        let mut rate = Rate { initial_bits: 32.0 * initial.len() as f64, ..Rate::default() };
        let mut coder = Coder::new(initial);
        for (index, image) in levels.chunks_exact(self.model.image().dimensions()).enumerate() {
            rate.elbo_bits += self.push_image(&mut coder, image, index)?;
        }
        let words = coder.finish();
        rate.bits = 32.0 * words.len() as f64;
        Ok((words, rate))
    }

    /// Decodes `count` images: their levels.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the words are not those of such images and this model.
    pub fn decode(&self, words: Vec<u32>, count: usize) -> Result<Vec<u8>, Error> {
        let mut coder = Coder::resume(words)?;
        let dimensions = self.model.image().dimensions();
        // The last image comes first. Memory grows with the images that are decoded, not with the number that the stream states.
        let mut reversed = Vec::new();
        for index in (0..count).rev() {
            let start = reversed.len();
            reversed.resize(start + dimensions, 0);
            self.pop_image(&mut coder, &mut reversed[start..], index)?;
        }
        let levels: Vec<u8> = reversed.rchunks_exact(dimensions).flatten().copied().collect();
        // The first words are a digest of the images.
        if coder.into_words().is_some_and(|words| words == self.initial_words(&levels)) {
            return Ok(levels);
        }
        let expected = "images whose digest is the one that was coded".to_owned();
        Err(Error::Argument { operation: "decoding images", expected, found: "another digest".to_owned() })
    }

    /// The words that the first latents are taken from: a digest of the images, repeated with a counter.
    fn initial_words(&self, levels: &[u8]) -> Vec<u32> {
        let words = (self.model.latents() * self.config.bins as usize).div_ceil(32) + 2;
        let digest = Sha256::digest(levels);
        let block = |number: u32| Sha256::new().chain_update(digest).chain_update(number.to_le_bytes()).finalize();
        let blocks = (0..).flat_map(|number| block(number).to_vec());
        let bytes: Vec<u8> = blocks.take(4 * words).collect();
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
    }

    /// The posterior of an image, from its levels.
    fn posterior(&self, levels: &[u8], index: usize) -> Result<Posterior, Error> {
        let highest = (self.model.levels.count() - 1) as f32;
        let pixels: Vec<f32> = levels.iter().map(|level| f32::from(*level) / highest).collect();
        let normals = Normals::new(&finite(self.model.encode(&pixels), "posterior", index)?);
        let (mut components, mut starts) = (Vec::new(), Vec::new());
        if self.components.len() > 1 {
            let log_densities: Vec<f64> =
                self.components.iter().map(|component| component.log_density(&normals.means)).collect();
            let most = log_densities.iter().fold(f64::NEG_INFINITY, |most, density| most.max(*density));
            components = log_densities.iter().map(|density| libm::exp(density - most)).collect();
            let sum: f64 = components.iter().sum();
            components.iter_mut().for_each(|p| *p /= sum);
            quantise(&components, super::coder::PRECISION, &mut starts);
        }
        Ok(Posterior { components, starts, normals })
    }

    /// The distribution of the bins of a latent under the posterior.
    fn bins<'a>(&'a self, posterior: &Posterior, prior: &Normals, latent: usize) -> Cells<impl Fn(usize) -> u32 + 'a> {
        let deviation = posterior.normals.deviations[latent];
        let shift = (prior.means[latent] - posterior.normals.means[latent]) / deviation;
        let scale = prior.deviations[latent] / deviation;
        Cells { count: self.tables.count(), start: move |bin| self.tables.start(bin, shift, scale) }
    }

    /// The latents in the middle of bins.
    fn latents(&self, prior: &Normals, bins: &[usize]) -> Vec<f64> {
        let latent =
            |(latent, bin): (usize, &usize)| prior.means[latent] + prior.deviations[latent] * self.tables.centres[*bin];
        bins.iter().enumerate().map(latent).collect()
    }

    /// Codes an image. Returns its ELBO in bits.
    fn push_image(&self, coder: &mut Coder, levels: &[u8], index: usize) -> Result<f64, Error> {
        let posterior = self.posterior(levels, index)?;
        let choice = Cells { count: posterior.components.len(), start: |symbol: usize| posterior.starts[symbol] };
        let component = if choice.count > 0 { coder.pop(&choice) } else { 0 };
        let prior = &self.components[component];
        let bins: Vec<usize> =
            (0..self.model.latents()).map(|latent| coder.pop(&self.bins(&posterior, prior, latent))).collect();
        let z = self.latents(prior, &bins);
        let mut log_prob = 0.0;
        self.each_value(&z, index, levels.len(), |value, probabilities, starts| {
            let level = usize::from(levels[value]);
            log_prob += libm::log(probabilities[level].max(f64::MIN_POSITIVE));
            coder.push(level, &Cells { count: probabilities.len(), start: |symbol: usize| starts[symbol] })
        })?;
        bins.iter().try_for_each(|bin| coder.push(*bin, &uniform(self.tables.count())))?;
        let mut kl = posterior.normals.log_density(&z) - prior.log_density(&z);
        if choice.count > 0 {
            coder.push(component, &uniform(choice.count))?;
            kl += libm::log(posterior.components[component].max(f64::MIN_POSITIVE) * choice.count as f64);
        }
        Ok((kl - log_prob) * std::f64::consts::LOG2_E)
    }

    /// Decodes the image that was coded last: everything of [`Codec::push_image`] in the opposite order.
    fn pop_image(&self, coder: &mut Coder, levels: &mut [u8], index: usize) -> Result<(), Error> {
        let count = self.components.len();
        let component = if count > 1 { coder.pop(&uniform(count)) } else { 0 };
        let prior = &self.components[component];
        let mut bins: Vec<usize> =
            (0..self.model.latents()).map(|_| coder.pop(&uniform(self.tables.count()))).collect();
        bins.reverse();
        let z = self.latents(prior, &bins);
        // The values were put onto the stack from the first to the last.
        let mut all = Vec::new();
        self.each_value(&z, index, levels.len(), |_, _, starts| {
            all.extend_from_slice(starts);
            Ok(())
        })?;
        let width = self.model.levels.count();
        for (value, starts) in all.chunks_exact(width + 1).enumerate().rev() {
            levels[value] = coder.pop(&Cells { count: width, start: |symbol: usize| starts[symbol] }) as u8;
        }
        let posterior = self.posterior(levels, index)?;
        for (latent, bin) in bins.iter().enumerate().rev() {
            coder.push(*bin, &self.bins(&posterior, prior, latent))?;
        }
        if count > 1 {
            coder.push(component, &Cells { count, start: |symbol: usize| posterior.starts[symbol] })?;
        }
        Ok(())
    }

    /// Calls `with` for each value of an image, with the probabilities of its levels, and the starts of their parts.
    fn each_value(
        &self,
        z: &[f64],
        index: usize,
        dimensions: usize,
        mut with: impl FnMut(usize, &[f64], &[u32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let z: Vec<f32> = z.iter().map(|z| *z as f32).collect();
        let [outputs, _] = finite([self.model.decode(&z), Vec::new()], "likelihood", index)?;
        let (mut probabilities, mut starts) = (vec![0.0; self.model.levels.count()], Vec::new());
        for (value, outputs) in outputs.chunks_exact(outputs.len() / dimensions).enumerate() {
            self.model.levels.probabilities(outputs, &mut probabilities);
            quantise(&probabilities, self.config.precision, &mut starts);
            with(value, &probabilities, &starts)?;
        }
        Ok(())
    }
}

/// Fails if there is a value that is NaN or infinite.
fn finite(values: [Vec<f32>; 2], what: &str, index: usize) -> Result<[Vec<f32>; 2], Error> {
    match values.iter().flatten().find(|value| !value.is_finite()) {
        None => Ok(values),
        Some(value) => {
            let place = format!("the {what} of image {index}");
            Err(Error::NotFinite { operation: "compressing images", place, value: *value })
        }
    }
}
