//! One product on one accelerator: what each mapping moves.

use super::inputs::{self, Way};
use super::{LoopOrder, Mapping};
use crate::cycles::{PartialSums, Schedule};
use crate::dataflow::{ArraySize, Dimension, Folds, Operand, Path};
use crate::{Accelerator, Dataflow, GemmShape, Layer};

/// How long elements of an operand stay in their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Until nothing needs them any more.
    Layer,
    /// For one tile.
    Tile,
    /// For one block of the array's rows or columns.
    Block,
}

/// What a layer moves from DRAM, in elements of all groups, and what it keeps meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub ifmap: u64,
    pub ifmap_reuse: Reuse,
    pub filter: u64,
    pub filter_reuse: Reuse,
    /// Partial sums that leave, and come back.
    pub sums: u64,
}

/// A layer's product beside the memories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem<'a> {
    pub layer: &'a Layer,
    pub shape: GemmShape,
    pub dataflow: Dataflow,
    pub array: ArraySize,
    /// Activations that have room while they come from DRAM.
    pub input_room: u64,
    /// The first inputs, which are on the chip already.
    pub found: u64,
    pub(super) weight_bits: u64,
    /// Rows of sums, as wide as the array, that have room.
    pub(super) sum_rows: u64,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        accelerator: &Accelerator,
        schedule: Schedule,
        layer: &'a Layer,
        shape: GemmShape,
        [input_room, found]: [u64; 2],
    ) -> Self {
        let memories = &accelerator.memories;
        let row_bits = accelerator.array.columns() * accelerator.accumulator_bits;
        let sum_rows = match schedule.partial_sums {
            PartialSums::Accumulator => memories.accumulator.bits() / row_bits,
            PartialSums::Spill => 0,
        };
        Self {
            layer,
            shape,
            dataflow: schedule.dataflow,
            array: accelerator.array,
            input_room,
            found: found.min(layer.inputs),
            weight_bits: memories.weight.bits(),
            sum_rows,
        }
    }

    /// The dimension that streams through the array.
    pub(crate) fn streams(&self) -> Dimension {
        self.dataflow.dimensions()[2]
    }

    pub(crate) fn folds(&self) -> Folds {
        Folds::of(self.dataflow.extent(self.shape), self.array)
    }

    /// The array's side that a dimension lies on; 1 for the one that streams.
    fn side(&self, dimension: Dimension) -> u64 {
        let [row, column, _] = self.dataflow.dimensions();
        if dimension == row {
            self.array.rows()
        } else if dimension == column {
            self.array.columns()
        } else {
            1
        }
    }

    /// Tile sizes of `m` and `n` are multiples of these.
    pub(crate) fn steps(&self) -> [u64; 2] {
        [self.side(Dimension::M), self.side(Dimension::N)]
    }

    /// Blocks of a dimension on the array; 1 for the one that streams.
    fn blocks(&self, dimension: Dimension) -> u64 {
        let [m, n, k] = self.shape.sizes();
        let (size, side) = match dimension {
            Dimension::M => (m, self.side(dimension)),
            Dimension::N => (n, self.side(dimension)),
            Dimension::K => (k, self.side(dimension)),
        };
        if self.streams() == dimension { 1 } else { size.div_ceil(side) }
    }

    /// Rows of sums of a tile that wait between folds; 0 if none wait.
    fn rows_waiting(&self, m_tile: u64) -> u64 {
        if self.dataflow.sums_stay() || self.folds().rows == 1 {
            0
        } else if self.streams() == Dimension::M {
            m_tile
        } else {
            self.shape.n()
        }
    }

    /// Largest tile of `m` whose sums have room.
    pub(crate) fn m_tile_for_sums(&self) -> u64 {
        let m = self.shape.m();
        let limited = self.streams() == Dimension::M && self.rows_waiting(1) > 0;
        if limited && self.sum_rows > 0 { m.min(self.sum_rows) } else { m }
    }

    /// Bits of the codes that enter the array side by side.
    fn row_bits(&self) -> u64 {
        let [_, n, k] = self.shape.sizes();
        let (size, side) = match self.dataflow.path(Operand::Filter) {
            Path::Stays | Path::Down => (n, self.array.columns()),
            Path::Right => (k, self.array.rows()),
        };
        size.min(side).saturating_mul(u64::from(self.layer.weight_bits))
    }

    /// Bits of half of the weight memory, in whole rows.
    pub(super) fn half_bits(&self) -> u64 {
        let half = self.weight_bits / 2;
        half - half % self.row_bits()
    }

    /// Bits of the weights of `n` columns.
    fn filter_bits(&self, n: u64) -> u64 {
        let codes = n.saturating_mul(self.shape.k());
        codes.saturating_mul(u64::from(self.layer.weight_bits))
    }

    /// Columns whose weights have room in half of the memory, in whole blocks.
    pub(crate) fn n_tile_for_weights(&self) -> u64 {
        let [_, step] = self.steps();
        self.half_bits() / self.filter_bits(1) / step * step
    }

    /// Whether the weights of the layer, or of one group after the other, stay until nothing needs them.
    pub(super) fn weights_fit(&self) -> bool {
        let group = self.filter_bits(self.shape.n());
        let all = group.saturating_mul(self.shape.groups());
        all <= 2 * self.half_bits() || group <= self.half_bits()
    }

    /// Whether all inputs of a group have room that are not on the chip already.
    pub(crate) fn inputs_fit(&self) -> bool {
        (self.layer.inputs - self.found).div_ceil(self.shape.groups()) <= self.input_room
    }

    /// Whether inputs can slide through the memory under tiles of `m_tile`, which are `aligned` with the
    /// rows of outputs or may begin anywhere.
    pub(crate) fn slides(&self, m_tile: u64, aligned: bool) -> bool {
        inputs::slide(self.layer, self.shape, m_tile, aligned).room <= self.input_room
    }

    /// Whether a band under tiles that are parts of a row has room.
    pub(crate) fn has_band(&self, m_tile: u64) -> bool {
        inputs::band(self.layer, self.shape, m_tile).is_some_and(|way| way.room <= self.input_room)
    }

    pub(super) fn way(&self, m_tile: u64) -> Option<Way> {
        inputs::ways(self.layer, self.shape, m_tile)
            .into_iter()
            .flatten()
            .find(|way| way.room <= self.input_room)
    }

    /// What a mapping moves, were weights and the inputs that are not found in DRAM.
    pub(crate) fn fetched(&self, mapping: Mapping) -> Fetched {
        let [m, n, k] = self.shape.sizes();
        let groups = self.shape.groups();
        let (ifmap, ifmap_reuse) = if self.inputs_fit() {
            (self.layer.inputs - self.found, Reuse::Layer)
        } else if let Some(way) = self.way(mapping.m_tile) {
            let passes = match mapping.order {
                LoopOrder::MOutside => 1,
                LoopOrder::NOutside => n.div_ceil(mapping.n_tile),
            };
            // Where inputs are fetched several times, those found are not told apart.
            let found = if way.once { self.found } else { 0 };
            ((way.fetched - found).saturating_mul(passes), Reuse::Tile)
        } else {
            let rows = m.saturating_mul(k).saturating_mul(groups);
            (rows.saturating_mul(self.blocks(Dimension::N)), Reuse::Block)
        };
        let m_tiles = m.div_ceil(mapping.m_tile);
        let tile_stays = mapping.order == LoopOrder::NOutside
            && self.filter_bits(mapping.n_tile.min(n)) <= self.half_bits();
        let block = self.filter_bits(n.min(self.side(Dimension::N)));
        let (passes, filter_reuse) = if self.weights_fit() || tile_stays {
            (1, Reuse::Layer)
        } else if self.dataflow.sums_stay() && block > self.half_bits() {
            (self.blocks(Dimension::M), Reuse::Block)
        } else {
            (m_tiles, Reuse::Tile)
        };
        Fetched {
            ifmap,
            ifmap_reuse,
            filter: self.layer.weights.saturating_mul(passes),
            filter_reuse,
            sums: self.spilled(mapping),
        }
    }

    /// Sums without room leave and come back between blocks of rows.
    fn spilled(&self, mapping: Mapping) -> u64 {
        let m = self.shape.m();
        let beyond = |m_tile: u64| self.rows_waiting(m_tile).saturating_sub(self.sum_rows);
        let (rows, columns) = if self.streams() == Dimension::M {
            let (whole, rest) = (m / mapping.m_tile, m % mapping.m_tile);
            let rest = if rest > 0 { beyond(rest) } else { 0 };
            (whole.saturating_mul(beyond(mapping.m_tile)).saturating_add(rest), self.shape.n())
        } else {
            (beyond(mapping.m_tile), m)
        };
        let between = self.folds().rows - 1;
        rows.saturating_mul(columns).saturating_mul(between).saturating_mul(self.shape.groups())
    }
}
