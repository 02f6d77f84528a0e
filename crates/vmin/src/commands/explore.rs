//! `vmin explore`: every design of a space, and its Pareto front.

use std::path::Path;
use std::time::Instant;

use vmin_diagnostic::Source;
use vmin_explore::{Exploration, Plan, Point};
use vmin_files::write_set;

use crate::args::{ExploreArgs, Format};
use crate::failure::{Failure, make_folder, say, unwritable};
use crate::{columns, compute, interrupt, print};

/// Rows of the printed table; the files hold all.
const ROWS_MAX: usize = 30;

pub(crate) fn run(args: &ExploreArgs) -> Result<(), Failure> {
    if args.example {
        return print::text_line(vmin_explore::DEMO.trim_end());
    }
    let started = Instant::now();
    compute::threads(args.jobs)?;
    let plan = plan(args.space.as_deref())?;
    make_folder(&args.out)?;
    say(&format!(
        "{}: {} designs, {} voltages, {} points",
        plan.space.name,
        plan.designs.len(),
        plan.supplies.len(),
        plan.points()
    ));
    let stop = interrupt::flag()?;
    let exploration = vmin_explore::explore(&plan, &stop)
        .map_err(|_| Failure::Interrupted("interrupted; nothing was written".to_owned()))?;
    write(&args.out, &exploration)?;
    let front: Vec<&Point> = exploration.front().collect();
    match args.format.format {
        Format::Json => print::json(&front),
        Format::Csv => print::csv(&front),
        Format::Table => show(&exploration, &front),
    }?;
    say(&format!(
        "{:.2} s; all points in `{}`, report in `{}`",
        started.elapsed().as_secs_f64(),
        args.out.join("explore.csv").display(),
        args.out.join("explore.html").display()
    ));
    Ok(())
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

fn write(folder: &Path, exploration: &Exploration) -> Result<(), Failure> {
    let page = vmin_report::exploration_page(exploration);
    let (json, csv) = (exploration.to_json(), exploration.to_csv());
    let parquet = columns::parquet(&exploration.points, &[])?;
    write_set(&[
        (folder.join("explore.json"), json.as_bytes()),
        (folder.join("explore.csv"), csv.as_bytes()),
        (folder.join("explore.parquet"), &parquet),
        (folder.join("explore.html"), page.as_bytes()),
    ])
    .map_err(|(path, error)| unwritable(&path, &error))
}

fn show(exploration: &Exploration, front: &[&Point]) -> Result<(), Failure> {
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
    ];
    let rows = front.iter().take(ROWS_MAX).map(|point| {
        vec![
            format!("{} x {}", point.rows, point.columns),
            point.dataflow.name().to_owned(),
            point.weight_kib.to_string(),
            point.activation_kib.to_string(),
            point.accumulator_kib.to_string(),
            point.vdd_mv.to_string(),
            print::rate(point.cell_fault_rate),
            format!("{:.1}", point.latency_us),
            format!("{:.1} %", point.utilization_pct),
            format!("{:.1}", point.energy_nj),
            point.on_chip_kib.to_string(),
            format!("{:.3}", point.area_mm2),
            point.dram_bytes.to_string(),
            point.rerr_mean.map_or_else(|| "-".to_owned(), |rerr| print::percent(rerr, 2)),
        ]
    });
    let table = print::table(&header, 2, rows);
    let words: Vec<&str> = exploration.objectives.iter().map(|o| o.name()).collect();
    let more = match front.len().checked_sub(ROWS_MAX) {
        Some(more) if more > 0 => format!("\n... and {more} more in the files"),
        _ => String::new(),
    };
    print::text_line(&format!(
        "{table}{more}\n{} of {} points are on the Pareto front of {}",
        front.len(),
        exploration.points.len(),
        words.join(", ")
    ))
}
