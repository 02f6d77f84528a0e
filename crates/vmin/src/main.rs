//! `vmin`: how low can the supply voltage of an accelerator's memories go?

mod args;
mod columns;
mod commands;
mod compute;
mod failure;
mod interrupt;
mod print;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Model(command) => commands::model::run(&command),
        Command::Chip(command) => commands::chip::run(&command),
        Command::Cycles(args) => commands::cycles::run(&args),
        Command::Energy(args) => commands::energy::run(&args),
        Command::Explore(args) => commands::explore::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Data(command) => commands::data::run(&command),
        Command::Schema { kind } => commands::schema::run(kind),
        Command::Completions { shell } => commands::completions::run(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
