//! Every kernel against its f64 reference, with and without run-time checks; every checker against a wrong answer.

use std::collections::BTreeSet;

use elbo::gpu::{AdapterRequest, Arena, Gpu, KernelRequest, Program};
use elbo::nn::Variant;
use elbo::optim::{Adam, Update, UpdateRule};
use elbo::selftest::{self, Case, NAN, Outcome, Sizes, Tamper, UNTOUCHED};
use elbo::step::{At, Step};

use crate::support::gpu;
use crate::support::sources::{entry_points, files, headers};

/// One below, at and above each size at which a kernel's indexing changes, and primes.
///
/// Sizes of columns and outputs are constants of a kernel, which a software adapter compiles for up to half a second:
/// each set of them is for the kernels whose indexing changes there. Other numbers of rows need no new kernels.
const CASES: [Case<'static>; 43] = [
    ("", Sizes::new(1, 1, 1)),
    // Rows: a workgroup's reach, 8 and 64, and short batches.
    ("", Sizes::new(7, 61, 43)),
    ("", Sizes::new(8, 61, 43)),
    ("", Sizes::new(9, 61, 43).short(8, 5)),
    ("", Sizes::new(9, 61, 43).short(1, 11)),
    ("", Sizes::new(63, 61, 43)),
    ("", Sizes::new(64, 61, 43)),
    ("", Sizes::new(65, 61, 43)),
    ("", Sizes::new(65, 61, 43).short(64, 128)),
    // The tile of a thread of the dense kernels in tiles, 8, and the workgroup's, 64; of the epilogues, those that sum rows.
    ("dense", Sizes::new(7, 8, 9)),
    ("dense", Sizes::new(8, 9, 7)),
    ("dense", Sizes::new(9, 7, 8)),
    ("dense", Sizes::new(9, 7, 8).short(8, 5)),
    ("dense", Sizes::new(9, 7, 8).short(1, 11)),
    ("dense", Sizes::new(63, 64, 65)),
    ("dense", Sizes::new(64, 65, 63)),
    ("dense", Sizes::new(65, 63, 64)),
    ("dense", Sizes::new(65, 63, 64).short(64, 128)),
    ("bernoulli.wgsl", Sizes::new(9, 7, 1)),
    ("bernoulli.wgsl", Sizes::new(7, 8, 1)),
    ("bernoulli.wgsl", Sizes::new(8, 9, 1)),
    ("bernoulli.wgsl", Sizes::new(63, 64, 1)),
    ("bernoulli.wgsl", Sizes::new(64, 65, 1)),
    ("bernoulli.wgsl", Sizes::new(65, 63, 1)),
    // The tiles of the dense kernels on SIMD lanes: 32 columns, and 8 rows for layers of up to 64, 32 rows for wider ones.
    ("dense", Sizes::new(31, 32, 33)),
    ("dense", Sizes::new(32, 33, 31)),
    ("dense", Sizes::new(33, 31, 32).short(32, 3)),
    ("dense", Sizes::new(31, 65, 97)),
    ("dense", Sizes::new(33, 96, 95).short(32, 3)),
    // That of the kernels of the latents and of normalisation, 8 quads, and of a mixture's components, 64.
    ("normal", Sizes::new(6, 31, 1)),
    ("normal", Sizes::new(10, 32, 1)),
    ("normal", Sizes::new(11, 33, 1)),
    ("mixture", Sizes::new(8, 7, 63)),
    ("mixture", Sizes::new(7, 8, 64)),
    ("mixture", Sizes::new(9, 9, 65)),
    // The most latents of the bottleneck's kernels.
    ("bottleneck", Sizes::new(9, 63, 5)),
    ("bottleneck", Sizes::new(5, 64, 29).short(3, 2)),
    // That of the others, 64 quads; from here on with several rounds of the loops.
    ("", Sizes::new(2, 255, 3)),
    ("", Sizes::new(3, 256, 2)),
    ("", Sizes::new(5, 257, 4)),
    ("", Sizes::new(131, 523, 17).short(127, 1009)),
    ("metrics", Sizes::new(1021, 1, 1)),
    ("logvar", Sizes::new(1021, 1, 1).short(1019, 0)),
];

