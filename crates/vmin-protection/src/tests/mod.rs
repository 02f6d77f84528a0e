//! Mechanisms against slow, obvious twins.

mod closed_forms;
mod codes;
mod costs;
mod rails_and_spares;
mod reading;
mod store;

use vmin_sram::{Fault, FaultKind, FaultyCell};

/// Cells that all err in one way.
fn faults(cells: &[FaultyCell], kind: FaultKind) -> Vec<Fault> {
    let of =
        |cell: &FaultyCell| Fault { address: cell.address, effect: kind.effect(cell.preferred) };
    cells.iter().map(of).collect()
}
