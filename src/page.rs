//! A model as one HTML file, which opens in any browser: programs that were recorded once, and a player that replays them.
//!
//! What the page's GPU runs is what this crate's would run: the same WGSL, bindings and grids, recorded on a [`Gpu`](crate::gpu::Gpu) that is used
//! as in browsers ([`AdapterRequest::as_in_browsers`](crate::AdapterRequest)). The player is plain JavaScript, in `src/page/`.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use minijinja::{AutoEscape, Environment, context};
use serde_json::{Value, json};

use crate::Error;
use crate::gpu::{Listing, Program};
use crate::noise::Stream;
use crate::step::Step;
use crate::train::{PassTables, Trainer};
use crate::vae::{InferencePrograms, Model, PosteriorParameters, Vae};

/// Images that the page encodes or decodes at a time.
const BATCH: usize = 64;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 5] = [
    include_str!("page/player.js"),
    include_str!("page/model.js"),
    include_str!("page/controls.js"),
    include_str!("page/training.js"),
    include_str!("page/view.js"),
];

/// What a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The heading.
    pub title: &'a str,
    /// The model.
    pub vae: &'a Vae,
    /// The posteriors of examples, for the map and for the order of the latents; there may be none.
    pub posterior: &'a PosteriorParameters,
    /// A label for each, or none at all.
    pub labels: Option<&'a [u8]>,
    /// A training of the same model from its beginning, which the page can run.
    pub training: Option<&'a Trainer>,
}

/// The numbers of a page as bytes, which are compressed together.
#[derive(Default)]
struct Blob(Vec<u8>);

impl Blob {
    /// Adds bytes; returns their first one and their number.
    fn add(&mut self, bytes: &[u8]) -> [usize; 2] {
        let first = self.0.len();
        self.0.extend(bytes);
        // JavaScript views words where they start at multiples of their size.
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        [first, bytes.len()]
    }
}

/// Bytes as text, by gzip and base64: browsers undo both.
fn compressed(bytes: &[u8]) -> std::io::Result<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish().map(|bytes| BASE64_STANDARD.encode(bytes))
}

