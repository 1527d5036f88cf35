//! Models as modules of PyTorch.

mod expression;
mod helpers;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write;

use self::expression::{Lines, tuple};
use crate::Error;
use crate::graph::{Graph, Node, Operation, Value};
use crate::nn::{Init, ParameterSpec};
use crate::vae::Model;

/// A module of PyTorch with the networks of a model, its log probability and its KL divergence: the text of a Python file that reads
/// the model's safetensors file, and writes one that Elbo reads.
///
/// A model of text takes tokens: the numbers of words in the vocabulary, which is part of the text. Its networks have the form of
/// evaluation, without dropout.
///
/// # Errors
///
/// None for a model that was checked: its data are images or sentences.
pub fn pytorch(model: &Model) -> Result<String, Error> {
    let (inputs, class) = match model.text() {
        Ok(shape) => (text::inputs(model, shape), text::class(model, shape)),
        Err(_) => (inputs(model)?, Parts::of(model)?.class(model)?),
    };
    let helpers = helpers::of(&class);
    let names = |text: &str| helpers.contains(text) || class.contains(text);
    let mut file = header(model, &inputs, [names("math."), names("F.")]);
    file.push_str(&helpers);
    file.push_str(&class);
    file.push_str(FILES);
    Ok(file)
}

/// What the file says of its inputs.
fn inputs(model: &Model) -> Result<String, Error> {
    let (image, dimensions) = (model.image()?, model.image()?.dimensions());
    let mut layout = image.sizes().iter().map(usize::to_string).collect::<Vec<_>>();
    layout.insert(0, "B".to_owned());
    Ok(format!(
        "Images x are {} or rows (B, {dimensions}), with the values that the model was trained on: from 0 to 1\n\
         for bytes, 0 or 1 if they were binarised.\n\n\
         vae = load(\"model.safetensors\").eval()\n\
         log_prob, kl = vae(x, torch.randn(len(x), {}))\n",
        tuple(&layout),
        model.config.latents,
    ))
}

/// The start of the file, with the modules `math` and `torch.nn.functional` if they are used.
fn header(model: &Model, inputs: &str, [math, functional]: [bool; 2]) -> String {
    let math = if math { "import math\n\n" } else { "" };
    let functional = if functional { "import torch.nn.functional as F\n" } else { "" };
    format!(
        "\"\"\"A variational autoencoder of Elbo {}, in PyTorch.\n\n{inputs}\
         print((log_prob - kl).mean())  # the ELBO, in nats per example\n\"\"\"\n\n\
         {math}import torch\n\
         {functional}\
         from safetensors.torch import load_file, save_file\n\
         from torch import nn\n\n\
         # What Elbo has to know of the model, beside its weights.\n\
         MODEL = r'''{}'''\n",
        env!("CARGO_PKG_VERSION"),
        // Words may have quotes.
        model.metadata().replace('\'', "\\u0027"),
    )
}

/// Images as rows, if they are not yet.
const ROWS: &str = "x = x.flatten(1)\n";

/// The last method.
const FORWARD: &str = r#"
    def forward(self, x, noise):
        """log p(x|z) and the KL divergence, (B) and (B), at z = mean + std * noise. The ELBO is their difference."""
        mean, logvar = self.encode(x)
        z = mean + torch.exp(0.5 * logvar) * noise
        return self.log_prob(x, z), self.kl(mean, logvar, z)
"#;

/// The end of the file.
const FILES: &str = r#"

def load(path):
    """The model with the weights of a file."""
    vae = Vae()
    vae.load_state_dict(load_file(path))
    return vae


def save(vae, path):
    """Writes the weights to a file that Elbo reads: as a model, or with `elbo import`."""
    save_file(vae.state_dict(), path, metadata={"elbo": MODEL})
"#;

/// The computations of a model, each with its results.
struct Parts {
    encoder: (Graph, [Value; 2]),
    decoder: (Graph, Value),
    mean: (Graph, Value),
    /// What the model sees, if that is not what the data have.
    seen: Option<(Graph, Value)>,
}

impl Parts {
    fn of(model: &Model) -> Result<Parts, Error> {
        let (image, density) = (model.image()?, model.config.likelihood.density());
        let rows = vec![image.dimensions()];
        let mut encoder = Graph::default();
        let x = encoder.input("x", rows.clone());
        let posterior = model.describe_posterior(&mut encoder, x)?;
        let mut decoder = Graph::default();
        let z = decoder.input("z", vec![model.config.latents]);
        let outputs = model.describe_outputs(&mut decoder, z)?;
        let mut mean = Graph::default();
        let of_decoder = mean.input("outputs", vec![image.dimensions() * density.outputs_per_dimension()]);
        let image_mean = model.describe_mean(&mut mean, of_decoder)?;
        let seen = match &model.config.standardisation {
            None => None,
            Some(_) => {
                let mut seen = Graph::default();
                let x = seen.input("x", rows);
                let row = model.describe_seen(&mut seen, x)?;
                Some((seen, row))
            }
        };
        Ok(Parts { encoder: (encoder, posterior), decoder: (decoder, outputs), mean: (mean, image_mean), seen })
    }

    /// The nodes of the layers that have parameters, by their names.
    fn layers(&self) -> BTreeMap<&str, (&Graph, &Node)> {
        let mut layers = BTreeMap::new();
        let (encoder, posterior) = &self.encoder;
        let (decoder, outputs) = &self.decoder;
        for (graph, outputs) in [(encoder, posterior.as_slice()), (decoder, std::slice::from_ref(outputs))] {
            for value in graph.needed(outputs) {
                let node = graph.node(value);
                if let Operation::Dense { layer } | Operation::Convolution { layer, .. } = &node.operation {
                    layers.insert(layer.as_str(), (graph, node));
                }
            }
        }
        layers
    }

