//! Chromium's compiler, which is stricter than naga, accepts every shader.

use std::fs;
use std::path::Path;

use elbo::gpu::Shader;
use serde_json::{Value, json};

use super::filled::kernels;
use crate::support::{report_ignored, tools};

/// Compiles each shader. Returns what was refused. Pipelines would take the driver minutes, and say nothing more: what they bind is checked
/// without a browser.
const COMPILE: &str = "
    const shaders = JSON.parse(document.getElementById('shaders').textContent);
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) return { skipped: 'it found no GPU' };
    const requiredFeatures = ['subgroups'].filter((feature) => adapter.features.has(feature));
    const device = await adapter.requestDevice({ requiredFeatures });
    const refused = [];
    let accepted = 0;
    for (const { label, text } of shaders) {
        if (text.includes('enable subgroups;') && !requiredFeatures.length) continue;
        const module = device.createShaderModule({ code: text });
        const { messages } = await module.getCompilationInfo();
        for (const { type, message, lineNum } of messages) {
            if (type === 'error') refused.push(`${label}: ${message}, line ${text.split('\\n')[lineNum - 1]}`);
        }
        if (!messages.some(({ type }) => type === 'error')) accepted += 1;
    }
    return { refused, accepted };";

#[test]
fn chromium_accepts_every_shader() {
    let test = "chromium_accepts_every_shader";
    let (Some(chromium), Some(python)) = (tools::chromium(test), tools::python(test, &["json"])) else { return };
    // Words of 64 bits are for adapters that run on a CPU, outside of browsers.
    let shaders = kernels().into_iter().map(|source| (Shader::parse(&source).unwrap(), source));
    let shaders = shaders.filter(|(shader, _)| !shader.text().contains("u64")).map(|(shader, source)| {
        // wgpu needs no such line, and WebGPU does.
        let enable = if shader.text().contains("subgroup") { "enable subgroups;\n" } else { "" };
        json!({ "label": source.path(), "text": format!("{enable}{}", shader.text()) })
    });
    let shaders: Vec<_> = shaders.collect();
    let count = shaders.len();
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let data = json!(shaders).to_string().replace('<', "\\u003c");
    let ready = "<script>document.documentElement.dataset.state = 'ready'</script>";
    write("page.html", &format!("<!doctype html><script type=text/plain id=shaders>{data}</script>{ready}"));
    write("script.js", COMPILE);
    let printed =
        tools::run(Path::new(&python), "browser.py", directory.path(), &[&chromium, "page.html", "script.js"]);
    let found: Value = serde_json::from_str(&printed).unwrap();
    if let Some(why) = found["skipped"].as_str() {
        return report_ignored(test, why);
    }
    assert!(count > 100 && found["accepted"].as_u64() > Some(100), "{count} shaders, {found}");
    assert_eq!(found["refused"], json!([]), "{found}");
}
