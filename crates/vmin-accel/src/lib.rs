//! Accelerator description, dataflow mapping, cycles, traffic, energy, voltage profiles.
//!
//! Given a network's layer shapes, an accelerator and a supply voltage: how many cycles, how much
//! traffic between which memories, how much energy, and which share of the cells fails.
//!
//! ```text
//!  accel-models/*.toml --> Accelerator --+--> cycles::run --> LayerReport --+
//!  network, tables --> Layer (m, n, k) ----------+                                  +--> energy::per_inference
//!  voltage-profiles/*.toml --> VoltageProfile --+---------------------------+
//!                                               +--> Threshold, Population --> chips (vmin-sram)
//!  weight tensors --> ResidentPlacement: where each code lies
//! ```
//!
//! Everything here is a closed form: a network is answered in microseconds, and the same on every
//! machine. Not here: values, faults in codes, accuracy.
//!
//! ```
//! use vmin_accel::cycles::{self, Schedule};
//! use vmin_accel::energy::{self, OperatingPoint};
//! use vmin_accel::{Accelerator, GemmShape, Layer, VoltageProfile};
//!
//! let accelerator = Accelerator::load("gemmini-16")?;
//! let profile = VoltageProfile::load("sram14")?;
//! let layers = [Layer::gemm("conv", GemmShape::new(1024, 16, 144)?)];
//! let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers);
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
mod attention;
mod convolution;
pub mod cycles;
pub mod dataflow;
pub mod energy;
mod layers;
mod memory;
pub mod pe_array;
pub mod placement;
pub mod scalesim;
mod shape;
pub mod voltage;

pub use accelerator::Accelerator;
pub use attention::Attention;
pub use convolution::Convolution;
pub use cycles::{CycleModel, LayerReport, Schedule};
pub use dataflow::{ArraySize, Dataflow};
pub use layers::layers_of_graph;
pub use memory::{Memory, MemoryAt, PerMemory};
pub use placement::{ResidentPlacement, StreamedPlacement};
pub use shape::{GemmShape, Layer, MACS_MAX, ShapeError, Work};
pub use voltage::VoltageProfile;
