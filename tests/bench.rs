//! What `elbo bench` prints and saves.

use std::fs;

use serde_json::Value;

use crate::support::program::{refuses, succeeds};

#[test]
fn a_profile_and_every_variant_of_each_product_are_printed_and_saved() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = ["--hidden", "8", "--latents", "2", "--batch-size", "256", "--seconds", "0"];
    let printed = succeeds(
        directory.path(),
        &[&["bench", "--profile", "--products", "--save", "bench.json"], &model[..]].concat(),
    );
    assert!(printed.contains("GFLOP/s in f32; memory: ") && printed.contains("times the fastest"), "{printed}");
    let text = fs::read_to_string(directory.path().join("bench.json")).expect("the file");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number in {text}"));
    assert!(number(&report["peak_gflops"]) > 0.0 && number(&report["bandwidth_gb_per_second"]) > 0.0);
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1);
    for row in rows {
        for part in ["host_us_per_dispatch", "host_record_us", "host_submit_us", "empty_step_us"] {
            assert!(number(&row[part]) > 0.0, "{part} in {text}");
        }
        let profile = row["profile"].as_array().expect("a profile");
        assert_eq!(profile.len() as u64, row["dispatches_per_step"].as_u64().expect("a number"));
        for dispatch in profile {
            assert!(
                number(&dispatch["seconds"]) > 0.0 && ["gpu", "wall"].map(Value::from).contains(&dispatch["clock"])
            );
        }
        let products = row["products"].as_array().expect("products");
        // Two layers each side, their gradients, and the bottleneck.
        assert_eq!(products.len(), 10, "{text}");
        for product in products {
            let variants = product["variants"].as_array().expect("variants");
            let is_bottleneck = product["name"].as_str().is_some_and(|name| name.starts_with("bottleneck"));
            assert!(is_bottleneck || variants.iter().any(|variant| variant["name"] == product["chosen"]), "{product}");
            assert!(is_bottleneck || number(&product["over_fastest"]) >= 1.0, "{product}");
            for variant in variants {
                let (seconds, gflops) = (number(&variant["seconds"]), number(&variant["gflops"]));
                assert!(is_bottleneck || number(&variant["bytes"]) > 0.0, "{variant}");
                assert!((1e9 * gflops * seconds / number(&product["flops"]) - 1.0).abs() < 1e-6, "{variant}");
            }
        }
    }
}

#[test]
fn a_bench_that_cannot_be_made_or_saved_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    refuses(directory.path(), &["--kernels", "tiles", "bench", "--products"], &["--products", "--kernels"]);
    let model = ["--hidden", "8", "--latents", "2", "--batch-size", "256", "--seconds", "0"];
    let save = ["bench", "--json", "--save", "nowhere/bench.json"];
    refuses(directory.path(), &[&save, &model[..]].concat(), &["nowhere/bench.json", "cannot write"]);
}
