//! The most significant bits of each code lie on a rail of their own.

use serde::Serialize;
use vmin_diagnostic::TableReader;

use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::rails::{Rail, RailCells, Supply};
use crate::{CostKey, ProtectionCosts};

/// `kind = "safe_bits"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SafeBits {
    /// How many bits of each code.
    pub bits: u8,
    /// Their rail.
    pub supply: Supply,
}

impl Mechanism for SafeBits {
    fn kind(&self) -> &'static str {
        "safe_bits"
    }

    fn describe(&self) -> String {
        match self.bits {
            1 => format!("top bit {}", self.supply.words()),
            bits => format!("top {bits} bits {}", self.supply.words()),
        }
    }

    fn effect(&self, _: u8) -> Effect {
        let cells = RailCells::TopBits(self.bits);
        Effect::Rail(Rail { cells, supply: self.supply, accesses_only: false })
    }

    fn price(&self, costs: &ProtectionCosts, _: Shape) -> Price {
        Price { access_share: costs.value(CostKey::SecondRailShare), ..Price::default() }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let bits = entry.integer("bits", 1..=32);
    let supply = Supply::read(entry);
    Some(Box::new(SafeBits { bits: u8::try_from(bits?.value).ok()?, supply: supply? }))
}
