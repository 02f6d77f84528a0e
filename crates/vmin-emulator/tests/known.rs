//! Mechanisms that decide by a map which is not that of the supply in question.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vmin_accel::{Memory, MemoryAt, PerMemory, ResidentPlacement, VoltageProfile};
use vmin_emulator::source::SampledChips;
use vmin_emulator::{ChipSpec, Deployment, LOAD, Placement, Supplies};
use vmin_nn::Graph;
use vmin_protection::mechanisms::{ClosestCode, InvertRows};
use vmin_protection::store::Storage;
use vmin_protection::{Known, Mechanism, Noise, Protection};
use vmin_sram::{FaultKind, Geometry};
use vmin_testkit::random_graph;

const CHIP: ChipSpec = ChipSpec { chip: 3, offset_bits: 0, layout: 0, map_offset: 0 };

fn graph() -> Graph {
    (0..).map(random_graph).find(|graph| graph.weights.iter().any(|w| w.codes.len() > 500)).unwrap()
}

/// What is written and read at `vdd_mv` by mechanisms that know this.
fn run(graph: &Graph, known: Known, vdd_mv: f64, noise_mv: Option<f64>) -> (Storage, u64) {
    let profile = VoltageProfile::load("sram14").unwrap();
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let geometry = Geometry::new(2, 2048, 64).unwrap();
    let placement = Placement::of_weights(ResidentPlacement::in_memory(geometry, sizes).unwrap());
    let list: [Arc<dyn Mechanism>; 2] = [Arc::new(InvertRows {}), Arc::new(ClosestCode {})];
    let protection = Protection::of_weights(list).unwrap().knowing(known);
    let deployment = Deployment::new(graph, &placement, &protection).unwrap();
    let at = |mv: f64, noise: Noise| {
        let noise = noise.mv(noise_mv).map(|sigma| profile.read_noise(mv, sigma));
        Ok::<_, Infallible>(MemoryAt { noise, ..MemoryAt::new(mv, profile.cell_fault_rate(mv)) })
    };
    let Ok(weight) = protection.at(Memory::Weight, vdd_mv, at);
    let supplies = Supplies { weight: Some(weight), ..PerMemory::default() };
    let source = SampledChips {
        population: profile.population().clone(),
        seed: 5,
        kind: FaultKind::StuckAt,
    };
    let open = deployment.open(&source, CHIP, &[&supplies], None).unwrap();
    let deviation = open.weight_deviation(&supplies, LOAD, &NEVER).unwrap();
    assert!(deviation == 0.0 || open.weights(&supplies, LOAD).codes != codes(graph));
    let stop = AtomicBool::new(true);
    assert!(open.storages(&supplies, &stop).is_err());
    assert!(open.weight_deviation(&supplies, LOAD, &stop).is_err());
    let storages = open.storages(&supplies, &NEVER).unwrap();
    (storages.weight, open.weights(&supplies, LOAD).applied.bits_flipped)
}

static NEVER: AtomicBool = AtomicBool::new(false);

fn codes(graph: &Graph) -> Vec<Vec<u8>> {
    graph.weights.iter().map(|weights| weights.codes.clone()).collect()
}

fn test_at(vdd_mv: f64) -> Known {
    Known { vdd_mv: Some(vdd_mv), reads: Some(1), ..Known::default() }
}

#[test]
fn rows_that_hold_something_are_counted() {
    let graph = graph();
    let sizes = || graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let geometry = Geometry::new(2, 2048, 64).unwrap();
    let placement = Placement::of_weights(ResidentPlacement::in_memory(geometry, sizes()).unwrap());
    let deployment = Deployment::new(&graph, &placement, &Protection::default()).unwrap();
    let held = |row: u64| {
        let mut bits = row * 64..(row + 1) * 64;
        let tensors = placement.weights.resident().unwrap().tensors.iter();
        let spans: Vec<_> =
            tensors.map(|of| of.first_bit..of.first_bit + of.codes * u64::from(of.bits)).collect();
        bits.any(|bit| spans.iter().any(|span| span.contains(&bit)))
    };
    let extents = deployment.extents();
    let used = (0..2 * 2048).filter(|&row| held(row)).count() as u64;
    assert_eq!((extents.weight.rows_used, extents.weight.rows), (used, 2 * 2048));
    assert_eq!(extents.activation.rows, 0, "makes no errors");
}

#[test]
fn a_map_of_another_voltage_gives_the_decisions_of_that_voltage() {
    let graph = graph();
    let exact = |mv| run(&graph, Known::default(), mv, None);
    let (at_815, at_830) = (exact(815.0), exact(830.0));
    assert_ne!(at_815.0, at_830.0, "no faults, no test");
    let cases = [
        (test_at(830.0), &at_830.0),
        (Known { aged_mv: 15.0, reads: Some(1), ..Known::default() }, &at_830.0),
        (Known { margin_mv: 15.0, ..test_at(830.0) }, &at_815.0),
        (Known { reads: Some(7), ..Known::default() }, &at_815.0),
    ];
    for (known, expected) in cases {
        assert_eq!(&run(&graph, known.clone(), 815.0, None).0, expected, "{known:?}");
    }
    // Cells that the map does not show stay without an answer.
    let plain = |known| run(&graph, known, 815.0, None).1;
    assert_ne!(plain(test_at(830.0)), plain(Known::default()));
}

#[test]
fn more_reads_of_a_noisy_test_find_more_cells() {
    let graph = graph();
    let written = |reads: u32| {
        let known = Known { reads: Some(reads), read_noise_mv: Some(6.0), ..Known::default() };
        run(&graph, known, 815.0, None).0.codes(0).len()
    };
    let counts = [1, 4, 16, 64].map(written);
    assert!(counts.is_sorted() && counts[0] < counts[3], "{counts:?}");
    let quiet = Known { reads: Some(1), read_noise_mv: Some(0.0), ..Known::default() };
    let exact = run(&graph, Known::default(), 815.0, None).0;
    assert_eq!(run(&graph, quiet, 815.0, Some(6.0)).0, exact);
}
