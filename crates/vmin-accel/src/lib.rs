//! Accelerator description, dataflow mapping, cycles, traffic, energy, voltage profiles.
//!
//! Given a network's layer shapes, an accelerator and a supply voltage: how many cycles, how much
//! traffic between which memories, how much energy, and which share of the cells fails.
//!
//! ```text
//!  accel-models/*.toml ───> Accelerator ──┐
//!  network, sizes, tables ─> Layer ───────┴─> cycles::run ─> LayerReport ─┐     tiles, tensors: mapping
//!  voltage-profiles/*.toml ─> VoltageProfile ─────────────────────────────┴─> energy::per_inference
//!                             └─> Threshold, Population ─> chips (vmin-sram)
//!  Accelerator, network ─> placement: the cells that hold each code
//! ```
//!
//! Counts are closed forms and few tiles are tried: a network takes less than a millisecond, with the same
//! numbers on every machine. Not here: values, faults in codes, accuracy. `examples/low_voltage.rs` is a complete program.
//!
//! ```
//! use vmin_accel::cycles::{self, Schedule};
//! use vmin_accel::energy::{self, OperatingPoint};
//! use vmin_accel::{Accelerator, GemmShape, Layer, VoltageProfile};
//!
//! let accelerator = Accelerator::load("gemmini-16")?;
//! let profile = VoltageProfile::load("sram14")?;
//! let layers = [Layer::gemm("conv", GemmShape::new(1024, 16, 144)?)];
//! let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers)?;
//! // 9 x 1 folds of 2 * 16 + 16 + 1024 - 2 cycles each.
//! assert_eq!(reports[0].compute_cycles, 9 * 1070);
//!
//! let nominal = OperatingPoint::nominal(&profile);
//! let low = OperatingPoint::memories(&profile, 833.0);
//! let before = energy::per_inference(&accelerator, &profile, &reports, &nominal);
//! let after = energy::per_inference(&accelerator, &profile, &reports, &low);
//! let saved = energy::saving(&before, &after);
//! assert!((saved.memory - (1.0 - 0.833_f64 * 0.833)).abs() < 1e-12);
//! assert!(saved.total < saved.memory);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod accelerator;
pub mod area;
pub mod cycles;
pub mod dataflow;
pub mod energy;
pub mod mapping;
mod memory;
pub mod pe_array;
pub mod placement;
pub mod scalesim;
mod shipped;
pub mod voltage;
mod workload;

pub use accelerator::Accelerator;
pub use cycles::{CycleModel, DoesNotFit, LayerReport, Schedule};
pub use dataflow::{ArraySize, Dataflow};
pub use memory::{Memory, MemoryAt, PerMemory};
pub use placement::{ResidentPlacement, StreamedPlacement};
pub use voltage::{VddReference, VoltageProfile};
pub use workload::{
    Attention, Convolution, Flow, GemmShape, Layer, MACS_MAX, Read, ShapeError, Work,
    layers_of_graph,
};
