//! Partial sums are kept in as many cells of each word as the sums of the layer can need, whatever the image: the
//! cells above are not used, so they neither fail nor move.
//!
//! The bound follows from the layer's weights, the range of its input codes and its biases. Weights that read wrong
//! can exceed it; such a sum wraps around. Words with check bits hold all bits. Costs: none; an access moves fewer
//! cells.

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

    fn price(&self, _: &ProtectionCosts, shape: Shape) -> Price {
        let whole = f64::from(shape.code_bits.max(1));
        let needed = shape.sum_bits.map_or(whole, f64::from).min(whole);
        Price { access_share: needed / whole - 1.0, ..Price::default() }
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::only_sums(memory)
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(NarrowSums {}))
}
