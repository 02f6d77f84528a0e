//! The Pareto front of a small design space.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use vmin_diagnostic::Source;
use vmin_explore::{Plan, explore};

const SPACE: &str = r#"
name = "arrays and voltages"
network = { model = "builtin:shapes-cnn" }
accelerator = { base = "gemmini-16" }
memory = { profile = "sram14", vdd_mv = [1000, 900, 850] }
vary = { array_sides = [8, 16, 32] }
objectives = { minimize = ["latency_us", "energy_nj", "cell_fault_rate"] }
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::read(&Source::new("space.toml", SPACE), Path::new("."))?;
    let exploration = explore(&plan, &AtomicBool::new(false))?;
    for point in exploration.front() {
        let (side, vdd_mv) = (point.rows, point.vdd_mv);
        println!(
            "{side} x {side} at {vdd_mv} mV: {:.1} us, {:.1} nJ",
            point.latency_us, point.energy_nj
        );
    }
    Ok(())
}
