//! Every row of the SCALE-Sim 3.0.0 reports: the `scalesim-v3` cycle model must give the same numbers.

use std::collections::BTreeMap;

use vmin_accel::accelerator::Memories;
use vmin_accel::cycles::{self, CycleModel, Schedule};
use vmin_accel::scalesim::Window;
use vmin_accel::{Accelerator, ArraySize, Dataflow, GemmShape, Layer};
use vmin_sram::Geometry;

fn reports() -> Option<Vec<BTreeMap<String, String>>> {
    let path = vmin_testkit::data("cycles/scalesim.csv")?;
    let mut reader = csv::Reader::from_path(path).expect("readable");
    Some(reader.deserialize().map(|row| row.expect("a row of the report")).collect())
}

/// The memories with the sizes of SCALE-Sim's buffers.
fn memories(accelerator: &Accelerator, kib: impl Fn(&str) -> u64) -> Memories {
    let mut memories = accelerator.memories.clone();
    let geometry = |kib: u64| {
        let rows = u32::try_from(kib * 128).expect("a small buffer");
        Geometry::new(1, rows, 64).expect("a small buffer")
    };
    memories.activation.geometry = geometry(kib("ifmap"));
    memories.weight.geometry = geometry(kib("filter"));
    memories.accumulator.geometry = geometry(kib("ofmap"));
    memories
}

#[test]
fn every_reported_number_is_equal() {
    let Some(rows) = reports() else { return };
    assert_eq!(rows.len(), 846);
    let mut accelerator = Accelerator::load("gemmini-16").expect("shipped");
    let mut problems = Vec::new();
    for row in &rows {
        let count = |key: &str| row[key].parse::<u64>().expect("a count");
        let dataflow = Dataflow::named(&row["dataflow"]).expect("a dataflow of the tool");
        accelerator.array = ArraySize::new(count("rows"), count("cols")).expect("a sane array");
        let schedule = Schedule {
            dataflow,
            cycle_model: CycleModel::ScalesimV3,
            ..Schedule::of(&accelerator)
        };
        let shape = GemmShape::new(count("M"), count("N"), count("K")).expect("a sane layer");
        accelerator.memories = memories(&accelerator, |buffer| count(&format!("{buffer}_kib")));
        let mut layer = Layer::gemm("row", shape);
        layer.window = Window::scalesim(
            [count("ifmap_h"), count("ifmap_w")],
            [count("filt_h"), count("filt_w")],
            count("channels"),
            [count("stride_h"), count("stride_w")],
        );
        assert!(layer.window.is_some(), "a sane window");
        let report = cycles::run(&accelerator, schedule, &[layer]).unwrap().remove(0);
        let spans = report.spans.expect("counted");
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
            ("dram_ifmap_reads", report.dram_reads_ifmap.expect("counted")),
            ("dram_filter_reads", report.dram_reads_filter.expect("counted")),
            ("dram_ofmap_writes", report.dram_writes_ofmap.expect("counted")),
            ("total_cycles_incl_prefetch", spans.cycles_with_prefetch().unsigned_abs()),
            ("sram_ofmap_start", spans.sram[2].start.unsigned_abs()),
            ("sram_ofmap_stop", spans.sram[2].stop.unsigned_abs()),
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
            ("bw_dram_ifmap", spans.dram[0].bandwidth()),
            ("bw_dram_filter", spans.dram[1].bandwidth()),
            ("bw_dram_ofmap", spans.dram[2].bandwidth()),
        ] {
            let expected: f64 = row[key].parse().expect("a number");
            if expected.to_bits() != value.to_bits() {
                differ(&format!("{key} {expected} is not {value}"));
            }
        }
    }
    assert!(problems.is_empty(), "{} differences\n{}", problems.len(), problems.join("\n"));
}
