//! Constants that agree: memories that keep up with the clock, leakage of the same cells, one node or a note, sources,
//! one list of words for lowered supplies.

use vmin_accel::cycles::{self, Schedule};
use vmin_accel::energy::{
    self, Cells, Clock, Components, ConstantSet, OperatingPoint, Rail, Rails, notes, slow_memories,
};
use vmin_accel::{Accelerator, CycleModel, GemmShape, Layer, Memory, VoltageProfile};
use vmin_diagnostic::Source;

fn sram14() -> VoltageProfile {
    VoltageProfile::load("sram14").unwrap()
}

fn parse(text: &str) -> Accelerator {
    Accelerator::parse(&Source::new("mine.toml", text))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// A shipped accelerator's file with some text replaced.
fn edited(name: &str, edits: &[(&str, &str)]) -> Accelerator {
    let text = Accelerator::load(name).unwrap().text().to_owned();
    parse(&edits.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{name} has no `{from}`");
        text.replace(from, to)
    }))
}

#[test]
fn every_memory_of_every_preset_keeps_up_with_its_clock_at_the_least_leakage() {
    let profile = sram14();
    let nominal = OperatingPoint::nominal(&profile);
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        assert_eq!(slow_memories(&accelerator, &profile, &nominal), [], "{name}");
        // Cells that leak less would not keep up, or there are none.
        for (word, memory) in Memory::ALL {
            let cells = accelerator.memories.get(memory).cells;
            let calmer = Cells::ALL.iter().take_while(|(_, other)| *other != cells);
            for (calmer, _) in calmer {
                let head = format!("[memory.{word}]");
                let (before, after) = accelerator.text().split_once(&head).unwrap();
                let after = after.replacen(
                    &format!("cells = \"{}\"", cells.word()),
                    &format!("cells = \"{calmer}\""),
                    1,
                );
                let other = parse(&format!("{before}{head}{after}"));
                let slow = slow_memories(&other, &profile, &nominal);
                assert_eq!(slow.len(), 1, "{name} {word} {calmer}");
                assert_eq!(slow[0].memory, memory, "{name} {word} {calmer}");
            }
        }
    }
}

#[test]
fn gemmini_at_1_ghz_is_told_which_cells_and_which_clock_keep_up() {
    // CACTI, 45 nm: a bank of 64 KiB with words of 128 bits cycles in 1.893 ns (lstp), 1.168 (lop), 0.795 (hp).
    let fast = edited("gemmini-16", &[("clock_mhz = 500.0", "clock_mhz = 1000.0")]);
    let profile = sram14();
    let nominal = OperatingPoint::nominal(&profile);
    let slow = slow_memories(&fast, &profile, &nominal);
    let names: Vec<Memory> = slow.iter().map(|slow| slow.memory).collect();
    assert_eq!(names, [Memory::Weight, Memory::Activation, Memory::Accumulator]);
    assert!((slow[0].cycle_ns - 1.89315).abs() < 1e-9 && slow[0].clock_ns == 1.0);
    let told = notes(&fast, &profile, &nominal);
    let note = told.iter().find(|note| note.contains("the weight memory")).unwrap();
    assert!(note.contains("1.89 ns") && note.contains("`cells = \"hp\"`"), "{note}");
    assert!(note.contains("at most 528 MHz"), "{note}");
    // The note reaches reports.
    let layer = Layer::gemm("x", GemmShape::new(64, 16, 16).unwrap());
    let reports = cycles::run(&fast, Schedule::of(&fast), &[layer]).unwrap();
    let report = energy::per_inference(&fast, &profile, &reports, &nominal);
    assert!(report.notes.contains(note));

    // Those cells follow, and leak 18,700 times as much: 485.7 uW/KiB for 0.026.
    let hp = edited(
        "gemmini-16",
        &[
            ("clock_mhz = 500.0", "clock_mhz = 1000.0"),
            ("word_bits =", "cells = \"hp\"\nword_bits ="),
        ],
    );
    assert_eq!(slow_memories(&hp, &profile, &nominal), []);
    let leakage = |accelerator: &Accelerator| accelerator.memories.weight.leakage_uw_per_kib;
    assert!((leakage(&hp) - 485.6859).abs() < 1e-9 && (leakage(&fast) - 0.0258).abs() < 1e-9);
    // Smaller banks of the calm cells are another way out.
    let small = edited(
        "gemmini-16",
        &[
            ("clock_mhz = 500.0", "clock_mhz = 1000.0"),
            ("banks = 2\nrows = 4096", "cells = \"lop\"\nbanks = 8\nrows = 1024"),
            ("banks = 2\nrows = 512", "cells = \"lop\"\nbanks = 8\nrows = 128"),
        ],
    );
    assert_eq!(slow_memories(&small, &profile, &nominal), []);
}

