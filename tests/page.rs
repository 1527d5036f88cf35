//! Models in the browser: what a page computes is what this program computes.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use elbo::config::{Config, ModelConfig, TrainingConfig};
use elbo::data::{Dataset, Split};
use elbo::gpu::{AdapterRequest, Gpu, KernelRequest};
use elbo::likelihood::Pixels;
use elbo::page::Page;
use elbo::vae::PosteriorParameters;
use elbo::{Plan, Trainer, Vae};
use serde_json::Value;

use crate::support::program::{refuses, succeeds};
use crate::support::synthetic::{SHAPE, images};
use crate::support::{gpu, report_ignored, tools};

/// Steps of an epoch of the page's training.
const STEPS: usize = 20;
const BATCH: usize = 8;

fn data() -> Dataset {
    let part = |count, seed| Split { images: images(count, seed), labels: None };
    Dataset { name: "stripes".into(), train: part(STEPS * BATCH, 3), validation: None, test: part(70, 4) }
}

/// A model of which both sides are not trivial.
fn config(hidden: &str, normalise: &str) -> Config {
    let mut config = Config::default();
    let model = format!(
        r#"{{"hidden": {hidden}, "normalise": "{normalise}", "activation": "gelu", "latents": 3, "likelihood": "bernoulli",
        "variance": 0.1}}"#
    );
    config.model = serde_json::from_str::<ModelConfig>(&model).unwrap();
    config.training = TrainingConfig { epochs: Some(2), batch_size: BATCH, seed: 5, ..TrainingConfig::default() };
    config.training.learning_rate.initial = 3e-3;
    config
}

/// A GPU that is used as in browsers.
fn browser_gpu() -> Gpu {
    // Waits for its turn on GL.
    gpu();
    let kernels = KernelRequest::Only("tiles");
    Gpu::open(&AdapterRequest { as_in_browsers: true, kernels, ..AdapterRequest::default() }).unwrap()
}

/// What a script finds in a page.
fn in_browser(chromium: &str, directory: &Path, html: &str, script: &str, more: &[&str]) -> Value {
    fs::write(directory.join("page.html"), html).unwrap();
    fs::write(directory.join("script.js"), script).unwrap();
    let arguments = [&[chromium, "page.html", "script.js"], more].concat();
    let printed = tools::run(&PathBuf::from("python3"), "browser.py", directory, &arguments);
    serde_json::from_str(&printed).unwrap()
}

/// Whether the browser has a GPU that pages may use. Otherwise `test` says that it was not made.
fn has_webgpu(test: &str, chromium: &str, directory: &Path, html: &str) -> bool {
    let found = in_browser(chromium, directory, html, "return window.elbo.model instanceof GpuModel;", &[]);
    if found != true {
        report_ignored(test, "the browser has no WebGPU");
    }
    found == true
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("numbers").iter().map(|number| number.as_f64().expect("a number") as f32).collect()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], most: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= most, "{what}: off by {worst}");
}

/// Decodes, encodes and samples.
const INFER: &str = "
    const { page, model } = window.elbo;
    const z = Float32Array.from({ length: 70 * 3 }, (_, i) => 2 * Math.sin(i));
    const size = page.tensors.pixels.columns;
    const images = Uint8Array.from({ length: 70 * size }, (_, i) => (i * i) % 256);
    return {
        isGpu: model instanceof GpuModel,
        status: document.getElementById('status').textContent,
        decoded: Array.from(await model.decode(z)),
        encoded: Array.from(await model.encode(images)),
    };";

