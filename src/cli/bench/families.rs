//! `elbo bench --families`: whether the family that was chosen for a product is the fastest.

use clap::ValueEnum;
use elbo::config::Config;
use elbo::data::Dataset;
use elbo::gpu::{AdapterRequest, DispatchTime, Gpu, KernelRequest};
use elbo::nn::KernelFamily;
use elbo::{Error, Plan, Trainer};
use serde::Serialize;

use crate::cli::say;

/// How many times each family is timed.
const ROUNDS: usize = 3;

/// A training step with every family, and with those that were chosen.
#[derive(Serialize)]
pub struct Comparison {
    /// The families that the adapter can run.
    families: Vec<KernelFamily>,
    products: Vec<Product>,
    /// Seconds of a step with each family: the sum over all dispatches, products or not, each timed separately.
    step_seconds: Vec<f64>,
    /// The same with the families that were chosen.
    chosen_step_seconds: f64,
}

/// A product, with its epilogue.
#[derive(Serialize)]
struct Product {
    /// Its place in the step.
    dispatch: usize,
    /// The kernel's files and entry point, with the family that was chosen.
    label: String,
    /// With each family.
    seconds: Vec<f64>,
    chosen: KernelFamily,
    /// Its seconds over those of the fastest family: 1 if it is the fastest.
    over_fastest: f64,
}

impl Comparison {
    /// Times a training step with each family, in turn with `chosen`, which trains the same model.
    pub fn measure(
        request: &AdapterRequest,
        data: &Dataset,
        config: &Config,
        chosen: &Trainer,
    ) -> Result<Comparison, Error> {
        let plan = Plan::new(config, data)?;
        let (mut families, mut trainers) = (Vec::new(), Vec::new());
        for family in KernelFamily::value_variants() {
            let gpu = Gpu::open(&AdapterRequest { kernels: KernelRequest::Only(family.name()), ..request.clone() })?;
            if family.runs_on(&gpu)? {
                trainers.push(Trainer::new(&gpu, &plan)?);
                families.push(*family);
            }
        }
        let all: Vec<_> = trainers.iter().chain([chosen]).collect();
        let mut shortest: Vec<Vec<DispatchTime>> = Vec::new();
        for round in 0..ROUNDS {
            for (index, trainer) in all.iter().enumerate() {
                let times = trainer.profile_kernels()?;
                if round == 0 {
                    shortest.push(times);
                    continue;
                }
                for (shortest, time) in shortest[index].iter_mut().zip(times) {
                    shortest.seconds = shortest.seconds.min(time.seconds);
                }
            }
        }
        Comparison::of(families, &shortest)
    }

    /// Matches the dispatches of a step with each family; the chosen families' times come last.
    fn of(families: Vec<KernelFamily>, times: &[Vec<DispatchTime>]) -> Result<Comparison, Error> {
        let (chosen, times) = times.split_last().expect("the chosen families' step is there");
        if let Some(other) = times.iter().find(|other| other.len() != chosen.len()) {
            return Err(Error::Argument {
                operation: "comparing families of kernels",
                expected: format!("{} dispatches with each", chosen.len()),
                found: format!("{}", other.len()),
            });
        }
        let mut products = Vec::new();
        for (dispatch, DispatchTime { label, .. }) in chosen.iter().enumerate() {
            let with: Vec<_> = times.iter().map(|times| &times[dispatch]).collect();
            let is_chosen: Vec<_> = with.iter().map(|time| time.label == *label).collect();
            // Kernels that are not products are chosen by other rules.
            if let Some(index) = is_chosen.iter().position(|is| *is)
                && label.starts_with("nn/dense/")
            {
                let seconds: Vec<_> = with.iter().map(|time| time.seconds).collect();
                let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
                products.push(Product {
                    dispatch,
                    label: label.clone(),
                    chosen: families[index],
                    over_fastest: seconds[index] / fastest,
                    seconds,
                });
            }
        }
        let sum = |times: &Vec<DispatchTime>| times.iter().map(|time| time.seconds).sum();
        Ok(Comparison {
            families,
            products,
            step_seconds: times.iter().map(sum).collect(),
            chosen_step_seconds: sum(chosen),
        })
    }

    pub fn print(&self) -> Result<(), Error> {
        if self.families.len() < 2 {
            return say("        the adapter runs one family of kernels: there is nothing to choose");
        }
        let names: String = self.families.iter().map(|family| format!("{:>11}", family.name())).collect();
        say(format_args!("     us:{names}   chosen   over the fastest"))?;
        let columns = |seconds: &[f64]| seconds.iter().map(|s| format!("{:>11.1}", 1e6 * s)).collect::<String>();
        for product in &self.products {
            let (times, chosen) = (columns(&product.seconds), product.chosen.name());
            say(format_args!("        {times}   {chosen:<6}   {:>16.2}   {}", product.over_fastest, product.label))?;
        }
        let chosen = 1e6 * self.chosen_step_seconds;
        say(format_args!(
            "        {}   {chosen:.1} as chosen   all dispatches of the step",
            columns(&self.step_seconds)
        ))
    }
}
