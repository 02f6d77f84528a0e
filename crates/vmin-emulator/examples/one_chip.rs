//! A network, a chip, a voltage, an accuracy: `cargo run --release -p vmin-emulator --example one_chip`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::atomic::AtomicBool;

use vmin_accel::{Accelerator, MemoryAt, PerMemory, ResidentPlacement, VoltageProfile};
use vmin_emulator::source::SampledChips;
use vmin_emulator::{ChipSpec, Deployment, Emulator, Images, Placement, Reads, TrialSpec};
use vmin_nn::data::{Limits, Split};
use vmin_protection::{ProtectedAt, Protection};
use vmin_sram::FaultKind;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let graph = vmin_nn::model::load("builtin:shapes-cnn")?;
    let data = vmin_nn::data::load("builtin:shapes", Split::Test, Limits::default())?;
    let accelerator = Accelerator::load("gemmini-16")?;
    let sizes = graph.weights.iter().map(|weights| (weights.codes.len() as u64, weights.bits));
    let placement = Placement::of_weights(ResidentPlacement::new(&accelerator, sizes)?);
    let network = Deployment::new(&graph, &placement, &Protection::default())?;

    let profile = VoltageProfile::load("sram14")?;
    let at = MemoryAt::new(850.0, profile.cell_fault_rate(850.0));
    let supplies = PerMemory { weight: Some(ProtectedAt::plain(at)), ..PerMemory::default() };
    let population = profile.population().clone();
    let chips = SampledChips { population, seed: 1, kind: FaultKind::StuckAt };
    let spec = ChipSpec { chip: 0, offset_bits: 0, layout: 0, map_offset: 0 };
    let chip = network.open(&chips, spec, &[&supplies], None)?;

    let images = Images { pixels: &data.images, labels: &data.labels };
    let emulator = Emulator::new(&graph, images, vmin_kernels::best())?;
    let stop = AtomicBool::new(false);
    let clean = emulator.predict_clean(&stop)?;
    let trial = TrialSpec { supplies: &supplies, reads: Reads::Once, first_image: 0 };
    let outcome = chip.run(trial, &emulator, &clean, &stop)?;
    let flips = outcome.applied.weight.bits_flipped;
    println!("{flips} bits changed, {} of {} images right", outcome.score.correct, data.len());
    Ok(())
}
