//! Protection: what stands between the cells of a memory and the codes that are read, and what it costs.
//!
//! ```text
//! cells --> rails (which cells fail) --> spares (which cells are used) --> store --> words --> codes
//!           boost, safe bits,            rows and columns of a bank       bits laid  parity, SECDED,
//!           layer and bank rails         replaced after a test            otherwise  detecting reads
//! ```
//!
//! A mechanism is one file of [`mechanisms`] and one line in [`mechanisms::ALL`]: its table in TOML files, its
//! words, its [effect](mechanism::Effect) and its [price](mechanism::Price). An effect belongs to a stage, so a
//! mechanism without an effect or without a price does not compile. A [`Protection`] lists the mechanisms
//! of each memory; every memory can have every mechanism unless the mechanism says why not.
//!
//! Check bits and spare lines lie in cells of their own, which fail too.
//!
//! Not here: which cells fail, and what a memory holds (`vmin-emulator`).

mod assignment;
mod costs;
mod energy;
mod extent;
mod known;
mod listed;
pub mod mechanism;
pub mod mechanisms;
mod protection;
pub mod rails;
pub mod store;
#[cfg(test)]
mod tests;
pub mod words;

pub use costs::{Basis, Cost, CostKey, ProtectionCosts};
pub use energy::{ProtectedEnergy, ProtectedLayers, area_share, protected_energy};
pub use extent::{Extent, StartUp};
pub use known::{Known, KnownAt, Noise, ReadsOf};
pub use listed::{Entry, Listed, read_entry};
pub use mechanism::Mechanism;
pub use protection::{MapKind, ProtectedAt, Protection, ProtectionError, Stages};
