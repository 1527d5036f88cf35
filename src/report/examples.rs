//! What a report shows of the model itself: samples, reconstructions and traversals, as pictures or as sentences.

use serde::Serialize;

use super::latents::Latents;
use super::{shown, source_of, with_minus};
use crate::Error;
use crate::data::{Examples, Images};
use crate::eval::Report;
use crate::image::Grid;
use crate::likelihood::Pixels;
use crate::vae::{PosteriorParameters, Vae, Words, sweep};

/// Examples of each kind, if they are small.
const SAMPLES: usize = 100;
const SENTENCES: usize = 20;
const PAIRS: usize = 10;
const TRAVERSALS: usize = 12;
/// The most values of the pictures of one kind, so that a page of large pictures can still be sent by mail.
const MOST_VALUES: usize = 2 << 20;
/// The most pixels of the width of a grid, of a row and of an image with its reconstruction.
const GRID_WIDTH: usize = 900;
const ROW_WIDTH: usize = 640;
const PAIR_WIDTH: usize = 96;
const COLUMNS: usize = 10;
/// The values of a latent that is swept.
const SWEPT: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];

/// What the model makes.
#[derive(Debug, Serialize)]
pub struct Shown {
    of_text: bool,
    /// Of images.
    samples: Option<Picture>,
    /// Of text.
    sentences: Vec<String>,
    groups: Vec<Group>,
    traversals: Vec<Traversal>,
    swept: Vec<String>,
    /// Whether the other latents of a traversal are those of the first test example, or 0.
    around_an_example: bool,
}

#[derive(Debug, Serialize)]
struct Picture {
    source: String,
    alt: String,
}

/// Test examples with their reconstructions.
#[derive(Debug, Serialize)]
struct Group {
    title: &'static str,
    pairs: Vec<Pair>,
}

#[derive(Debug, Serialize)]
struct Pair {
    example: usize,
    label: Option<u8>,
    elbo: String,
    picture: Option<Picture>,
    original: String,
    reconstruction: String,
}

/// A latent that is swept, the others fixed.
#[derive(Debug, Serialize)]
struct Traversal {
    latent: usize,
    value: String,
    picture: Option<Picture>,
    sentences: Vec<String>,
}

/// The model and the test set that it is shown on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub vae: &'a Vae,
    pub test: Examples<'a>,
    pub labels: Option<&'a [u8]>,
    pub posteriors: &'a PosteriorParameters,
    pub report: &'a Report,
}

