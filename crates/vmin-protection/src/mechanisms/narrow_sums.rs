//! Partial sums are kept in as many cells of each word as the sums of the layer can need, whatever the image: the
//! cells above are not used, so they neither fail nor move.
//!
//! The bound follows from the layer's weights, the range of its input codes and its biases. Weights that read wrong
//! can exceed it; such a sum wraps around. Words with check bits hold all bits. Costs: none. No energy is counted as
//! saved, since the columns of a row swing together unless a circuit gates those out of use.

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::mechanism::{Effect, Mechanism, Price, Shape, SumKeeping};

/// `kind = "narrow_sums"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NarrowSums {}

impl Mechanism for NarrowSums {
    fn kind(&self) -> &'static str {
        "narrow_sums"
    }

    fn describe(&self) -> String {
        "no wider than the layer needs".to_owned()
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Sum(SumKeeping::Narrow)
    }

    fn price(&self, _: &ProtectionCosts, _: Shape) -> Price {
        // Columns of a row swing together: no saving is counted without a circuit that gates those out of use.
        Price::default()
    }

    fn startup(&self) -> Option<String> {
        Some("widths of sums once for all chips".to_owned())
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::only_sums(memory)
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(NarrowSums {}))
}
