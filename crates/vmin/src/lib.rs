//! The commands of `vmin` as a library: options in, values out.
//!
//! ```text
//!  arguments ─ clap ─> args::EvalArgs ─ commands::eval::run ─> Evaluated ─ Answer::text ─> standard output
//!                                               │
//!                                               └─> notes and progress: the `log` crate
//! ```
//!
//! The program (`main.rs`) only parses, calls [`run`], prints and chooses the exit code. A command prints
//! nothing itself: it returns an [`Answer`] or a [`Failure`]. What it says meanwhile goes to the `log` crate
//! with a target that begins with `vmin`, and is lost where no logger is installed. Long commands take a stop
//! flag; threads are those of a pool of their own, or of the pool that the command is called from.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use clap::Parser;
//! use vmin::args::{Cli, Command};
//!
//! let words = ["vmin", "eval", "--model", "builtin:shapes-cnn", "--data", "builtin:shapes", "--images", "0..9"];
//! let Command::Eval(args) = Cli::parse_from(words).command else { unreachable!() };
//! use vmin::commands::eval::{Evaluated, run};
//! let Ok(Evaluated::One(clean)) = run(&args, &AtomicBool::new(false)) else { unreachable!() };
//! assert_eq!((clean.images, clean.flips), (9, 0));
//! ```
//!
//! Not here: what commands compute; the crates below know that.

mod answer;
pub mod args;
mod columns;
pub mod commands;
mod compute;
mod failure;
mod files;
mod overrides;
mod problems;
mod progress;

use std::sync::atomic::AtomicBool;

pub use answer::Answer;
use args::{ChipCommand, Command, DataCommand, ModelCommand, TrialsCommand};
pub use compute::threads_of_job;
pub use failure::{AGAIN, Failure};
pub use problems::Problems;

/// Runs a command; gives the text for the standard output, without its last newline. A long command ends early
/// once `stop` is set.
///
/// # Errors
/// The input is wrong, the job could not be finished, or it was stopped.
pub fn run(command: &Command, stop: &AtomicBool) -> Result<String, Failure> {
    compute::timed(command.words(), || answer(command, stop))
}

fn answer(command: &Command, stop: &AtomicBool) -> Result<String, Failure> {
    let words = command.words();
    match command {
        Command::Sweep(args) => match args.shard {
            Some(shard) => written(commands::sweep::shard::run(args, shard, stop)),
            None => commands::sweep::run(args, stop)?.text(words, args.format.format),
        },
        Command::Plan(args) => commands::plan::run(args, stop)?.printed(words, args.format),
        Command::Cluster(args) => written(commands::cluster::run(args, stop)),
        Command::Merge(args) => commands::merge::run(args, stop)?.text(words, args.format.format),
        Command::Ask(args) => answer(&commands::questions::ask(args)?, stop),
        Command::Vmin(args) => {
            commands::questions::vmin::run(args, stop)?.text(words, args.asked.format.format)
        }
        Command::Yield(args) => {
            commands::questions::yields::run(args, stop)?.text(words, args.asked.format.format)
        }
        Command::Assign(args) => {
            commands::questions::assign::run(args, stop)?.text(words, args.asked.format.format)
        }
        Command::Sensitivity(args) => {
            commands::questions::sensitivity::run(args, stop)?.text(words, args.asked.format.format)
        }
        Command::Check(args) => commands::check::run(args, stop)?.text(words, args.format.format),
        Command::Eval(args) => commands::eval::run(args, stop)?.text(words, args.format.format),
        Command::Deploy(args) => commands::deploy::run(args, stop)?.text(words, args.format.format),
        Command::Attack(args) => commands::attack::run(args, stop)?.text(words, args.format.format),
        Command::Flatness(args) => {
            commands::flatness::run(args, stop)?.text(words, args.format.format)
        }
        Command::Noise(args) => commands::noise::run(args, stop)?.text(words, args.format.format),
        Command::Monitor(args) => {
            commands::monitor::run(args, stop)?.text(words, args.format.format)
        }
        Command::Model(ModelCommand::Inspect(args)) => {
            commands::model::inspect(args)?.text(words, args.format.format)
        }
        Command::Model(ModelCommand::Run(args)) => written(commands::model::run(args)),
        Command::Model(ModelCommand::Convert(args)) => written(commands::model::convert(args)),
        Command::Chip(ChipCommand::Sample(args)) => {
            commands::chip::sample::run(args)?.text(words, args.format.format)
        }
        Command::Chip(ChipCommand::Import(args)) => {
            commands::chip::import::run(args)?.text(words, args.format.format)
        }
        Command::Chip(ChipCommand::Export(args)) => written(commands::chip::export::run(args)),
        Command::Chip(ChipCommand::Fit(args)) => {
            commands::chip::fit::run(args)?.text(words, args.format.format)
        }
        Command::Chip(ChipCommand::Draw(args)) => written(commands::chip::draw::run(args)),
        Command::Chip(ChipCommand::Inspect(args)) => {
            commands::chip::inspect::run(args)?.text(words, args.format.format)
        }
        Command::Cycles(args) => commands::cycles::run(args)?.text(words, args.format.format),
        Command::Energy(args) => commands::energy::run(args)?.text(words, args.format.format),
        Command::Explore(args) if args.example => Ok(vmin_explore::DEMO.trim_end().to_owned()),
        Command::Explore(args) => {
            commands::explore::run(args, stop)?.text(words, args.format.format)
        }
        Command::Train(args) => commands::train::run(args, stop)?.text(words, args.format.format),
        Command::Trials(TrialsCommand::List(args)) => {
            commands::trials::list::run(args)?.text(words, args.format.format)
        }
        Command::Trials(TrialsCommand::Show(args)) => {
            commands::trials::show::run(args)?.text(words, args.format.format)
        }
        Command::Trials(TrialsCommand::Gc(args)) => {
            commands::trials::gc::run(args)?.text(words, args.format.format)
        }
        Command::Report(args) => written(commands::report::run(args)),
        Command::Compare(args) => commands::compare::run(args)?.text(words, args.format.format),
        Command::Init(args) => commands::init::run(args),
        Command::Data(DataCommand::List { format }) => {
            commands::data::run()?.text(words, format.format)
        }
        Command::Schema { kind } => commands::schema::text(*kind),
        Command::Completions { shell } => Ok(commands::completions::script(*shell)),
    }
}

/// Nothing for the standard output: the command wrote files.
fn written(done: Result<(), Failure>) -> Result<String, Failure> {
    done.map(|()| String::new())
}