/// Collects what went wrong, a line each.
fn faults(run: impl FnOnce(&mut dyn FnMut(&Outcome))) -> Vec<String> {
    let mut faults = Vec::new();
    run(&mut |outcome| {
        if !outcome.passed() {
            faults.push(outcome.to_string());
        }
    });
    faults
}

fn assert_right(gpu: &Gpu, cases: &[Case<'_>]) {
    let faults = faults(|on_outcome| {
        selftest::run_cases(gpu, cases, &|_| (), on_outcome).unwrap();
    });
    assert!(faults.is_empty(), "{} outputs are wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_kernel_is_right_at_every_size() {
    assert_right(gpu(), &selftest::CASES);
    assert_right(gpu(), &CASES);
}

#[test]
fn every_kernel_is_right_with_run_time_checks() {
    let checked = Gpu::open(&AdapterRequest { shader_checks: true, ..AdapterRequest::default() }).unwrap();
    assert!(checked.shader_checks() && !gpu().shader_checks());
    assert_right(&checked, &selftest::CASES);
}

/// The variants of the kernels for products that the adapter can run.
fn variants() -> impl Iterator<Item = &'static Variant> {
    Variant::all().iter().filter(|variant| variant.runs_on(gpu()))
}

/// A device with the kernels of a variant, where the adapter's own choice is another.
fn device_with(variant: &Variant, shader_checks: bool) -> Gpu {
    let kernels = KernelRequest::Only(variant.name());
    Gpu::open(&AdapterRequest { kernels, shader_checks, ..AdapterRequest::default() }).unwrap()
}

#[test]
fn the_products_of_every_variant_are_right_at_every_size() {
    // One less than tiles, turns and slices, one more, and the smallest; an epilogue that sums rows may go wrong by itself.
    let sizes = [
        Sizes::new(131, 523, 17).short(127, 1009),
        Sizes::new(65, 127, 129),
        Sizes::new(5, 257, 4),
        Sizes::new(31, 65, 97).short(30, 3),
        Sizes::new(1, 1, 1),
    ];
    let cases = sizes.map(|sizes| ["nn/dense", "bernoulli.wgsl"].map(|text| (text, sizes))).concat();
    let mut families = BTreeSet::new();
    for variant in variants() {
        // Those of one family have the same code, which takes seconds to compile on a CPU.
        let is_first = families.insert(variant.family());
        assert_right(&device_with(variant, false), if is_first { &cases } else { &cases[..2] });
        if is_first {
            assert_right(&device_with(variant, true), &cases[..2]);
        }
    }
}

#[test]
fn every_kernel_and_every_part_of_one_is_tested() {
    // As "a.wgsl + b.wgsl:entry": the kernel's file, the files in its slots, the entry point.
    let mut tested = BTreeSet::new();
    for (index, variant) in variants().enumerate() {
        // One convolution of whole quads of channels, and one of an image.
        let of_dense = (if index == 0 { "" } else { "nn/dense" }, Sizes::new(3, 5, 7));
        let cases = [of_dense, ("nn/convolution", Sizes::new(3, 4, 7)), ("nn/convolution", Sizes::new(3, 6, 7))];
        let passed = selftest::run_cases(&device_with(variant, false), &cases, &|_| (), |outcome| {
            tested.insert(outcome.kernel.clone());
        });
        assert!(passed.unwrap());
    }
    let runs = |name: &str| Variant::named(name).unwrap().runs_on(gpu());
    let headers = headers();
    for (path, text) in files("shaders", "wgsl") {
        let file = path.to_str().unwrap().replace('\\', "/");
        // Headers are tested through the files that import them. Some files are for adapters with subgroups, or words of 64 bits.
        let able = match file.as_str() {
            "nn/dense/lanes/textures.wgsl" | "nn/convolution/narrow/shuffles.wgsl" => runs("lanes"),
            "nn/dense/lanes/buffers.wgsl" => runs("shuffle"),
            "optim/adam/lanes.wgsl" => gpu().has_wide_words(),
            _ => !file.starts_with("nn/dense/lanes") || runs("lanes") || runs("shuffle"),
        };
        if headers.contains(&path) || !able {
            continue;
        }
        for entry in entry_points(&text) {
            let is = |label: &String| label.starts_with(&file) && label.ends_with(&format!(":{entry}"));
            assert!(tested.iter().any(is), "{file}:{entry} is not tested");
        }
        assert!(tested.iter().any(|label| label.contains(&file)), "{file} is not tested");
    }
}

/// The largest of the words that a kernel wrote.
fn largest(words: &mut [f64]) -> &mut f64 {
    let written = words.iter_mut().filter(|word| word.abs() < f64::from(UNTOUCHED));
    written.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
}

#[test]
fn every_checker_sees_a_wrong_answer() {
    let wrongs: [(&str, Tamper<'_>); 6] = [
        ("the largest element has the other sign", &|words| *largest(words) *= -1.0),
        ("the largest element is 1% too large", &|words| *largest(words) *= 1.01),
        ("the largest element is not a number", &|words| *largest(words) = f64::NAN),
        ("the largest element was not written", &|words| *largest(words) = f64::from(UNTOUCHED)),
        // The padding of the last row, or of a row past the end of a short batch.
        ("the last word was touched", &|words| *words.last_mut().unwrap() = 0.125),
        ("everything is zero", &|words| words.fill(0.0)),
    ];
    for (wrong, tamper) in wrongs {
        for case in
            [("", Sizes::new(37, 61, 43)), ("", Sizes::new(37, 61, 43).short(29, 74)), (NAN, Sizes::new(3, 61, 43))]
        {
            let mut count = 0;
            let passed = selftest::run_cases(gpu(), &[case], tamper, |outcome| {
                count += 1;
                assert!(!outcome.passed(), "{wrong}, and yet: {outcome}");
                assert!(outcome.worst.share() > 1.0);
            });
            assert!(!passed.unwrap());
            assert!(count > 30, "{count} outputs were compared");
        }
    }
}

#[test]
fn an_update_reaches_the_end_of_a_folded_grid() {
    // More workgroups than one axis of the grid allows.
    const PARAMETERS: usize = 32_768 * 64 * 4 + 1_000;
    let [parameters, gradients, moment1, moment2] =
        [(); 4].map(|()| Arena::zeros(gpu(), [("parameter", 1, PARAMETERS)]).unwrap());
    let signs: Vec<f32> = (0..PARAMETERS).map(|i| if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
    gradients.get("parameter").write(gpu(), &signs).unwrap();
    let adam = Adam::default();
    let step = Step { optimiser: [adam.constants(0.5, 1); 2], ..Step::default() };
    // A batch that is not whole yet changes nothing.
    let step_tensor = Step { chunks_left: 1, ..step }.upload(gpu()).unwrap();
    let at = At::new(gpu(), &step_tensor, 1);
    let mut program = Program::default();
    let (states, weights) = (&[moment1, moment2], &[]);
    let update = Update { parameters: &parameters, gradients: &gradients, states, clip: None, weights, encoder: 0 };
    program.extend(adam.update(at, update).unwrap());
    gpu().run(&program, 1);
    assert!(parameters.get("parameter").read::<f32>(gpu()).unwrap().iter().all(|value| *value == 0.0));
    step.write_to(gpu(), &step_tensor).unwrap();
    gpu().run(&program, 1);
    // The first update is the learning rate against the gradient's sign.
    let found: Vec<f32> = parameters.get("parameter").read(gpu()).unwrap();
    let wrong = found.iter().zip(&signs).position(|(p, sign)| (p + 0.5 * sign).abs() > 1e-5);
    assert_eq!((wrong, found.len()), (None, PARAMETERS));
}
