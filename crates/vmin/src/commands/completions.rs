//! `vmin completions`: a completion script for a shell.

use clap::CommandFactory;

use crate::args::Cli;

/// The script.
#[must_use]
pub fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vmin", &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}
