//! A small space, costed point by point by hand.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use vmin_accel::cycles::{self, Schedule};
use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{Accelerator, VoltageProfile, layers_of_graph};
use vmin_diagnostic::Source;
use vmin_explore::{Exploration, Objective, Plan, Stopped, explore};

const HEAD: &str = "name = \"a test\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n\
                    [accelerator]\nbase = \"gemmini-16\"\n[memory]\nprofile = \"sram14\"\n";

fn plan(rest: &str) -> Plan {
    let text = format!("{HEAD}{rest}");
    Plan::read(&Source::new("space.toml", &text), Path::new(".")).expect("a sound space")
}

fn run(plan: &Plan) -> Exploration {
    explore(plan, &AtomicBool::new(false)).expect("nobody stops it")
}

#[test]
fn the_base_at_one_voltage_costs_what_the_other_commands_say() {
    let exploration = run(&plan("vdd_mv = [850]\n[vary]\narray_sides = [16]\n"));
    let [point] = &exploration.points[..] else { panic!("one point") };
    let accelerator = Accelerator::load("gemmini-16").expect("shipped");
    let profile = VoltageProfile::load("sram14").expect("shipped");
    let graph = vmin_nn::model::load("builtin:shapes-cnn").expect("shipped");
    let layers = layers_of_graph(&graph).expect("sound");
    let layers = cycles::run(&accelerator, Schedule::of(&accelerator), &layers).unwrap();
    let memories = OperatingPoint::memories(&profile, 850.0);
    let report = energy::per_inference(&accelerator, &profile, &layers, &memories);
    assert_eq!(point.cycles, cycles::totals(&layers).cycles);
    assert_eq!(point.energy_nj, report.total_nj);
    assert_eq!(point.latency_us, report.latency_us);
    assert_eq!(point.on_chip_kib, 320.0);
    assert!(point.weights_fit && point.pareto && point.within_limits);
}

#[test]
fn every_combination_once_in_the_order_of_the_lists() {
    let exploration = run(&plan(
        "vdd_mv = [900, 850]\n[vary]\narray_rows = [8, 16]\narray_columns = [4, 32]\n\
         dataflow = [\"os\", \"ws\", \"is\"]\nweight_kib = [64, 128]\n",
    ));
    assert_eq!((exploration.designs, exploration.points.len()), (24, 48));
    for (index, point) in exploration.points.iter().enumerate() {
        assert_eq!(point.index, index);
        assert_eq!(point.vdd_mv, [900.0, 850.0][index % 2]);
        assert_eq!(point.weight_kib, [64.0, 128.0][index / 2 % 2]);
        assert_eq!(point.dataflow.name(), ["os", "ws", "is"][index / 4 % 3]);
        assert_eq!(point.columns, [4, 32][index / 12 % 2]);
        assert_eq!(point.rows, [8, 16][index / 24]);
    }
}

#[test]
fn limits_take_candidates_away_and_the_front_holds_the_rest() {
    let space = "vdd_mv = { from = 1000, to = 800, step = 50 }\n[vary]\narray_sides = [4, 8, 16]\n\
                 [objectives]\nminimize = [\"latency_us\", \"energy_nj\"]\n";
    let free = run(&plan(space));
    let fastest = free.points.iter().map(|p| p.latency_us).fold(f64::INFINITY, f64::min);
    let limit = 0.5 * (fastest + free.points.iter().map(|p| p.latency_us).fold(0.0, f64::max));
    let limited = run(&plan(&format!("{space}[limits]\nlatency_us = {limit}\n")));
    for (point, before) in limited.points.iter().zip(&free.points) {
        assert_eq!(point.within_limits, point.latency_us <= limit);
        assert!(point.within_limits || !point.pareto);
        assert_eq!(Objective::EnergyNj.of(point), before.energy_nj);
    }
    assert!(limited.points.iter().any(|point| !point.within_limits));
    assert!(limited.front().count() >= 1);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let plan = plan("vdd_mv = [900]\n[vary]\narray_sides = [2, 4, 8]\nweight_kib = [32, 64]\n");
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let mut json = Vec::new();
        pool.install(|| run(&plan)).write_json(&mut json).expect("memory takes all");
        json
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn it_stops_when_asked() {
    let plan = plan("vdd_mv = [900]\n[vary]\narray_sides = [2]\n");
    assert_eq!(explore(&plan, &AtomicBool::new(true)), Err(Stopped));
}

#[test]
fn without_dram_designs_that_are_too_small_are_left_out_and_told() {
    // The network has 50.6 KiB of weights; the banks of the base have whole rows from 2 KiB on.
    let text = format!("{HEAD}vdd_mv = [900]\n[vary]\nweight_kib = [32, 64, 128]\n");
    let text = text.replace("gemmini-16", "edge-14nm");
    let plan = Plan::read(&Source::new("space.toml", &text), Path::new(".")).expect("sound");
    assert_eq!((plan.designs.len(), plan.left_out), (2, 1));
    let exploration = run(&plan);
    assert_eq!(exploration.points.iter().map(|p| p.weight_kib).collect::<Vec<_>>(), [64.0, 128.0]);
    assert!(exploration.notes.iter().any(|note| note.contains("1 designs are left out")));
    let none = Plan::read(
        &Source::new("space.toml", &text.replace("[32, 64, 128]", "[32]")),
        Path::new("."),
    );
    assert!(none.expect_err("no room").to_string().contains("weights take 50.6 KiB"));
}

#[test]
fn a_design_that_the_clock_is_too_fast_for_is_told() {
    // 45 nm, 500 MHz: banks of 64 KiB follow (1.89 ns), those of 256 KiB do not (3.21 ns).
    let plan = plan("vdd_mv = [900]\n[vary]\nweight_kib = [128, 512]\n");
    let exploration = run(&plan);
    let told = |words: &str| exploration.notes.iter().filter(|note| note.contains(words)).count();
    assert_eq!(told("1 of 2 designs have a memory that the clock is too fast for"), 1);
    assert_eq!(told("two technology nodes"), 1);
    let found: Vec<_> =
        exploration.points.iter().map(|p| (p.weight_kib, p.clock_too_fast)).collect();
    assert_eq!(found, [(128.0, false), (512.0, true)]);
    assert!(exploration.sources.iter().any(|sourced| sourced.what.contains("faults")));
}
