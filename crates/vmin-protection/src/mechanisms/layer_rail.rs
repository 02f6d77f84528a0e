//! The cells of some layers lie on a rail of their own: their weights, the activations that they read, or
//! their partial sums.

use serde::Serialize;
use vmin_diagnostic::{Diagnostic, TableReader};

use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::rails::{Rail, RailCells, Supply};
use crate::{CostKey, ProtectionCosts};

/// Most layers of a network.
const LAYERS_MAX: f64 = 100_000.0;

/// `kind = "layer_rail"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerRail {
    /// Which layers: counted from 1 among those with weights, in execution order; rising.
    pub layers: Vec<usize>,
    /// Their rail.
    pub supply: Supply,
}

impl Mechanism for LayerRail {
    fn kind(&self) -> &'static str {
        "layer_rail"
    }

    fn describe(&self) -> String {
        let layers: Vec<String> = self.layers.iter().map(ToString::to_string).collect();
        format!("layers {} {}", layers.join(", "), self.supply.words())
    }

    fn effect(&self, _: u8) -> Effect {
        let cells = RailCells::Layers(self.layers.clone());
        Effect::Rail(Rail { cells, supply: self.supply, accesses_only: false })
    }

    fn price(&self, costs: &ProtectionCosts, _: Shape) -> Price {
        Price { access_share: costs.value(CostKey::SecondRailShare), ..Price::default() }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let layers = layers(entry);
    let supply = Supply::read(entry);
    Some(Box::new(LayerRail { layers: layers?, supply: supply? }))
}

fn layers(entry: &TableReader<'_>) -> Option<Vec<usize>> {
    let numbers = entry.numbers("layers", 1.0..=LAYERS_MAX)?;
    let mut layers = Vec::with_capacity(numbers.value.len());
    let mut whole = true;
    for number in &numbers.value {
        if number.value.fract() != 0.0 {
            whole = false;
            entry.report_at(
                number.span.clone(),
                Diagnostic::new("wrong-value", format!("{} numbers no layer", number.value))
                    .allowed("expected whole numbers: 1 is the first layer with weights"),
            );
        }
        // 1 to LAYERS_MAX.
        layers.push(number.value as usize);
    }
    layers.sort_unstable();
    layers.dedup();
    whole.then_some(layers)
}
