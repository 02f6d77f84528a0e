//! `vmin sweep`: the main job.

pub(crate) mod shard;
mod task;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, thousands};
use vmin_files::write_set;
use vmin_kernels::GemmKernel;
use vmin_sram::Chip;
use vmin_sweep::statistics::{interval_words, rate_words, share_words};
use vmin_sweep::{
    Journal, JournalError, Known, Plan, Record, RemedyResult, RemedySweepPoint, Results, RunError,
};

use crate::args::SweepArgs;
use crate::commands::report::{FIRST_CHIP, REPORT};
use crate::commands::trials;
use crate::failure::{is_about_the_path, make_folder, say, with_causes};
use crate::files::Output;
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute, files, overrides};

/// The results of a sweep.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Swept {
    /// What the result files hold.
    pub results: Results,
    #[serde(skip)]
    pub(crate) with_union: bool,
}

/// Runs a sweep, or goes on with one, and writes its files.
///
/// # Errors
/// All problems of the experiment, a journal that cannot be continued, or the sweep was stopped.
pub fn run(args: &SweepArgs, stop: &AtomicBool) -> Result<Swept, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &SweepArgs, stop: &AtomicBool) -> Result<Swept, Failure> {
    let started = Instant::now();
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let plan = compute::timed("plan", || plan(args.experiment.as_deref(), &args.set))?;
    files::check_folder(&args.out, &FILES)?;
    let store = args.store.as_deref().map(trials::to_write).transpose()?;
    make_folder(&args.out)?;
    let journal_path = args.out.join(JOURNAL);
    let (mut journal, done, known) =
        open_journal(&plan, &journal_path, plan.records_total(), args.resume)?;
    if !args.resume && !known.is_empty() {
        say(&format!(
            "note: nothing is run: all {} trials are in `{}`, left by an earlier sweep of the same trials; \
             to run them again name another folder with `--out DIR`",
            thousands(plan.records_total()),
            journal_path.display()
        ));
    }
    let known = match &store {
        Some(store) => trials::reused(store, &plan, &mut journal, done, &known, journal_failure)?,
        None => known,
    };
    for note in &plan.notes {
        say(&format!("note: {note}"));
    }
    say(&format!(
        "{}: {} voltages{}, {} chips, {} images, kernel {}, {} threads",
        plan.name,
        plan.own().points.len(),
        match plan.candidates.len() - 1 {
            0 => String::new(),
            1 => ", 1 remedy".to_owned(),
            count => format!(", {count} remedies"),
        },
        plan.chips,
        plan.labels().len(),
        kernel.name(),
        rayon::current_num_threads()
    ));
    let outcome = compute::timed("trials", || {
        let progress = Progress::new("sweep", "trials");
        let store = store.as_ref();
        vmin_sweep::run_sharing(&plan, &mut journal, store, &known, kernel, stop, &progress)
    });
    let results = match outcome {
        Ok(results) => results,
        Err(RunError::Stopped) if stop.load(Ordering::Relaxed) => {
            return Err(interrupted(&resume_command(args)));
        }
        Err(error) => return Err(stopped_by(&error, &resume_command(args))),
    };
    let elapsed = started.elapsed();
    compute::timed("results and report", || {
        let manifest = Manifest::of(&plan, &args.set, Some(RunFacts::of(kernel, elapsed)));
        write_results(&args.out, &results, plan.first_chip.as_ref(), &manifest)
    })?;
    say(&format!(
        "{:.1} s; results in `{}`, report in `{}`",
        elapsed.as_secs_f64(),
        args.out.join("results.json").display(),
        args.out.join("report.html").display()
    ));
    Ok(Swept { results, with_union: plan.with_union })
}

/// The journal of a sweep.
pub(crate) const JOURNAL: &str = "journal.jsonl";

/// A journal, made if absent, with its records and what they say of a plan's trials.
pub(crate) fn open_journal(
    plan: &Plan,
    path: &Path,
    wanted: u64,
    resume: bool,
) -> Result<(Journal, Vec<Record>, Known), Failure> {
    let opened = Journal::open(path, &plan.journal_of(), wanted, resume);
    let (journal, done) = opened.map_err(|error| journal_failure(&error))?;
    let known = plan.sorted(&done).map_err(|reason| {
        Diagnostic::new("journal", format!("`{}`: {reason}", path.display()))
            .hint("restore the file, or start over in another folder with `--out DIR`")
    })?;
    Ok((journal, done, known))
}

