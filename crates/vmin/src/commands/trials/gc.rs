//! `vmin trials gc`: compacts a store.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostics, thousands};
use vmin_sweep::TrialId;
use vmin_sweep::store::{Compacted, compact};

use super::{kib, opened, shared_failure};
use crate::args::trials::GcArgs;
use crate::commands::sweep;
use crate::{Answer, Failure, answer};

/// What a compaction did, or would do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Collected {
    /// True if nothing was changed.
    dry_run: bool,
    /// Files that became one; 0 if there was nothing to do.
    segments: usize,
    /// Files that are being written, left alone.
    segments_in_use: usize,
    /// Trials in the files that were compacted.
    trials: u64,
    /// Trials dropped, which no named experiment has.
    trials_dropped: u64,
    /// Lines dropped that said again what another says.
    duplicates_dropped: u64,
    /// Damaged lines dropped.
    damaged_lines_dropped: u64,
    /// Bytes of these files before.
    bytes_before: u64,
    /// And after.
    bytes_after: u64,
}

/// Compacts a store.
///
/// # Errors
/// An experiment to keep is wrong, or the store cannot be read or written; no trial is then lost.
pub fn run(args: &GcArgs) -> Result<Collected, Failure> {
    let mut keep = Vec::new();
    let mut problems = Vec::new();
    for path in &args.keep {
        match sweep::plan(Some(path), &[]) {
            Ok(plan) => keep.push(plan.contains()),
            Err(Failure::Input(found)) => problems.extend(found.into_list()),
            Err(
                other @ (Failure::Failed(_)
                | Failure::Interrupted(_)
                | Failure::Preempted(_)
                | Failure::Busy(_)),
            ) => return Err(other),
        }
    }
    if let Some(problems) = Diagnostics::from_list(problems) {
        return Err(problems.into());
    }
    drop(opened(&args.store)?);
    let wanted = |trial: &TrialId| keep.is_empty() || keep.iter().any(|keeps| keeps(trial));
    let done = compact(&args.store, &wanted, args.dry_run);
    let done = done.map_err(|error| shared_failure(&error))?;
    let Compacted { segments, in_use, trials, left_out, duplicates, damage, .. } = done;
    let Compacted { bytes_before, bytes_after, .. } = done;
    Ok(Collected {
        dry_run: args.dry_run,
        segments,
        segments_in_use: in_use,
        trials,
        trials_dropped: left_out,
        duplicates_dropped: duplicates,
        damaged_lines_dropped: damage.lines,
        bytes_before,
        bytes_after,
    })
}

impl Answer for Collected {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&[self])
    }

    fn table(&self) -> String {
        let mut lines = Vec::new();
        if self.segments == 0 {
            lines.push("nothing to do".to_owned());
        } else {
            lines.push(format!(
                "{}{} files of {} KiB as one of {} KiB: {} trials",
                if self.dry_run { "would write " } else { "" },
                self.segments,
                kib(self.bytes_before),
                kib(self.bytes_after),
                thousands(self.trials)
            ));
            for (count, words) in [
                (self.trials_dropped, "trials of no named experiment"),
                (self.duplicates_dropped, "duplicates"),
                (self.damaged_lines_dropped, "damaged lines"),
            ] {
                if count > 0 {
                    let dropped = if self.dry_run { "would drop" } else { "dropped" };
                    lines.push(format!("{dropped} {} {words}", thousands(count)));
                }
            }
        }
        if self.segments_in_use > 0 {
            lines.push(format!("{} files are being written: left alone", self.segments_in_use));
        }
        let lines: Vec<String> = lines.iter().map(|line| answer::wrapped(line)).collect();
        lines.join("\n")
    }
}
