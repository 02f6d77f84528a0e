//! Streamed weights, faulty activations and supplies of single memories, seen through whole sweeps,
//! against slow and obvious twins.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::sweep;
use vmin_accel::Memory;
use vmin_accel::placement::{ActivationPlacement, SumPlacement, WeightPlacement};
use vmin_emulator::{ActivationFaults, BufferFaults, Corrupted, Emulator, SumFaults};
use vmin_nn::Executor;
use vmin_sram::{Applied, Chip, ChipKey, FaultKind, FaultyCell, Geometry, Threshold};
use vmin_sweep::Plan;

const IMAGES: usize = 12;
const SEED: u64 = 5;

/// The text of an experiment on a small weight memory.
fn text(placement: &str, layout: &str, memory: &str) -> String {
    format!(
        "name = \"memories\"\n[network]\nmodel = \"builtin:shapes-cnn\"\n[data]\n\
         set = \"builtin:shapes\"\nimages = {IMAGES}\n[accelerator]\nmodel = \"eyeriss-size\"\n\
         placement = \"{placement}\"\n{layout}\n[memory]\nprofile = \"sram14\"\n\
         vdd_mv = [900, 840, 820]\n{memory}\n[chips]\ncount = 3\nseed = {SEED}\n"
    )
}

fn plan(text: &str) -> Plan {
    common::plan(text, Path::new("."))
}

fn emulator(plan: &Plan) -> Emulator<'_> {
    Emulator::new(&plan.own().graph, plan.images(), vmin_kernels::best()).expect("it fits")
}

fn corrupt(plan: &Plan, faults: &[FaultyCell], kind: FaultKind) -> Corrupted {
    let own = plan.own();
    vmin_emulator::corrupt(&own.graph, &own.placement.weights, &[(faults, kind)]).expect("placed")
}

/// The faulty cells of memory number `memory` of a chip.
fn cells(plan: &Plan, memory: u32, chip: u64, geometry: Geometry, vdd_mv: f64) -> Vec<FaultyCell> {
    let threshold = Threshold::from_rate(plan.profile.cell_fault_rate(vdd_mv)).expect("a rate");
    let key = ChipKey { seed: SEED, chip, memory };
    let chip = Chip::sample(plan.profile.population(), key, geometry, threshold).expect("small");
    chip.faults(threshold).expect("the floor").to_vec()
}

/// Codes read through the halves of the memory, bit by bit; and how many bits changed.
fn streamed_codes(plan: &Plan, faults: &[FaultyCell]) -> (Vec<Vec<u8>>, u64) {
    let WeightPlacement::Streamed(placement) = &plan.own().placement.weights else {
        panic!("streamed")
    };
    let faulty: BTreeMap<u64, bool> = faults.iter().map(|f| (f.address, f.preferred)).collect();
    let mut flips = 0;
    let codes = plan.own().graph.weights.iter().zip(&placement.tensors).map(|(weights, tensor)| {
        let mut codes = weights.codes.clone();
        for (place, &code) in tensor.order.iter().enumerate() {
            let first = tensor.first_bit(place).expect("every code is in a load");
            for bit in 0..u64::from(weights.bits) {
                let turned =
                    faulty.contains_key(&plan.own().placement.layouts[0].cell(first + bit));
                codes[code] ^= u8::from(turned) << bit;
                flips += u64::from(turned);
            }
        }
        codes
    });
    (codes.collect(), flips)
}

/// Test error image by image, activations spoilt as they are written.
fn slow_error(
    plan: &Plan,
    codes: &[Vec<u8>],
    activations: Option<&ActivationFaults>,
) -> (f64, u64) {
    let executor = Executor::new(&plan.own().graph, vmin_kernels::best());
    let weights = executor.load_weights(codes);
    let mut scratch = executor.scratch();
    let size = plan.own().graph.tensors[plan.own().graph.input.0].elements();
    let (mut wrong, mut applied) = (0, Applied::default());
    for (image, &label) in plan.images().pixels.chunks_exact(size).zip(plan.labels()) {
        let class = executor.classify_with(&weights, image, &mut scratch, |tensor, values| {
            if let Some(faults) = activations {
                applied += faults.apply(tensor, values);
            }
        });
        wrong += u64::from(class != usize::from(label));
    }
    (wrong as f64 / IMAGES as f64, applied.bits_flipped)
}

