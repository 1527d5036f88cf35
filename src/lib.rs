//! Variational autoencoders, trained on any GPU that `wgpu` reaches, without CUDA and without Python.
//!
//! All of the mathematics of training runs in WGSL compute shaders, in `shaders/`; Rust lays out memory, records
//! dispatches, feeds data and writes files.
//!
//! ```
//! use std::ops::ControlFlow;
//! use elbo::likelihood::Pixels;
//! use elbo::{AdapterRequest, Config, Dataset, Gpu, Plan, Trainer, Vae};
//!
//! # fn main() -> Result<(), elbo::Error> {
//! # let directory = tempfile::tempdir().map_err(elbo::Error::io("create", "a temporary directory"))?;
//! # let path = directory.path().join("model.safetensors");
//! let gpu = Gpu::open(&AdapterRequest::default())?;
//! let mut data = Dataset::mnist()?;
//! data.train = data.train.slice(0..1024)?; // an excerpt: a real run uses all of them
//! data.test = data.test.slice(0..100)?;
//!
//! let mut config = Config::default();
//! config.training.epochs = Some(2);
//! let plan = Plan::new(&config, &data)?; // checks the configuration and the data
//! let mut trainer = Trainer::new(&gpu, &plan)?;
//! trainer.run(|metrics, _vae| {
//!     println!("epoch {}: {:.1} nats per example", metrics.epoch, metrics.held_out().1.elbo);
//!     Ok(ControlFlow::Continue(()))
//! })?;
//!
//! let vae = trainer.vae();
//! let samples = vae.sample(16, 0, Pixels::Mean)?; // 16 images of 784 pixels, from draws of the prior
//! let posterior = vae.encode(&data.test.images, 0)?; // the mean and log variance of each latent, for each image
//! let images = vae.decode(&posterior.mean, Pixels::Mean)?;
//! vae.save(&path)?;
//! let again = Vae::load(&gpu, &path)?;
//! assert_eq!(again.sample(16, 0, Pixels::Mean)?, samples);
//! # assert_eq!(images.len(), 100 * 784);
//! # Ok(())
//! # }
//! ```
//!
//! [`Plan`], [`Vae`], [`Dataset`], [`eval::report`] and [`image::Grid`] have examples of their own, and the folder `examples/` has
//! whole programs.
//!
//! # Terms
//!
//! The *encoder* describes the posterior q(z|x), the *decoder* the likelihood p(x|z). The prior is p(z). The *ELBO* is
//! `E_q[log p(x|z)] - KL(q || p)`, in nats per example, constants included, summed over dimensions and averaged over
//! examples. Larger is better. The *loss* is what training minimises: `-log p(x|z) + kl_weight * KL`, or that of another
//! *objective*. Sizes are `B` (the batch), `D` (data dimensions: the values of an image, by height, width and channels), `H` (a
//! hidden layer), `L` (latents) and `K` (importance samples). Matrices are row-major, weights `(out, in)`. After z is drawn, each example has K consecutive rows, one for each
//! sample; a layer with several positions has a row for each position of each sample.
//!
//! # Architecture
//!
//! `src/`, `shaders/` and `src/selftest/` are mirror trees: each WGSL file, except headers, has one Rust twin and one self-test at
//! the same path, or at that of its folder. The twin is the only code that names the bindings of its shader. `shaders/README.md` lists the slots
//! and headers.
//!
//! Dependencies point one way: a module uses only modules below it, which `tests/architecture.rs` checks.
//!
//! ```text
//! cli -> report -> run -> page, selftest -> train -> compress, eval, export -> vae -> config -> objective -> likelihood, prior
//!     -> posterior -> nn -> image -> data, optim -> step -> gpu -> graph, noise, numbers, shaders -> files -> error
//! ```
//!
//! | module | its contract |
//! |---|---|
//! | [`gpu`] | the only code that names `wgpu`: tensors, kernels, dispatches, programs |
//! | [`step`] | the table of steps that the GPU runs by itself, and the loop that submits them |
//! | [`nn`] | [`nn::Stack`]: blocks of a product, a normalisation and an activation, and shortcuts round them |
//! | [`likelihood`], [`prior`], [`posterior`], [`objective`], [`optim`] | parts: one trait each, one implementation a file |
//! | [`config`] | the settings of all parts together, and the rules between them |
//! | [`vae`] | the model, its passes, and the recipes of evaluation and inference |
//! | [`graph`] | the operations of a model in evaluation, as a list for other programs' formats |
//! | [`export`] | ONNX and PyTorch, both written from a [`graph::Graph`] |
//! | [`page`] | a model as an HTML file: recorded programs as data ([`gpu::Listing`]), and a player in JavaScript |
//! | [`compress`] | streams of images, coded with a model that runs on the CPU |
//! | [`train`] | the plan of a training, the recipe of its step, checkpoints |
//! | [`report`] | HTML pages of runs: what they show is computed, templates lay it out and escape it |
//!
//! Each part owns its settings, which are flags, defaults, JSON and documentation in one struct. It has an enum that lists its
//! kinds and one `match` that makes them. So adding a likelihood, a prior, a posterior, an objective or an optimiser touches its
//! new WGSL files, their new twin, their new self-test with a line in the list of self-tests, and the enum with its match:
//! `CONTRIBUTING.md` goes through an example.
//!
//! The invariants:
//!
//! 1. WGSL owns bindings and workgroup sizes. The host reads both by reflection and binds by name ([`gpu::Part`],
//!    [`gpu::Launch`]). Sizes are `override` constants.
//! 2. Everything is recorded once and replayed: [`gpu::Dispatch`], [`gpu::Program`]. Nothing is created inside the step loop,
//!    and memory is flat from the first step to the last.
//! 3. The GPU runs the epoch ([`step::Pass`]): images are uploaded once, as bytes or floats; an epoch's order and table of steps
//!    once an epoch; the last kernel of a step moves on to the next one. A batch that is too large for the adapter is
//!    split into several steps, whose gradients are summed before the update. Noise is made on the GPU by a
//!    counter-based generator. The backward pass recovers it from the draw.
//! 4. The same seed on the same adapter gives the same bits: no float atomics, every sum is a tree or in index order. A
//!    run that was stopped and resumed ends bit-identical to one that was not.
//! 5. Every kernel is checked against an f64 reference ([`selftest`]), every gradient against central differences, and
//!    the whole step against PyTorch.
//!
//! Two decisions that the code relies on everywhere: rows of every matrix are padded with zeros to whole `vec4`s
//! ([`gpu::Tensor`]), so that kernels load four values at once and sums need no special case; and parameters, gradients
//! and each state of the optimiser are one buffer each ([`gpu::Arena`]), so that an update is one dispatch, or one for each
//! piece that fits a binding. Images that are too large for one binding are in several buffers ([`data::batch`]).
//!
//! # A step of training
//!
//! [`train::TrainingStep`] records a step in phases: forward and backward; the exchange of gradients, which one process
//! does not need; and the update, which begins with the norm of the gradients if anything needs it ([`optim::Clip`]). A [`train::Player`] is a unit
//! of training, with its parameters, gradients and optimiser. Each parameter has a [`nn::Role`], which says whether it is learned at all. Only a network that trains
//! has the tensors of a backward pass.
//!
//! # Fusion
//!
//! A small model is bound by the number of its dispatches, so a step has few: 12 with one hidden layer each side. A
//! line `#import name` in WGSL that names no header is a *slot*. The code that makes the kernel fills it with a
//! [`gpu::Part`]. A dense product has the slot `epilogue`, for its result while that is still in registers
//! ([`nn::Epilogue`]). The epilogue stores the result; or it applies an activation; or it computes a likelihood from
//! the result, and stores only the gradient and the log probability; or, in the backward pass, it passes the gradient
//! through the activation below, or through the posterior. A normalisation ([`nn::Norm`]) is a kernel between a
//! product, which is then stored, and the activation, and has the slot `epilogue` too. The posterior's kernels have the
//! slots `prior` and `objective`. So a new activation, likelihood, prior or objective is fused without a new kernel. A
//! part that needs more than a quad of a row at a time, such as the categorical likelihood or a mixture prior, has
//! kernels of its own. The gradients of a layer, with respect to its weight and to its input, are one dispatch.
//!
//! # Convolutions
//!
//! An image is one row, `(height, width, channels)`, so likelihoods see `D` columns whatever the decoder is made of. Inside a network,
//! the channels of a grid are whole quads, and each position is a row ([`nn::Extent`]); both are the same memory, so a dense layer
//! after a convolution needs no copy. A convolution is a product whose operand is gathered ([`nn::Convolution`]): the kernels of dense
//! layers find their operands through the slot `rows`, which computes where a window's values are. So all families, epilogues and
//! measurements serve convolutions. A transposed convolution is the adjoint: it uses the kernel of the input's gradient, whose rows are in
//! phases, so that no zeros are multiplied. The layer that ends in an image has a narrow kernel of its own, and one that packs its
//! positions into rows and gives them to the likelihood. A description of layers ([`nn::Layers`]) becomes an encoder and the
//! decoder that mirrors it in [`nn::Stack`].
//!
//! # Text
//!
//! A sentence is a row of tokens that ends in token 0. The encoder reads it, and its last state describes the posterior; the decoder sees the
//! token before each position and the latents ([`nn::Recurrent`], [`nn::Embedding`], [`likelihood::tokens`]). Rows are those of a sequence:
//! (position, example, sample), the sample varies fastest, so the live rows of a batch come first whatever its longest sentence is
//! (`SEQUENCE` in `shaders/lib/step.wgsl`). The products of the inputs, the vocabulary's product and the gradients of weights are one
//! dispatch each for all positions, by the kernels of dense layers. A position itself has two: the product of the state, and the gates. A
//! [`gpu::Dispatch`] may belong to a position, and a program is replayed only as far as a step's longest sentence. Padding has no gradient
//! and no log probability. Dilated convolutions have no chain of positions: a block is a gathering of windows and a product
//! ([`nn::Dilated`]). Both are an [`nn::SequenceLayer`]. Words are chosen on the CPU ([`vae::Words`]).
//!
//! # Variants of kernels
//!
//! Products have families of kernels with the same formulas, in `shaders/nn/dense/`: tiles in registers, sums cut into
//! slices, tiles through workgroup memory, tiles over the lanes of subgroups. Each is two files, the product and its
//! gradients. A variant ([`nn::Variant`]) is a family and the sizes of its tiles: a line of
//! `shaders/nn/dense/variants.txt`. The fastest variant for each product is measured once for each adapter and driver and
//! kept in the user's cache ([`gpu::KernelRequest`]); without measuring, a model of their costs decides
//! ([`nn::cost`], `docs/kernels.md`). A run records its variants, and resumes with them. A measurement restores the
//! tensors that it wrote, and takes about two seconds in all: the next program measures the rest. A software adapter
//! takes up to seconds to compile a kernel: there, the others are compiled only if the lanes are far from the adapter's
//! peak.
//!
//! The narrow part of a model, from the encoder's last hidden values to the decoder's first ones, is chosen in the same
//! way: a kernel for each product and for the draws, or one forward and two backward, with the gradients of three layers'
//! weights in one. A step is then 9 dispatches.
//!
//! On a CPU's SIMD lanes, operands are read as textures. A texture mirrors a tensor's buffer as long as there is a dispatch
//! that reads through it. Meanwhile, a write to the tensor makes it stale, and it is copied before it is read next.
//!
//! # Differences between drivers
//!
//! A driver may drop NaN in comparisons, `min`, `max`, `exp` or `tanh`. The loss and the pixels must show that a model
//! is broken, so they detect NaN in the bits of their inputs (`shaders/lib/nan.wgsl`). Noise uses no function whose
//! accuracy the specifications leave open by much (`shaders/lib/rng.wgsl`).
//!
//! # The network on the CPU
//!
//! A coder and a decoder need the same probabilities to the bit, on any two machines. So [`compress`] does not use the GPU: each layer,
//! likelihood and prior has a form on the CPU ([`nn::exact`], [`likelihood::Levels`], [`vae::ExactModel`]), with sums in index order and
//! the functions of `libm`. A reader of a stream checks its frame, each chunk's CRC, the model's hash, and a digest of the images.
//!
//! # Other programs
//!
//! A model describes itself as a list of operations in the form of evaluation: each layer, posterior and likelihood adds its own to a
//! [`graph::Graph`] (`describe`). [`export`] writes ONNX and a module of PyTorch from that list, and knows neither layers nor
//! likelihoods. The log probability and the KL divergence, which ONNX files do not have, are lines of PyTorch that the likelihood and the prior
//! give. [`vae::Model::import`] checks weights that another program trained.
//!
//! # Priors
//!
//! A prior whose KL divergence has a closed form is only a part in the slot `prior`. A mixture of normals
//! ([`prior::Prior`]) has dispatches of its own: one for the values that depend only on the parameters, which runs once
//! if the parameters do not change; the log density of each row under each component, after the draws; and its
//! gradients, in the backward pass. The VampPrior runs the encoder twice. The kernels of the second run add to the
//! encoder's gradients.
// A library prints nothing, and fails with an error, not with a panic that names no cause.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used))]

pub mod compress;
pub mod config;
pub mod data;
pub mod error;
pub mod eval;
pub mod export;
pub mod files;
pub mod gpu;
pub mod graph;
pub mod image;
pub mod likelihood;
pub mod nn;
pub mod noise;
pub mod numbers;
pub mod objective;
pub mod optim;
pub mod page;
pub mod posterior;
pub mod prior;
pub mod report;
pub mod run;
pub mod selftest;
mod shaders;
pub mod step;
pub mod train;
pub mod vae;

pub use config::Config;
pub use data::Dataset;
pub use error::Error;
pub use gpu::{AdapterRequest, Gpu};
pub use train::{Plan, Trainer};
pub use vae::Vae;
