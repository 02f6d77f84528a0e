//! Energy against closed forms, and the shape of its report.

use vmin_accel::cycles::{self, CycleModel, Residence, Schedule};
use vmin_accel::energy::{self, Action, Clock, OperatingPoint, Rail};
use vmin_accel::{Accelerator, Dataflow, GemmShape, Layer, VoltageProfile};

fn layers() -> Vec<Layer> {
    vec![
        Layer::gemm("conv", GemmShape::new(1024, 16, 144).unwrap()),
        Layer::gemm("depthwise", GemmShape::grouped(1024, 1, 9, 16).unwrap()),
        Layer::vector("pool", 16_384, 16),
        Layer::gemm("dense", GemmShape::new(1, 10, 16).unwrap()),
    ]
}

#[test]
fn at_a_fixed_clock_memory_energy_is_the_square_of_the_voltage() {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        let profile = VoltageProfile::load("sram14").unwrap();
        let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers()).unwrap();
        let nominal = energy::per_inference(
            &accelerator,
            &profile,
            &reports,
            &OperatingPoint::nominal(&profile),
        );
        for k in 18..=24 {
            let ratio = f64::from(k) / 24.0;
            let vdd_mv = 1000.0 * ratio;
            let all = OperatingPoint::memories(&profile, vdd_mv).with_clock(Clock::Fixed);
            let report = energy::per_inference(&accelerator, &profile, &reports, &all);
            let saved = energy::saving(&nominal, &report);
            assert!((saved.memory - (1.0 - ratio * ratio)).abs() < 1e-12, "{name} {saved:?}");
            assert!((0.0..=saved.memory).contains(&saved.total), "{name} {saved:?}");
            assert_eq!(report.latency_us, nominal.latency_us);

            let weight = OperatingPoint::weight_memory(&profile, vdd_mv);
            let report = energy::per_inference(&accelerator, &profile, &reports, &weight);
            let saved = energy::saving(&nominal, &report);
            assert!((saved.weight_memory - (1.0 - ratio * ratio)).abs() < 1e-12);
            assert!(saved.memory <= saved.weight_memory + 1e-12);
            assert_eq!(report.by_component.mac_nj, nominal.by_component.mac_nj);
            assert_eq!(report.by_component.dram_nj, nominal.by_component.dram_nj);
        }
    }
}

#[test]
fn one_layer_by_hand() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let profile = VoltageProfile::load("sram14").unwrap();
    let schedule = Schedule { weights: Residence::Streamed, ..Schedule::of(&accelerator) };
    let layer = Layer::gemm("x", GemmShape::new(100, 32, 48).unwrap());
    let reports = cycles::run(&accelerator, schedule, &[layer]).unwrap();
    let report = &reports[0];
    // 3 x 2 folds; the inputs (4800 bytes) and sums fit.
    assert_eq!(report.folds, 6);
    assert_eq!(report.compute_cycles, 6 * (32 + 16 + 100 - 2));
    assert_eq!((report.sram_reads_ifmap, report.sram_reads_filter), (100 * 48 * 2, 48 * 32));
    assert_eq!((report.sram_writes_ofmap, report.sram_reads_ofmap), (3200 * 3, 3200 * 3));
    assert_eq!((report.dram_bytes_read, report.dram_bytes_written), (4800 + 1536, 3200));
    assert_eq!(report.dram_sum_transfers, Some(0));
    assert_eq!(report.stall_cycles, 0);
    let point = OperatingPoint::nominal(&profile).with(Rail::Weight, 500.0);
    let energy = energy::per_inference(&accelerator, &profile, &reports, &point);
    let table = &accelerator.energy;
    let nj = |action, count: f64| table.pj(action) * count * 1e-3;
    let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
    let parts = &energy.by_component;
    close(parts.mac_nj, nj(Action::Mac, 153_600.0));
    close(parts.dram_nj, nj(Action::DramByte, 9536.0));
    close(
        parts.weight_memory_nj,
        0.25 * (nj(Action::WeightRead, 96.0) + nj(Action::WeightWrite, 96.0)),
    );
    close(
        parts.activation_memory_nj,
        nj(Action::ActivationRead, 600.0) + nj(Action::ActivationWrite, 300.0),
    );
    close(
        parts.accumulator_memory_nj,
        nj(Action::AccumulatorRead, 600.0) + nj(Action::AccumulatorWrite, 600.0),
    );
    close(energy.latency_us, 876.0 / 500.0);
    // uW per KiB x KiB x us = pJ; 128 KiB at half the voltage, 128 and 64 KiB at the full one.
    let memories_uw = 0.0258 * (64.0 + 128.0) + 0.0289 * 64.0;
    close(parts.leakage_nj, (memories_uw + 10.7 * 256.0) * 1.752 * 1e-3);
    // Each MAC passes 8 bits of input and 32 of sum; weights of 3 folds of 16 rows hop 136 times per column.
    let bits = 153_600.0 * 40.0 + 3.0 * 136.0 * 32.0 * 8.0;
    close(parts.registers_nj, nj(Action::RegisterBit, bits));
    close(energy.total_nj, energy.layers.iter().map(|layer| layer.total_nj).sum());
}

