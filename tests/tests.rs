//! The whole suite in one binary, so that it opens one device. Run it with `make test`.

/// The shared device.
mod support;

/// Every kernel against its f64 reference, with and without run-time checks; every checker against a wrong answer.
mod kernels;

/// Convolutions against f64 loops, with every family of kernels.
mod convolutions;

/// The tables of what kernels are expected to cost.
mod kernel_costs;

/// The f64 gradients against central differences.
mod gradients;

/// Gated and normalised layers: gradients, whole networks, training.
mod layers;

/// Ten steps of training against PyTorch's.
mod golden;

/// Dependencies between modules point one way.
mod architecture;

/// The project's words are plain.
mod language;

/// Every shader parses, validates and translates, without a GPU.
mod shaders;

/// The slots, bindings and headers that `shaders/README.md` describes.
mod shader_readme;

/// Hostile values end in finite results or named errors.
mod poison;

/// Determinism, resuming, flat memory, backends, the phases of a step.
mod training;

/// Networks for evaluation: less memory, the same results up to rounding.
mod networks;

/// Objectives, and the estimate of log p(x) against closed forms.
mod objectives;

/// Likelihoods: they sum to 1, their draws have their moments, models with them train, other data are refused.
mod likelihoods;

/// Images in colour, from training to pictures and files.
mod colour;

/// Priors that are mixtures, over whole models.
mod priors;

/// Text: training, evaluation and sentences, from files to the command line.
mod text;

/// The programs in `examples/`.
mod examples;

/// The files that README.md and the other documents name.
mod documents;

/// The program from outside: its commands, files and error messages.
mod cli;

/// Data from folders, arrays and tables, and what is said about them.
mod data;

/// Every reader of files, given the corpora of the fuzzers and damaged copies of them.
mod fuzz;

/// Runs that stop, continue, overwrite others or meet a full disk.
mod runs;

/// Readers that go, two processes at once, kills at any moment.
mod trust;

/// What TensorBoard reads of a run.
mod tensorboard;

/// Checkpoints in between, limits of gradients, data that move, notes.
mod long_runs;

/// Models in ONNX and PyTorch, and weights that PyTorch trained.
mod exports;

/// The network on the CPU is the GPU's; streams come back bit for bit; damaged ones are refused.
mod compress;

/// Data with a validation set, the best model, early stopping, and what `elbo eval` reports.
mod evaluation;

/// Pages of runs, and runs side by side.
mod reports;

/// The choice of kernels: measured once, kept, recorded by a run.
mod tuning;

/// Models in the browser.
mod page;

/// What `elbo bench` prints and saves.
mod bench;

/// The published run, which takes minutes: `make published`.
mod published;