#[test]
fn streamed_weights_meet_the_cells_of_the_small_memory() {
    for layout in ["", "[placement]\ninterleave = [\"rows\", \"columns\"]\noffset_bits = 1000"] {
        let layout = layout.replace("1000", "[1000]");
        let plan = plan(&text("streamed", &layout, ""));
        let geometry = plan.accelerator.memories.weight.geometry;
        assert_eq!(plan.own().placement.weights.geometry(), geometry, "the memory that there is");
        let results = sweep(&plan, 2);
        assert_eq!(results, sweep(&plan, 1), "threads");
        assert_eq!(results.setting.placement, "streamed");
        let mut seen = 0;
        for (index, point) in results.points.iter().enumerate() {
            let mut flips = 0;
            for chip in 0..3 {
                let faults = cells(&plan, 0, chip, geometry, point.vdd_mv);
                let (codes, of_chip) = streamed_codes(&plan, &faults);
                flips += of_chip;
                let (error, _) = slow_error(&plan, &codes, None);
                assert_eq!(results.chips[chip as usize].rerr[index], error);
            }
            let bits = results.setting.stored_bits as f64 * 3.0;
            assert_eq!(point.flip_rate, flips as f64 / bits);
            seen += flips;
        }
        assert!(seen > 100, "no errors, no test");
    }
}

#[test]
fn activations_meet_cells_of_their_own() {
    for (inputs, kind) in [(true, FaultKind::Flip), (false, FaultKind::StuckAt)] {
        let word = if kind == FaultKind::Flip { "flip" } else { "stuck_at" };
        let memory = format!(
            "fault_kind = \"{word}\"\n[memory.activation]\ninputs = {inputs}\n\
             [memory.weight]\nvdd_mv = \"nominal\""
        );
        let plan = plan(&text("resident", "", &memory));
        let geometry = plan.accelerator.memories.activation.geometry;
        let placed = ActivationPlacement::new(geometry, &plan.own().graph);
        let spared = (!inputs).then_some(plan.own().graph.input);
        let results = sweep(&plan, 2);
        assert_eq!(results, sweep(&plan, 1), "threads");
        let bits = results.setting.activation_bits.expect("activations err");
        let clean: Vec<Vec<u8>> =
            plan.own().graph.weights.iter().map(|w| w.codes.clone()).collect();
        let mut seen = 0;
        for (index, point) in results.points.iter().enumerate() {
            let mut flips = 0;
            for chip in 0..3 {
                let faults = cells(&plan, 1, chip, geometry, point.vdd_mv);
                let faults = ActivationFaults::new(&placed, &faults, kind, spared);
                let (error, of_chip) = slow_error(&plan, &clean, Some(&faults));
                assert_eq!(results.chips[chip as usize].rerr[index], error);
                flips += of_chip;
            }
            let all = bits as f64 * 3.0 * IMAGES as f64;
            assert_eq!(point.activation_flip_rate, Some(flips as f64 / all));
            assert_eq!(point.activation_vdd_mv, Some(point.vdd_mv));
            assert_eq!((point.flip_rate, point.weight_vdd_mv), (0.0, Some(1000.0)));
            seen += flips;
        }
        assert!(seen > 100, "no errors, no test");
    }
}

#[test]
fn partial_sums_meet_cells_of_their_own() {
    for (biases, kind) in [(true, FaultKind::Flip), (false, FaultKind::StuckAt)] {
        let word = if kind == FaultKind::Flip { "flip" } else { "stuck_at" };
        let memory = format!(
            "fault_kind = \"{word}\"\n[memory.accumulator]\nbiases = {biases}\n\
             [memory.activation]\nvdd_mv = 880"
        );
        let plan = plan(&text("streamed", "", &memory));
        let memories = &plan.accelerator.memories;
        let (of_sums, of_activations) =
            (memories.accumulator.geometry, memories.activation.geometry);
        let placed = SumPlacement::new(&plan.accelerator, &plan.own().graph).expect("32-bit sums");
        let activations = ActivationPlacement::new(of_activations, &plan.own().graph);
        let results = sweep(&plan, 2);
        assert_eq!(results, sweep(&plan, 1), "threads");
        let mut seen = 0;
        for (index, point) in results.points.iter().enumerate() {
            let mut flips = 0;
            for chip in 0..3 {
                let emulator = emulator(&plan);
                let weights =
                    cells(&plan, 0, chip, plan.own().placement.weights.geometry(), point.vdd_mv);
                let codes = corrupt(&plan, &weights, kind).codes;
                let faults = cells(&plan, 2, chip, of_sums, point.vdd_mv);
                let sums = SumFaults::new(&placed, &faults, kind, biases);
                let faults = cells(&plan, 1, chip, of_activations, 880.0);
                let activations = ActivationFaults::new(&activations, &faults, kind, None);
                let faults = BufferFaults { activations: Some(&activations), sums: Some(&sums) };
                let stop = AtomicBool::new(false);
                let (predictions, applied) =
                    emulator.predict_through(&codes, faults, &stop).expect("not stopped");
                let right = |(class, label): (&usize, &u8)| *class == usize::from(*label);
                let correct = predictions.iter().zip(plan.labels()).filter(|&p| right(p)).count();
                let error = (IMAGES as f64 - correct as f64) / IMAGES as f64;
                assert_eq!(results.chips[chip as usize].rerr[index], error);
                flips += applied.accumulator.bits_flipped;
            }
            let bits = results.setting.accumulator_bits_read.expect("sums err") as f64;
            let rate = flips as f64 / (bits * 3.0 * IMAGES as f64);
            assert_eq!(point.accumulator_flip_rate, Some(rate));
            assert_eq!(point.accumulator_vdd_mv, Some(point.vdd_mv));
            seen += flips;
        }
        assert!(seen > 1000, "no errors, no test");
    }
}

