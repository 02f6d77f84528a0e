//! Remedies: ways to allow a lower voltage, compared at one accuracy budget.
//!
//! A `[[remedy]]` is protection, another network (trained for bit errors), or both. It is a candidate, as is the
//! experiment's own network. Every candidate runs at its voltages on the same chips; its results are the lowest
//! voltage at which enough chips stay within the budget, and the energy and latency there. Budget and savings refer to the experiment's
//! own network without protection at the nominal voltage, so that one table compares all.

mod description;
mod results;

pub use description::{REMEDIES_MAX, Remedy};
pub use results::{RemedyResult, RemedyRow, RemedySweepPoint, RowsUsed};

pub(crate) use description::read;
pub(crate) use results::remedy;
