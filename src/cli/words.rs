//! How the words of sentences are chosen, on the command line.

use clap::Args;
use elbo::Error;
use elbo::vae::Words;

/// How words are chosen, for models of text.
#[derive(Args)]
#[command(next_help_heading = "Text")]
pub struct WordsArgs {
    /// Take the likeliest word at each position
    #[arg(long, conflicts_with_all = ["beam", "temperature", "top_p"])]
    greedy: bool,
    /// Look for the likeliest sentence, with a beam of this width
    #[arg(long, value_name = "N", conflicts_with_all = ["temperature", "top_p"])]
    beam: Option<usize>,
    /// Draw words, with logits divided by this: below 1, likely words become likelier
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Draw only from the likeliest words, whose probabilities have this sum
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,
}

impl WordsArgs {
    /// The choice that was asked for; otherwise draws, or the likeliest words.
    pub fn choice(&self, draws: bool, seed: u64) -> Result<Words, Error> {
        let words = match (self.beam, self.greedy) {
            (Some(width), _) => Words::Beam(width),
            (None, true) => Words::Greedy,
            (None, false) if draws || self.temperature.is_some() || self.top_p.is_some() => {
                Words::Draw { temperature: self.temperature.unwrap_or(1.0), top_p: self.top_p.unwrap_or(1.0), seed }
            }
            (None, false) => Words::Greedy,
        };
        words.validate()?;
        Ok(words)
    }
}
