//! Input stationary: an input stays in its PE, weights move right, partial sums move down.

use super::{Dataflow, Operand};

pub(super) const DATAFLOW: Dataflow =
    Dataflow::new("is", "Input stationary", Operand::Ifmap, Operand::Filter, Operand::Ofmap);
