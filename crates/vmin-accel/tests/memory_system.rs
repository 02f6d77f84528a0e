//! The memory system of the causal model: buffers, latency, ports, spills, batches.

use proptest::prelude::*;
use vmin_accel::cycles::{self, Bound, Overlap, PartialSums, Residence, Schedule};
use vmin_accel::{Accelerator, ArraySize, CycleModel, Dataflow, GemmShape, Layer, LayerReport};

fn accelerator() -> Accelerator {
    Accelerator::load("gemmini-16").expect("shipped")
}

fn streamed(accelerator: &Accelerator) -> Schedule {
    Schedule {
        cycle_model: CycleModel::Causal,
        weights: Residence::Streamed,
        ..Schedule::of(accelerator)
    }
}

fn gemm(m: u64, n: u64, k: u64) -> Layer {
    Layer::gemm("x", GemmShape::new(m, n, k).expect("a sane product"))
}

fn one(accelerator: &Accelerator, schedule: Schedule, layer: &Layer) -> LayerReport {
    cycles::run(accelerator, schedule, std::slice::from_ref(layer)).unwrap().remove(0)
}

#[test]
fn one_fold_by_hand() {
    // 16 x 16 weights at 16 bytes per cycle, 100 rows of 16 inputs, 100 of 16 results.
    let mut accelerator = accelerator();
    accelerator.dram.as_mut().unwrap().latency_ns = 60.0;
    let schedule = streamed(&accelerator);
    let layer = gemm(100, 16, 16);
    let fold = 2 * 16 + 16 + 100 - 2;
    let (reads, writes) = (100 + 16, 100);
    for overlap in [Overlap::Folds, Overlap::None] {
        let report = one(&accelerator, Schedule { overlap, ..schedule }, &layer);
        assert_eq!(report.compute_cycles, fold);
        assert_eq!(report.cycles, reads + 30 + fold + writes, "{overlap:?}");
        assert_eq!(report.bound_by, Bound::Dram);
    }
    // Without any order of transfers, the bus needs longer than the array.
    let report = one(&accelerator, Schedule { overlap: Overlap::Layer, ..schedule }, &layer);
    assert_eq!(report.cycles, (reads + writes).max(fold));
}

#[test]
fn a_single_port_halves_what_sums_need() {
    // The accumulator memory: 2 banks of 512 bits. 16 sums of 32 bits are read and written per cycle.
    let mut accelerator = accelerator();
    let schedule = streamed(&accelerator);
    accelerator.memories.accumulator.ports = Some(1);
    let two_passes = gemm(100, 16, 32);
    assert_eq!(one(&accelerator, schedule, &two_passes).sram_stall_cycles, 0);
    // One bank fewer words: every step takes two cycles.
    accelerator.memories.accumulator.word_bits = 256;
    let report = one(&accelerator, schedule, &two_passes);
    assert_eq!(report.sram_stall_cycles, 2 * 100);
    assert_eq!(
        report.cycles,
        report.compute_cycles + report.sram_stall_cycles + report.stall_cycles
    );
    // A single pass only writes.
    assert_eq!(one(&accelerator, schedule, &gemm(100, 16, 16)).sram_stall_cycles, 0);
    // Output stationary: 16 rows of sums leave at the end of each of two folds, at full speed.
    let os = Schedule { dataflow: Dataflow::named("os").unwrap(), ..schedule };
    assert_eq!(one(&accelerator, os, &gemm(32, 16, 100)).sram_stall_cycles, 0);
    accelerator.memories.accumulator.word_bits = 128;
    assert_eq!(one(&accelerator, os, &gemm(32, 16, 100)).sram_stall_cycles, 2 * 16);
}

#[test]
fn spilled_sums_go_out_and_come_back_once_per_pass() {
    let accelerator = accelerator();
    let schedule = streamed(&accelerator);
    let layer = gemm(100, 40, 16 * 5);
    let kept = one(&accelerator, schedule, &layer);
    assert_eq!(kept.dram_sum_transfers, Some(0));
    let spill = Schedule { partial_sums: PartialSums::Spill, ..schedule };
    let report = one(&accelerator, spill, &layer);
    assert_eq!(report.dram_sum_transfers, Some(100 * 40 * 4));
    assert_eq!(report.dram_bytes_written, kept.dram_bytes_written + 100 * 40 * 4 * 4);
    assert!(report.cycles > kept.cycles);
    // Output-stationary sums never leave their PE.
    let os = Schedule { dataflow: Dataflow::named("os").unwrap(), ..spill };
    assert_eq!(one(&accelerator, os, &layer).dram_sum_transfers, Some(0));
}

#[test]
fn a_batch_uses_weights_again() {
    let accelerator = accelerator();
    let schedule = streamed(&accelerator);
    let layer = gemm(1, 1000, 2048);
    let single = one(&accelerator, schedule, &layer);
    let batch = one(&accelerator, schedule, &layer.batched(8).expect("a sane batch"));
    assert_eq!(batch.macs, 8 * single.macs);
    assert_eq!(batch.dram_reads_filter, single.dram_reads_filter);
    assert!(batch.cycles < 2 * single.cycles);
    assert!(layer.batched(0).is_err() && layer.batched(1 << 17).is_err());
}

#[test]
fn keys_of_the_file_reach_the_model() {
    let text = accelerator()
        .text()
        .replace("rail = \"activation\"", "rail = \"activation\"\nports = 2")
        .replace("sum_bits = 32", "sum_bits = 32\npsum = \"spill\"")
        .replace("[dram]", "[dram]\nlatency_ns = 161.0\noverlap = \"folds\"");
    let source = vmin_diagnostic::Source::new("x.toml", &text);
    let accelerator = Accelerator::parse(&source).expect("a sane file");
    assert_eq!(accelerator.memories.activation.ports, Some(2));
    assert_eq!(accelerator.memories.weight.ports, None);
    assert_eq!(accelerator.dram_latency_cycles(), 81);
    let schedule = Schedule::of(&accelerator);
    assert_eq!((schedule.overlap, schedule.partial_sums), (Overlap::Folds, PartialSums::Spill));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn more_buffers_never_cost_and_nothing_is_faster_than_the_bus(
        rows in 1_u64..20, columns in 1_u64..20, m in 1_u64..80, n in 1_u64..80, k in 1_u64..80,
        groups in 1_u64..4, latency_ns in 0.0_f64..50.0, double: bool,
    ) {
        let mut accelerator = accelerator();
        accelerator.array = ArraySize::new(rows, columns).expect("a small array");
        accelerator.dram.as_mut().unwrap().latency_ns = latency_ns;
        let shape = GemmShape::grouped(m, n, k, groups).expect("a small product");
        let layer = Layer::gemm("x", shape);
        for &(_, dataflow) in Dataflow::ALL {
            let schedule =
                Schedule { dataflow, weight_double_buffer: double, ..streamed(&accelerator) };
            let cycles = |overlap| one(&accelerator, Schedule { overlap, ..schedule }, &layer);
            let (least, folds, none) =
                (cycles(Overlap::Layer), cycles(Overlap::Folds), cycles(Overlap::None));
            prop_assert!(folds.cycles <= none.cycles);
            prop_assert!(folds.compute_cycles == least.compute_cycles);
            prop_assert!(folds.cycles >= folds.compute_cycles);
            // Shares are rounded down per group and up per transfer.
            prop_assert!(folds.cycles + 2 * groups >= least.cycles);
        }
    }
}
