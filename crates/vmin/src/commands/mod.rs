//! One file per command.

pub(crate) mod check;
pub(crate) mod chip;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod cycles;
pub(crate) mod data;
pub(crate) mod energy;
pub(crate) mod eval;
pub(crate) mod explore;
pub(crate) mod init;
pub(crate) mod model;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod sweep;
pub(crate) mod train;