#[test]
fn what_does_not_fit_is_fetched_again() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let run = |dataflow, m, n, k| {
        let dataflow = Dataflow::named(dataflow).unwrap();
        let schedule =
            Schedule { dataflow, weights: Residence::Streamed, ..Schedule::of(&accelerator) };
        let layer = Layer::gemm("x", GemmShape::new(m, n, k).unwrap());
        cycles::run(&accelerator, schedule, &[layer]).unwrap().remove(0)
    };
    // 4096 x 16 sums of 4 bytes are 256 KiB, the memory has 64: four tiles of 1024 pixels. Neither their
    // inputs nor all weights need to be fetched again.
    let big = run("ws", 4096, 32, 64);
    assert_eq!((big.m_tile, big.n_tile, big.folds), (Some(1024), Some(32), 4 * 4 * 2));
    assert_eq!((big.dram_reads_ifmap, big.dram_reads_filter), (Some(4096 * 64), Some(32 * 64)));
    assert_eq!(big.dram_sum_transfers, Some(0));
    assert_eq!(run("ws", 64, 4096, 64).dram_reads_filter, Some(4096 * 64));
    // 256 KiB of weights for each of four blocks of pixels, and 3072 of 4096 rows of sums that leave 3 times.
    let is = run("is", 64, 4096, 64);
    assert_eq!((is.dram_reads_ifmap, is.dram_reads_filter), (Some(64 * 64), Some(4 * 4096 * 64)));
    assert_eq!(is.dram_sum_transfers, Some(3072 * 64 * 3));
}

#[test]
fn a_prescribed_tile_costs_what_it_does() {
    let text = Accelerator::load("gemmini-16").unwrap().text().to_owned()
        + "\n[mapping]\nobjective = \"dram\"\nm_tile = 4096\n[[mapping.layer]]\nname = \"y\"\nm_tile = 500\norder = \"n-m\"\n";
    let source = vmin_diagnostic::Source::new("x.toml", &text);
    let accelerator = Accelerator::parse(&source).unwrap();
    let schedule = Schedule { weights: Residence::Streamed, ..Schedule::of(&accelerator) };
    let run = |name| {
        let layer = Layer::gemm(name, GemmShape::new(4096, 32, 64).unwrap());
        cycles::run(&accelerator, schedule, &[layer]).unwrap().remove(0)
    };
    // Of the sums of one large tile 4096 - 1024 rows leave 3 times; inputs come for each block of columns.
    let large = run("x");
    assert_eq!(large.dram_sum_transfers, Some(3072 * 32 * 3));
    assert_eq!(large.dram_reads_ifmap, Some(2 * 4096 * 64));
    let small = run("y");
    assert_eq!((small.m_tile, small.dram_sum_transfers), (Some(500), Some(0)));
    assert_eq!(small.folds, 9 * 4 * 2);
}

#[test]
fn resident_activations_stay_between_layers() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let schedule = Schedule { activations: Residence::Resident, ..Schedule::of(&accelerator) };
    let layer = |name| Layer::gemm(name, GemmShape::new(64, 64, 64).unwrap());
    let reports =
        cycles::run(&accelerator, schedule, &[layer("first"), layer("middle"), layer("last")])
            .unwrap();
    let moved = |i: usize| (reports[i].dram_bytes_read, reports[i].dram_bytes_written);
    assert_eq!([moved(0), moved(1), moved(2)], [(4096, 0), (0, 0), (0, 4096)]);
}

