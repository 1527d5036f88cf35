//! Variational autoencoders, trained on any GPU that `wgpu` reaches, without CUDA and without Python.
//!
//! All of the mathematics of training runs in WGSL compute shaders, in `shaders/`; Rust lays out memory, records
//! dispatches, feeds data and writes files.
//!
//! ```
//! use std::ops::ControlFlow;
//! use elbo::{AdapterRequest, Config, Dataset, Gpu, Trainer, Vae};
//!
//! # fn main() -> Result<(), elbo::Error> {
//! # let directory = tempfile::tempdir().map_err(elbo::Error::io("create", "a temporary directory"))?;
//! # let path = directory.path().join("model.safetensors");
//! let gpu = Gpu::open(&AdapterRequest::default())?;
//! let mut data = Dataset::mnist()?;
//! data.train.images = data.train.images.slice(0..1024)?; // an excerpt: a real run takes them all
//! data.test.images = data.test.images.slice(0..100)?;
//!
//! let mut config = Config::default();
//! config.training.epochs = 2;
//! let mut trainer = Trainer::new(&gpu, &data, &config)?;
//! trainer.run(|metrics, _vae| {
//!     println!("epoch {}: {:.1} nats per example", metrics.epoch, metrics.held_out().1.elbo);
//!     Ok(ControlFlow::Continue(()))
//! })?;
//!
//! let vae = trainer.vae();
//! let dreams = vae.sample(16, 0)?; // 16 images of 784 pixels, from draws of the prior
//! let posterior = vae.encode(&data.test.images)?; // the mean and log variance of each image
//! let images = vae.decode(&posterior.mean)?;
//! vae.save(&path)?;
//! let again = Vae::load(&gpu, &path)?;
//! assert_eq!(again.sample(16, 0)?, dreams);
//! # assert_eq!(images.len(), 100 * 784);
//! # Ok(())
//! # }
//! ```
//!
//! # Terms
//!
//! The *encoder* describes the posterior q(z|x), the *decoder* the likelihood p(x|z); the prior is p(z). The *ELBO* is
//! `E_q[log p(x|z)] - KL(q || p)`, in nats per example, constants included, summed over dimensions and averaged over
//! examples; larger is better. The *loss* is what training minimises: `-log p(x|z) + kl_weight * KL`, unless the *objective* is
//! another. Sizes are `B` (the batch), `D` (data dimensions), `H` (a hidden layer), `L` (latents), `K` (importance samples of
//! an example, which are rows one after the other behind the draw of z); matrices are row-major, weights `(out, in)`.
//!
//! # Architecture
//!
//! `src/` and `shaders/` are mirror trees: each WGSL file (headers in `shaders/lib/` apart) has one Rust twin at the same
//! path, or at that of its folder, and that twin is the only code that names its bindings. Dependencies point one way: a
//! module uses only modules below it, which `tests/architecture.rs` checks.
//!
//! ```text
//! cli -> run -> selftest -> checkpoint -> train -> eval -> vae -> config -> objective -> likelihood, prior -> posterior
//!     -> nn -> image -> metrics -> data, optim -> steps -> gpu -> noise, numbers -> files -> error
//! ```
//!
//! Each part (a likelihood, the prior, the objective, the learning rate) owns its settings; [`config`] puts them together, and
//! has the rules between parts.
//!
//! What stays true everywhere:
//!
//! 1. WGSL owns bindings and workgroup sizes; the host reads both by reflection and binds by name. Sizes are `override`
//!    constants.
//! 2. Everything is recorded once and replayed: [`gpu::Kernel`], [`gpu::Dispatch`], [`gpu::Program`]. Nothing is created
//!    inside the step loop, and memory is flat from the first step to the last.
//! 3. The GPU runs the epoch ([`steps::Pass`]): images are uploaded once, as bytes; an epoch's order and table of steps
//!    once an epoch; the last kernel of a step moves on to the next one. A batch that is too large for the adapter comes in
//!    several steps, whose gradients are added up before the update. Noise is made on the GPU by a counter-based
//!    generator; the backward pass finds it in the draw that was made with it.
//! 4. The same seed on the same adapter gives the same bits: no float atomics, every sum is a tree or in index order. A
//!    run that was stopped and resumed ends bit-identical to one that was not.
//! 5. Every kernel is checked against an f64 reference ([`selftest`]), every gradient against central differences, and
//!    the whole step against PyTorch.
//!
//! Two decisions that the code relies on everywhere: rows of every matrix are padded with zeros to whole `vec4`s
//! ([`gpu::Tensor`]), so that kernels load four values at once and sums need no special case; and parameters, gradients
//! and both of Adam's moments are one buffer each ([`gpu::Arena`]), so that an update is one dispatch.
//!
//! # Fusion
//!
//! A small model is bound by the number of its dispatches, so a step has few: 12 with one hidden layer each side. A line
//! `#import name` in WGSL that names no header is a *slot*, and whoever makes the kernel says which file fills it
//! ([`gpu::Source`]). A product of a dense layer has the slot `epilogue`, for what becomes of its result while it is still
//! in registers ([`nn::Epilogue`]): it is stored; or activated, with the derivative kept; or it is the logits of a
//! likelihood, of which only the gradient and the log probability are ever stored; or, in the backward pass, it goes on
//! through the activation below, or through the posterior. A normalisation ([`nn::Normalisation`]) is a kernel between a
//! product, which is then stored, and the activation, and has the slot `epilogue` too. The posterior's kernels have the slots
//! `prior` and `objective`, the latter for how much each row weighs in the loss. So a new activation, likelihood, prior or
//! objective is fused without a new kernel; what needs more than a row's quad at a time, as the categorical likelihood or a
//! mixture as the prior, has kernels of its own. A layer's gradients, of its weight and of its input, are one dispatch.
//!
//! # Families of kernels
//!
//! Products have families of kernels with the same formulas ([`gpu::KernelFamily`]), in `shaders/nn/dense/`: tiles in
//! registers, tiles whose sums are cut into slices for few rows on a wide GPU, and tiles over SIMD lanes for adapters that run
//! on a CPU. Each is two files, the product and its gradients. Which family makes which product is measured once for each
//! adapter and driver and kept in the user's cache ([`gpu::KernelRequest`]); a run records it, and is resumed with it. A
//! measurement puts back what the kernels wrote. A software adapter compiles a kernel for up to seconds: there, the other families
//! are compiled only if the lanes are far from what the adapter can do at all.
//!
//! On SIMD lanes, operands are read as textures. A texture mirrors a tensor's buffer as long as a dispatch reads through it:
//! meanwhile, every write to the tensor is followed by a copy.
//!
//! # What drivers differ in
//!
//! A driver may drop NaN in comparisons, `min`, `max`, `exp` or `tanh`. What must show that a model is broken, the loss and the
//! pixels, takes NaN from the bits of its inputs (`shaders/lib/nan.wgsl`). Noise uses no function whose accuracy the
//! specifications leave open by much (`shaders/lib/rng.wgsl`).
//!
//! # Priors
//!
//! A prior whose KL divergence has a closed form is no more than what fills the slot `prior`. A mixture of normals
//! ([`prior::Prior`]) has dispatches of its own, which [`prior::PriorState`] records: what depends on the parameters alone, once
//! before the steps where these stay as they are; each row's log density under each component after the draws; its gradients
//! in the backward pass. The VampPrior runs the encoder twice, and what the second run adds to the encoder's gradients is
//! added by the kernels that make them.
//!
//! Adding a likelihood, a prior, a posterior, an objective or a layer touches its WGSL files, their twin, one variant of the
//! enum that lists them, and the self-test.
#![deny(missing_docs, unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod eval;
pub mod files;
pub mod gpu;
pub mod image;
pub mod likelihood;
pub mod metrics;
pub mod nn;
pub mod noise;
pub mod numbers;
pub mod objective;
pub mod optim;
pub mod posterior;
pub mod prior;
pub mod run;
pub mod selftest;
pub mod steps;
pub mod train;
pub mod vae;

pub use config::Config;
pub use data::Dataset;
pub use error::Error;
pub use gpu::{AdapterRequest, Gpu};
pub use train::Trainer;
pub use vae::Vae;
