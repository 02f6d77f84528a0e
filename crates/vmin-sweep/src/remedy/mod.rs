//! Remedies: several ways to go lower, compared at one accuracy budget.
//!
//! A `[[remedy]]` is protection, another network (one trained to survive), or both. Every remedy runs
//! over voltages on the same chips as the unprotected network; then each has a lowest voltage within
//! the budget, and a price. Budget and savings refer to the experiment's own network without
//! protection at the nominal voltage, so that all remedies stand in one table.

mod description;
mod plan;
mod results;
mod run;

pub use description::{REMEDIES_MAX, Remedy};
pub use plan::{PlannedRemedy, RemedyPoint};
pub use results::{RemedyAt, RemedyResult, RemedyRow, RemedySweepPoint};

pub(crate) use description::read;
pub(crate) use plan::{Placed, Shared, plan_remedies};
pub(crate) use results::evaluate_remedies;
pub(crate) use run::run_trial;