/// The files of a sweep beside its journal.
pub(crate) const FILES: [(&str, Output<'_>); 6] = [
    ("results.json", files::RESULTS),
    ("results.csv", files::RESULT_ROWS),
    ("remedies.csv", files::REMEDY_ROWS),
    ("manifest.json", files::MANIFEST),
    (REPORT, Output::page("sweep")),
    (FIRST_CHIP, files::CHIP),
];

/// The plan of an experiment file, or of the embedded demo, with other values of some keys.
pub(crate) fn plan(path: Option<&Path>, sets: &[String]) -> Result<Plan, Failure> {
    let (source, base) = overrides::source("experiment", path, sets)?;
    Ok(Plan::read(&source, base)?)
}

pub(crate) fn journal_failure(error: &JournalError) -> Failure {
    let diagnostic = Diagnostic::new("journal", with_causes(error));
    match error {
        JournalError::Exists { .. } => {
            diagnostic.hint("go on with `--resume`, or name another folder with `--out DIR`").into()
        }
        JournalError::OtherPlan { .. } | JournalError::OtherVersion { .. } => {
            diagnostic.hint("name another folder with `--out DIR`").into()
        }
        JournalError::Locked { .. } => {
            Failure::Busy(diagnostic.hint("wait for it, or stop it").into())
        }
        JournalError::Damaged { .. } => diagnostic
            .hint("restore the file, or start over in another folder with `--out DIR`")
            .into(),
        JournalError::Io { error, .. } if !is_about_the_path(error) => Failure::failed(diagnostic),
        JournalError::Io { .. } => {
            diagnostic.hint("name a folder you may write to with `--out DIR`").into()
        }
    }
}

/// A signal stopped a sweep that goes on with this command.
pub(crate) fn interrupted(go_on: &str) -> Failure {
    Failure::Interrupted(format!("interrupted; what was computed is kept, go on with: {go_on}"))
}

/// An error stopped it.
pub(crate) fn stopped_by(error: &RunError, go_on: &str) -> Failure {
    let problem = Diagnostic::new("sweep", with_causes(error));
    let is_of_store = matches!(error, RunError::Store(_));
    let room = is_of_store.then_some("make room there, or leave `--store` away");
    let problem = room.into_iter().fold(problem, Diagnostic::hint);
    Failure::failed(problem.hint(format!("then go on with: {go_on}")))
}

fn resume_command(args: &SweepArgs) -> String {
    let mut command = sweep_command(args.experiment.as_deref(), &args.set);
    if let Some(store) = &args.store {
        command.push_str(" --store ");
        command.push_str(&quoted_path(store));
    }
    format!("{command} --out {} --resume", quoted_path(&args.out))
}

/// The command that sweeps an experiment, without the folder.
pub(crate) fn sweep_command(experiment: Option<&Path>, sets: &[String]) -> String {
    let mut command = "vmin sweep".to_owned();
    if let Some(path) = experiment {
        command.push(' ');
        command.push_str(&quoted_path(path));
    }
    for set in sets {
        command.push_str(" --set ");
        command.push_str(&quoted(set));
    }
    command
}

pub(crate) fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A text as a shell takes it for one word.
pub(crate) fn quoted(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-+=@:".contains(c)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// What made the results, and how this run computed them (the latter decides no result).
#[derive(Serialize)]
pub(crate) struct Manifest<'a> {
    manifest_version: u32,
    provenance: vmin_sweep::Provenance,
    seed: &'a str,
    /// `--set`, as given.
    set: &'a [String],
    /// The part that a shard is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shard: Option<shard::ShardFacts>,
    /// The folders whose journals were united.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) merged: &'a [PathBuf],
    /// Absent while a shard runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunFacts<'a>>,
}

impl<'a> Manifest<'a> {
    pub(crate) fn of(plan: &'a Plan, set: &'a [String], run: Option<RunFacts<'a>>) -> Self {
        let (provenance, seed) = (plan.provenance(), &plan.setting.seed);
        Self { manifest_version: 1, provenance, seed, set, shard: None, merged: &[], run }
    }

    pub(crate) fn to_json(&self) -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from)?;
        Ok(text + "\n")
    }
}

