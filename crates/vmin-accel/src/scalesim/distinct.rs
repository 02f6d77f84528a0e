//! An epoch FIFO over an operand whose addresses are all distinct, in closed form.
//!
//! The demands come in phases; a phase repeats one sequence of `L` distinct addresses. Walking round
//! such a sequence, an epoch that began in it holds the addresses since its beginning:
//!
//! - `L` below the capacity: one turn of misses, then only hits;
//! - `L` at or above the capacity: the epoch ends before the turn does, and every demand is a miss.
//!
//! Only the first epoch of a phase is shorter, by the addresses that the phase before left in it.

use super::demand::Demand;
use super::{Epochs, STEPS_MAX};
use crate::dataflow::{Operand, Path};

/// Where an operand's sequence repeats: phases of `folds` folds, each repeated.
struct Phases {
    count: u64,
    repeats: u64,
    /// Demands of one repetition; 0 if they differ from phase to phase.
    turn: u64,
}

pub(super) fn epochs(demand: &Demand<'_>, operand: Operand, capacity: u64) -> Option<Epochs> {
    let folds = demand.folds;
    let extent = demand.extent;
    let phases = match demand.dataflow.path(operand) {
        Path::Stays => Phases { count: 1, repeats: 1, turn: extent.rows * extent.columns },
        Path::Right => {
            Phases { count: 1, repeats: folds.columns, turn: extent.rows * extent.stream }
        }
        // One tile for all blocks of rows.
        Path::Down => Phases { count: folds.columns, repeats: folds.rows, turn: 0 },
    };
    if phases.count > STEPS_MAX {
        return None;
    }
    let mut found = Epochs::default();
    let mut held = 0;
    for phase in 0..phases.count {
        let turn =
            if phases.turn > 0 { phases.turn } else { demand.tile(operand, phase, 0).elements() };
        let all = turn * phases.repeats;
        let room = capacity - held;
        if turn < room {
            found.misses += turn;
            held += turn;
            continue;
        }
        // The epoch is full with the demand before number `full` of the phase.
        let (full, misses, rest) = if turn >= capacity {
            let full = room + (all - room) / capacity * capacity;
            (full, all, (all - room) % capacity)
        } else {
            let rest = turn.min(all - room);
            (room, room + rest, rest)
        };
        found.misses += misses;
        found.last_full = Some(cycle(demand, operand, phase, turn, full - 1));
        held = rest;
    }
    Some(found)
}

/// Cycle of the demand with that index in its phase, whose turns have `turn` demands.
fn cycle(demand: &Demand<'_>, operand: Operand, phase: u64, turn: u64, index: u64) -> u64 {
    let folds = demand.folds;
    let (repeat, mut index) = (index / turn, index % turn);
    // All tiles but the last along an axis are alike.
    let fc = match demand.dataflow.path(operand) {
        Path::Stays => {
            let block = demand.extent.rows * demand.extent.columns.min(demand.array.columns());
            let fc = (index / block).min(folds.columns - 1);
            index -= fc * block;
            fc
        }
        Path::Right => repeat,
        Path::Down => {
            let fold = phase * folds.rows + repeat;
            return fold * demand.fold_cycles + demand.tile(operand, phase, 0).cycle_of(index);
        }
    };
    let tile = demand.tile(operand, fc, 0).elements();
    let fr = (index / tile).min(folds.rows - 1);
    let fold = fc * folds.rows + fr;
    fold * demand.fold_cycles + demand.tile(operand, fc, fr).cycle_of(index - fr * tile)
}
