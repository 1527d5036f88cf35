//! Models as ONNX files.

mod lower;
mod proto;

use prost::Message;

use self::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorType, TypeProto, ValueInfoProto, attribute, data,
};
use crate::Error;
use crate::graph::{Graph, Value};
use crate::nn::exact::HostParameters;
use crate::vae::Model;

/// The version of the operators, which has a layer normalisation and which all current programs read; and the version of the format that
/// came with it.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// The name of the free first axis.
const BATCH: &str = "batch";

/// A file of this format has fewer bytes than this: 2 GiB.
const MOST_BYTES: usize = 1 << 31;

/// The files of a model, with their names: `encoder.onnx`, from images `x` to `mean` and `logvar` of the posterior, and `decoder.onnx`,
/// from latents `z` to the `mean` of the likelihood and to the decoder's `outputs`, of which the mean is a function.
///
/// Parameters have the names of `model.safetensors`. Weights of convolutions have ONNX's order of axes, (M, C, height, width); the rows of
/// a normalisation are vectors of their own, such as `encoder.0.norm.scale`. The metadata of both have the model's description under the
/// key `elbo`.
///
/// # Shapes
///
/// - `x`, the `mean` of the decoder: `(batch, height, width)`, or `(batch, height, width, channels)`, as the arrays of `elbo decode`
/// - `mean`, `logvar` of the encoder, `z`: `(batch, L)`
/// - `outputs`: `(batch, D * outputs_per_dimension)`
///
/// # Errors
///
/// [`Error::Argument`] if it is a model of text, or too large for the format.
pub fn onnx(model: &Model, parameters: &HostParameters) -> Result<[(&'static str, Vec<u8>); 2], Error> {
    model.image().map_err(|_| Error::Argument {
        operation: "exporting a model as ONNX",
        expected: "a model of images or vectors".to_owned(),
        found: "a model of text (--pytorch has its layers)".to_owned(),
    })?;
    let bytes: usize = parameters.tensors().iter().map(|tensor| 4 * tensor.values.len()).sum();
    if bytes >= MOST_BYTES {
        return Err(Error::Argument {
            operation: "exporting a model as ONNX",
            expected: "parameters of less than 2 GiB, which is the format's limit".to_owned(),
            found: format!("{bytes} bytes"),
        });
    }
    let (graph, x, posterior) = model.describe_encoder()?;
    let axes = "height, width, channels unless there is one; values as the data have them, 0 to 1 for bytes, binarised if the model \
                was trained on binarised images";
    let docs = [&format!("images: {axes}"), "mean of the posterior", "log variance of the posterior"];
    let encoder = Writer::new(&graph, parameters).write(model, "encoder", x, &posterior, docs);

    let (graph, z, mean_and_outputs) = model.describe_decoder()?;
    let docs = ["latents", "mean of the likelihood, an image as the encoder's x", "what the decoder outputs"];
    let decoder = Writer::new(&graph, parameters).write(model, "decoder", z, &mean_and_outputs, docs);
    Ok([("encoder.onnx", encoder), ("decoder.onnx", decoder)])
}

/// A file that is being written.
struct Writer<'a> {
    graph: &'a Graph,
    parameters: &'a HostParameters,
    proto: GraphProto,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph, parameters: &'a HostParameters) -> Writer<'a> {
        Writer { graph, parameters, proto: GraphProto::default() }
    }

    /// The file of a graph; `docs` are of the input and of the outputs.
    fn write(mut self, model: &Model, name: &str, input: Value, outputs: &[Value], docs: [&str; 3]) -> Vec<u8> {
        for value in self.graph.needed(outputs) {
            self.lower(value);
        }
        let info = |value: Value, doc: &str| {
            let info = info(&self.graph.name(value), &self.graph.node(value).shape);
            ValueInfoProto { doc_string: doc.to_owned(), ..info }
        };
        self.proto.input = vec![info(input, docs[0])];
        self.proto.output = outputs.iter().zip(&docs[1..]).map(|(value, doc)| info(*value, doc)).collect();
        let is_output = |name: &str| self.proto.output.iter().any(|output| output.name == name);
        self.proto.value_info.retain(|info| !is_output(&info.name));
        self.proto.name = name.to_owned();
        let entry = StringStringEntryProto { key: "elbo".to_owned(), value: model.metadata() };
        let file = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "elbo".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: format!("The {name} of a variational autoencoder, in the form of evaluation."),
            graph: Some(self.proto),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: vec![entry],
        };
        file.encode_to_vec()
    }

    /// Adds an operation, and what is known of its result.
    fn node(&mut self, operation: Operation<'_>) {
        let Operation { kind, name, inputs, output, shape, attributes } = operation;
        self.proto.value_info.push(info(&output, shape));
        self.proto.node.push(NodeProto {
            input: inputs,
            output: vec![output.clone()],
            // Other programs find operations by their names.
            name: name.map_or_else(|| format!("{kind}_{output}"), str::to_owned),
            op_type: kind.to_owned(),
            attribute: attributes,
            doc_string: String::new(),
        });
    }

    /// Adds numbers, and returns their name.
    fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, data::FLOAT, shape, bytes)
    }

    /// Adds whole numbers, and returns their name.
    fn integers(&mut self, name: String, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, data::INT64, &[values.len()], bytes)
    }

    fn tensor(&mut self, name: String, data_type: i32, shape: &[usize], raw_data: Vec<u8>) -> String {
        let dims = shape.iter().map(|size| *size as i64).collect();
        self.proto.initializer.push(TensorProto { dims, data_type, name: name.clone(), raw_data });
        name
    }
}

/// An operation of ONNX.
struct Operation<'a> {
    kind: &'a str,
    /// The layer's name, if it is one.
    name: Option<&'a str>,
    inputs: Vec<String>,
    output: String,
    /// Of the result, without the batch.
    shape: &'a [usize],
    attributes: Vec<AttributeProto>,
}

/// The name and the shape of a value of floats.
fn info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let batch = Dimension { dim_param: Some(BATCH.to_owned()), dim_value: None };
    let sizes = shape.iter().map(|size| Dimension { dim_value: Some(*size as i64), dim_param: None });
    let shape = TensorShapeProto { dim: [batch].into_iter().chain(sizes).collect() };
    let tensor_type = Some(TensorType { elem_type: data::FLOAT, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }), doc_string: String::new() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: Some(value), r#type: attribute::FLOAT, ..AttributeProto::default() }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: Some(value), r#type: attribute::INT, ..AttributeProto::default() }
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|value| *value as i64).collect();
    AttributeProto { name: name.to_owned(), ints, r#type: attribute::INTS, ..AttributeProto::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    let s = Some(value.as_bytes().to_vec());
    AttributeProto { name: name.to_owned(), s, r#type: attribute::STRING, ..AttributeProto::default() }
}