#[derive(Serialize)]
pub(crate) struct RunFacts<'a> {
    kernel: &'a str,
    threads: usize,
    seconds: f64,
    os: &'a str,
    arch: &'a str,
}

impl<'a> RunFacts<'a> {
    pub(crate) fn of(kernel: &'a dyn GemmKernel, elapsed: Duration) -> Self {
        Self {
            kernel: kernel.name(),
            threads: rayon::current_num_threads(),
            seconds: elapsed.as_secs_f64(),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        }
    }
}

pub(crate) fn write_results(
    folder: &Path,
    results: &Results,
    first_chip: Option<&Chip>,
    manifest: &Manifest<'_>,
) -> Result<(), Failure> {
    let manifest = manifest.to_json()?;
    let mut files = vec![
        ("results.json", results.to_json()),
        ("results.csv", results.to_csv()),
        (REPORT, vmin_report::page(results, first_chip)),
        ("manifest.json", manifest),
    ];
    if !results.remedies.is_empty() {
        files.push(("remedies.csv", results.remedies_to_csv()));
    }
    let chip = first_chip.map(vmin_sram::file::write);
    let chip = chip.iter().map(|bytes| (folder.join(FIRST_CHIP), bytes.as_slice()));
    let files: Vec<_> =
        files.iter().map(|(name, text)| (folder.join(name), text.as_bytes())).chain(chip).collect();
    write_set(&files).map_err(|(path, error)| {
        Failure::failed(
            Diagnostic::new("unwritable", format!("cannot write `{}`: {error}", path.display()))
                .hint("nothing is lost: run again with `--resume` once it can be written"),
        )
    })
}

impl Answer for Swept {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.results.points)
    }

    /// The union RErr beside the plain one for a preset.
    fn table(&self) -> String {
        let results = &self.results;
        let setting = &results.setting;
        let one_chip = results.chips.len() == 1;
        let interval = format!("yield\n({} CI)", share_words(setting.confidence, 0));
        let error = if one_chip { "RErr\n(%)" } else { "RErr (%)\nmean ± std" };
        let mut header = vec!["Vdd\n(mV)", "faulty\ncells", "flipped\nbits", error, "worst\n(%)"];
        header.extend(["chips\nwithin", &interval, "energy\n(nJ)", "saved\n(%)"]);
        let with_activations = setting.activation_bits.is_some();
        let with_sums = setting.accumulator_bits_read.is_some();
        if self.with_union {
            header.push("union RErr (%)\nmean ± std");
        }
        if with_activations {
            header.push("flipped in\nactivations");
        }
        if with_sums {
            header.push("flipped\nin sums");
        }
        let spread = |mean: f64, std: f64| match one_chip {
            true => format!("{:.2}", mean * 100.0),
            false => format!("{:.2} ± {:.2}", mean * 100.0, std * 100.0),
        };
        let rows = results.points.iter().map(|point| {
            let mut row = vec![
                format!("{}", point.vdd_mv),
                rate_words(point.cell_fault_rate),
                rate_words(point.flip_rate),
                spread(point.rerr_mean, point.rerr_std),
                format!("{:.2}", point.rerr_max * 100.0),
                format!("{}/{}", point.chips_within_budget, point.chips),
                interval_words(point.yield_low, point.yield_high).trim_end_matches(" %").to_owned(),
                format!("{:.1}", point.energy_per_inference_nj),
                format!("{:.1}", point.energy_saving * 100.0),
            ];
            if self.with_union {
                row.push(spread(point.rerr_union_mean, point.rerr_union_std));
            }
            if with_activations {
                row.push(point.activation_flip_rate.map_or_else(String::new, rate_words));
            }
            if with_sums {
                row.push(point.accumulator_flip_rate.map_or_else(String::new, rate_words));
            }
            row
        });
        let table = answer::fitted(&header, 0, &SPARE, rows);
        let note = setting.vdd_reference.note();
        let lines: Vec<String> = results
            .vmin_words()
            .into_iter()
            .map(|(value, words)| format!("{value}: {words}"))
            .chain([SAVED.to_owned()])
            .chain(note)
            .map(|line| answer::wrapped(&line))
            .collect();
        format!(
            "clean error {} ({} of {} images right)\n{table}\n{}{}",
            answer::percent(results.clean.err, 2),
            results.clean.correct,
            results.clean.images,
            lines.join("\n"),
            remedies(results)
        )
    }
}

