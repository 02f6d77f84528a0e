//! `vmin attack`: what an adversary can do to a network on a chip.

mod answer;
mod bits;
mod cells;
mod output;
mod rows;

use std::sync::atomic::AtomicBool;

pub use answer::{AttackRow, BitAttack, BitRow, FlipRow, LayerRow};

use crate::args::{AttackArgs, AttackKind};
use crate::{Failure, compute};

/// Searches for the worst change within the bounds of the options.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, or the run was stopped.
pub fn run(args: &AttackArgs, stop: &AtomicBool) -> Result<BitAttack, Failure> {
    compute::on_threads(args.compute.jobs, || match args.kind {
        AttackKind::Bits => bits::run(args, stop),
    })
}
