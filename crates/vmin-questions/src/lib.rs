//! Questions about a plan, answered with as few inferences as their confidence needs.
//!
//! ```text
//!  Plan ─> search ─ per chip: which supply next ─ per trial: Budget (enough images?) ─> OfCandidate
//!             │                                                                                        │
//!             └> Journal: the first images of each trial, as records                    answers: V_min, yield
//! ```
//!
//! A trial ends when it is certain enough whether it is within the budget ([`Budget`]); all decisions of a run
//! share its error probability. A chip's lowest passing supply is searched, not swept. Records are
//! trials over the first images of each class in a fixed random order ([`Order`]), so that another budget, confidence or question
//! starts from what is known.
//!
//! Not here: how a chip errs and what it costs (`vmin-emulator`, `vmin-sweep`), drawing.

pub mod answer;
pub mod assign;
mod assignment;
mod looks;
mod order;
mod records;
mod run;
mod search;
mod sensitivity;
mod sequential;

pub use assignment::{Assign, AssignError, Assigned, Choices, Combination, OfAssign};
pub use order::{CLASSES, Named, Order, margin, named, prefix_name};
pub use records::Records;
pub use run::{
    Certainty, Decided, Networks, OfCandidate, OfChip, Probe, Searched, Wanted, enough, search,
};
pub use sensitivity::{OfPart, OnChip, Part, Parts, sensitivity};
pub use sequential::{Budget, Seen};
