//! The banks with most faults, by the chip's own map at the memory's voltage, lie on a rail of their own.

use serde::Serialize;
use vmin_diagnostic::{Diagnostic, TableReader};

use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::rails::{Rail, RailCells, Supply};
use crate::{CostKey, ProtectionCosts};

/// `kind = "bank_rail"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BankRail {
    /// Share of the banks that hold something, rounded up to whole banks.
    pub share: f64,
    /// Their rail.
    pub supply: Supply,
}

impl Mechanism for BankRail {
    fn kind(&self) -> &'static str {
        "bank_rail"
    }

    fn describe(&self) -> String {
        format!("weakest {} % of banks {}", self.share * 100.0, self.supply.words())
    }

    fn effect(&self, _: u8) -> Effect {
        let cells = RailCells::WeakestBanks(self.share);
        Effect::Rail(Rail { cells, supply: self.supply, accesses_only: false })
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, count of faulty cells per bank".to_owned())
    }

    fn price(&self, costs: &ProtectionCosts, _: Shape) -> Price {
        Price { access_share: costs.value(CostKey::SecondRailShare), ..Price::default() }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let share = entry.number("share", 0.0..=1.0);
    let supply = Supply::read(entry);
    let share = share?;
    if share.value == 0.0 || share.value == 1.0 {
        entry.report_at(
            share.span,
            Diagnostic::new("out-of-range", "`share` is no bank or all banks")
                .allowed("expected a number above 0 and below 1"),
        );
        return None;
    }
    Some(Box::new(BankRail { share: share.value, supply: supply? }))
}
