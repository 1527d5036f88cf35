//! Training with every family of kernels, and with the fused bottleneck.

use std::collections::BTreeSet;

use elbo::config::Config;
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::likelihood::Likelihood;
use elbo::nn::{Activation, NormKind, Variant};
use elbo::objective::Objective;
use elbo::prior::Prior;

use super::{parameter_bits, relative, relu, train, values};
use crate::support::gpu;
use crate::support::synthetic::{config, dataset};

#[test]
fn every_family_of_kernels_repeats_its_bits_and_gives_the_same_curve_with_checks_and_without() {
    let data = dataset(300, 100);
    let (reference, reference_trainer) = train(gpu(), &data, &relu());
    let mut families = BTreeSet::new();
    let variants = Variant::all().iter().filter(|variant| variant.runs_on(gpu()));
    let firsts = variants.filter(|variant| families.insert(variant.family())).map(|variant| variant.name());
    for name in firsts.chain(["fused"]) {
        for shader_checks in [false, true] {
            let kernels = KernelRequest::Only(name);
            let gpu = Gpu::open(&AdapterRequest { kernels, shader_checks, ..AdapterRequest::default() }).unwrap();
            let (curve, trainer) = train(&gpu, &data, &relu());
            let (again, trainer_again) = train(&gpu, &data, &relu());
            assert_eq!(values(&curve), values(&again), "{name}, checks: {shader_checks}");
            assert_eq!(parameter_bits(trainer.vae()), parameter_bits(trainer_again.vae()), "{name}");
            let pairs = values(&curve).concat().into_iter().zip(values(&reference).concat());
            let worst = pairs.map(|(found, want)| relative(found, want)).fold(0.0, f64::max);
            assert!(worst < 1e-3, "{name}, checks: {shader_checks}: {worst:.1e} off the default kernels");
            let fewer = if name == "fused" { 3 } else { 0 };
            assert_eq!(trainer.dispatches_per_step() + fewer, reference_trainer.dispatches_per_step(), "{name}");
        }
    }
}

#[test]
fn the_fused_bottleneck_gives_the_same_curve_for_every_model_that_it_is_for_and_leaves_the_others() {
    let data = dataset(300, 100);
    let fused = KernelRequest::Only("fused");
    let fused = Gpu::open(&AdapterRequest { kernels: fused, ..AdapterRequest::default() }).unwrap();
    let with = |layers, activation, change: fn(&mut Config)| {
        let mut config = config(layers, activation, Likelihood::Bernoulli);
        change(&mut config);
        config
    };
    let cases = [
        (with(1, Activation::Gated, |_| ()), 3),
        // The encoder's first layer has a kernel of its own.
        (with(2, Activation::Tanh, |c| c.model.posterior.logvar_range = "-3,0.5".parse().ok()), 2),
        // Forward alone: the gradient has no closed form, or none is passed on from one sample.
        (with(1, Activation::Relu, |c| c.model.prior.kind = Prior::Mixture), 2),
        (with(1, Activation::Relu, |c| c.training.objective.kind = Objective::FreeBits), 2),
        // No hidden layer, normalised ones, several samples: apart.
        (with(0, Activation::Relu, |_| ()), 0),
        (with(1, Activation::Relu, |c| c.model.normalise = Some(NormKind::Layer)), 0),
        (with(1, Activation::Relu, |c| c.training.objective.samples = 2), 0),
    ];
    for (config, saved) in cases {
        let ((curve, own), (reference, apart)) = (train(&fused, &data, &config), train(gpu(), &data, &config));
        let case = serde_json::to_string(&config).unwrap();
        assert_eq!(own.dispatches_per_step() + saved, apart.dispatches_per_step(), "{case}");
        let pairs = values(&curve).concat().into_iter().zip(values(&reference).concat());
        let worst = pairs.map(|(found, want)| relative(found, want)).fold(0.0, f64::max);
        assert!(worst < 1e-3, "{worst:.1e} off: {case}");
        // A run that is resumed is fused too, whatever its device would choose.
        let kernels = KernelRequest::As(own.kernels());
        let resumed = Gpu::open(&AdapterRequest { kernels, ..AdapterRequest::default() }).unwrap();
        let (_, again) = train(&resumed, &data, &config);
        assert_eq!(parameter_bits(own.vae()), parameter_bits(again.vae()), "{case}");
    }
}
