//! An epoch FIFO over overlapping windows that do not fit: every demand, one stamp per address.
//!
//! A stamp is the number of the epoch in which an address was last read; forgetting an epoch is one
//! addition. The stream repeats for every block of columns, and the contents of an epoch depend only on
//! where in the stream it began: as soon as a block begins as an earlier one did, the rest is
//! arithmetic.

use super::Epochs;
use super::demand::{Demand, Tile};
use crate::dataflow::{Dimension, Operand, Path};

/// Most demands walked for one layer; a second.
pub(super) const WALK_MAX: u64 = 1 << 29;

/// Most addresses with a stamp, and most windows and elements of a window with an offset: some 100 MiB.
const ADDRESSES_MAX: u64 = 1 << 26;
const OFFSETS_MAX: u64 = 1 << 21;

struct Walk {
    stamps: Vec<u16>,
    epoch: u16,
    capacity: u64,
    /// Misses until the epoch is full.
    room: u64,
    misses: u64,
    last_full: Option<u64>,
    /// Demands since the block of columns began, with and after which the epoch was full last.
    position: u64,
}

impl Walk {
    fn forget(&mut self, cycle: u64) {
        self.misses += self.capacity;
        self.room = self.capacity;
        self.last_full = Some(cycle);
        if self.epoch == u16::MAX {
            self.stamps.fill(0);
            self.epoch = 0;
        }
        self.epoch += 1;
    }

    /// One demand; true if the epoch is full with it.
    #[inline(always)]
    fn visit(&mut self, address: usize) -> bool {
        let Some(stamp) = self.stamps.get_mut(address) else { return false };
        let miss = *stamp != self.epoch;
        *stamp = self.epoch;
        self.room -= u64::from(miss);
        self.room == 0
    }
}

/// Word offsets of windows and of elements in a window; their sums are addresses.
struct Offsets {
    windows: Vec<usize>,
    elements: Vec<usize>,
    /// With windows beyond the edge only.
    edge: Option<Edge>,
}

/// Positions that tell whether an element lies on the input.
struct Edge {
    windows: Vec<[u64; 2]>,
    elements: Vec<[u64; 2]>,
    input: [u64; 2],
}

impl Offsets {
    fn new(demand: &Demand<'_>) -> Option<Self> {
        let window = demand.window;
        let word = |[y, x]: [u64; 2], channel: u64| {
            usize::try_from((y * window.input[1] + x) * window.channels + channel).ok()
        };
        let pixels: Vec<_> = (0..window.count()).map(|i| window.origin(i)).collect();
        let elements: Vec<_> = (0..window.length()).map(|j| window.element(j)).collect();
        Some(Self {
            windows: pixels.iter().map(|pixel| word(*pixel, 0)).collect::<Option<_>>()?,
            elements: elements.iter().map(|(at, c)| word(*at, *c)).collect::<Option<_>>()?,
            edge: window.overhangs().then(|| Edge {
                windows: pixels,
                elements: elements.iter().map(|(at, _)| *at).collect(),
                input: window.input,
            }),
        })
    }

    #[inline(always)]
    fn address<const EDGE: bool>(&self, i: usize, j: usize) -> Option<usize> {
        if EDGE && let Some(edge) = &self.edge {
            let (pixel, element) = (edge.windows[i], edge.elements[j]);
            if pixel[0] + element[0] >= edge.input[0] || pixel[1] + element[1] >= edge.input[1] {
                return None;
            }
        }
        Some(self.windows[i] + self.elements[j])
    }
}

/// The epochs of the activations, or `None` beyond [`WALK_MAX`].
pub(super) fn epochs(demand: &Demand<'_>, capacity: u64) -> Option<Epochs> {
    let window = demand.window;
    let addresses = window.input[0] * window.input[1] * window.channels;
    let steps = window.count().checked_mul(window.length())?;
    let offsets = window.count().max(window.length());
    if addresses > ADDRESSES_MAX || offsets > OFFSETS_MAX || steps > WALK_MAX {
        return None;
    }
    let walk = Walk {
        stamps: vec![0; usize::try_from(addresses).ok()?],
        epoch: 1,
        capacity,
        room: capacity,
        misses: 0,
        last_full: None,
        position: 0,
    };
    let offsets = Offsets::new(demand)?;
    let [_, _, stream] = demand.dataflow.dimensions();
    let windows_step = stream == Dimension::M;
    match (offsets.edge.is_some(), windows_step) {
        (false, false) => turns_of::<false, false>(demand, walk, &offsets, steps),
        (false, true) => turns_of::<false, true>(demand, walk, &offsets, steps),
        (true, false) => turns_of::<true, false>(demand, walk, &offsets, steps),
        (true, true) => turns_of::<true, true>(demand, walk, &offsets, steps),
    }
}