#[test]
fn a_fixed_supply_makes_the_same_errors_at_every_point() {
    let memory = "[memory.activation]\nvdd_mv = 830";
    let both = sweep(&plan(&text("streamed", "", memory)), 2);
    let weights = sweep(&plan(&text("streamed", "", "")), 2);
    for (both, alone) in both.points.iter().zip(&weights.points) {
        assert_eq!(both.activation_vdd_mv, Some(830.0));
        assert_eq!(both.flip_rate, alone.flip_rate, "weights meet the same cells");
        assert!(both.energy_per_inference_nj < alone.energy_per_inference_nj, "a lower supply");
        assert_eq!(alone.activation_flip_rate, None);
    }
    let rates: Vec<_> = both.points.iter().map(|p| p.activation_cell_fault_rate_realised).collect();
    assert!(rates[0] > Some(0.0) && rates.iter().all(|rate| *rate == rates[0]), "{rates:?}");
}

#[test]
fn named_as_it_is_anyhow_a_memory_changes_nothing() {
    let alone = plan(&text("resident", "", ""));
    let named = plan(&text("resident", "", "[memory.weight]\nvdd_mv = \"swept\""));
    assert_eq!(named.digest, alone.digest);
    assert_ne!(plan(&text("streamed", "", "")).digest, alone.digest);
    let other = plan(&text("resident", "", "[memory.activation]\ninputs = false"));
    assert_ne!(other.digest, plan(&text("resident", "", "[memory.activation]")).digest);
}

#[test]
fn the_memory_that_is_lowered_saves_energy() {
    let saving = |memory: &str| {
        let plan = plan(&text("resident", "", memory));
        plan.own().points.last().map(|point| point.cost.energy_saving).expect("a point")
    };
    let weights = saving("");
    let both = saving("[memory.activation]");
    let activations = saving("[memory.activation]\n[memory.weight]\nvdd_mv = \"nominal\"");
    assert!(0.0 < weights && weights < both && 0.0 < activations);
    assert!((both - weights - activations).abs() < 1e-12, "{both} {weights} {activations}");
}

#[test]
fn noisy_cells_err_at_some_reads_and_not_at_others() {
    let noisy = |kind: &str, mv: f64| {
        let memory = format!("fault_kind = \"{kind}\"\nread_noise_mv = {mv}\n[memory.activation]");
        let plan = plan(&text("resident", "", &memory));
        let results = sweep(&plan, 2);
        assert_eq!(results, sweep(&plan, 1), "threads");
        (plan, results)
    };
    let quiet = sweep(&plan(&text("resident", "", "[memory.activation]")), 2);
    let (_, next_to_none) = noisy("flip", 0.001);
    for (a, b) in quiet.points.iter().zip(&next_to_none.points) {
        assert!((a.flip_rate - b.flip_rate).abs() <= 2e-6, "{a:?} {b:?}");
    }
    for kind in ["flip", "transient"] {
        let (plan, results) = noisy(kind, 12.0);
        for (point, planned) in results.points.iter().zip(&plan.own().points) {
            // Expected over the population: the rate of each score, weighed with its probability.
            let noise = plan.profile.read_noise(planned.cost.vdd_mv, 12.0);
            let steps = (0..60_000).map(|step| f64::from(step) * 1e-4);
            let expected: f64 = steps
                .map(|z| {
                    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
                    density * 1e-4 * noise.probability(vmin_sram::Score::from_sigmas(z))
                })
                .sum();
            assert!(expected > point.cell_fault_rate, "noise adds more than it takes");
            let seen = point.activation_cell_fault_rate_realised.expect("it errs");
            assert!((seen / expected - 1.0).abs() < 0.35, "activations: {seen} {expected}");
            // The same cells are read again and again: only chips are independent.
            let bits = results.setting.stored_bits as f64 * 3.0;
            let sigma = (expected / bits).sqrt();
            let off = (point.flip_rate - expected).abs();
            assert!(off < 4.0 * sigma, "{kind} {}: {off} {sigma}", point.vdd_mv);
        }
    }
}

