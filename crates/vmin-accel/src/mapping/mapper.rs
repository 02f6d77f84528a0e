//! The mapper: which mappings are worth trying, and what they are judged by.
//!
//! In each order of the loops fewer tiles never cost more, as long as the same operands find room. So only
//! the largest tiles that keep something in its memory are tried, at most a dozen mappings. A test compares
//! them with all tile sizes of small layers.

use super::inputs::is_aligned;
use super::{LoopOrder, Mapping, Problem};
use crate::Layer;
use crate::dataflow::Dimension;

/// What the mapper makes least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Energy at the reference voltage, then time.
    #[default]
    Energy,
    /// Time, then energy.
    Time,
    /// Bytes from and to DRAM, then energy.
    Dram,
}

impl Objective {
    /// Every objective with its word.
    pub const ALL: [(&'static str, Self); 3] =
        [("energy", Self::Energy), ("time", Self::Time), ("dram", Self::Dram)];
}

/// What an accelerator file prescribes for mappings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingRules {
    /// What the mapper makes least.
    pub objective: Objective,
    /// For every layer without a rule of its own.
    pub all: Rule,
    /// For layers by name.
    pub layers: Vec<(String, Rule)>,
}

/// What is prescribed of a mapping; the mapper chooses the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The outer loop.
    pub order: Option<LoopOrder>,
    /// Rows of a tile of results, rounded up to whole folds.
    pub m_tile: Option<u64>,
    /// Columns of a tile of results, rounded up to whole folds.
    pub n_tile: Option<u64>,
}

impl MappingRules {
    /// The rule for a layer.
    #[must_use]
    pub fn of(&self, layer: &str) -> Rule {
        let own = self.layers.iter().find(|(name, _)| name == layer);
        own.map_or(self.all, |(_, rule)| *rule)
    }

    /// Names of rules that no layer has.
    pub fn unused<'a>(&'a self, layers: &'a [Layer]) -> impl Iterator<Item = &'a str> {
        let names = self.layers.iter().map(|(name, _)| name.as_str());
        names.filter(|name| layers.iter().all(|layer| layer.name != *name))
    }
}

/// Mappings of one layer that are worth trying, at least one; the first is the one with the fewest tiles.
pub(crate) fn candidates(problem: &Problem<'_>, rule: Rule) -> Vec<Mapping> {
    let [m, n, _] = problem.shape.sizes();
    if problem.streams() == Dimension::N {
        let [step, _] = problem.steps();
        return vec![Mapping { order: LoopOrder::MOutside, m_tile: step.min(m), n_tile: n }];
    }
    let mut found = Vec::new();
    let mut add = |order: LoopOrder, m_tile: u64, n_tile: u64| {
        // One tile of m or of n has no second loop.
        let order = if m_tile >= m || n_tile >= n { LoopOrder::MOutside } else { order };
        let n_tile = if order == LoopOrder::MOutside { n } else { n_tile };
        let mapping = Mapping { order: rule.order.unwrap_or(order), m_tile, n_tile };
        if !found.contains(&mapping) {
            found.push(mapping);
        }
    };
    // A tile of n is something only where tiles of n are outside.
    let implied = rule.n_tile.map(|_| LoopOrder::NOutside);
    let rule = Rule { order: rule.order.or(implied), ..rule };
    let m_tiles = m_tiles(problem, rule);
    let n_tile = match rule.n_tile {
        Some(n_tile) => up(n_tile, problem.steps()[1]).min(n),
        None => problem.n_tile_for_weights().min(n),
    };
    for &m_tile in &m_tiles {
        if rule.order != Some(LoopOrder::NOutside) {
            add(LoopOrder::MOutside, m_tile, n);
        }
        if rule.order != Some(LoopOrder::MOutside) && n_tile > 0 {
            add(LoopOrder::NOutside, m_tile, n_tile);
        }
    }
    if found.is_empty() {
        // Not one block of columns has room beside the next: no order keeps weights.
        found.extend(m_tiles.iter().map(|&m_tile| Mapping {
            order: LoopOrder::MOutside,
            m_tile,
            n_tile: n,
        }));
    }
    found
}

/// Tile sizes of `m`, those with the fewest tiles first.
fn m_tiles(problem: &Problem<'_>, rule: Rule) -> Vec<u64> {
    let m = problem.shape.m();
    let [step, _] = problem.steps();
    if let Some(m_tile) = rule.m_tile {
        return vec![up(m_tile, step).min(m)];
    }
    let most = problem.m_tile_for_sums();
    let mut tiles = vec![largest(m, most, step, |_| true).unwrap_or_else(|| step.min(m))];
    if problem.inputs_fit() {
        return tiles;
    }
    // The largest whose inputs have room; the same of whole rows of outputs, or of parts of a row.
    tiles.extend(largest(m, most, step, |m_tile| problem.slides(m_tile, false)));
    if let Some(window) = &problem.layer.window {
        let [_, columns] = window.output;
        tiles.extend(largest(m, most, lcm(columns, step), |m_tile| problem.slides(m_tile, true)));
        let parts: Vec<u64> = (1..=columns.min(most))
            .rev()
            .filter(|part| columns.is_multiple_of(*part) && part.is_multiple_of(step))
            .collect();
        tiles.extend(parts.iter().find(|part| problem.slides(**part, true)));
        tiles.extend(parts.iter().find(|part| problem.has_band(**part)));
    }
    tiles.sort_unstable_by(|a, b| b.cmp(a));
    tiles.dedup();
    // Where a stride skips inputs, the rows of the activation matrix can be fewer bytes than the image, and it is
    // better that no input stays. So two tiles are tried whose inputs need most room: the largest, and the largest
    // that is not aligned with rows of outputs.
    if let Some(window) = &problem.layer.window {
        let largest = (most / step * step).max(step).min(m);
        let [_, columns] = window.output;
        let smaller = (1..=most / step).rev().map(|steps| steps * step);
        // Of more tiles than a row has outputs, one is not aligned, or none is.
        let mut smaller = smaller.take(columns as usize + 1);
        let unaligned = smaller.find(|m_tile| !is_aligned(window, *m_tile));
        for m_tile in [largest].into_iter().chain(unaligned) {
            if !tiles.contains(&m_tile) {
                tiles.push(m_tile);
            }
        }
    }
    tiles
}

fn up(size: u64, step: u64) -> u64 {
    size.max(1).div_ceil(step).saturating_mul(step)
}

/// Tiles of `m` of equal size, as few as `fits` allows if it holds for all smaller sizes: a multiple of
/// `step` up to `most`, or `m` itself.
fn largest(m: u64, most: u64, step: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if most >= m && fits(m) {
        return Some(m);
    }
    let (mut low, mut high) = (0, most.min(m) / step);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle * step) { low = middle } else { high = middle - 1 }
    }
    let steps = m.div_ceil(step);
    (low > 0).then(|| steps.div_ceil(steps.div_ceil(low)) * step)
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