/// A network of 13 KiB keeps every tensor between its layers in any shipped accelerator's memories.
#[test]
fn a_small_network_moves_its_input_its_output_and_streamed_weights() {
    let graph = vmin_nn::model::load("builtin:shapes-normal-8bit").unwrap();
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        let moved = cycles::totals(&accelerator.map_graph(&graph).unwrap()).dram_bytes;
        let weights = match Schedule::of(&accelerator).weights {
            Residence::Streamed => graph.weights_total() as u64,
            Residence::Resident | Residence::Assumed => 0,
        };
        assert_eq!(moved, 16 * 16 + 10 + weights, "{name}");
    }
}

#[test]
fn narrow_codes_need_the_words_that_the_array_takes() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let weight_nj = |name, bits| {
        let accelerator = Accelerator::load(name).unwrap();
        let shape = GemmShape::new(64, 64, 64).unwrap();
        let layer = Layer { weight_bits: bits, ..Layer::gemm("x", shape) };
        let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &[layer]).unwrap();
        let point = OperatingPoint::nominal(&profile);
        energy::per_inference(&accelerator, &profile, &reports, &point)
            .by_component
            .weight_memory_nj
    };
    // 16 codes are one word of 128 bits, whether they have 8 bits or 4.
    assert_eq!(weight_nj("gemmini-16", 4), weight_nj("gemmini-16", 8));
    // 32 codes are four words of 64 bits, or two.
    let (narrow, wide) = (weight_nj("ethos-u55-256", 4), weight_nj("ethos-u55-256", 8));
    assert!((narrow - wide / 2.0).abs() < 1e-12);
}

#[test]
fn weights_are_read_row_by_row() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let graph = vmin_nn::model::load("builtin:shapes-normal-8bit").unwrap();
    let reports = accelerator.map_graph(&graph).unwrap();
    let by_hand: u64 = reports.iter().map(|layer| layer.k * layer.n.div_ceil(16)).sum();
    let words: u64 = reports.iter().filter_map(|layer| layer.weight_words_read).sum();
    assert_eq!((words, by_hand), (1253, 1253));
    // All weights pass once, so without gaps they would be 13088 / 16 words.
    assert_eq!(graph.weights_total(), 818 * 16);
}

#[test]
fn missing_counts_are_noted() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let profile = VoltageProfile::load("sram14").unwrap();
    let schedule = Schedule { cycle_model: CycleModel::ScalesimV3, ..Schedule::of(&accelerator) };
    let reports = cycles::run(&accelerator, schedule, &layers()).unwrap();
    let point = OperatingPoint::nominal(&profile);
    let energy = energy::per_inference(&accelerator, &profile, &reports, &point);
    let notes: Vec<_> = energy.notes.iter().filter(|note| note.contains("DRAM")).collect();
    let missing = "the cycle model counts no DRAM traffic of 1 of 4 layers (first `pool`); its energy is missing \
                   (use the causal model)";
    assert_eq!(notes, [missing]);
    assert!(energy.by_component.dram_nj > 0.0, "that of the other three is counted");
}

#[test]
fn reports_have_the_fields_of_the_contract() {
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let profile = VoltageProfile::load("sram14").unwrap();
    let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers()).unwrap();
    let json = serde_json::to_value(&reports).unwrap();
    for key in [
        "name",
        "m",
        "n",
        "k",
        "cycles",
        "stall_cycles",
        "utilization_pct",
        "mapping_efficiency_pct",
        "sram_reads_ifmap",
        "sram_reads_filter",
        "sram_writes_ofmap",
        "dram_reads_ifmap",
        "dram_reads_filter",
        "dram_writes_ofmap",
    ] {
        assert!(json[0].get(key).is_some(), "{key}");
    }
    let point = OperatingPoint::nominal(&profile);
    let energy = energy::per_inference(&accelerator, &profile, &reports, &point);
    let json = serde_json::to_value(&energy).unwrap();
    assert!(json["layers"].is_array() && json["by_component"].is_object());
    assert!(json["total_nj"].as_f64().unwrap() > 0.0);
}

