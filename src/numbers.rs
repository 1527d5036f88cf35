//! Lists of whole numbers on the command line: widths of layers, epochs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whole numbers, such as the widths of hidden layers. The list may be empty: a linear model has no hidden layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Numbers(pub Vec<usize>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Numbers, String> {
        if text.is_empty() || text == "none" {
            return Ok(Numbers(Vec::new()));
        }
        let numbers = text.split(',').map(|number| number.trim().parse().map_err(|_| number));
        numbers.collect::<Result<_, _>>().map(Numbers).map_err(|number| {
            format!("expected whole numbers separated by commas, as in 512,256, or `none`, found `{number}`")
        })
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(usize::to_string).collect();
        f.write_str(if numbers.is_empty() { "none".to_owned() } else { numbers.join(",") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_widths_are_a_list_or_none() {
        assert!("none".parse::<Numbers>().unwrap().0.is_empty());
        assert_eq!("512, 256".parse::<Numbers>().unwrap().0, [512, 256]);
        assert!("512,x".parse::<Numbers>().is_err_and(|message| message.contains("`x`")));
    }
}
