//! Models whose parameters another program wrote.

use std::path::Path;

use serde_json::{Map, Value};

use super::Model;
use super::file::Header;
use crate::Error;
use crate::config::ModelConfig;
use crate::files::safetensors::{File, Values};
use crate::nn::ParameterSpec;
use crate::nn::exact::HostParameters;

impl Model {
    /// Reads parameters that another program wrote. The model is the given one, or the one that the file's metadata describe.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] that names the first tensor that differs from what the model needs: in its name, its type, its shape, or by a
    /// value that is not finite; also if there is no description, or if there are two different ones.
    pub fn import(path: &Path, bytes: &[u8], given: Option<&Model>) -> Result<(Model, HostParameters), Error> {
        let file = File::<Header>::foreign(path, bytes)?;
        let model = match (&file.header, given.map(|model| model.clone().suited())) {
            (None, None) => {
                let expected = "the model's description in its metadata, or --like or --config for it";
                return Err(file.fault(expected, "none: an exported model.py writes it with `save`"));
            }
            (Some(Header { model }), Some(given)) if model.clone().suited() != given => {
                let found = "another one in its metadata: leave out --like and --config to take that";
                return Err(file.fault("the model that --like or --config describes", found));
            }
            (Some(Header { model }), _) => model.clone().suited(),
            (None, Some(given)) => given,
        };
        model.check_of(&file)?;
        let specs = model.parameters();
        let mut names = file.names();
        names.sort_unstable();
        let other = names.into_iter().find(|name| specs.iter().all(|spec| spec.name != **name)).map(str::to_owned);
        let read = |spec: &ParameterSpec| {
            let values = match (&other, file.names().contains(&spec.name.as_str())) {
                (Some(other), false) => {
                    let expected = format!("a tensor `{}` of shape {:?}", spec.name, spec.shape);
                    return Err(file.fault(&expected, &format!("none, but `{other}`, which the model does not have")));
                }
                _ => file.values(&spec.name, &spec.shape)?,
            };
            Ok(Values { name: spec.name.clone(), shape: spec.shape.clone(), values })
        };
        let tensors = specs.iter().map(read).collect::<Result<_, Error>>()?;
        match other {
            Some(other) => Err(file.fault("no tensor but the model's", &format!("`{other}`"))),
            None => Ok((model, HostParameters::new(tensors))),
        }
    }

    /// Reads a description that was written by hand: the keys of the metadata of a model's file, such as
    /// `{"height": 28, "width": 28, "hidden": [400], "latents": 20}`. What is left out has its default.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for the first key that does not exist, and for a value that cannot be.
    pub fn parse(path: &Path, text: &str) -> Result<Model, Error> {
        let fault = |expected: &str, found: String| Error::Format {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let invalid = |error: serde_json::Error| fault("a model's description as JSON", error.to_string());
        let given: Map<String, Value> = serde_json::from_str(text).map_err(invalid)?;
        // As metadata have it, or without the braces around it.
        let given = match given.get("model") {
            Some(Value::Object(model)) => model.clone(),
            _ => given,
        };
        let has = |key: &&str| given.contains_key(*key);
        if !(["height", "width"].iter().all(has) || has(&"vocabulary")) {
            let found = "none: a run's config.json has no sizes, but --like RUN takes them from its model".to_owned();
            return Err(fault("the keys `height` and `width`", found));
        }
        let Ok(Value::Object(mut whole)) = serde_json::to_value(ModelConfig::default()) else {
            unreachable!("a configuration is an object")
        };
        whole.extend(given.clone());
        let of = |map: &Map<String, Value>| serde_json::from_value::<Model>(Value::Object(map.clone()));
        let model = of(&whole).map_err(invalid)?;
        for key in given.keys() {
            // No value of any key is a list of objects: a key that takes one is not read.
            let mut wrong = whole.clone();
            wrong.insert(key.clone(), serde_json::json!([{}]));
            if of(&wrong).is_ok() {
                return Err(fault("keys of a model's description, as in the metadata of its file", format!("`{key}`")));
            }
        }
        model.validate().map_err(|error| fault("a model that can exist", error.to_string()))?;
        Ok(model.suited())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;

    fn parse(text: &str) -> Result<Model, String> {
        Model::parse(Path::new("model.json"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_description_has_defaults_and_no_other_keys() {
        let model =
            parse(r#"{"height": 8, "width": 9, "hidden": ["conv4k4s2", 20], "upsample": "transposed"}"#).unwrap();
        assert_eq!(model.image().unwrap(), ImageShape::grey(8, 9));
        assert_eq!((model.config.latents, model.hidden().to_string()), (20, "conv4k4s2,20".to_owned()));
        assert_eq!(parse(&model.metadata()).unwrap(), model);
        for (wrong, message) in [
            (r#"{"height": 8, "width": 9, "activaton": "gelu"}"#, "found `activaton`"),
            (r#"{"height": 8, "width": 9, "activation": "gelo"}"#, "gelo"),
            (r#"{"model": {"latents": 2}, "data": "mnist"}"#, "`height` and `width`, found none"),
            (r#"{"height": 8, "width": 9, "latents": 0}"#, "a model that can exist"),
            ("[1]", "as JSON"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.starts_with("model.json: expected ") && error.contains(message), "{error}");
        }
    }
}
