//! Weight stationary: a weight stays in its PE, inputs move right, partial sums move down.

use super::{Dataflow, Operand};

pub(super) const DATAFLOW: Dataflow =
    Dataflow::new("ws", "Weight stationary", Operand::Filter, Operand::Ifmap, Operand::Ofmap);
