//! Remedies: several ways to go lower, compared at one accuracy budget.
//!
//! A `[[remedy]]` is protection, another network (one trained to survive), or both: a candidate like the
//! experiment's own network. Every candidate runs over voltages on the same chips and then has a lowest voltage
//! within the budget, and a price. Budget and savings refer to the experiment's own network without
//! protection at the nominal voltage, so that all stand in one table.

mod description;
mod results;

pub use description::{REMEDIES_MAX, Remedy};
pub use results::{RemedyAt, RemedyResult, RemedyRow, RemedySweepPoint};

pub(crate) use description::read;
pub(crate) use results::remedy;
