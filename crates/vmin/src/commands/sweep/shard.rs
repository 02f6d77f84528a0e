//! `vmin sweep --shard`: the trials of some chips, whose journal `vmin merge` unites with those of the others.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vmin_diagnostic::{Diagnostic, thousands};
use vmin_sweep::{Plan, RunError, Shard};

use super::{
    JOURNAL, Manifest, RunFacts, interrupted, journal_failure, open_journal, plan, quoted_path,
    stopped_by, sweep_command, task,
};
use crate::args::{ShardChoice, SweepArgs};
use crate::commands::trials;
use crate::failure::{make_folder, say};
use crate::progress::Progress;
use crate::{Failure, compute, files};

/// The manifest of a shard.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The part of an experiment that a shard is, in its manifest.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct ShardFacts {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// The number of shards.
    pub(crate) of: u32,
    /// Its first chip, from 0.
    first_chip: u32,
    /// Its last chip.
    last_chip: u32,
}

/// Runs the trials of one shard and writes its journal and manifest; results are those of all shards.
///
/// # Errors
/// As a whole sweep; the shard is not one of the experiment, or no variable of an engine names it.
pub(crate) fn run(args: &SweepArgs, choice: ShardChoice, stop: &AtomicBool) -> Result<(), Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, choice, stop))
}

fn run_here(args: &SweepArgs, choice: ShardChoice, stop: &AtomicBool) -> Result<(), Failure> {
    let started = Instant::now();
    let shard = match choice {
        ShardChoice::One(shard) => shard,
        ShardChoice::OfTask(of) => task::shard(of, &|name| std::env::var(name).ok())?,
    };
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let plan = compute::timed("plan", || plan(args.experiment.as_deref(), &args.set))?;
    check(&plan, shard)?;
    let (chips, numbers) = (shard.chips(plan.chips), plan.trials_of(shard));
    let facts = ShardFacts {
        number: shard.number(),
        of: shard.of(),
        first_chip: chips.start,
        last_chip: chips.end - 1,
    };
    files::check_folder(&args.out, &[(MANIFEST, files::MANIFEST)])?;
    make_folder(&args.out)?;
    let path = args.out.join(JOURNAL);
    let wanted = plan.records_of(&numbers);
    let store = args.store.as_deref().map(trials::to_write).transpose()?;
    let (mut journal, done, known) = open_journal(&plan, &path, wanted, args.resume)?;
    let known = match &store {
        Some(store) => trials::reused(store, &plan, &mut journal, done, &known, journal_failure)?,
        None => known,
    };
    let write_manifest = |run: Option<RunFacts<'_>>| {
        let manifest = Manifest { shard: Some(facts), ..Manifest::of(&plan, &args.set, run) };
        files::put(&args.out.join(MANIFEST), manifest.to_json()?.as_bytes(), files::MANIFEST)
    };
    // A shard that is killed can be named too.
    write_manifest(None)?;
    for note in &plan.notes {
        say(&format!("note: {note}"));
    }
    let chips = chip_words(facts.first_chip, facts.last_chip);
    say(&format!(
        "{}: shard {shard}, {chips}, {} trials, {} images, kernel {}, {} threads",
        plan.name,
        thousands(wanted),
        plan.labels().len(),
        kernel.name(),
        rayon::current_num_threads()
    ));
    let missing = plan.missing(&known);
    let is_done = !(facts.first_chip..=facts.last_chip).any(|chip| missing.contains_key(&chip));
    if is_done {
        say("nothing is run: its journal holds all of them");
    } else {
        let outcome = compute::timed("trials", || {
            let progress = Progress::new("shard", "trials");
            let store = store.as_ref();
            vmin_sweep::run_shard(
                &plan,
                shard,
                &mut journal,
                store,
                &known,
                kernel,
                stop,
                &progress,
            )
        });
        let go_on = || command(args.experiment.as_deref(), &args.set, shard, &args.out);
        match outcome {
            Ok(()) => {}
            Err(RunError::Stopped) if stop.load(Ordering::Relaxed) => {
                return Err(interrupted(&go_on()));
            }
            Err(error) => return Err(stopped_by(&error, &go_on())),
        }
    }
    write_manifest(Some(RunFacts::of(kernel, started.elapsed())))?;
    say(&format!(
        "{:.1} s; shard {shard} is done: its journal is `{}`. It has no results of its own; once all {} shards are \
         done: {}",
        started.elapsed().as_secs_f64(),
        path.display(),
        shard.of(),
        merge_command(args)
    ));
    Ok(())
}

/// The command that runs, or continues, a shard.
pub(crate) fn command(
    experiment: Option<&Path>,
    sets: &[String],
    shard: Shard,
    out: &Path,
) -> String {
    let sweep = sweep_command(experiment, sets);
    format!("{sweep} --shard {shard} --out {} --resume", quoted_path(out))
}

/// The options of a command that name an experiment of shards.
pub(crate) fn experiment_options(experiment: Option<&Path>, sets: &[String]) -> String {
    let file =
        experiment.map_or_else(String::new, |path| format!(" --experiment {}", quoted_path(path)));
    let sets: String = sets.iter().map(|set| format!(" --set {}", super::quoted(set))).collect();
    file + &sets
}

/// The command that unites the shards, if the others lie beside this one.
fn merge_command(args: &SweepArgs) -> String {
    let beside = args.out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let all = beside.map_or_else(|| "FOLDER...".to_owned(), quoted_path);
    let experiment = experiment_options(args.experiment.as_deref(), &args.set);
    format!("vmin merge {all}{experiment} --out DIR")
}

/// Chips by their numbers, in words.
pub(crate) fn chip_words(first: u32, last: u32) -> String {
    if first == last { format!("chip {first}") } else { format!("chips {first} to {last}") }
}

/// Refuses more shards than there are chips.
pub(crate) fn check(plan: &Plan, shard: Shard) -> Result<(), Failure> {
    if shard.of() <= plan.chips {
        return Ok(());
    }
    let problem = format!("{} shards are more than the {} chips", shard.of(), plan.chips);
    Err(Diagnostic::new("shard", problem)
        .allowed(format!("expected at most {} shards of this experiment", plan.chips))
        .into())
}
