//! `vmin explore`: every design of a space, and its Pareto front.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::energy::clock_word;
use vmin_diagnostic::Source;
use vmin_explore::{Exploration, Plan, Point};
use vmin_files::{Content, write_streams};
use vmin_sweep::statistics::rate_words;

use crate::args::ExploreArgs;
use crate::failure::{make_folder, say, unwritable};
use crate::files::{self, Output};
use crate::{Answer, Failure, answer, columns, compute};

/// Rows of the printed table; the files hold all.
const ROWS_MAX: usize = 30;

/// Every point of a design space. Serialized, its Pareto front.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explored {
    /// The Pareto front, in the order of the space.
    rows: Vec<Point>,
    /// The points and the objectives.
    #[serde(skip)]
    pub exploration: Exploration,
}

/// Costs every design of a space and writes the files.
///
/// # Errors
/// All problems of the design space, or the run was stopped.
pub fn run(args: &ExploreArgs, stop: &AtomicBool) -> Result<Explored, Failure> {
    compute::on_threads(args.jobs, || run_here(args, stop))
}

fn run_here(args: &ExploreArgs, stop: &AtomicBool) -> Result<Explored, Failure> {
    let started = Instant::now();
    let plan = plan(args.space.as_deref())?;
    files::check_folder(&args.out, &FILES)?;
    make_folder(&args.out)?;
    say(&format!(
        "{}: {} designs, {} voltages, {} points",
        plan.space.name,
        plan.designs.len(),
        plan.supplies.len(),
        plan.points()
    ));
    for note in plan.notes() {
        say(&format!("note: {note}"));
    }
    let exploration = vmin_explore::explore(&plan, stop)
        .map_err(|_| Failure::Interrupted("interrupted; nothing was written".to_owned()))?;
    write(&args.out, &exploration)?;
    say(&format!(
        "{:.2} s; all points in `{}`, report in `{}`",
        started.elapsed().as_secs_f64(),
        args.out.join("explore.csv").display(),
        args.out.join("explore.html").display()
    ));
    Ok(Explored { rows: exploration.front().cloned().collect(), exploration })
}

impl Answer for Explored {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        show(&self.exploration, &self.rows)
    }
}

fn plan(path: Option<&Path>) -> Result<Plan, Failure> {
    let Some(path) = path else {
        let source = Source::new("embedded example", vmin_explore::DEMO);
        return Ok(Plan::read(&source, Path::new("."))?);
    };
    let source = vmin_files::text("design space", path).map_err(|error| {
        error.diagnostic().hint("`vmin explore --example > space.toml` writes one to start from")
    })?;
    Ok(Plan::read(&source, path.parent().unwrap_or(Path::new(".")))?)
}

/// The files of an exploration.
const FILES: [(&str, Output<'_>); 4] = [
    ("explore.json", files::EXPLORATION),
    ("explore.csv", files::EXPLORATION_ROWS),
    ("explore.parquet", Output::parquet("explore")),
    ("explore.html", Output::page("explore")),
];

fn write(folder: &Path, exploration: &Exploration) -> Result<(), Failure> {
    let page = vmin_report::exploration_page(exploration);
    let contents: [&Content<'_>; 4] = [
        &|out| exploration.write_json(out),
        &|out| exploration.write_csv(out),
        &|out| columns::write_parquet(&exploration.points, &[], "explore", out),
        &|out| out.write_all(page.as_bytes()),
    ];
    let paths = FILES.iter().map(|(name, _)| folder.join(name));
    write_streams(&paths.zip(contents).collect::<Vec<_>>())
        .map_err(|(path, error)| unwritable(&path, &error))
}

fn show(exploration: &Exploration, front: &[Point]) -> String {
    let header = [
        "array",
        "dataflow",
        "weight KiB",
        "act. KiB",
        "acc. KiB",
        "mV",
        "faulty cells",
        "us",
        "util.",
        "nJ",
        "on-chip KiB",
        "mm2",
        "DRAM bytes",
        "RErr",
        "accuracy",
        "clock",
    ];
    let rows = front.iter().take(ROWS_MAX).map(|point| {
        vec![
            format!("{} x {}", point.rows, point.columns),
            point.dataflow.name().to_owned(),
            point.weight_kib.to_string(),
            point.activation_kib.to_string(),
            point.accumulator_kib.to_string(),
            point.vdd_mv.to_string(),
            rate_words(point.cell_fault_rate),
            format!("{:.1}", point.latency_us),
            format!("{:.1} %", point.utilization_pct),
            format!("{:.1}", point.energy_nj),
            point.on_chip_kib.to_string(),
            format!("{:.3}", point.area_mm2),
            point.dram_bytes.to_string(),
            point.rerr_mean.map_or_else(|| "-".to_owned(), |rerr| answer::percent(rerr, 2)),
            point.accuracy.word().to_owned(),
            clock_word(point.clock_too_fast).to_owned(),
        ]
    });
    let spare =
        ["on-chip KiB", "faulty cells", "DRAM bytes", "util.", "acc. KiB", "act. KiB", "RErr"];
    let table = answer::fitted(&header, 2, &spare, rows);
    let front_is_too_fast = front.iter().any(|point| point.clock_too_fast);
    let words: Vec<&str> = exploration.objectives.iter().map(|o| o.name()).collect();
    let more = match front.len().checked_sub(ROWS_MAX) {
        Some(more) if more > 0 => format!("\n... and {more} more in the files"),
        _ => String::new(),
    };
    let front = format!(
        "{} of {} points are on the Pareto front of {}",
        front.len(),
        exploration.points.len(),
        words.join(", ")
    );
    let least = exploration.least().map(|(words, point)| {
        format!(
            "{words}: {:.2} nJ with {} x {} {}, weights {}, at {} mV, accuracy {}{}",
            point.energy_nj,
            point.rows,
            point.columns,
            point.dataflow.name(),
            point.placement.word(),
            point.vdd_mv,
            point.accuracy.word(),
            point.caveat()
        )
    });
    let mut lines = vec![front];
    if front_is_too_fast {
        lines.push(
            "clock too fast: shorter than the cycle time of a memory at its supply".to_owned(),
        );
    }
    lines.extend(least);
    lines.push(format!("{}; {}", exploration.accuracy, exploration.candidates));
    lines.extend(exploration.vdd_reference.note().map(|note| format!("note: {note}")));
    let lines: Vec<String> = lines.iter().map(|line| answer::wrapped(line)).collect();
    format!("{table}{more}\n{}", lines.join("\n"))
}
