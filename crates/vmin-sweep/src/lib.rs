//! Experiments: candidates x chips x supplies, one set of results.
//!
//! Three stages, three types:
//!
//! ```text
//!  experiment.toml ─> Experiment ─> Plan ─> run ─> Results ─> results.json, .csv, report
//!                     (checked      (resolved,  │
//!                      words)        priced)    └> Journal: one record per trial
//! ```
//!
//! An [`Experiment`] holds the words of the user with their places; a [`Plan`] has every name resolved
//! and every cost known; [`run()`] cannot fail for a reason of configuration. A [`Candidate`] is a network
//! with its placement, its protection and its supplies: the experiment's own, or a [`Remedy`]. A trial is
//! one candidate on one chip at one set of supplies. Results are computed from the journal's records, so an
//! interrupted and resumed run gives the same bytes as an uninterrupted one.
//!
//! Not here: drawing.

pub mod accuracy;
mod calibration;
pub mod chip_file;
mod experiment;
mod first_chip;
mod journal;
pub mod names;
mod plan;
mod preset;
mod remedy;
mod results;
mod run;
mod shard;
pub mod statistics;
pub mod store;

pub use accuracy::{Accuracy, Differs, Kept, Subject, Verdict};
pub use calibration::CalibrationImages;
pub use chip_file::ChipFile;
pub use experiment::{
    CHIP_FILES_MAX, CHIPS_MAX, Experiment, IMAGES_MAX, Layout, Memories, NotAnExperiment,
    POINTS_MAX, Placement, Question, ReadErrors, References, Supply, VDD_MV_MAX, typed_pixels,
    voltages,
};
pub use journal::{
    ChipId, Counts, Journal, JournalError, JournalOf, Log, Record, SupplyId, TrialId,
};
pub use plan::{Candidate, CandidatePoint, Known, Nominal, Plan, PlanCost, priced_layers};
pub use preset::Preset;
pub use remedy::{REMEDIES_MAX, Remedy, RemedyResult, RemedyRow, RemedySweepPoint, RowsUsed};
pub use results::{
    ChipSummary, Clean, InputDigest, Point, PointCost, Provenance, RESULTS_VERSION, Results,
    Setting, evaluate,
};
pub use run::{Progress, RunError, run, run_shard, run_sharing};
pub use shard::{Disagreement, Shard, unite};
pub use statistics::{Spread, Vmin};
pub use store::{Store, StoreError};

/// The embedded demo experiment, which `vmin init` prints.
pub const DEMO: &str = include_str!("demo.toml");
