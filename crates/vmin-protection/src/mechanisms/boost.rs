//! The array's supply is raised during every access (Chandramoorthy et al., HPCA 2019).

use serde::Serialize;
use vmin_diagnostic::TableReader;

use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::rails::{RAISE_MV, Rail, RailCells, Supply};
use crate::{CostKey, ProtectionCosts};

/// `kind = "boost"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Boost {
    /// By so much, in mV.
    pub raise_mv: f64,
}

impl Mechanism for Boost {
    fn kind(&self) -> &'static str {
        "boost"
    }

    fn describe(&self) -> String {
        format!("boost +{} mV", self.raise_mv)
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Rail(Rail {
            cells: RailCells::All,
            supply: Supply::RaisedByMv(self.raise_mv),
            accesses_only: true,
        })
    }

    fn price(&self, costs: &ProtectionCosts, _: Shape) -> Price {
        Price { access_share: costs.value(CostKey::BoosterShare), ..Price::default() }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(Boost { raise_mv: entry.number("raise_mv", RAISE_MV)?.value }))
}
