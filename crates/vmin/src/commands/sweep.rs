//! `vmin sweep`: the main job.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, Source};
use vmin_files::write_set;
use vmin_kernels::GemmKernel;
use vmin_sram::Chip;
use vmin_sweep::{Journal, JournalError, Plan, Progress, RemedyAt, Results, RunError};

use crate::args::SweepArgs;
use crate::commands::report::FIRST_CHIP;
use crate::failure::{is_about_the_path, make_folder, say, with_causes};
use crate::{Answer, Failure, answer, compute};

/// The results of a sweep.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Swept {
    /// What the result files hold.
    pub results: Results,
    #[serde(skip)]
    with_union: bool,
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
    let plan = plan(args.experiment.as_deref())?;
    make_folder(&args.out)?;
    let journal_path = args.out.join("journal.jsonl");
    let (mut journal, done) =
        Journal::open(&journal_path, &plan.digest, plan.records_total(), args.resume)
            .map_err(|error| journal_failure(&error))?;
    let known = plan.sorted(&done).map_err(|reason| {
        Diagnostic::new("journal", format!("`{}`: {reason}", journal_path.display()))
            .hint("restore the file, or start over in another folder with `--out DIR`")
    })?;
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
    let bar = Bar::new();
    let outcome = vmin_sweep::run(&plan, &mut journal, &known, kernel, stop, &bar);
    bar.0.finish_and_clear();
    let results = match outcome {
        Ok(results) => results,
        Err(RunError::Stopped) if stop.load(Ordering::Relaxed) => {
            return Err(Failure::Interrupted(format!(
                "interrupted; what was computed is kept, go on with: {}",
                resume_command(args)
            )));
        }
        Err(error) => {
            return Err(Failure::failed(
                Diagnostic::new("sweep", with_causes(&error))
                    .hint(format!("then go on with: {}", resume_command(args))),
            ));
        }
    };
    let elapsed = started.elapsed();
    write_results(&args.out, &results, plan.first_chip.as_ref(), kernel, elapsed)?;
    say(&format!(
        "{:.1} s; results in `{}`, report in `{}`",
        elapsed.as_secs_f64(),
        args.out.join("results.json").display(),
        args.out.join("report.html").display()
    ));
    Ok(Swept { results, with_union: plan.with_union })
}

/// The plan of an experiment file, or of the embedded demo.
pub(crate) fn plan(path: Option<&Path>) -> Result<Plan, Failure> {
    let Some(path) = path else {
        let source = Source::new("embedded demo", vmin_sweep::DEMO);
        return Ok(Plan::read(&source, Path::new("."))?);
    };
    let source = vmin_files::text("experiment", path).map_err(|error| {
        error.diagnostic().hint("`vmin init --out experiment.toml` writes one to start from")
    })?;
    Ok(Plan::read(&source, path.parent().unwrap_or(Path::new(".")))?)
}

fn journal_failure(error: &JournalError) -> Failure {
    let diagnostic = Diagnostic::new("journal", with_causes(error));
    match error {
        JournalError::Exists { .. } => {
            diagnostic.hint("go on with `--resume`, or name another folder with `--out DIR`").into()
        }
        JournalError::OtherPlan { .. } | JournalError::OtherVersion { .. } => {
            diagnostic.hint("name another folder with `--out DIR`").into()
        }
        JournalError::Locked { .. } => diagnostic.hint("wait for it, or stop it").into(),
        JournalError::Damaged { .. } => diagnostic
            .hint("restore the file, or start over in another folder with `--out DIR`")
            .into(),
        JournalError::Io { error, .. } if !is_about_the_path(error) => Failure::failed(diagnostic),
        JournalError::Io { .. } => {
            diagnostic.hint("name a folder you may write to with `--out DIR`").into()
        }
    }
}

fn resume_command(args: &SweepArgs) -> String {
    let mut command = "vmin sweep".to_owned();
    if let Some(path) = &args.experiment {
        command.push(' ');
        command.push_str(&quoted(path));
    }
    format!("{command} --out {} --resume", quoted(&args.out))
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-+=@:".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(
            "{bar:40} {pos}/{len} chips x voltages  {elapsed} elapsed, {eta} to go",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self(bar)
    }
}

impl Progress for Bar {
    fn begin(&self, total: u64, done: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.reset_eta();
        self.0.enable_steady_tick(Duration::from_millis(250));
    }

    fn advance(&self) {
        self.0.inc(1);
    }
}

