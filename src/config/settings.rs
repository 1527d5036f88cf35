//! A configuration as the options of the command line: what a person reads, compares and types again.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Args, Command};
use serde::Serialize;
use serde_json::Value;

/// An option of the command line, with the value that it has in a configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The option, such as `--latents`.
    pub option: String,
    /// Its value: a number, a word, a list; `yes` or `no` for a flag; nothing if none was given.
    pub value: String,
    /// Whether it has this value without being given.
    pub is_default: bool,
    /// The heading of its help: what it belongs to, such as `Data`.
    pub heading: String,
    /// What it is.
    pub help: String,
}

/// The values of a flag.
const YES: &str = "yes";
const NO: &str = "no";

impl Setting {
    /// The words of a command line that give the option this value; none for the default.
    pub fn words(&self) -> Vec<String> {
        match self.value.as_str() {
            _ if self.is_default => Vec::new(),
            YES => vec![self.option.clone()],
            // A value that begins as an option does would be taken for one.
            value if value.starts_with('-') => vec![format!("{}={value}", self.option)],
            value => vec![self.option.clone(), value.to_owned()],
        }
    }
}

/// The options of a struct that is flags, defaults and JSON, in the order of its help. What older files do not have counts as the
/// default.
pub fn settings<T: Args + Default + Serialize>(values: &T) -> Vec<Setting> {
    let (given, usual) = (flat(values), flat(&T::default()));
    let command = T::augment_args(Command::new("elbo"));
    let setting = |arg: &Arg| {
        let key = arg.get_id().as_str();
        let value = given.get(key).or(usual.get(key));
        Some(Setting {
            option: format!("--{}", arg.get_long()?),
            value: value.map_or_else(|| default_of(arg), text),
            is_default: value == usual.get(key),
            heading: arg.get_help_heading().unwrap_or("Options").to_owned(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        })
    };
    command.get_arguments().filter_map(setting).collect()
}

/// The values of all levels of an object, under their keys, but for those that are nothing. A range is the list of its ends.
fn flat(values: &impl Serialize) -> BTreeMap<String, Value> {
    // By way of text, in which an f32 has as many digits as it needs.
    let text = serde_json::to_string(values).unwrap_or_default();
    let (mut open, mut found) = (vec![serde_json::from_str(&text).unwrap_or_default()], BTreeMap::new());
    while let Some(Value::Object(object)) = open.pop() {
        for (key, value) in object {
            match value {
                Value::Object(ref ends) if ends.contains_key("min") => {
                    drop(found.insert(key, Value::Array(vec![ends["min"].clone(), ends["max"].clone()])));
                }
                Value::Object(_) => open.push(value),
                Value::Null | Value::Bool(false) => {}
                value => drop(found.insert(key, value)),
            }
        }
    }
    found
}

/// What an option has of which the JSON says nothing.
fn default_of(arg: &Arg) -> String {
    let values = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    match arg.get_action() {
        ArgAction::SetTrue => NO.to_owned(),
        _ => values.collect::<Vec<_>>().join(","),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Bool(_) => YES.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        // As the help writes 1.0.
        value => value.to_string().trim_end_matches(".0").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Config;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    fn parsed(words: &[String]) -> Config {
        Flags::parse_from([&["elbo".to_owned()], words].concat()).config
    }

    /// The words that give a configuration again.
    fn words(config: &Config) -> Vec<String> {
        settings(config).iter().flat_map(Setting::words).collect()
    }

    #[test]
    fn a_default_configuration_needs_no_words() {
        assert!(words(&Config::default()).is_empty());
        let settings = settings(&Config::default());
        let value = |option: &str| &settings.iter().find(|setting| setting.option == option).expect(option).value;
        assert_eq!(
            [value("--data"), value("--latents"), value("--grey"), value("--lr-milestones")],
            ["mnist", "20", "no", "none"]
        );
        assert_eq!((value("--epochs").as_str(), value("--free-bits").as_str()), ("", "0.25"));
        assert_eq!((value("--embedding").as_str(), value("--fit").as_str()), ("128", "crop"));
    }

    #[test]
    fn the_words_of_a_configuration_give_it_again() {
        for line in [
            "--data pictures --size 64x32 --fit pad --background 00ff00 --grey --transpose --skip-bad --test 0.2 --test-seed 3",
            "--data a.csv --label class --standardise --validation 0.1 --validation-seed 5 --likelihood gaussian",
            "--data a.npz --key x --scale 255 --test-data b.npz --likelihood discretised-logistic",
            "--hidden conv32k4s2,res64,pool,256 --decoder-hidden 200 --upsample nearest --activation gelu --normalise batch",
            "--hidden none --latents 7 --binarize dynamic --prior vamp-prior --components 50 --logvar-range=-6,2",
            "--objective free-bits --samples 5 --free-bits 0.1 --kl-weight 4 --kl-warmup 5 --kl sampled",
            "--objective capacity --capacity 12.5 --capacity-warmup 3 --kl-cycles 4 --epochs 50 --seed 18446744073709551615",
            "--lr 0.0003 --lr-schedule steps --lr-milestones 20,30 --lr-factor 0.3 --lr-patience 4 --patience 6",
            "--data a.txt --tokens byte --embedding 64 --shared-embedding --word-dropout 0.3 --dropout 0.1 --bidirectional",
            "--aggressive 3 --micro-batch-size 32 --beta1 0.8 --epsilon 1e-9",
        ] {
            let given: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let config = parsed(&given);
            assert_eq!(parsed(&words(&config)), config, "{line}");
            for option in given.iter().filter_map(|word| word.strip_prefix("--")) {
                let option = format!("--{}", option.split('=').next().unwrap());
                assert!(words(&config).iter().any(|word| word.split('=').next() == Some(&option)), "{option} is lost");
            }
        }
    }

    #[test]
    fn every_option_has_its_name_in_the_json() {
        // A key that no option has is a value that no report would show.
        let known: Vec<_> =
            Config::augment_args(Command::new("elbo")).get_arguments().map(|arg| arg.get_id().to_string()).collect();
        let unknown: Vec<_> = flat(&Config::default()).into_keys().filter(|key| !known.contains(key)).collect();
        assert_eq!(unknown, ["batch_size"], "`settings` finds values by the names of the options");
    }
}