#[test]
fn no_shape_and_no_array_overflows() {
    let mut accelerator = Accelerator::load("gemmini-16").unwrap();
    let profile = VoltageProfile::load("sram14").unwrap();
    let big = 1_u64 << 48;
    let shapes = [[big, 1, 1], [1, big, 1], [1, 1, big], [1 << 16, 1 << 16, 1 << 16]];
    for (rows, columns) in [(1, 1), (4096, 4096), (1, 4096), (4096, 1)] {
        accelerator.array = vmin_accel::ArraySize::new(rows, columns).unwrap();
        for [m, n, k] in shapes {
            for groups in [1, 0] {
                let shape = if groups == 1 {
                    GemmShape::new(m, n, k)
                } else {
                    GemmShape::grouped(1, 1, 1, m)
                };
                let Ok(shape) = shape else { continue };
                for &(_, dataflow) in Dataflow::ALL {
                    for (_, cycle_model) in CycleModel::ALL {
                        let schedule = Schedule {
                            dataflow,
                            cycle_model,
                            weights: Residence::Streamed,
                            ..Schedule::of(&accelerator)
                        };
                        let reports =
                            cycles::run(&accelerator, schedule, &[Layer::gemm("x", shape)])
                                .unwrap();
                        let point = OperatingPoint::nominal(&profile);
                        let energy =
                            energy::per_inference(&accelerator, &profile, &reports, &point);
                        assert!(energy.total_nj.is_finite());
                    }
                }
            }
        }
    }
}

#[test]
fn with_a_clock_that_follows_the_voltage_there_is_a_least_energy() {
    // One layer on an array whose leakage is as large as its dynamic power.
    let mut accelerator = Accelerator::load("gemmini-16").unwrap();
    accelerator.leakage_uw_per_pe = 600.0;
    let profile = VoltageProfile::load("sram14-dvfs").unwrap();
    let layer = Layer::gemm("x", GemmShape::new(1000, 256, 256).unwrap());
    let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &[layer]).unwrap();
    let voltages: Vec<f64> = (0..=49).map(|step| 710.0 + 10.0 * f64::from(step)).collect();
    let energies: Vec<f64> = voltages
        .iter()
        .map(|&vdd_mv| {
            let point = OperatingPoint::chip(&profile, vdd_mv);
            energy::per_inference(&accelerator, &profile, &reports, &point).total_nj
        })
        .collect();
    let least = (0..energies.len()).min_by(|&a, &b| energies[a].total_cmp(&energies[b])).unwrap();
    assert!((1..energies.len() - 1).contains(&least), "{least} {energies:?}");
    assert!(energies[..=least].is_sorted_by(|a, b| a > b), "falls down to it");
    assert!(energies[least..].is_sorted(), "rises after it");

    // At a fixed clock and without a law of leakage the lowest voltage is the cheapest.
    let fixed = |vdd_mv| {
        let point = OperatingPoint::chip(&profile, vdd_mv).with_clock(Clock::Fixed);
        energy::per_inference(&accelerator, &profile, &reports, &point).total_nj
    };
    assert!(voltages.windows(2).all(|pair| fixed(pair[0]) < fixed(pair[1])));
}

#[test]
fn rails_deliver_what_components_use() {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        let profile = VoltageProfile::load("sram14-dvfs").unwrap();
        let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers()).unwrap();
        let at = |point: OperatingPoint| {
            let report = energy::per_inference(&accelerator, &profile, &reports, &point);
            let rails: f64 = report.by_rail.list().iter().map(|(_, nj)| nj).sum();
            assert!((rails / report.total_nj - 1.0).abs() < 1e-12, "{name} {rails}");
            report.by_rail.list()
        };
        let nominal = at(OperatingPoint::nominal(&profile).with_clock(Clock::Fixed));
        // A lowered rail delivers less, the others the same.
        for (lowered, (word, rail)) in Rail::ALL.into_iter().enumerate() {
            let point = OperatingPoint::nominal(&profile).with_clock(Clock::Fixed);
            let report = at(point.with(rail, 800.0));
            for (index, (before, after)) in nominal.iter().zip(&report).enumerate() {
                assert_eq!(before.0, Rail::ALL[index].0);
                if index == lowered && word != "io" && before.1 > 0.0 {
                    assert!(after.1 < before.1, "{name} {word}");
                } else {
                    assert_eq!(after.1, before.1, "{name} {word}");
                }
            }
        }
    }
}