/// What made the results, and how this run computed them (the latter decides no result).
#[derive(Serialize)]
struct Manifest<'a> {
    manifest_version: u32,
    provenance: &'a vmin_sweep::Provenance,
    seed: &'a str,
    run: RunFacts<'a>,
}

#[derive(Serialize)]
struct RunFacts<'a> {
    kernel: &'a str,
    threads: usize,
    seconds: f64,
    os: &'a str,
    arch: &'a str,
}

fn write_results(
    folder: &Path,
    results: &Results,
    first_chip: Option<&Chip>,
    kernel: &dyn GemmKernel,
    elapsed: Duration,
) -> Result<(), Failure> {
    let manifest = Manifest {
        manifest_version: 1,
        provenance: &results.provenance,
        seed: &results.setting.seed,
        run: RunFacts {
            kernel: kernel.name(),
            threads: rayon::current_num_threads(),
            seconds: elapsed.as_secs_f64(),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
        },
    };
    let mut manifest = serde_json::to_string_pretty(&manifest).map_err(std::io::Error::from)?;
    manifest.push('\n');
    let mut files = vec![
        ("results.json", results.to_json()),
        ("results.csv", results.to_csv()),
        ("report.html", vmin_report::page(results, first_chip)),
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
        let mut header = vec![
            "Vdd (mV)",
            "faulty cells",
            "flipped bits",
            "RErr mean ± std",
            "best",
            "worst",
            "yield",
            "energy (nJ)",
            "saved",
            "memory saved",
        ];
        if self.with_union {
            header.push("union RErr mean ± std");
        }
        let with_activations = results.setting.activation_bits.is_some();
        if with_activations {
            header.push("flipped in activations");
        }
        let with_sums = results.setting.accumulator_bits_read.is_some();
        if with_sums {
            header.push("flipped in sums");
        }
        let rows = results.points.iter().map(|point| {
            let mut row = vec![
                format!("{}", point.vdd_mv),
                answer::rate(point.cell_fault_rate),
                answer::rate(point.flip_rate),
                format!("{:.2} ± {:.2} %", point.rerr_mean * 100.0, point.rerr_std * 100.0),
                answer::percent(point.rerr_min, 2),
                answer::percent(point.rerr_max, 2),
                answer::percent(point.yield_fraction, 0),
                format!("{:.1}", point.energy_per_inference_nj),
                answer::percent(point.energy_saving, 1),
                answer::percent(point.memory_energy_saving, 1),
            ];
            if self.with_union {
                let (mean, std) = (point.rerr_union_mean, point.rerr_union_std);
                row.push(format!("{:.2} ± {:.2} %", mean * 100.0, std * 100.0));
            }
            if with_activations {
                row.push(point.activation_flip_rate.map_or_else(String::new, answer::rate));
            }
            if with_sums {
                row.push(point.accumulator_flip_rate.map_or_else(String::new, answer::rate));
            }
            row
        });
        let table = answer::table(&header, 0, rows);
        format!(
            "clean error {} ({} of {} images right)\n{table}{}",
            answer::percent(results.clean.err, 2),
            results.clean.correct,
            results.clean.images,
            remedies(results)
        )
    }
}

/// The table of remedies with a line above it, or nothing.
fn remedies(results: &Results) -> String {
    if results.remedies.is_empty() {
        return String::new();
    }
    let header = [
        "remedy",
        "clean error",
        "extra bits",
        "lowest Vdd (mV)",
        "RErr there",
        "yield",
        "access saved",
        "energy (nJ)",
        "inference saved",
        "latency (us)",
    ];
    let dash = || "-".to_owned();
    let rows = results.remedies.iter().map(|remedy| {
        let at = remedy.best.as_ref();
        let shown = |text: fn(&RemedyAt) -> String| at.map_or_else(dash, text);
        vec![
            remedy.name.clone(),
            answer::percent(remedy.err, 2),
            answer::percent(remedy.extra_bits_share, 1),
            shown(|at| format!("{}", at.vdd_mv)),
            shown(|at| answer::percent(at.rerr_mean, 2)),
            shown(|at| answer::percent(at.yield_fraction, 0)),
            shown(|at| answer::percent(at.access_energy_saving, 1)),
            shown(|at| format!("{:.1}", at.energy_per_inference_nj)),
            shown(|at| answer::percent(at.energy_saving, 1)),
            shown(|at| format!("{:.1}", at.latency_us)),
        ]
    });
    let table = answer::table(&header, 1, rows);
    format!(
        "\nremedies within a loss of {} (mean over chips, and the target of yield)\n{table}",
        answer::percent(results.setting.accuracy_loss_max, 2)
    )
}