/// Columns that a terminal can do without, the first ones first.
const SPARE: [&str; 4] =
    ["flipped\nin sums", "flipped in\nactivations", "flipped\nbits", "energy\n(nJ)"];

/// What `saved` means under both tables.
const SAVED: &str = "saved: share of the energy of a whole inference, DRAM and leakage included, against \
                     the network unprotected at the nominal voltage";

/// The table of remedies with a line above it, or nothing.
fn remedies(results: &Results) -> String {
    if results.remedies.is_empty() {
        return String::new();
    }
    let setting = &results.setting;
    let with_extra = results.remedies.iter().any(|remedy| remedy.extra_bits() != "none");
    let mut header = vec!["remedy", "clean\n(%)", "reached\n(mV)", "shown\n(mV)"];
    header.extend(["chips\nwithin", "RErr\n(%)", "saved\n(%)", SAVED_SHOWN, "access\nsaved"]);
    if with_extra {
        header.extend(["area\n(%)", "extra bits"]);
    }
    let with_lost = results.remedies.iter().any(RemedyResult::has_inexact_map);
    if with_lost {
        header.push("lost by\nmap");
    }
    let rows = results.remedies.iter().map(|remedy| {
        let told = remedy.told();
        let words =
            |text: fn(&RemedySweepPoint) -> String| told.as_ref().map_or_else(missing, text);
        let missed = if remedy.best.is_none() { "*" } else { "" };
        let mut row = vec![
            remedy.name.clone(),
            format!("{:.2}", remedy.err * 100.0),
            format!("{}{missed}", remedy.vmin.reached_words()),
            remedy.vmin.shown_words(),
            words(|at| format!("{}/{}", at.chips_within_budget, at.chips)),
            words(|at| format!("{:.2}", at.rerr_mean * 100.0)),
            words(|at| format!("{:.1}", at.energy_saving * 100.0)),
            remedy.shown().map_or_else(missing, |at| format!("{:.1}", at.energy_saving * 100.0)),
            words(|at| format!("{:.1}", at.access_energy_saving * 100.0)),
        ];
        if with_extra {
            row.extend([format!("{:.2}", remedy.area_share * 100.0), remedy.extra_bits()]);
        }
        if with_lost {
            let lost = told.and_then(|at| at.lost_by_map);
            row.push(lost.map_or_else(missing, |lost| format!("{:.2}", lost.mean * 100.0)));
        }
        row
    });
    let table = answer::fitted(&header, 1, &SPARE_OF_REMEDIES, rows);
    let target = share_words(setting.yield_target, 0);
    let lines = [
        format!(
            "reached, shown: operating voltages, the lowest swept one at which {target} of the sampled chips {}, \
             against the experiment's network without bit errors, and at which they show that target at {} \
             confidence",
            setting.budget(),
            share_words(setting.confidence, 0)
        ),
        "saved shown: saved at the voltage shown; all other columns are at the voltage reached. clean: error of \
         the remedy's network without bit errors. access saved: share of the access energy of the memories \
         that are lowered or protected, encoders and decoders included. area: extra cells and gates, over the \
         bit cells of all memories (estimate)"
            .to_owned(),
    ];
    let lines: Vec<String> = lines
        .into_iter()
        .chain(results.remedy_words())
        .map(|line| answer::wrapped(&line))
        .collect();
    format!("\n\n{table}\n{}", lines.join("\n"))
}

const SAVED_SHOWN: &str = "saved\nshown";

/// Columns of remedies that a terminal can do without; what a map loses is told below the table too.
const SPARE_OF_REMEDIES: [&str; 5] =
    ["extra bits", "access\nsaved", "area\n(%)", "lost by\nmap", "clean\n(%)"];

fn missing() -> String {
    "-".to_owned()
}
