//! `elbo man`, which makes the pages that an archive of the program has.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use elbo::Error;
use elbo::files::write_atomically;

use super::{Cli, say};

/// Write the manual pages of all commands
#[derive(Args)]
#[command(hide = true)]
pub struct Man {
    /// The directory, which is made
    directory: PathBuf,
}

impl Man {
    pub fn run(self) -> Result<ExitCode, Error> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory).map_err(Error::io("create the directory", directory))?;
        // `elbo help` would be a command with a page for each other command.
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        let pages = write(&program, directory)?;
        say(format_args!("{pages} pages: {}", directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page of a command and those of its commands, and counts them.
fn write(command: &Command, directory: &Path) -> Result<usize, Error> {
    let page = clap_mangen::Man::new(command.clone()).source(concat!("elbo ", env!("CARGO_PKG_VERSION")));
    write_atomically(&directory.join(page.get_filename()), |file| {
        let mut text = Vec::new();
        page.render(&mut text)?;
        file.write_all(with_examples(&String::from_utf8_lossy(&text)).as_bytes())
    })?;
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    commands.map(|command| write(command, directory)).sum::<Result<usize, _>>().map(|pages| pages + 1)
}

/// A page whose examples have a heading of their own, and keep their lines: they are an extra paragraph otherwise.
fn with_examples(page: &str) -> String {
    match page.split_once("\n.SH EXTRA\nExamples:\n") {
        Some((before, after)) => {
            format!("{before}\n.SH EXAMPLES\n.nf\n{}", after.replacen("\n.SH ", "\n.fi\n.SH ", 1))
        }
        None => page.to_owned(),
    }
}
