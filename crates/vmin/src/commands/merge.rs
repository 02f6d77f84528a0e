//! `vmin merge`: the journals of shards united, and the results that one process would have written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use vmin_diagnostic::{Diagnostic, thousands};
use vmin_sweep::{Journal, JournalError, Plan, Record, RunError, Shard, unite};

use super::sweep::shard::{MANIFEST, ShardFacts, chip_words, command};
use super::sweep::{
    FILES, JOURNAL, Manifest, RunFacts, Swept, journal_failure, plan, stopped_by, write_results,
};
use crate::args::MergeArgs;
use crate::failure::{make_folder, say, with_causes};
use crate::progress::Progress;
use crate::{Failure, compute, files};

/// Shards and ranges of chips that a message names.
const NAMED_MAX: usize = 20;

/// Unites journals and writes the files of a sweep.
///
/// # Errors
/// All problems of the experiment; a journal that cannot be read, is in use or belongs to another experiment; two
/// that disagree; trials that are missing. Nothing is written then.
pub fn run(args: &MergeArgs, stop: &AtomicBool) -> Result<Swept, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &MergeArgs, stop: &AtomicBool) -> Result<Swept, Failure> {
    let started = Instant::now();
    let folders = folders(&args.folders);
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let plan = compute::timed("plan", || plan(args.experiment.as_deref(), &args.set))?;
    files::check_folder(&args.out, &FILES)?;
    let records = compute::timed("journals", || records(&folders, &args.out, &plan))?;
    let known = plan.sorted(&records).map_err(|reason| Diagnostic::new("journal", reason))?;
    let missing = plan.missing(&known);
    if !missing.is_empty() {
        return Err(incomplete(args, &folders, &plan, &missing).into());
    }
    make_folder(&args.out)?;
    let mut journal = add(&args.out.join(JOURNAL), &plan, &records)?;
    for note in &plan.notes {
        say(&format!("note: {note}"));
    }
    say(&format!(
        "{}: {} trials of {} chips from {} folders",
        plan.name,
        thousands(plan.records_total()),
        plan.chips,
        folders.len()
    ));
    let outcome = compute::timed("results", || {
        let progress = Progress::new("merge", "trials");
        vmin_sweep::run(&plan, &mut journal, &known, kernel, stop, &progress)
    });
    let results = match outcome {
        Ok(results) => results,
        Err(RunError::Stopped) if stop.load(Ordering::Relaxed) => {
            let words = "interrupted; no trial is lost, run the same command again";
            return Err(Failure::Interrupted(words.to_owned()));
        }
        Err(error) => return Err(stopped_by(&error, "the same command")),
    };
    let run = Some(RunFacts::of(kernel, started.elapsed()));
    let mut manifest = Manifest::of(&plan, &args.set, run);
    manifest.merged = &folders;
    write_results(&args.out, &results, plan.first_chip.as_ref(), &manifest)?;
    say(&format!(
        "{:.1} s; results in `{}`",
        started.elapsed().as_secs_f64(),
        args.out.join("results.json").display()
    ));
    Ok(Swept { results, with_union: plan.with_union })
}

/// The folders with journals: those named, or the ones in them.
fn folders(named: &[PathBuf]) -> Vec<PathBuf> {
    let has_journal = |folder: &PathBuf| folder.join(JOURNAL).is_file();
    let within = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries.map(|it| it.path()).filter(has_journal).collect();
        found.sort();
        found
    };
    let of = |folder: &PathBuf| match has_journal(folder) {
        true => vec![folder.clone()],
        false => Some(within(folder))
            .filter(|found| !found.is_empty())
            .unwrap_or_else(|| vec![folder.clone()]),
    };
    named.iter().flat_map(of).collect()
}

/// The records of all folders, and of an earlier merge into `out`, each once.
fn records(folders: &[PathBuf], out: &Path, plan: &Plan) -> Result<Vec<Record>, Failure> {
    let of = plan.journal_of();
    let mut paths: Vec<PathBuf> = folders.iter().map(|folder| folder.join(JOURNAL)).collect();
    let earlier = out.join(JOURNAL);
    if earlier.is_file() {
        paths.push(earlier);
    }
    let mut journals = Vec::new();
    for path in paths {
        let records = Journal::read(&path, &of).map_err(|error| unreadable(&error))?;
        journals.push((path, records));
    }
    unite(&journals).map_err(|error| {
        Diagnostic::new("journal", error.to_string())
            .hint(
                "one of them is damaged, or of another program: remove it and run its shard again",
            )
            .into()
    })
}