impl Page<'_> {
    /// The page, of a model whose GPU is used as in browsers.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a model of text, or one whose GPU is not used as in browsers; [`Error::Config`] for a model of
    /// standardised values; [`Error::Limit`] for a model that is too large for browsers.
    pub fn html(&self) -> Result<String, Error> {
        let (data, blob) = self.data()?;
        let io = |error| Error::io("compress", "a page")(error);
        let [data, blob] = [data.to_string().as_bytes(), &blob.0].map(compressed);
        let (data, blob) = (data.map_err(io)?, blob.map_err(io)?);
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let values = context! {
            title => self.title, trains => self.training.is_some(), latents => self.vae.model().config.latents,
            version => env!("CARGO_PKG_VERSION"), style => STYLE, data, blob, script => SCRIPTS.join("\n"),
        };
        let page = environment.render_str(TEMPLATE, values);
        page.map_err(|error| io(std::io::Error::other(error)))
    }

    /// What the player reads, and the bytes that it refers to.
    fn data(&self) -> Result<(Value, Blob), Error> {
        let (mut listing, mut blob) = (Listing::default(), Blob::default());
        // The page trains the model that it shows.
        let vae = self.training.map_or(self.vae, Trainer::vae);
        let (model, gpu) = (vae.model(), vae.gpu());
        let image = model.image()?;
        let programs = vae.inference_programs(BATCH)?;
        let mut tensors = serde_json::Map::new();
        let InferencePrograms { step, bytes, posterior, z, pixels, .. } = &programs;
        for (name, tensor) in [("step", step), ("bytes", bytes), ("posterior", posterior), ("z", z), ("pixels", pixels)]
        {
            tensors.insert(name.to_owned(), json!(listing.place(tensor)));
        }
        let mut list = |program: &Program| listing.add(program).map(|dispatches| json!(dispatches));
        let [before, encode, decode, sample] =
            [&programs.before, &programs.encode, &programs.decode, &programs.sample].map(&mut list);
        let programs = json!({ "before": before?, "encode": encode?, "decode": decode?, "sample": sample? });
        let training = self.training.map(|trainer| training(trainer, &mut listing, &mut blob)).transpose()?;
        let parameters = vae.specs().iter().map(|spec| {
            json!({ "name": spec.name, "shape": spec.shape, "place": listing.place(&vae.parameters().get(&spec.name)) })
        });
        let parameters: Vec<_> = parameters.collect();
        let whole = listing.place(vae.parameters().whole());
        // Without a training, the trained parameters are the only ones.
        let is_needed = |buffer: &usize| self.training.is_some() || !whole.is_in(*buffer);
        let contents = listing.contents(gpu)?.into_iter().filter(|(buffer, _)| is_needed(buffer));
        let contents = contents.map(|(buffer, bytes)| (buffer, blob.add(&bytes)));
        let contents: Vec<_> = contents.collect();
        let trained = self.vae.parameters().whole().read::<u32>(self.vae.gpu())?;
        let data = json!({
            "model": { "latents": model.config.latents, "image": [image.height, image.width, image.channels],
                "logvar_range": model.config.posterior.logvar_range, "header": model.metadata() },
            "batch": BATCH,
            "step_words": Step::WORDS,
            "prior_stream": Stream::Prior as u32,
            "listing": listing,
            "contents": contents,
            "tensors": tensors,
            "programs": programs,
            "parameters": parameters,
            "trained": { "place": whole, "bytes": blob.add(bytemuck::cast_slice(&trained)) },
            "map": { "means": blob.add(bytemuck::cast_slice(&self.posterior.mean)), "labels": self.labels,
                "kl": self.posterior.kl_from_standard_normal(model.config.latents) },
            "training": training,
            "graphs": graphs(model)?,
        });
        Ok((data, blob))
    }
}

/// The model as lists of operations, for browsers without WebGPU.
fn graphs(model: &Model) -> Result<Value, Error> {
    let ((encoder, _, posterior), (decoder, _, [mean, _])) = (model.describe_encoder()?, model.describe_decoder()?);
    Ok(json!({
        "encoder": { "nodes": encoder, "outputs": posterior },
        "decoder": { "nodes": decoder, "outputs": [mean] },
    }))
}

/// The training: its programs and tables.
fn training(trainer: &Trainer, listing: &mut Listing, blob: &mut Blob) -> Result<Value, Error> {
    let programs = trainer.programs();
    let states: Vec<_> = programs.states.iter().map(|arena| listing.place(arena.whole())).collect();
    Ok(json!({
        "examples": trainer.examples(),
        "step": listing.add(programs.step)?,
        "epochs": tables(&programs.epochs, listing, blob),
        "before": listing.add(&programs.evaluation.before)?,
        "evaluation": listing.add(&programs.evaluation.step)?,
        "held_out": tables(&programs.held_out, listing, blob),
        "states": states,
        "images": programs.images.map(|images| listing.place(images)),
        "held_out_images": programs.held_out_images.map(|images| listing.place(images)),
    }))
}

fn tables(tables: &PassTables<'_>, listing: &mut Listing, blob: &mut Blob) -> Value {
    let runs = tables.runs.iter().map(|(steps, order)| {
        let examples: Vec<u32> = steps.iter().map(|step| step.examples).collect();
        json!({ "steps": blob.add(bytemuck::cast_slice(steps)), "order": blob.add(bytemuck::cast_slice(order)), "examples": examples })
    });
    let runs: Vec<_> = runs.collect();
    let mut place = |tensor| listing.place(tensor);
    let pass = tables.pass;
    json!({ "step": place(&pass.step), "steps": place(&pass.steps), "order": place(&pass.order), "metrics": place(&pass.metrics),
        "runs": runs })
}
