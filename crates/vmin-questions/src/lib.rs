//! Questions about a plan, answered with as few inferences as their confidence needs.
//!
//! ```text
//!  Plan ─> search ─ per chip: Strategy (which supply next) ─ per trial: Budget (enough images?) ─> OfCandidate
//!             │                                                                                        │
//!             └> Journal: the first images of each trial, as records                    answers: V_min, yield
//! ```
//!
//! A trial ends when it is certain enough whether it is within the budget ([`Budget`]); all decisions of a run
//! share its error probability. A chip's lowest passing supply is searched, not swept ([`Strategy`]). Records are
//! trials over the first images of a fixed random order ([`mod@order`]), so that another budget, confidence or question
//! starts from what is known.
//!
//! Not here: how a chip errs and what it costs (`vmin-emulator`, `vmin-sweep`), drawing.

pub mod answer;
mod looks;
mod order;
mod records;
mod run;
mod search;
mod sequential;

pub use order::{order, prefix_name, prefix_of};
pub use records::Records;
pub use run::{Certainty, OfCandidate, OfChip, Probe, Searched, search};
pub use search::{Found, Strategy};
pub use sequential::{Budget, Seen};