fn unreadable(error: &JournalError) -> Failure {
    let problem = Diagnostic::new("journal", with_causes(error));
    match error {
        JournalError::OtherPlan { .. } => problem
            .hint("name the experiment of the shards with `--experiment`, and their `--set`")
            .into(),
        JournalError::Io { action: "open", .. } => {
            problem.hint("name folders that `vmin sweep --shard` wrote").into()
        }
        JournalError::Io { .. }
        | JournalError::Locked { .. }
        | JournalError::Exists { .. }
        | JournalError::OtherVersion { .. }
        | JournalError::Damaged { .. } => journal_failure(error),
    }
}

/// The journal of the results, with the records that it lacked.
fn add(path: &Path, plan: &Plan, records: &[Record]) -> Result<Journal, Failure> {
    let opened = Journal::open(path, &plan.journal_of(), plan.records_total(), true);
    let (mut journal, there) = opened.map_err(|error| journal_failure(&error))?;
    let there: BTreeSet<&Record> = there.iter().collect();
    let mut lacking = records.iter().filter(|record| !there.contains(record));
    let added = lacking.try_for_each(|record| journal.append(record));
    added.and_then(|()| journal.sync()).map_err(|error| journal_failure(&error))?;
    Ok(journal)
}

/// That trials are missing: by shards, if the folders tell of how many.
fn incomplete(
    args: &MergeArgs,
    folders: &[PathBuf],
    plan: &Plan,
    missing: &BTreeMap<u32, u64>,
) -> Diagnostic {
    let facts = folders.iter().filter_map(|folder| Some((facts(folder)?, folder.as_path())));
    let facts: Vec<(ShardFacts, &Path)> = facts.collect();
    let numbers: BTreeSet<u32> = facts.iter().map(|(facts, _)| facts.of).collect();
    let total: u64 = missing.values().sum();
    let of_all = format!("{} of {} trials", thousands(total), thousands(plan.records_total()));
    let chips = listed(ranges(missing).into_iter().map(|(first, last)| chip_words(first, last)));
    let of = numbers.first().filter(|_| numbers.len() == 1);
    let Some(&of) = of.filter(|&&of| of <= plan.chips) else {
        return Diagnostic::new("incomplete", format!("{of_all} are missing, of {chips}")).hint(
            "run the shards that have them (`vmin sweep --shard I/N`), and name their folders too",
        );
    };
    let lacks = |shard: &Shard| shard.chips(plan.chips).any(|chip| missing.contains_key(&chip));
    let shards: Vec<Shard> = Shard::all(of).filter(lacks).collect();
    let names = listed(shards.iter().map(ToString::to_string));
    let noun = if shards.len() == 1 { "shard" } else { "shards" };
    let problem = format!("{of_all} are missing, of {noun} {names} ({chips})");
    let runs = shards.iter().take(NAMED_MAX).map(|shard| {
        let folder = folder_of(*shard, &facts);
        format!("run: {}", command(args.experiment.as_deref(), &args.set, *shard, &folder))
    });
    runs.fold(Diagnostic::new("incomplete", problem), Diagnostic::hint)
}

/// The folder of a shard, or the one beside the others if theirs are named by their numbers.
fn folder_of(shard: Shard, facts: &[(ShardFacts, &Path)]) -> PathBuf {
    if let Some((_, folder)) = facts.iter().find(|(facts, _)| facts.number == shard.number()) {
        return (*folder).to_owned();
    }
    let numbered = |(facts, folder): &&(ShardFacts, &Path)| {
        folder.file_name().is_some_and(|name| *name == *facts.number.to_string())
    };
    match facts.iter().find(numbered) {
        Some((_, folder)) => folder.with_file_name(shard.number().to_string()),
        None => PathBuf::from("DIR"),
    }
}

/// The part that the manifest in a folder says it is.
fn facts(folder: &Path) -> Option<ShardFacts> {
    let bytes = vmin_files::bytes("manifest", &folder.join(MANIFEST)).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    serde_json::from_value(manifest.get("shard")?.clone()).ok()
}

/// Runs of neighbouring chips: first and last.
fn ranges(chips: &BTreeMap<u32, u64>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &chip in chips.keys() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == chip => *last = chip,
            Some(_) | None => ranges.push((chip, chip)),
        }
    }
    ranges
}

/// The first of some names, and how many more there are.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut text = names.take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range_and_long_lists_end() {
        let chips: BTreeMap<u32, u64> = [0, 1, 2, 5, 7, 8].map(|chip| (chip, 1)).into();
        assert_eq!(ranges(&chips), [(0, 2), (5, 5), (7, 8)]);
        let many: Vec<String> = (0..30).map(|chip| chip.to_string()).collect();
        assert!(listed(many.into_iter()).ends_with("18, 19 and 10 more"));
    }
}
