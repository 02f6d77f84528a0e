//! The causal closed form against a register-level simulation of the array: every processing element,
//! every cycle. It must give the same number of cycles, and the right sums.
//!
//! The simulated hardware per processing element: one register for the operand that passes to the
//! right, one for what passes down, one for what stays. In each cycle every element reads the
//! registers of its neighbours as they were after the cycle before.

mod pe_array {
    pub(crate) mod simulation;
}

use pe_array::simulation::{Matrix, Run, input_stationary, output_stationary, weight_stationary};
use proptest::prelude::*;
use vmin_accel::cycles::{self, CycleModel, Schedule};
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
    cycles::run(&accelerator, schedule, &[Layer::gemm("x", shape)])[0].compute_cycles
}

fn product(a: &Matrix, b: &Matrix) -> Vec<i32> {
    let mut c = Vec::new();
    for i in 0..a.rows {
        for j in 0..b.columns {
            c.push((0..a.columns).map(|l| a.at(i, l) * b.at(l, j)).sum());
        }
    }
    c
}

type Simulation = fn(usize, usize, &Matrix, &Matrix) -> Run;
const DATAFLOWS: [(Dataflow, Simulation); 3] = [
    (Dataflow::Ws, weight_stationary),
    (Dataflow::Os, output_stationary),
    (Dataflow::Is, input_stationary),
];

fn check(rows: usize, columns: usize, [m, n, k]: [usize; 3], seed: u64) -> Result<(), String> {
    let a = Matrix::random(m, k, seed);
    let b = Matrix::random(k, n, seed ^ 0x9e37_79b9_7f4a_7c15);
    let expected = product(&a, &b);
    for (dataflow, simulate) in DATAFLOWS {
        let run = simulate(rows, columns, &a, &b);
        let name = format!("{} {rows} x {columns}, m n k {m} {n} {k}", dataflow.name());
        if run.sums != expected {
            return Err(format!("{name}: the sums differ"));
        }
        let formula = closed_form(dataflow, rows, columns, [m, n, k], false);
        if run.cycles != formula {
            return Err(format!("{name}: {} cycles simulated, {formula} by formula", run.cycles));
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
    // 2 x 3 folds on 4 x 4, 10 vectors each: one full fold, then one stream per fold.
    assert_eq!(closed_form(Dataflow::Ws, 4, 4, [10, 12, 8], true), (2 * 4 + 4 + 10 - 2) + 5 * 10);
    // Streams shorter than a load wait for the load.
    assert_eq!(closed_form(Dataflow::Ws, 4, 4, [1, 12, 8], true), (2 * 4 + 4 + 1 - 2) + 5 * 4);
    assert_eq!(closed_form(Dataflow::Ws, 4, 4, [9, 4, 4], true), 2 * 4 + 4 + 9 - 2);
}