#[test]
fn transient_errors_come_in_every_memory_as_often_as_its_rate_says() {
    let memory = "fault_kind = \"transient\"\n[memory.activation]\nvdd_mv = 880\n\
                  [memory.accumulator]\nvdd_mv = 870";
    for placement in ["resident", "streamed"] {
        let plan = plan(&text(placement, "", memory));
        let results = sweep(&plan, 2);
        assert_eq!(results, sweep(&plan, 1), "threads");
        let setting = &results.setting;
        let trials = 3.0 * IMAGES as f64;
        for point in &results.points {
            let near = |rate: Option<f64>, expected: Option<f64>, bits: Option<u64>| {
                let (rate, expected) = (rate.expect("it errs"), expected.expect("it errs"));
                let sigma = (expected / (bits.expect("it errs") as f64 * trials)).sqrt();
                assert!((rate - expected).abs() < 5.0 * sigma, "{rate} {expected} {sigma}");
            };
            let of = |memory: Memory| {
                let planned = plan.own().points.iter().find(|p| p.cost.vdd_mv == point.vdd_mv);
                Some(planned?.supplies.get(memory).as_ref()?.access.base().cell_fault_rate)
            };
            near(Some(point.flip_rate), of(Memory::Weight), Some(setting.stored_bits));
            let bits = setting.activation_bits;
            near(point.activation_flip_rate, of(Memory::Activation), bits);
            let bits = setting.accumulator_bits_read;
            near(point.accumulator_flip_rate, of(Memory::Accumulator), bits);
        }
        assert!(results.points[0].rerr_mean > results.clean.err, "sums are sensitive");
    }
}

/// The emulator is built for what the plan places.
#[test]
fn a_streamed_plan_gives_a_streamed_emulator() {
    let plan = plan(&text("streamed", "", ""));
    let fault = |address| FaultyCell { address, score: vmin_sram::Score(0), preferred: true };
    // The first cell of the first half lies under a bit of every load that begins there.
    let hits = corrupt(&plan, &[fault(0)], FaultKind::Flip).applied.cells_hit;
    let WeightPlacement::Streamed(placed) = &plan.own().placement.weights else {
        panic!("streamed")
    };
    let loads = placed.tensors.iter().flat_map(|tensor| &tensor.loads);
    let begin_there = loads.filter(|load| load.first_bit == 0 && load.codes > 0).count();
    assert!(begin_there > 1);
    assert_eq!(hits, begin_there as u64);
}

#[test]
fn rails_say_in_one_word_what_tables_say_and_chip_lowers_the_array_too() {
    let tables = "[memory.weight]\n[memory.activation]\n[memory.accumulator]\n";
    let by_tables = sweep(&plan(&text("resident", "", tables)), 2);
    let by_word =
        |word: &str| sweep(&plan(&text("resident", "", &format!("rails = \"{word}\"\n"))), 2);
    let memories = by_word("memories");
    assert_eq!(memories.points, by_tables.points);
    let weights = by_word("weight");
    assert_eq!(weights.points, sweep(&plan(&text("resident", "", "")), 2).points);
    let activations = "[memory.weight]\nvdd_mv = \"nominal\"\n[memory.activation]\n";
    let activations = sweep(&plan(&text("resident", "", activations)), 2);
    assert_eq!(by_word("activation").points, activations.points);
    // The same errors, and (V / V_ref)^2 of the array's energy.
    let chip = by_word("chip");
    for (chip, memories) in chip.points.iter().zip(&memories.points) {
        assert_eq!(chip.rerr_mean, memories.rerr_mean);
        let scale = (chip.vdd_mv / 1000.0).powi(2);
        let ratio = chip.energy_compute_nj / memories.energy_compute_nj;
        assert!((ratio - scale).abs() < 1e-12, "{ratio} {scale}");
    }
    assert!(chip.setting.memories.contains("logic swept"));
    assert!(chip.notes.iter().any(|note| note.contains("nominal clock")));
    assert!(memories.notes.iter().all(|note| !note.contains("nominal clock")));
    assert!(memories.notes.iter().any(|note| note.contains("45 nm") && note.contains("14 nm")));
    assert!(memories.provenance.sources.iter().any(|s| s.source.contains("Chandramoorthy")));
}
