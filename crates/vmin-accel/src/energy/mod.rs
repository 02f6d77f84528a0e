//! Energy of one inference: counts of actions x energy per action x scaling of the rail.
//!
//! ```text
//! E = sum over components of  N * e_ref * (share * (V / V_ref)^2 + 1 - share)  +  P_leak(V) * time
//! ```
//!
//! `e_ref` comes from an [`EnergyTable`] in which every number names its source, the scaling from the
//! voltage profile, `N` from the cycle model. The reference voltage is that of the profile: its
//! `v_ref_mv` counts as the voltage at which the table's energies hold. DRAM is not scaled.
//!
//! Not here: the accuracy of the network at that voltage.

mod constants;
pub mod ert;
mod notes;
mod operating_point;
mod rails;
mod report;
mod sram;
mod table;

pub use constants::ConstantSet;
pub use notes::{SlowMemory, Sourced, clock_caveat, clock_word, notes, slow_memories, sources};
pub use operating_point::{Clock, OperatingPoint, Rail};
pub use rails::{NoLogicLaw, Rails};
pub(crate) use report::reference_nj;
pub use report::{ByRail, Components, EnergyReport, LayerEnergy, Saving, per_inference, saving};
pub(crate) use sram::Bank;
pub use sram::Cells;
pub use table::{Action, DramKind, EnergyEntry, EnergyTable};
