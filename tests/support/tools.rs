//! Other people's programs, which open what Elbo wrote. A test that needs one that is missing says so and is left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::report_ignored;

/// A Python that has the modules: `ELBO_PYTHON`, or `python3`. Otherwise nothing, and `test` says what is missing.
pub fn python(test: &str, modules: &[&str]) -> Option<PathBuf> {
    let python = std::env::var_os("ELBO_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let imports = format!("import {}", modules.join(", "));
    let found = Command::new(&python).args(["-c", &imports]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    report_ignored(test, &format!("{} has no {}; ELBO_PYTHON names another", python.display(), modules.join(", ")));
    None
}

/// Runs a script of `tests/tools/` in a directory, and returns what it printed.
#[track_caller]
pub fn run(program: &Path, script: &str, directory: &Path, arguments: &[&str]) -> String {
    let script = super::sources::repository().join("tests/tools").join(script);
    let mut command = Command::new(program);
    // A browser has a Vulkan driver of its own, whichever the tests use.
    command.arg(script).args(arguments).current_dir(directory).env_remove("VK_DRIVER_FILES");
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A Chromium, `ELBO_CHROMIUM` or one of the usual names. Otherwise nothing, and `test` says what is missing.
pub fn chromium(test: &str) -> Option<String> {
    let named = std::env::var("ELBO_CHROMIUM").ok();
    let usual = ["chromium", "chromium-browser", "google-chrome", "chrome"].map(str::to_owned);
    let found = named.into_iter().chain(usual).find(|name| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    });
    if found.is_none() {
        report_ignored(test, "there is no chromium; ELBO_CHROMIUM names one");
    }
    found
}
