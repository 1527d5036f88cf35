//! The `elbo` program: parse, run, report.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    silence_device_select();
    silence_decoders();
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            cli::warn(format_args!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Stops Mesa's Vulkan layer for choosing a device from asking for a window system that does not exist: it prints
/// "error: XDG_RUNTIME_DIR is invalid", and the adapter is chosen here anyway.
fn silence_device_select() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: this is the first thing that the program does, so no other thread reads the environment.
        #[allow(unsafe_code, reason = "a variable has to be there before the loader reads it")]
        unsafe {
            std::env::set_var("NODEVICE_SELECT", "1");
        }
    }
}

/// Keeps a panic on a thread that decodes pictures from printing: it becomes an error, which names the picture.
fn silence_decoders() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(elbo::data::parallel::THREAD) {
            hook(panic);
        }
    }));
}
