//! Lists of whole numbers on the command line: widths of layers, epochs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whole numbers, such as the widths of hidden layers, of which a linear model has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Widths(pub Vec<usize>);

impl FromStr for Widths {
    type Err = String;

    fn from_str(text: &str) -> Result<Widths, String> {
        if text.is_empty() || text == "none" {
            return Ok(Widths(Vec::new()));
        }
        let widths = text.split(',').map(|width| width.trim().parse().map_err(|_| width));
        widths.collect::<Result<_, _>>().map(Widths).map_err(|width| {
            format!("expected whole numbers separated by commas, as in 512,256, or `none`, found `{width}`")
        })
    }
}

impl fmt::Display for Widths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<_> = self.0.iter().map(usize::to_string).collect();
        f.write_str(if widths.is_empty() { "none".to_owned() } else { widths.join(",") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_widths_are_a_list_or_none() {
        assert!("none".parse::<Widths>().unwrap().0.is_empty());
        assert_eq!("512, 256".parse::<Widths>().unwrap().0, [512, 256]);
        assert!("512,x".parse::<Widths>().is_err_and(|message| message.contains("`x`")));
    }
}