impl Subject<'_> {
    /// Decodes on the GPU.
    ///
    /// # Errors
    ///
    /// As [`Vae::sample`], [`Vae::decode`], [`Vae::write_sentences`] and [`Grid::png`].
    pub fn shown(self, latents: &Latents) -> Result<Shown, Error> {
        let has_latents = !self.vae.model().config.text.without_latents;
        let around_an_example = self.vae.model().config.kl_is_estimate();
        let (samples, sentences) = self.samples()?;
        Ok(Shown {
            of_text: self.test.sentences().is_some(),
            samples,
            sentences,
            groups: self.groups()?,
            traversals: if has_latents { self.traversals(latents, around_an_example)? } else { Vec::new() },
            swept: SWEPT.map(|value| with_minus(&value.to_string())).to_vec(),
            around_an_example,
        })
    }

    fn samples(self) -> Result<(Option<Picture>, Vec<String>), Error> {
        let Some(images) = self.test.images() else {
            let draws = Words::Draw { temperature: 1.0, top_p: 1.0, seed: 0 };
            let sentences = self.vae.write_sentences(&self.vae.draw_latents(SENTENCES, 0)?, draws)?;
            return Ok((None, sentences));
        };
        let count = fitting(SAMPLES, images.dimensions());
        let pixels = self.vae.sample(count, 0, Pixels::Mean)?;
        let alt = format!("{count} samples, up to {COLUMNS} in a row");
        Ok((Some(self.picture(pixels, COLUMNS, GRID_WIDTH, alt)?), Vec::new()))
    }

    /// The first test examples, and those with the largest and the smallest ELBO.
    fn groups(self) -> Result<Vec<Group>, Error> {
        let elbos = self.report.estimate.as_ref().map(|estimate| estimate.elbo.as_slice()).unwrap_or_default();
        let mut order: Vec<usize> = (0..elbos.len()).collect();
        order.sort_by(|left, right| elbos[*right].total_cmp(&elbos[*left]));
        let most = fitting(PAIRS, 2 * self.test.images().map_or(1, Images::dimensions)).min(self.test.count());
        let first: Vec<usize> = (0..most).collect();
        let best: Vec<usize> = order.iter().copied().take(most).collect();
        let worst: Vec<usize> = order.iter().rev().copied().take(most).collect();
        let groups = [("The first", first), ("The best: largest ELBO", best), ("The worst: smallest ELBO", worst)];
        let group =
            |(title, examples): (&'static str, Vec<usize>)| Ok(Group { title, pairs: self.pairs(&examples, elbos)? });
        groups.into_iter().filter(|(_, examples)| !examples.is_empty()).map(group).collect()
    }

    fn pairs(self, examples: &[usize], elbos: &[f64]) -> Result<Vec<Pair>, Error> {
        let latents = self.report.latents;
        let mean = |example: &usize| &self.posteriors.mean[example * latents..(example + 1) * latents];
        let means: Vec<f32> = examples.iter().flat_map(mean).copied().collect();
        let elbo = |example: usize| elbos.get(example).copied().map(shown).unwrap_or_default();
        let label = |example: usize| self.labels.and_then(|labels| labels.get(example)).copied();
        let pair = |example: usize| Pair {
            example,
            label: label(example),
            elbo: elbo(example),
            picture: None,
            original: String::new(),
            reconstruction: String::new(),
        };
        match self.test {
            Examples::Sentences(sentences) => {
                let written = self.vae.write_sentences(&means, Words::Greedy)?;
                let text = |(example, reconstruction): (&usize, String)| Pair {
                    original: sentences.text(*example),
                    reconstruction,
                    ..pair(*example)
                };
                Ok(examples.iter().zip(written).map(text).collect())
            }
            Examples::Images(images) => {
                let decoded = self.vae.decode(&means, Pixels::Mean)?;
                let drawn = |(example, decoded): (&usize, &[f32])| {
                    let original = images.slice(*example..*example + 1)?;
                    let pixels = original.pixels().chain(decoded.iter().copied()).collect();
                    let alt = format!("test image {example} above its reconstruction, ELBO {}", elbo(*example));
                    Ok(Pair { picture: Some(self.picture(pixels, 1, PAIR_WIDTH, alt)?), ..pair(*example) })
                };
                examples.iter().zip(decoded.chunks_exact(images.dimensions())).map(drawn).collect()
            }
        }
    }

    /// A row for each of the latents that the model uses the most.
    fn traversals(self, latents: &Latents, around_an_example: bool) -> Result<Vec<Traversal>, Error> {
        let width = self.report.latents;
        let base = if around_an_example { self.posteriors.mean[..width].to_vec() } else { vec![0.0; width] };
        let most = fitting(TRAVERSALS, SWEPT.len() * self.test.images().map_or(1, Images::dimensions));
        let traversal = |(latent, value): (usize, String)| {
            let rows: Vec<f32> = sweep(&base, latent, SWEPT).collect();
            let mut traversal = Traversal { latent, value, picture: None, sentences: Vec::new() };
            if self.test.sentences().is_some() {
                traversal.sentences = self.vae.write_sentences(&rows, Words::Greedy)?;
            } else {
                let alt = format!("images along latent {latent}, from {} to {}", SWEPT[0], SWEPT[SWEPT.len() - 1]);
                let pixels = self.vae.decode(&rows, Pixels::Mean)?;
                traversal.picture = Some(self.picture(pixels, SWEPT.len(), ROW_WIDTH, alt)?);
            }
            Ok(traversal)
        };
        let bars = latents.bars().iter().take(most);
        bars.map(|bar| (bar.latent, bar.value.clone())).map(traversal).collect()
    }

    fn picture(self, pixels: Vec<f32>, columns: usize, most_width: usize, alt: String) -> Result<Picture, Error> {
        let model = self.vae.model();
        let grid = Grid { pixels: &model.shown(pixels), image: model.image()?, columns };
        Ok(Picture { source: source_of(&grid.png(most_width)?), alt })
    }
}

/// How many examples of that size there is room for, at least 1.
fn fitting(most: usize, values: usize) -> usize {
    most.min(MOST_VALUES / values).max(1)
}