#[test]
fn a_page_decodes_and_encodes_as_the_program_on_the_gpu_and_on_the_cpu() {
    let test = "a_page_decodes_and_encodes_as_the_program_on_the_gpu_and_on_the_cpu";
    let (Some(chromium), Some(_)) = (tools::chromium(test), tools::python(test, &["json"])) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    for (hidden, normalise) in [("[12]", "none"), (r#"["conv8k3s2", 12]"#, "batch")] {
        let (data, config) = (data(), config(hidden, normalise));
        let gpu = browser_gpu();
        let mut trainer = Trainer::new(&gpu, &Plan::new(&config, &data).unwrap()).unwrap();
        trainer.epoch(|_| ControlFlow::Continue(())).unwrap();
        let vae = trainer.vae();
        let posterior = vae.encode(&data.test.images, 0).unwrap();
        let page = Page { title: "</script><b>& a name", vae, posterior: &posterior, labels: None, training: None };
        let html = page.html().unwrap();
        assert!(html.contains("&lt;&#x2f;script&gt;&lt;b&gt;&amp; a name") && !html.contains("<b>"));

        let latents: Vec<f32> = (0..210).map(|i| 2.0 * f64::from(i).sin() as f32).collect();
        let decoded = vae.decode(&latents, Pixels::Mean).unwrap();
        let bytes = (0..70 * SHAPE.dimensions()).map(|i| (i * i % 256) as u8).collect();
        let drawn = elbo::data::Images::new(bytes, 70, SHAPE).unwrap();
        let posterior = vae.encode(&drawn, 0).unwrap();
        let both = posterior.mean.chunks(3).zip(posterior.logvar.chunks(3));
        let encoded: Vec<f32> = both.flat_map(|(mean, logvar)| [mean, logvar].concat()).collect();
        let ways = [&[][..], &["--no-webgpu"]];
        let first = if has_webgpu(test, &chromium, directory.path(), &html) { 0 } else { 1 };
        for more in &ways[first..] {
            let found = in_browser(&chromium, directory.path(), &html, INFER, more);
            assert_eq!(found["isGpu"], more.is_empty(), "{}", found["status"]);
            assert_near(&floats(&found["decoded"]), &decoded, 1e-5, hidden);
            assert_near(&floats(&found["encoded"]), &encoded, 1e-4, hidden);
        }
    }
}

/// Uses every control, and returns what each changed.
const CONTROLS: &str = "
    const { view } = window.elbo;
    const by = (id) => document.getElementById(id);
    const pixels = (id) => by(id).toDataURL();
    const idle = (ms = 300) => new Promise((go) => setTimeout(go, ms));
    const pointer = (id, type, x, y) => {
        const box = by(id).getBoundingClientRect();
        const at = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
        by(id).setPointerCapture = () => {};
        by(id).dispatchEvent(new PointerEvent(type, { ...at, buttons: 1, bubbles: true, pointerId: 1 }));
    };
    const changed = {};
    const check = async (name, id, act) => {
        const before = [pixels(id), by('place').value];
        act();
        for (let time = 0; time < 300 && pixels(id) === before[0]; time++) await idle(100);
        changed[name] = pixels(id) !== before[0];
    };
    await check('map', 'image', () => pointer('map', 'pointerdown', 0.2, 0.3));
    await check('drag', 'map', () => pointer('map', 'pointermove', 0.8, 0.4));
    pointer('map', 'pointerup', 0.8, 0.4);
    await check('from', 'walk', () => by('from').click());
    await check('key', 'image', () => by('map').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp', shiftKey: true })));
    by('all-latents').click();
    const slider = document.querySelector('.latent input');
    await check('slider', 'image', () => { slider.value = -2; slider.dispatchEvent(new Event('input')); });
    await check('to', 'walk', () => by('to').click());
    await check('way', 'image', () => { by('way').value = 0.5; by('way').dispatchEvent(new Event('input')); });
    await check('drawing', 'reconstruction', () => {
        pointer('drawing', 'pointerdown', 0.2, 0.2);
        pointer('drawing', 'pointermove', 0.8, 0.9);
    });
    changed.cloud = view.cloud?.length === 60;
    await check('again', 'samples', () => by('again').click());
    await check('axis', 'map', () => { by('axis-y').value = view.order[2]; by('axis-y').dispatchEvent(new Event('change')); });
    await check('zero', 'image', () => by('zero').click());
    await check('train', 'curve', () => by('train').click());
    changed.values = document.querySelectorAll('#values tr').length > 0;
    by('train').click();
    for (let time = 0; time < 300 && view.training.isRunning; time++) await idle(100);
    await check('trained', 'image', () => by('trained').click());
    return changed;";

#[test]
fn every_control_of_a_page_works() {
    let test = "every_control_of_a_page_works";
    let (Some(chromium), Some(_)) = (tools::chromium(test), tools::python(test, &["json"])) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let (data, config) = (data(), config("[12]", "none"));
    let gpu = browser_gpu();
    let training = |seed| {
        let mut config = config.clone();
        config.training.seed = seed;
        Trainer::new(&gpu, &Plan::new(&config, &data).unwrap()).unwrap()
    };
    let (trainer, mut trained) = (training(5), training(6));
    trained.epoch(|_| ControlFlow::Continue(())).unwrap();
    let vae = trained.vae();
    let posterior = vae.encode(&data.test.images, 0).unwrap();
    let labels: Vec<u8> = (0..70).map(|i| i % 10).collect();
    let page = Page { title: "stripes", vae, posterior: &posterior, labels: Some(&labels), training: Some(&trainer) };
    let html = page.html().unwrap();
    if !has_webgpu(test, &chromium, directory.path(), &html) {
        return;
    }
    let found = in_browser(&chromium, directory.path(), &html, CONTROLS, &[]);
    let changed = found.as_object().expect("what each control changed");
    let idle: Vec<_> = changed.iter().filter(|(_, changed)| **changed != true).map(|(name, _)| name).collect();
    assert!(idle.is_empty() && changed.len() == 15, "without effect: {idle:?}, of {changed:?}");
}

/// Trains an epoch, reads all parameters, evaluates, trains again from the beginning.
const TRAIN: &str = "
    const { page, model, view } = window.elbo;
    const { training } = view.training;
    training.reset();
    const all = async () => {
        const values = [];
        for (const { place } of page.parameters) values.push(...await model.player.read(place, place.rows));
        return values;
    };
    let means = null;
    while (!means?.isOver) means = await training.train(7);
    const parameters = await all();
    const test = await training.evaluate();
    const file = new Uint8Array(await (await training.file()).arrayBuffer());
    training.reset();
    while (training.epoch < 1) await training.train(20);
    const again = await all();
    return { means, parameters, test, same: again.every((value, i) => value === parameters[i]), file: Array.from(file) };";

#[test]
fn a_page_trains_as_the_program() {
    let test = "a_page_trains_as_the_program";
    let (Some(chromium), Some(_)) = (tools::chromium(test), tools::python(test, &["json"])) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let (data, config) = (data(), config("[12]", "layer"));
    let gpu = browser_gpu();
    let plan = Plan::new(&config, &data).unwrap();
    let trainer = Trainer::new(&gpu, &plan).unwrap();
    let none = PosteriorParameters { mean: Vec::new(), logvar: Vec::new() };
    let page = Page { title: "stripes", vae: trainer.vae(), posterior: &none, labels: None, training: Some(&trainer) };
    let html = page.html().unwrap();
    if !has_webgpu(test, &chromium, directory.path(), &html) {
        return;
    }
    let found = in_browser(&chromium, directory.path(), &html, TRAIN, &[]);

    let mut native = Trainer::new(crate::support::gpu(), &plan).unwrap();
    let metrics = native.epoch(|_| ControlFlow::Continue(())).unwrap().unwrap();
    let vae = native.vae();
    let read = |name: &str| vae.parameters().get(name).read::<f32>(vae.gpu()).unwrap();
    let parameters: Vec<f32> = vae.specs().iter().flat_map(|spec| read(&spec.name)).collect();
    assert_near(&floats(&found["parameters"]), &parameters, 1e-3, "parameters after 20 steps");
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!((number(&found["means"]["elbo"]) - metrics.train.elbo).abs() < 1e-3, "{} {metrics:?}", found["means"]);
    assert!((number(&found["test"]["elbo"]) - metrics.held_out().1.elbo).abs() < 1e-3, "{} {metrics:?}", found["test"]);
    assert_eq!(found["same"], true, "a second training from the beginning has the same bits");

    // The file that the page offers is one that this program reads.
    let path = directory.path().join("model.safetensors");
    let bytes: Vec<u8> = found["file"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
    fs::write(&path, bytes).unwrap();
    let loaded = Vae::load(crate::support::gpu(), &path).unwrap();
    let read = |name: &str| loaded.parameters().get(name).read::<f32>(loaded.gpu()).unwrap();
    let parameters: Vec<f32> = loaded.specs().iter().flat_map(|spec| read(&spec.name)).collect();
    assert_eq!(parameters, floats(&found["parameters"]));
}

#[test]
fn the_command_writes_a_page_and_names_what_it_cannot_show() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path();
    let train = ["train", "--no-tune", "--epochs", "1", "--hidden", "8", "--latents", "2", "--pictures-every", "0"];
    succeeds(home, &[&train[..], &["--data", "mnist", "--batch-size", "2000", "--out", "run"]].concat());
    let printed = succeeds(home, &["page", "run", "--train", "64", "--epochs", "1"]);
    assert!(printed.contains("page: run/page.html"), "{printed}");
    refuses(home, &["page", "nothing"], &["nothing"]);
    refuses(home, &["page", "run", "--train", "0"], &["--train: expected a number of images"]);
    refuses(home, &["page", "run", "--out", "no/such/page.html"], &["no/such/page.html"]);
    fs::write(home.join("lines.txt"), "a b c\nb c\n".repeat(30)).unwrap();
    let text = ["train", "--no-tune", "--epochs", "1", "--hidden", "gru8", "--embedding", "8", "--data", "lines.txt"];
    succeeds(home, &[&text[..], &["--out", "text"]].concat());
    refuses(home, &["page", "text"], &["expected a model of images, found a model of text"]);
}