    /// The class.
    fn class(&self, model: &Model) -> Result<String, Error> {
        let (latents, dimensions) = (model.config.latents, model.image()?.dimensions());
        let mut class = format!("\n\nclass Vae(nn.Module):\n{}", self.constructor(model));
        class.push_str(helpers::PUT);
        let mut add = |signature: &str, doc: &str, lines: &str| method(&mut class, signature, doc, lines);
        let posterior = format!("The posterior's mean and log variance, (B, {latents}) and (B, {latents}), for");
        let (mut rows, mut encode) = (ROWS, "encode");
        if let Some((graph, seen)) = &self.seen {
            let doc = format!("What the model sees of images: rows (B, {dimensions}), standardised.");
            add("seen(self, x)", &doc, &format!("{ROWS}{}", Lines::new(graph, &[*seen]).returned()));
            add("encode(self, x)", &format!("{posterior} images."), "return self.encode_seen(self.seen(x))\n");
            (rows, encode) = ("x = self.seen(x)\n", "encode_seen");
        }
        let (graph, outputs) = &self.encoder;
        let lines = format!("{ROWS}{}", Lines::new(graph, outputs).returned());
        let of = if self.seen.is_some() { "what the model sees of images" } else { "images" };
        add(&format!("{encode}(self, x)"), &format!("{posterior} {of}."), &lines);
        let (graph, outputs) = &self.decoder;
        let doc = format!("The decoder's outputs for latents (B, {latents}).");
        add("outputs(self, z)", &doc, &Lines::new(graph, &[*outputs]).returned());
        let (graph, mean) = &self.mean;
        let doc = format!("The mean of p(x|z): images, for latents (B, {latents}).");
        let lines = format!("outputs = self.outputs(z)\n{}", Lines::new(graph, &[*mean]).returned());
        add("decode(self, z)", &doc, &lines);
        let doc = format!("log p(x|z), (B), of {of}, for latents (B, {latents}).");
        let lines = model.config.likelihood.density().log_prob_in_pytorch();
        add("log_prob(self, x, z)", &doc, &format!("{rows}outputs = self.outputs(z)\n{lines}"));
        let lines = model.config.prior.density().kl_in_pytorch(&model.config.posterior, encode);
        add("kl(self, mean, logvar, z)", "KL(q(z|x) || p(z)), (B), with a draw z of the posterior.", &lines);
        class.push_str(FORWARD);
        Ok(class)
    }

    fn constructor(&self, model: &Model) -> String {
        let layers = self.layers();
        let mut text = "    def __init__(self):\n        super().__init__()\n".to_owned();
        for spec in model.parameters() {
            let layer = spec.name.rsplit_once('.').map_or("", |(layer, _)| layer);
            let (name, made) = match layers.get(layer) {
                Some((graph, node)) if spec.name.ends_with(".weight") => (layer, made_layer(graph, node)),
                Some(_) if spec.name.ends_with(".bias") => continue,
                _ => (spec.name.as_str(), made_parameter(&spec)),
            };
            writeln!(text, "        self.put(\"{name}\", {made})").expect("a text grows");
        }
        text
    }
}

/// Adds a method, with short names for what its lines use.
fn method(class: &mut String, signature: &str, doc: &str, lines: &str) {
    write!(class, "\n    def {signature}:\n        \"\"\"{doc}\"\"\"\n").expect("a text grows");
    for (name, function) in [("layer", "self.get_submodule"), ("parameter", "self.get_parameter")] {
        if lines.contains(&format!("{name}(\"")) {
            writeln!(class, "        {name} = {function}").expect("a text grows");
        }
    }
    lines.lines().for_each(|line| writeln!(class, "        {line}").expect("a text grows"));
}

/// A layer, as its class of PyTorch, or as one of the file's own.
fn made_layer(graph: &Graph, node: &Node) -> String {
    let from: usize = graph.node(node.inputs[0]).shape[0];
    let to = node.shape[0];
    let Operation::Convolution { moves, .. } = &node.operation else {
        return format!("nn.Linear({from}, {to})");
    };
    let window = format!("kernel={}, stride={}, padding={}", moves.kernel, moves.stride, moves.padding);
    match moves.output_padding {
        None => format!("Convolution({from}, {to}, {window})"),
        Some([height, width]) => {
            format!("TransposedConvolution({from}, {to}, {window}, output_padding=({height}, {width}))")
        }
    }
}

/// A parameter that belongs to no layer, with its initial values.
fn made_parameter(spec: &ParameterSpec) -> String {
    let sizes: Vec<String> = spec.shape.iter().map(usize::to_string).collect();
    let shape = tuple(&sizes);
    let values = match spec.init {
        Init::Uniform { bound } => format!("torch.empty{shape}.uniform_(-{bound:?}, {bound:?})"),
        Init::Constant(value) => format!("torch.full({shape}, {value:?})"),
        Init::Rows(rows) => format!("torch.tensor({rows:?}).unsqueeze(1).repeat(1, {})", spec.columns()),
        Init::Normals { bound } => {
            let half = format!("({}, {})", spec.rows(), spec.columns() / 2);
            format!("torch.cat([torch.empty{half}.uniform_(-{bound:?}, {bound:?}), torch.zeros{half}], dim=1)")
        }
    };
    format!("nn.Parameter({values})")
}
