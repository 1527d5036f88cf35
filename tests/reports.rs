//! `elbo report` and `elbo compare` from outside: what the pages have, what is escaped, what is refused.

use std::fs;
use std::path::Path;

use base64::Engine;
use serde_json::Value;

use crate::support::finished::{copy_of_the_run, home, train};
use crate::support::program::{elbo, errors_of, refuses, succeeds};

/// The page that a command writes in `directory`.
fn page(directory: &Path, arguments: &[&str]) -> String {
    let arguments = [arguments, &["--out", "page.html"]].concat();
    assert!(succeeds(directory, &arguments).contains("page.html"));
    fs::read_to_string(directory.join("page.html")).expect("a page")
}

/// What the first element with this opening has, up to the next tag.
#[track_caller]
fn after<'a>(page: &'a str, opening: &str) -> &'a str {
    let at = page.find(opening).unwrap_or_else(|| panic!("`{opening}` is missing")) + opening.len();
    &page[at..at + page[at..].find('<').expect("another tag")]
}

/// A number as the pages show it.
fn shown(value: &Value) -> String {
    let value = value.as_f64().expect("a number");
    let decimals = if value.abs() < 0.1 { 4 } else { 2 };
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The values of a chart that the script shows.
fn values(page: &str, chart: &str) -> Value {
    let chart = &page[page.find(&format!("id=\"chart-{chart}\"")).expect("the chart")..];
    json(after(chart, "<script type=\"application/json\">"))
}

#[test]
fn the_figures_of_a_page_are_those_of_the_evaluation_and_of_the_metrics() {
    let page = page(home(), &["report", "run", "--importance-samples", "3"]);
    let evaluation = json(&succeeds(home(), &["eval", "run", "--importance-samples", "3", "--json"]));
    for (name, value) in [("ELBO", "elbo"), ("NLL", "nll"), ("KL", "kl")] {
        assert_eq!(after(&page, &format!("<dt>{name}</dt><dd><strong>")), shown(&evaluation[value]));
    }
    assert_eq!(after(&page, "<dt>log p(x)</dt><dd><strong>"), shown(&evaluation["log_prob"]["mean"]));
    let metrics = fs::read_to_string(home().join("run/metrics.jsonl")).expect("metrics");
    let chart = values(&page, "elbo");
    assert_eq!((&chart["epochs"], &chart["names"]), (&json("[1,2]"), &json(r#"["train","test"]"#)));
    for (line, values) in metrics.lines().map(json).zip(chart["values"].as_array().expect("rows")) {
        assert_eq!(*values, Value::from(vec![shown(&line["train"]["elbo"]), shown(&line["test"]["elbo"])]));
    }
    let active = evaluation["active_units"].as_u64().expect("a number");
    assert!(page.contains(&format!("{active} of 3 latents are active")));
}

#[test]
fn a_page_stands_alone_and_has_everything() {
    let page = page(home(), &["report", "run", "--importance-samples", "2"]);
    for needle in [
        "<html lang=\"en\">",
        "Content-Security-Policy",
        "The best: largest ELBO",
        "The worst: smallest ELBO",
        "<h2 id=\"traversals\">",
        "<rect class=\"bar",
        "each is drawn as its label",
        "<th scope=\"row\">Adapter</th>",
        "<code>elbo train --data ",
        "--hidden 12 --latents 3",
    ] {
        assert!(page.contains(needle), "{needle} is missing");
    }
    assert_eq!(page.matches("<h1>").count(), 1);
    assert!(!page.contains("http://") && !page.contains("https://"), "something from outside");
    // The samples, the first ten, the best and the worst, and a row for each latent: each a picture with words in its place.
    let pictures = page.matches("<img ").count();
    assert_eq!((pictures, page.matches("alt=\"").count()), (1 + 30 + 3, pictures));
    for source in page.split("data:image/png;base64,").skip(1) {
        let encoded = source.split('"').next().expect("the end");
        let png = base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64");
        image::load_from_memory(&png).expect("a picture");
    }
}

#[test]
fn the_command_of_a_page_repeats_the_run() {
    let directory = copy_of_the_run();
    let page = page(directory.path(), &["report", "run", "--importance-samples", "1"]);
    let command = after(&page, "<pre tabindex=\"0\"><code>").replace("&#x2f;", "/").replace("&#x27;", "'");
    let mut words: Vec<&str> = command.split(' ').skip(1).collect();
    words.extend(["--out", "again"]);
    succeeds(directory.path(), &words);
    let model = |run: &str| fs::read(directory.path().join(run).join("model.safetensors")).expect("a model");
    assert!(model("run") == model("again"), "the models differ");
}

#[test]
fn names_are_escaped() {
    let directory = copy_of_the_run();
    let name = "<img src=x onerror=alert(1)>&\"'";
    fs::rename(directory.path().join("run"), directory.path().join(name)).expect("renamed");
    succeeds(directory.path(), &train(&["--epochs", "1", "--kl-weight", "2"]));
    for arguments in [&["report", name][..], &["compare", name, "run"]] {
        let page = page(directory.path(), arguments);
        assert!(!page.contains("<img src=x") && page.contains("&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#x27;"));
        // In the values for the script, too.
        assert!(arguments[0] == "report" || page.contains(r"\u003cimg src=x"));
    }
}

#[test]
fn a_table_of_runs_has_the_settings_that_differ() {
    let directory = copy_of_the_run();
    succeeds(directory.path(), &train(&["--overwrite", "--epochs", "1", "--kl-weight", "2"]));
    fs::rename(directory.path().join("run"), directory.path().join("other")).expect("renamed");
    succeeds(directory.path(), &train(&["--epochs", "2"]));
    let output = elbo(directory.path(), &["compare", "run", "other", "run/", "--out", "page.html"]);
    assert!(output.status.success());
    assert!(errors_of(&output).contains("run/ is given twice"), "{}", errors_of(&output));
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .take(3)
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(
        rows[0],
        ["run", "epochs", "kl-weight", "best elbo", "at epoch", "last elbo", "nll", "kl", "active", "epochs", "time"]
    );
    assert_eq!((&rows[1][..3], &rows[2][..3]), (&["run", "2", "1"][..], &["other", "1", "2"][..]));
    assert_eq!(table.matches('*').count(), 1, "{table}");
    let page = fs::read_to_string(directory.path().join("page.html")).expect("a page");
    assert!(page.contains("(best)") && page.contains("<h1>Comparison of 2 runs</h1>"));
    let chart = values(&page, "elbo");
    assert_eq!((&chart["names"], chart["values"][1][1].as_str()), (&json(r#"["run","other"]"#), Some("")));
}

#[test]
fn runs_of_different_data_are_said_to_be() {
    let directory = copy_of_the_run();
    let (run, changed) = (directory.path().join("run"), directory.path().join("changed"));
    fs::create_dir(&changed).expect("created");
    fs::copy(run.join("metrics.jsonl"), changed.join("metrics.jsonl")).expect("copied");
    let config = fs::read_to_string(run.join("config.json")).expect("a configuration");
    let config = config.replace("\"latents\": 3", "\"latents\": 5").replace("/data\"", "/other\"");
    fs::write(changed.join("config.json"), config).expect("written");
    let output = elbo(directory.path(), &["compare", "run", "changed"]);
    let (table, notes) = (String::from_utf8_lossy(&output.stdout), errors_of(&output));
    assert!(
        notes.contains("different data (--data)") && !table.contains('*') && table.contains("latents"),
        "{notes}{table}"
    );
}

#[test]
fn what_cannot_be_shown_is_refused_or_left_out() {
    refuses(home(), &["report", "nowhere"], &["cannot read the run nowhere"]);
    refuses(home(), &["compare", "run", "nowhere"], &["nowhere/config.json", "cannot read"]);
    refuses(home(), &["compare", "run", "run"], &["expected two different runs or more", "run alone"]);
    refuses(home(), &["compare", "run"], &["elbo report RUN"]);
    refuses(
        home(),
        &["report", "run", "--importance-samples", "1", "--out", "nowhere/x.html"],
        &["cannot write", "nowhere/x.html"],
    );
    refuses(home(), &["report", "run", "--importance-samples", "0"], &["--importance-samples", "from 1"]);
    let directory = copy_of_the_run();
    let run = directory.path().join("run");
    // A copy that was cut off in the second line.
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    fs::write(run.join("metrics.jsonl"), &metrics[..metrics.len() - 40]).expect("written");
    let page = page(directory.path(), &["report", "run", "--importance-samples", "1"]);
    assert!(
        page.contains("Epochs are missing")
            && page.contains("in line 2")
            && page.contains("Not finished: 1 of 2 epochs")
    );
    refuses(directory.path(), &["resume", "run", "--epochs", "3"], &["metrics.jsonl", "in line 2"]);
    fs::write(run.join("metrics.jsonl"), [0xff, 0xfe]).expect("written");
    assert!(
        self::page(directory.path(), &["report", "run", "--importance-samples", "1"])
            .contains("Not finished: 0 of 2 epochs")
    );
    fs::remove_file(run.join("model.safetensors")).expect("removed");
    refuses(directory.path(), &["report", "run"], &["expected the model of a run", "elbo resume run"]);
}

#[test]
fn a_model_of_text_has_sentences_in_place_of_pictures() {
    let directory = tempfile::tempdir().expect("a directory");
    let lines: String =
        (0..60).map(|i| format!("{} {} <b> .\n", ["the", "a"][i % 2], ["sea", "sky", "sun"][i % 3])).collect();
    fs::write(directory.path().join("text.txt"), lines).expect("written");
    let small = ["train", "--data", "text.txt", "--hidden", "gru8", "--embedding", "8", "--epochs", "1", "--quiet"];
    for (run, more, sections) in
        [("with", ["--latents", "2"].as_slice(), true), ("without", &["--without-latents"], false)]
    {
        succeeds(directory.path(), &[&small, ["--out", run].as_slice(), more].concat());
        let page = page(directory.path(), &["report", run, "--importance-samples", "1"]);
        assert!(page.contains("<dt>Perplexity</dt>") && page.contains("sea &lt;b&gt;") && !page.contains("<img "));
        for section in ["<h2 id=\"traversals\">", "<h2 id=\"latents\">", "<th scope=\"col\">reconstruction</th>"] {
            assert_eq!(page.contains(section), sections, "{run}: {section}");
        }
    }
}
