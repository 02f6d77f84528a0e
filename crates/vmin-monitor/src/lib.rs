//! Confidence as an on-line monitor of low voltage: a network that rejects what it is not sure of tells that its memory
//! errs, before anybody knows a label.
//!
//! ```text
//!  confidences of held-out images without bit errors ─> threshold ─> which images are accepted
//!  rejections at a supply, against those without bit errors ─> exact test: does this chip err more?
//!  rejections window by window ─> canary: the supply goes down while they are few, up where they are many
//! ```
//!
//! Counts of rejections are compared by Fisher's exact test, because the nominal rate of rejections is itself measured
//! on a sample of images. Random numbers are keyed by seed and chip; nothing here knows networks or memories.

#![forbid(unsafe_code)]

mod canary;
mod counts;
mod exact;
mod roc;

pub use canary::{Followed, Rule};
pub use counts::{Counts, Outcome, Rise, threshold};
pub use exact::{Sample, bound, excess};
pub use roc::{Roc, area};
