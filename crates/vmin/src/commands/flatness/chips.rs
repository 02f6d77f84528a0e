//! Errors on chips, with which a prediction is compared.

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::{Accelerator, MemoryAt, PerMemory, ResidentPlacement};
use vmin_emulator::source::SampledChips;
use vmin_emulator::{ChipSpec, Deployment, Placement, Reads, TrialSpec};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_protection::{ProtectedAt, Protection};
use vmin_sram::{FaultKind, Population, VarianceShares};
use vmin_sweep::Spread;

use crate::Failure;
use crate::args::FlatnessArgs;
use crate::commands::setup;

/// The test error over chips.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct ChipErrors {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub std: f64,
    /// Worst chip.
    pub max: f64,
}

/// Errors of the integer network on chips whose cells fail independently and invert their bits; none where no chip is
/// asked for.
pub(super) fn errors(
    graph: &Graph,
    data: &Dataset,
    rate: f64,
    args: &FlatnessArgs,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
) -> Result<Option<ChipErrors>, Failure> {
    let interrupted = |_| Failure::Interrupted("interrupted".to_owned());
    let accelerator = Accelerator::load("gemmini-16")?;
    let sizes = graph.weights.iter().map(|of| (of.codes.len() as u64, of.bits));
    let placement = ResidentPlacement::new(&accelerator, sizes)
        .map_err(|error| Failure::input("placement", &error))?;
    let placement = Placement::of_weights(placement);
    let network = Deployment::new(graph, &placement, &Protection::default())
        .map_err(|error| Failure::input("placement", &error))?;
    let at = ProtectedAt::plain(MemoryAt::new(0.0, rate));
    let supplies = PerMemory { weight: Some(at), ..PerMemory::default() };
    let population = Population::new("independent cells", VarianceShares::INDEPENDENT, 0.5)
        .map_err(|error| Failure::input("population", &error))?;
    let chips = SampledChips { population, seed: args.seed, kind: FaultKind::Flip };
    let emulator = setup::emulator(graph, data, kernel)?;
    let clean = emulator.predict_clean(stop).map_err(interrupted)?;
    let mut errors = Vec::new();
    for chip in 0..args.chips {
        let spec = ChipSpec { chip, offset_bits: 0, layout: 0, map_offset: 0 };
        let open = network.open(&chips, spec, &[&supplies], None);
        let open = open.map_err(|error| Failure::input("too-large", &error))?;
        let trial = TrialSpec { supplies: &supplies, reads: Reads::Once, first_image: 0 };
        let score = open.run(trial, &emulator, &clean, stop).map_err(interrupted)?.score;
        errors.push(1.0 - score.correct as f64 / data.len() as f64);
    }
    Ok(Spread::of(&errors).map(|Spread { mean, std, max, .. }| ChipErrors { mean, std, max }))
}
