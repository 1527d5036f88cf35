//! `docs/kernels.md` has what the model of the kernels' costs says. To write its tables again, after a change of the model:
//! `ELBO_WRITE=1 cargo test --test tests -- kernel_costs`.

use std::fmt::Write;
use std::fs;

use elbo::nn::cost::{PROCESSORS, bytes, seconds};
use elbo::nn::{ProductSize, Variant};

use crate::support::sources::repository;

/// The products of a training step of 784-400-20.
fn products(batch: usize) -> [ProductSize; 8] {
    let of = |entry, inputs, outputs| ProductSize { layer: "", entry, inputs, outputs, batch };
    [
        of("forward", 784, 400),
        of("forward", 400, 40),
        of("forward", 20, 400),
        of("forward", 400, 784),
        of("backward", 400, 784),
        of("backward", 20, 400),
        of("backward", 400, 40),
        of("backward_weight", 784, 400),
    ]
}

fn squares() -> [ProductSize; 2] {
    [1024, 4096].map(|n| ProductSize { layer: "", entry: "forward", inputs: n, outputs: n, batch: n })
}

fn for_gpus() -> impl Iterator<Item = &'static Variant> {
    Variant::all().iter().filter(|variant| !variant.name().starts_with("lanes"))
}

fn name(size: ProductSize) -> String {
    let ProductSize { entry, inputs, outputs, batch, .. } = size;
    format!("{entry} {inputs} to {outputs}, {batch}")
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn head(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<_> = cells.into_iter().collect();
    let rule = (0..cells.len()).map(|column| if column == 0 { "---" } else { "---:" });
    row(cells.clone()) + &format!("|{}|\n", rule.collect::<Vec<_>>().join("|"))
}

fn names() -> impl Iterator<Item = String> {
    for_gpus().map(|variant| variant.name().to_owned())
}

/// A table by product and variant.
fn by_variant(corner: &str, sizes: &[ProductSize], cell: impl Fn(&Variant, ProductSize) -> String) -> String {
    let mut text = head([corner.to_owned()].into_iter().chain(names()));
    for &size in sizes {
        text += &row([name(size)].into_iter().chain(for_gpus().map(|variant| cell(variant, size))));
    }
    text
}

fn tables() -> String {
    let mut text = "### What a variant needs\n\n".to_owned();
    let of_gpus = PROCESSORS.iter().map(|processor| format!("workgroups of a unit, {}", processor.name));
    text += &head(
        ["variant", "threads", "registers of a thread", "workgroup memory, bytes"]
            .map(str::to_owned)
            .into_iter()
            .chain(of_gpus),
    );
    for variant in for_gpus() {
        let own = [variant.threads(), variant.registers(), variant.workgroup_bytes()].map(|number| number.to_string());
        let residents = PROCESSORS.iter().map(|processor| {
            let workgroups = variant.resident(processor);
            format!("{workgroups} ({:.0}%)", 100.0 * workgroups * variant.threads() / processor.threads)
        });
        text += &row([variant.name().to_owned()].into_iter().chain(own).chain(residents));
    }
    let sizes: Vec<_> = [products(128), products(4096)].concat();
    text += "\nIn parentheses: its threads, of those that a unit has room for.\n\n### Workgroups of each product\n\n";
    text += &by_variant("entry, layer, rows", &sizes, |variant, size| variant.workgroups(size).to_string());
    text += "\n### MB that the workgroups load and store\n\n";
    text += &by_variant("entry, layer, rows", &sizes, |variant, size| format!("{:.1}", 1e-6 * bytes(variant, size)));
    let sizes = [sizes, squares().to_vec()].concat();
    for processor in &PROCESSORS {
        write!(text, "\n### Expected on {}: microseconds\n\n", processor.name).unwrap();
        text += &by_variant("entry, layer, rows", &sizes, |variant, size| {
            let time = |variant: &Variant| seconds(processor, variant, size);
            let best = for_gpus().map(time).fold(f64::INFINITY, f64::min);
            let us = format!("{:.1}", 1e6 * time(variant));
            if time(variant) <= best { format!("**{us}**") } else { us }
        });
        let of_a_step =
            |batch| products(batch).map(|size| for_gpus().map(|v| seconds(processor, v, size)).fold(1.0, f64::min));
        let [small, large] = [128, 4096].map(|batch| 1e6 * of_a_step(batch).iter().sum::<f64>());
        writeln!(text, "\nThe eight products of a step: {small:.0} us at batch 128, {large:.0} us at 4096.").unwrap();
    }
    text
}

#[test]
fn the_tables_of_the_document_are_those_of_the_model() {
    const HEADING: &str = "## Tables\n\n";
    let path = repository().join("docs/kernels.md");
    let text = fs::read_to_string(&path).expect("the document").replace("\r\n", "\n");
    let (before, found) = text.split_once(HEADING).expect("a heading");
    let want = tables();
    if std::env::var_os("ELBO_WRITE").is_some() {
        fs::write(&path, format!("{before}{HEADING}{want}")).expect("written");
    } else {
        assert!(
            found == want,
            "docs/kernels.md is not what the model says: tests/kernel_costs.rs tells how to write it"
        );
    }
}