fn turns_of<const EDGE: bool, const WINDOWS_STEP: bool>(
    demand: &Demand<'_>,
    mut walk: Walk,
    offsets: &Offsets,
    steps: u64,
) -> Option<Epochs> {
    let turns = demand.dataflow.passes(Operand::Ifmap, demand.folds);
    match demand.dataflow.path(Operand::Ifmap) {
        Path::Stays | Path::Down => {
            if steps.checked_mul(turns).is_none_or(|steps| steps > WALK_MAX) {
                return None;
            }
            for fc in 0..demand.folds.columns {
                block::<EDGE, WINDOWS_STEP>(demand, &mut walk, offsets, fc, fc);
            }
            return Some(found(&walk));
        }
        // Every block of columns requests the same addresses.
        Path::Right => {}
    }
    // (position at which the epoch began, misses so far, last full cycle) after each turn.
    let mut begins: Vec<(u64, u64, u64)> = Vec::new();
    let turn_cycles = demand.folds.rows * demand.fold_cycles;
    let mut walked: u64 = 0;
    for turn in 0..turns {
        walked = walked.saturating_add(steps);
        if walked > WALK_MAX {
            return None;
        }
        walk.position = u64::MAX;
        block::<EDGE, WINDOWS_STEP>(demand, &mut walk, offsets, 0, turn);
        let now = found(&walk);
        let state = (walk.position, now.misses, now.last_full.unwrap_or(0));
        let left = turns - 1 - turn;
        // All addresses together overfill an epoch, so one ends in every turn after the first.
        let seen = begins.iter().position(|begin| walk.position != u64::MAX && begin.0 == state.0);
        if let Some(earlier) = seen {
            let (before, period) = (begins[earlier], (begins.len() - earlier) as u64);
            let after = (earlier as u64) + left % period;
            let end = *begins.get(usize::try_from(after).ok()?).unwrap_or(&state);
            let misses = state.1 + left / period * (state.1 - before.1) + (end.1 - before.1);
            // The last epoch of the last turn ends where it did in the turn that it repeats.
            let last_full = end.2 + (turn + left - after) * turn_cycles;
            return Some(Epochs { misses, last_full: Some(last_full) });
        }
        begins.push(state);
    }
    Some(found(&walk))
}

fn found(walk: &Walk) -> Epochs {
    Epochs { misses: walk.misses + (walk.capacity - walk.room), last_full: walk.last_full }
}

/// All folds of one block of columns, at the time of block `turn`.
fn block<const EDGE: bool, const WINDOWS_STEP: bool>(
    demand: &Demand<'_>,
    walk: &mut Walk,
    offsets: &Offsets,
    fc: u64,
    turn: u64,
) {
    let index = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let mut first = 0;
    for fr in 0..demand.folds.rows {
        let start = (turn * demand.folds.rows + fr) * demand.fold_cycles;
        let tile = demand.tile(Operand::Ifmap, fc, fr);
        match tile {
            Tile::Held { first_row, rows, first_lane, lanes, end } => {
                for row in (0..rows).rev() {
                    for lane in first_lane..first_lane + lanes {
                        let (i, j) = (index(lane), index(first_row + row));
                        let Some(address) = offsets.address::<EDGE>(i, j) else { continue };
                        if walk.visit(address) {
                            walk.forget(start + end - 1 - row);
                        }
                    }
                }
            }
            Tile::Skewed { prefix, first_lane, skew } => {
                let (lanes, steps) = (index(skew.lanes), index(skew.steps));
                let base = index(first_lane);
                for cycle in 0..lanes + steps - 1 {
                    let from = (cycle + 1).saturating_sub(steps);
                    for lane in from..lanes.min(cycle + 1) {
                        let step = cycle - lane;
                        let (i, j) =
                            if WINDOWS_STEP { (step, base + lane) } else { (base + lane, step) };
                        let Some(address) = offsets.address::<EDGE>(i, j) else { continue };
                        if walk.visit(address) {
                            walk.forget(start + prefix + cycle as u64);
                            walk.position =
                                first + skew.before(cycle as u64) + (lane - from) as u64;
                        }
                    }
                }
            }
        }
        first += tile.elements();
    }
}
