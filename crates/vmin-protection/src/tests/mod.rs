//! Mechanisms against slow, obvious twins.

mod closed_forms;
mod codes;
mod rails_and_spares;
mod reading;
