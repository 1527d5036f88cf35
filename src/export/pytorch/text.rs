//! Models of text.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::expression::Lines;
use super::{helpers, made_parameter, method};
use crate::data::TextShape;
use crate::vae::{Model, TextInPytorch};

/// What the file says of its inputs.
pub(super) fn inputs(model: &Model, shape: &TextShape) -> String {
    let words = shape.vocabulary.len();
    let noise = if model.config.text.without_latents {
        String::new()
    } else {
        format!(", torch.randn(len(tokens), {})", model.config.latents)
    };
    format!(
        "Sentences are tokens, (B, T), numbers below {words} of words in the vocabulary of MODEL: 0 ends a sentence, and fills up what\n\
         comes after it. The lengths, (B), count the end.\n\n\
         vae = load(\"model.safetensors\").eval()\n\
         log_prob, kl = vae(tokens, lengths{noise})\n"
    )
}

/// The class.
pub(super) fn class(model: &Model, shape: &TextShape) -> String {
    let TextInPytorch { encode, posterior, log_prob, embeddings } = model.text_in_pytorch(shape);
    let mut class = format!("\n\nclass Vae(nn.Module):\n{}", constructor(model, &embeddings));
    class.push_str(helpers::PUT);
    let mut add = |signature: &str, doc: &str, lines: &str| {
        let counted = "counted = torch.arange(tokens.shape[1], device=tokens.device) < lengths.unsqueeze(1)\n";
        let counted = if lines.contains("counted") { counted } else { "" };
        method(&mut class, signature, doc, &format!("{counted}{lines}"));
    };
    let latents = model.config.latents;
    if let (Some(encode), Some((graph, outputs))) = (&encode, &posterior) {
        let doc = format!("The posterior's mean and log variance, (B, {latents}) and (B, {latents}), for sentences.");
        add("encode(self, tokens, lengths)", &doc, &format!("{encode}{}", Lines::new(graph, outputs).returned()));
        let lines = model.config.prior.density().kl_in_pytorch(&model.config.posterior, "encode");
        add("kl(self, mean, logvar, z)", "KL(q(z|x) || p(z)), (B), with a draw z of the posterior.", &lines);
        let doc = format!("log p(x|z), (B), of sentences, for latents (B, {latents}).");
        add("log_prob(self, tokens, lengths, z)", &doc, &log_prob);
        class.push_str(FORWARD);
    } else {
        add("log_prob(self, tokens, lengths)", "log p(x), (B), of sentences: there are no latents.", &log_prob);
        class.push_str(FORWARD_ALONE);
    }
    class
}

fn constructor(model: &Model, embeddings: &[String]) -> String {
    let specs = model.parameters();
    let biases: BTreeSet<_> = specs.iter().filter_map(|spec| spec.name.strip_suffix(".bias")).collect();
    let mut text = "    def __init__(self):\n        super().__init__()\n".to_owned();
    for spec in &specs {
        let layer = spec.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let sizes = spec.shape.as_slice();
        let (name, made) = match (spec.name.strip_suffix(".weight"), sizes) {
            (Some(name), [tokens, width]) if embeddings.iter().any(|table| table == name) => {
                (name, format!("nn.Embedding({tokens}, {width})"))
            }
            (Some(name), [outputs, inputs]) => (name, format!("nn.Linear({inputs}, {outputs})")),
            _ if biases.contains(layer) => continue,
            _ => (spec.name.as_str(), made_parameter(spec)),
        };
        writeln!(text, "        self.put(\"{name}\", {made})").expect("a text grows");
    }
    text
}

const FORWARD: &str = r#"
    def forward(self, tokens, lengths, noise):
        """log p(x|z) and the KL divergence, (B) and (B), at z = mean + std * noise. The ELBO is their difference."""
        mean, logvar = self.encode(tokens, lengths)
        z = mean + torch.exp(0.5 * logvar) * noise
        return self.log_prob(tokens, lengths, z), self.kl(mean, logvar, z)
"#;

const FORWARD_ALONE: &str = r#"
    def forward(self, tokens, lengths):
        """log p(x) and a KL divergence of 0, (B) and (B)."""
        log_prob = self.log_prob(tokens, lengths)
        return log_prob, torch.zeros_like(log_prob)
"#;