#[test]
fn a_given_cycle_time_and_leakage_count_in_place_of_the_cells() {
    let own = edited(
        "gemmini-16",
        &[("word_bits = 128", "leakage_uw_per_kib = 3.5\ncycle_ns = 2.5\nword_bits = 128")],
    );
    let profile = sram14();
    let slow = slow_memories(&own, &profile, &OperatingPoint::nominal(&profile));
    assert_eq!(slow.iter().map(|slow| slow.cycle_ns).collect::<Vec<_>>(), [2.5, 2.5]);
    assert_eq!(own.memories.weight.leakage_uw_per_kib, 3.5);
    let told = notes(&own, &profile, &OperatingPoint::nominal(&profile)).join("\n");
    assert!(told.contains("at most 400 MHz") && !told.contains("cells ="), "{told}");
    let list = energy::sources(&own, &profile);
    let of = |what: &str| list.iter().find(|sourced| sourced.what == what).unwrap();
    assert!(of("leakage: weight memory").source.contains("mine.toml"));
    assert!(of("cycle: weight memory").source.contains("file of `gemmini-16`"));
    assert!(of("leakage: accumulator memory").source.contains("CACTI"));
}

#[test]
fn a_low_supply_slows_memories_down_and_a_clock_that_follows_waits_for_them() {
    let profile = VoltageProfile::load("sram14-dvfs").unwrap();
    // 2 ns a cycle; the memories need 1.893 and 1.54 ns at the reference voltage.
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let low = OperatingPoint::weight_memory(&profile, 900.0);
    assert_eq!(slow_memories(&accelerator, &profile, &low), []);
    let slow = slow_memories(&accelerator, &profile, &low.with_clock(Clock::Fixed));
    assert_eq!(slow.len(), 1);
    assert_eq!(slow[0].memory, Memory::Weight);
    let expected = 1.89315 / profile.f_max_scale(900.0);
    assert!((slow[0].cycle_ns - expected).abs() < 1e-9 && slow[0].clock_ns == 2.0);
}

#[test]
fn leakage_is_that_of_the_cells_bank_and_node_of_the_energies() {
    let leakage = |name: &str, memory| {
        Accelerator::load(name).unwrap().memories.get(memory).leakage_uw_per_kib
    };
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
    // 45 nm lstp, 64 KiB, 16-byte words.
    close(leakage("gemmini-16", Memory::Weight), 0.0258);
    // 22 nm lstp, 4 KiB, 8-byte words, to 14 nm.
    close(leakage("edge-14nm", Memory::Weight), 0.2231 * (14.0_f64 / 22.0).sqrt() * 0.79);
    assert_eq!(leakage("edge-14nm", Memory::Weight), leakage("lowvolt-14nm", Memory::Weight));
}

#[test]
fn two_nodes_are_told_with_both_and_one_node_is_not() {
    let told = |accelerator: &str, profile: &str| {
        let accelerator = Accelerator::load(accelerator).unwrap();
        let profile = VoltageProfile::load(profile).unwrap();
        let notes = notes(&accelerator, &profile, &OperatingPoint::nominal(&profile));
        notes.into_iter().find(|note| note.contains("two technology nodes"))
    };
    for name in Accelerator::names() {
        let node_nm = Accelerator::load(name).unwrap().energy.constants().node_nm();
        for profile in VoltageProfile::names() {
            let faults_nm = VoltageProfile::load(profile).unwrap().node_nm().expect("shipped");
            match told(name, profile) {
                None => assert_eq!(node_nm, faults_nm, "{name} {profile}"),
                Some(note) => {
                    assert_ne!(node_nm, faults_nm, "{name} {profile}");
                    assert!(note.contains(&format!("{node_nm} nm")), "{note}");
                    assert!(note.contains(&format!("{faults_nm} nm")), "{note}");
                }
            }
        }
    }
    assert_eq!(ConstantSet::Nm14.node_nm(), 14.0);
    assert_eq!(told("edge-14nm", "sram14"), None);
}

#[test]
fn every_number_has_a_source_in_one_list() {
    let profile = sram14();
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        let list = energy::sources(&accelerator, &profile);
        assert!(list.iter().all(|sourced| sourced.source.len() > 10), "{name} {list:?}");
        let count = |start| list.iter().filter(|sourced| sourced.what.starts_with(start)).count();
        assert_eq!((count("energy: "), count("leakage: "), count("cycle: ")), (10, 4, 3), "{name}");
        let faults = list.iter().find(|sourced| sourced.what.starts_with("faults")).unwrap();
        assert!(faults.source.contains("Chandramoorthy") && faults.value == "14 nm");
    }
}

