//! One file per command: options in, an answer or a failure out.

pub mod attack;
pub mod check;
pub mod chip;
pub mod cluster;
pub mod compare;
pub mod completions;
pub mod cycles;
pub mod data;
pub mod deploy;
pub mod energy;
pub mod eval;
pub mod explore;
pub mod flatness;
pub mod init;
pub mod merge;
pub mod model;
pub mod monitor;
pub mod noise;
pub mod plan;
pub mod questions;
pub mod report;
pub mod schema;
mod setup;
pub mod sweep;
pub mod train;
pub mod trials;
