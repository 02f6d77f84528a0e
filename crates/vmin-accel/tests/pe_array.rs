//! The causal closed form against the register-level simulation of the array: the same cycles for all
//! dataflows, with and without double buffering, and the right sums.

use proptest::prelude::*;
use vmin_accel::cycles::{self, CycleModel, Schedule};
use vmin_accel::pe_array::{Simulation, SimulationError};
use vmin_accel::{Accelerator, ArraySize, Dataflow, GemmShape, Layer};

/// Cycles of the array by the closed form.
fn closed_form(
    dataflow: Dataflow,
    rows: usize,
    columns: usize,
    [m, n, k]: [usize; 3],
    double_buffer: bool,
) -> u64 {
    let mut accelerator = Accelerator::load("gemmini-16").expect("shipped");
    accelerator.array = ArraySize::new(rows as u64, columns as u64).expect("a small array");
    let schedule = Schedule {
        dataflow,
        cycle_model: CycleModel::Causal,
        weight_double_buffer: double_buffer,
        ..Schedule::of(&accelerator)
    };
    let shape = GemmShape::new(m as u64, n as u64, k as u64).expect("a small product");
    cycles::run(&accelerator, schedule, &[Layer::gemm("x", shape)]).unwrap()[0].compute_cycles
}

/// Values of int8, -128 among them, from a small generator.
fn values(count: usize, seed: u64) -> Vec<i8> {
    vmin_testkit::Lcg(seed | 1).codes(count)
}

fn product(a: &[i8], b: &[i8], [m, n, k]: [usize; 3]) -> Vec<i32> {
    let mut c = Vec::new();
    for i in 0..m {
        for j in 0..n {
            c.push((0..k).map(|l| i32::from(a[i * k + l]) * i32::from(b[l * n + j])).sum());
        }
    }
    c
}

fn check(rows: usize, columns: usize, shape: [usize; 3], seed: u64) -> Result<(), String> {
    let [m, n, k] = shape;
    let a = values(m * k, seed);
    let b = values(k * n, seed ^ 0x9e37_79b9_7f4a_7c15);
    let expected = product(&a, &b, shape);
    let array = ArraySize::new(rows as u64, columns as u64).expect("a small array");
    for &(name, dataflow) in Dataflow::ALL {
        for double_buffer in [false, true] {
            let mut simulation =
                Simulation::new(array, dataflow, double_buffer, shape, a.clone(), b.clone())
                    .expect("a small case");
            simulation.run();
            let case = format!("{name} {rows} x {columns}, {shape:?}, double {double_buffer}");
            if simulation.sums() != expected {
                return Err(format!("{case}: the sums differ"));
            }
            let formula = closed_form(dataflow, rows, columns, shape, double_buffer);
            if simulation.cycle() != formula {
                let cycles = simulation.cycle();
                return Err(format!("{case}: {cycles} cycles simulated, {formula} by formula"));
            }
        }
    }
    Ok(())
}

#[test]
fn small_shapes_exhaustively() {
    let mut cases = 0;
    for (rows, columns) in (1..=3).flat_map(|r| (1..=3).map(move |c| (r, c))) {
        for m in 1..=5 {
            for n in 1..=5 {
                for k in 1..=5 {
                    check(rows, columns, [m, n, k], 1).unwrap();
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 1125);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn random_shapes(
        rows in 1_usize..10, columns in 1_usize..10,
        m in 1_usize..30, n in 1_usize..30, k in 1_usize..30, seed: u64,
    ) {
        prop_assert_eq!(check(rows, columns, [m, n, k], seed), Ok(()));
    }
}

#[test]
fn double_buffering_hides_the_loads() {
    let ws = Dataflow::named("ws").unwrap();
    // 2 x 3 folds on 4 x 4, 10 vectors each: one full fold, then one stream per fold.
    assert_eq!(closed_form(ws, 4, 4, [10, 12, 8], true), (2 * 4 + 4 + 10 - 2) + 5 * 10);
    // Streams shorter than a load wait for the load.
    assert_eq!(closed_form(ws, 4, 4, [1, 12, 8], true), (2 * 4 + 4 + 1 - 2) + 5 * 4);
    assert_eq!(closed_form(ws, 4, 4, [9, 4, 4], true), 2 * 4 + 4 + 9 - 2);
}

#[test]
fn one_cycle_less_is_not_enough() {
    // The last result leaves in the last cycle, so the cycles are not counted too high.
    let array = ArraySize::new(3, 4).expect("a small array");
    for &(name, dataflow) in Dataflow::ALL {
        for double_buffer in [false, true] {
            // Tiles without gaps: the far corner has work.
            let shape = [12, 8, 9];
            let (a, b) = (vec![1; 12 * 9], vec![1; 9 * 8]);
            let mut simulation =
                Simulation::new(array, dataflow, double_buffer, shape, a, b).expect("small");
            let cycles = closed_form(dataflow, 3, 4, shape, double_buffer);
            for _ in 0..cycles - 1 {
                assert!(simulation.step());
            }
            assert!(simulation.sums().iter().any(|sum| *sum != 9), "{name} {double_buffer}");
            assert!(simulation.step());
            assert!(simulation.sums().iter().all(|sum| *sum == 9), "{name} {double_buffer}");
            assert!(!simulation.step());
        }
    }
}

#[test]
fn impossible_cases_are_refused() {
    let array = ArraySize::new(2, 2).expect("a small array");
    let new = |shape, a: usize, b: usize| {
        Simulation::new(array, Dataflow::default(), false, shape, vec![0; a], vec![0; b]).err()
    };
    assert_eq!(new([0, 1, 1], 0, 1), Some(SimulationError::Size));
    assert_eq!(new([usize::MAX, 2, 2], 0, 0), Some(SimulationError::Size));
    assert_eq!(new([2, 2, 2], 4, 3), Some(SimulationError::Matrix { expected: 4, found: 3 }));
    let large = ArraySize::new(4096, 4096).expect("an array");
    let refused =
        Simulation::new(large, Dataflow::default(), true, [1, 1, 1], vec![0], vec![0]).err();
    assert_eq!(refused, Some(SimulationError::Size));
}
