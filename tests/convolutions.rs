//! Convolutions: every geometry against f64 loops, with every family of kernels, and the adjointness of a convolution and its transposed
//! one.

use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::nn::Variant;
use elbo::selftest::nn::convolution::GEOMETRIES;
use elbo::selftest::{self, Sizes};

use crate::support::gpu;

/// Cases whose convolutions have each geometry, with whole batches, short ones, and single examples.
fn cases() -> Vec<(&'static str, Sizes)> {
    let count = GEOMETRIES.len();
    let of = |batch: usize, geometry: usize| Sizes::new(batch, (geometry + 10 * count - batch) % count + count, 1);
    let all = (0..count).flat_map(|geometry| [of(1, geometry), of(3, geometry).short(2, 5)]);
    all.chain([of(70, 0), of(70, 2)]).map(|sizes| ("nn/convolution", sizes)).collect()
}

fn assert_right(gpu: &Gpu, cases: &[(&'static str, Sizes)]) {
    let mut faults = Vec::new();
    let run = selftest::run_cases(gpu, cases, &|_| (), |outcome| {
        if !outcome.passed() {
            faults.push(outcome.to_string());
        }
    });
    run.unwrap();
    assert!(faults.is_empty(), "{} outputs are wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn convolutions_of_every_geometry_are_right() {
    assert_right(gpu(), &cases());
}

#[test]
fn convolutions_are_right_with_every_variant_of_the_kernels() {
    // One of each family with every geometry, the others, the same code with other tiles, with one.
    let mut families = Vec::new();
    for variant in Variant::all().iter().filter(|variant| variant.runs_on(gpu())) {
        let kernels = KernelRequest::Only(variant.name());
        let device = Gpu::open(&AdapterRequest { kernels, ..AdapterRequest::default() }).unwrap();
        let is_first = !families.contains(&variant.family());
        families.push(variant.family());
        let cases = cases();
        assert_right(&device, if is_first { &cases } else { &cases[1..2] });
    }
}
