//! Output stationary: a sum stays in its PE, inputs move right, weights move down. A finished tile of
//! sums is shifted out downwards.

use super::{Dataflow, Operand};

pub(super) const DATAFLOW: Dataflow =
    Dataflow::new("os", "Output stationary", Operand::Ofmap, Operand::Ifmap, Operand::Filter);
