//! `vmin completions`: a completion script for a shell.

use clap::CommandFactory;

use crate::args::Cli;
use crate::failure::Failure;
use crate::print;

pub(crate) fn run(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vmin", &mut script);
    print::text_line(String::from_utf8_lossy(&script).trim_end())
}
