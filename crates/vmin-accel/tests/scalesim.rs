//! Every row of the SCALE-Sim 3.0.0 reports: the `scalesim-v3` cycle model must give the same numbers.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use vmin_accel::cycles::{self, CycleModel, Schedule};
use vmin_accel::{Accelerator, ArraySize, Dataflow, GemmShape, Layer};

fn reports() -> Option<Vec<BTreeMap<String, String>>> {
    let folder = std::env::var_os("VMIN_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join("cycles/scalesim.csv");
    let Ok(mut reader) = csv::Reader::from_path(&path) else {
        eprintln!("skipped: no {}; set VMIN_DATA to the folder of test data", path.display());
        return None;
    };
    Some(reader.deserialize().map(|row| row.expect("a row of the report")).collect())
}

#[test]
fn every_reported_number_is_equal() {
    let Some(rows) = reports() else { return };
    assert_eq!(rows.len(), 846);
    let mut accelerator = Accelerator::load("gemmini-16").expect("shipped");
    let mut problems = Vec::new();
    for row in &rows {
        let count = |key: &str| row[key].parse::<u64>().expect("a count");
        let dataflow = Dataflow::ALL
            .iter()
            .find(|(name, _)| *name == row["dataflow"])
            .expect("one of three")
            .1;
        accelerator.array = ArraySize::new(count("rows"), count("cols")).expect("a sane array");
        let schedule = Schedule {
            dataflow,
            cycle_model: CycleModel::ScalesimV3,
            ..Schedule::of(&accelerator)
        };
        let shape = GemmShape::new(count("M"), count("N"), count("K")).expect("a sane layer");
        let report = cycles::run(&accelerator, schedule, &[Layer::gemm("row", shape)]).remove(0);
        let mut differ = |what: &str| {
            problems
                .push(format!("{} {} {}: {what}", row["topology"], row["layer"], row["dataflow"]));
        };
        for (key, value) in [
            ("total_cycles", report.cycles),
            ("stall_cycles", report.stall_cycles),
            ("sram_ifmap_reads", report.sram_reads_ifmap),
            ("sram_filter_reads", report.sram_reads_filter),
            ("sram_ofmap_writes", report.sram_writes_ofmap),
        ] {
            if count(key) != value {
                differ(&format!("{key} {} is not {value}", row[key]));
            }
        }
        let bandwidth = report.sram_bandwidth();
        for (key, value) in [
            ("overall_util_pct", report.utilization_pct),
            ("mapping_eff_pct", report.mapping_efficiency_pct),
            ("compute_util_pct", report.compute_utilization_pct),
            ("bw_sram_ifmap", bandwidth[0]),
            ("bw_sram_filter", bandwidth[1]),
            ("bw_sram_ofmap", bandwidth[2]),
        ] {
            let expected: f64 = row[key].parse().expect("a number");
            // Quotients of equal integers, up to the order of their operations; the compute utilisation
            // is reported as an average summed fold by fold, with its rounding errors (such as
            // 3.333333333333376 for 10/3).
            let rounding = if key == "compute_util_pct" { 1e-11 } else { 1e-14 };
            if (expected - value).abs() > rounding * expected.abs() {
                differ(&format!("{key} {expected} is not {value}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} differences\n{}", problems.len(), problems.join("\n"));
}