#[test]
fn each_word_for_supplies_changes_exactly_its_components() {
    let profile = sram14();
    let accelerator = Accelerator::load("gemmini-16").unwrap();
    let layers = [
        Layer::gemm("x", GemmShape::new(1024, 16, 144).unwrap()),
        Layer::vector("pool", 16_384, 16),
    ];
    let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers).unwrap();
    let parts = |point| -> Components {
        energy::per_inference(&accelerator, &profile, &reports, &point).by_component
    };
    let nominal = parts(OperatingPoint::nominal(&profile));
    let logic = ["mac", "registers", "vector"];
    for (word, rails) in Rails::ALL {
        let named: Vec<&str> = match rails {
            Rails::Weight => vec!["weight_memory"],
            Rails::Activation => vec!["activation_memory"],
            Rails::Accumulator => vec!["accumulator_memory"],
            Rails::Memories => vec!["weight_memory", "activation_memory", "accumulator_memory"],
            Rails::Logic => logic.to_vec(),
            Rails::Chip => {
                [&["weight_memory", "activation_memory", "accumulator_memory"], &logic[..]].concat()
            }
        };
        let low = parts(rails.at(&profile, 800.0).unwrap());
        for ((component, before), (_, after)) in nominal.list().into_iter().zip(low.list()) {
            assert!(before > 0.0, "{component}");
            if named.contains(&component) {
                assert!((after / before - 0.64).abs() < 1e-12, "{word} {component}");
            } else if component == "leakage" {
                assert!(after < before, "{word}: every supply leaks");
            } else {
                assert_eq!(after, before, "{word} {component}");
            }
        }
    }
}

#[test]
fn logic_needs_a_law_of_its_own_and_its_clock_is_told() {
    let profile = sram14();
    let text = profile.text().replace(
        "share_on_scaled_rail = 1.0",
        "share_on_scaled_rail = 1.0\n[[energy.points]]\nvdd_mv = 700.0\nscale = 0.5\n[[energy.points]]\nvdd_mv = 1000.0\nscale = 1.0",
    );
    let points = VoltageProfile::parse(&Source::new("points.toml", &text)).unwrap();
    for rails in [Rails::Logic, Rails::Chip] {
        let error = rails.at(&points, 800.0).unwrap_err().to_string();
        assert!(error.contains("no law for logic"), "{error}");
        assert!(rails.at(&profile, 800.0).is_ok());
    }
    assert!(Rails::Memories.at(&points, 800.0).is_ok());
    let accelerator = Accelerator::load("edge-14nm").unwrap();
    let told = |profile: &VoltageProfile, rails: Rails| {
        let point = rails.at(profile, 800.0).unwrap();
        notes(&accelerator, profile, &point).iter().any(|note| note.contains("nominal clock"))
    };
    assert!(told(&profile, Rails::Logic) && !told(&profile, Rails::Memories));
    let dvfs = VoltageProfile::load("sram14-dvfs").unwrap();
    assert!(!told(&dvfs, Rails::Logic));
    assert_eq!(Rails::Logic.at(&dvfs, 800.0).unwrap().vdd_mv(Rail::Logic), 800.0);
}

#[test]
fn no_layer_achieves_more_than_the_roof_in_any_model() {
    for name in Accelerator::names() {
        let accelerator = Accelerator::load(name).unwrap();
        for (word, cycle_model) in CycleModel::ALL {
            if accelerator.dram.is_none() && cycle_model == CycleModel::ScalesimV3 {
                continue;
            }
            for (m, n, k, groups) in
                [(1, 1, 1, 1), (1, 10, 576, 1), (12_544, 64, 147, 1), (196, 1, 9, 64)]
            {
                for &(_, dataflow) in vmin_accel::Dataflow::ALL {
                    let schedule = Schedule { dataflow, cycle_model, ..Schedule::of(&accelerator) };
                    let layer = Layer::gemm("x", GemmShape::grouped(m, n, k, groups).unwrap());
                    let Ok(reports) = cycles::run(&accelerator, schedule, &[layer]) else {
                        continue;
                    };
                    let [achieved, roof] =
                        [reports[0].achieved_macs_per_cycle, reports[0].attainable_macs_per_cycle];
                    assert!(
                        achieved <= roof * (1.0 + 1e-9),
                        "{name} {word} {m} {n} {k}: {achieved} {roof}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_smallest_array_of_scalesim_does_one_product_a_cycle() {
    // Its total is the index of the last cycle, 3: four products in four cycles, not in three.
    let one = edited("gemmini-16", &[("rows = 16\ncolumns = 16", "rows = 1\ncolumns = 1")]);
    let schedule = Schedule {
        dataflow: vmin_accel::Dataflow::named("os").unwrap(),
        cycle_model: CycleModel::ScalesimV3,
        ..Schedule::of(&one)
    };
    let layer = Layer::gemm("x", GemmShape::new(1, 1, 4).unwrap());
    let report = &cycles::run(&one, schedule, &[layer]).unwrap()[0];
    assert_eq!((report.cycles, report.achieved_macs_per_cycle), (3, 1.0));
    assert_eq!(report.attainable_macs_per_cycle, 1.0);
}
