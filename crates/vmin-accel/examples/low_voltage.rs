//! Cycles and energy of a network on one accelerator, at two voltages of its memories.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use vmin_accel::cycles::{self, Schedule};
use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{Accelerator, VoltageProfile, layers_of_graph};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let accelerator = Accelerator::load("gemmini-16")?;
    let profile = VoltageProfile::load("sram14")?;
    let graph = vmin_nn::model::load("builtin:shapes-cnn")?;
    let layers = layers_of_graph(&graph)?;

    let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers)?;
    println!("{} cycles", cycles::totals(&reports).cycles);
    for vdd_mv in [1000.0, 850.0] {
        let point = OperatingPoint::memories(&profile, vdd_mv);
        let energy = energy::per_inference(&accelerator, &profile, &reports, &point);
        let faulty = profile.cell_fault_rate(vdd_mv);
        println!("{vdd_mv} mV: {:.1} nJ, a share of {faulty:.1e} cells faulty", energy.total_nj);
    }
    Ok(())
}
