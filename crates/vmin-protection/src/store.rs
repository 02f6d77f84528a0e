//! How bits are stored over a known fault map: in which rows, at which bits of a word, in which sense, and as
//! which codes.
//!
//! ```text
//!  cell at a position ── row table ──> row of the order ── rotation ──> bit of a code ── flag of the row ──> sense
//!                                        which code of its tensor: order of channels
//! ```
//!
//! A position counts the cells of a memory in linear order (`vmin_accel::placement::AddressMap`). Rules decide
//! one after the other, from the cells outwards; each sees the known faults as the earlier ones let them
//! through.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use vmin_sram::{CellEffect, Fault};

use crate::words::{CodeBit, Mask, Scheme, Stored, Stores};

/// One way of storing bits over a known fault map.
pub trait StoreRule: fmt::Debug + Send + Sync {
    /// Decides for a chip, after the rules before it.
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage);

    /// True if it can only do something about cells that hold a value.
    fn needs_held_values(&self) -> bool {
        false
    }

    /// True if it writes codes that read right, or nearly so, over the faulty cells.
    fn writes_around(&self) -> bool {
        false
    }

    /// Images on which the moments of inputs are measured, if it needs them.
    fn calibration_images(&self) -> Option<u32> {
        None
    }
}

/// How much wrong codes of a tensor hurt: the squared error of the value, weighted by what a step of its channel
/// counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The value of each code.
    values: Vec<i16>,
    /// Weight of a squared error of one step, for equally long runs of codes (one run per channel).
    weights: Vec<u64>,
    /// Codes of a run.
    run: usize,
    /// Codes by value, then by code.
    by_value: Vec<u32>,
    /// The place of each code among them.
    places: Vec<usize>,
}

impl Damage {
    /// For `codes` codes with these values, at most 2^16 of them; one weight per channel, or one for all.
    #[must_use]
    pub fn new(values: Vec<i16>, weights: Vec<u64>, codes: usize) -> Self {
        let run = codes.div_ceil(weights.len().max(1)).max(1);
        let mut by_value: Vec<u32> = (0..).take(values.len()).collect();
        by_value.sort_by_key(|&code| values[code as usize]);
        let mut places = vec![0; values.len()];
        for (place, &code) in by_value.iter().enumerate() {
            places[code as usize] = place;
        }
        Self { values, weights, run, by_value, places }
    }

    /// Weight of a squared error of one step at the place of code number `code`.
    #[must_use]
    pub fn weight(&self, code: usize) -> u64 {
        self.weights.get(code / self.run).copied().unwrap_or(1)
    }

    /// The damage if at the place of code number `code` `wanted` reads as `read`.
    #[must_use]
    pub fn of(&self, code: usize, wanted: u32, read: u32) -> u64 {
        let error = self.value(wanted).abs_diff(self.value(read));
        error * error * self.weight(code)
    }

    /// The value of a code.
    #[must_use]
    pub fn value(&self, code: u32) -> i64 {
        self.values.get(code as usize).copied().map_or(0, i64::from)
    }

    /// The lowest and the highest value.
    #[must_use]
    pub fn range(&self) -> [i64; 2] {
        let end = |code: Option<&u32>| code.map_or(0, |&code| self.value(code));
        [end(self.by_value.first()), end(self.by_value.last())]
    }

    /// The least code of a value in the range.
    #[must_use]
    pub fn code(&self, value: i64) -> u32 {
        let place = self.by_value.partition_point(|&code| self.value(code) < value);
        self.by_value.get(place).copied().unwrap_or(0)
    }

    /// The code to write so that what is read is as near to `wanted` as the cells allow: of two equally near
    /// that of the smaller magnitude, of two codes of one value the smaller. Cells that invert are written
    /// inverted.
    #[must_use]
    pub fn closest(&self, wanted: u32, mask: Mask<u32>) -> u32 {
        let Some(&place) = self.places.get(wanted as usize) else { return wanted };
        // As many codes as bits allow.
        let all = self.values.len() as u32 - 1;
        if mask.can_read(wanted, all) {
            return mask.to_write(wanted) & all;
        }
        let can_read = |code: &&u32| mask.can_read(**code, all);
        let first_of = |found: u32, rest: &mut dyn Iterator<Item = &u32>| {
            let same = rest.take_while(|&&code| self.value(code) == self.value(found));
            same.filter(|code| mask.can_read(**code, all))
                .fold(found, |least, &code| least.min(code))
        };
        let mut above = self.by_value[place..].iter();
        let above = above.find(can_read).map(|&found| first_of(found, &mut above));
        let mut below = self.by_value[..place].iter().rev();
        let below = below.find(can_read).map(|&found| first_of(found, &mut below));
        let found = above.into_iter().chain(below);
        let nearest = found.min_by_key(|&read| {
            let value = self.value(read);
            (self.value(wanted).abs_diff(value), value.abs(), read)
        });
        nearest.map_or(wanted, |read| mask.to_write(read) & all)
    }
}

/// How the inputs of a tensor's codes vary together: for each pair of codes of a channel the mean product of their
/// inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    side: usize,
    of: Vec<i32>,
}

impl Moments {
    /// Matrices of `side` rows, one behind the other: one for all channels, or one per channel.
    #[must_use]
    pub fn new(side: usize, of: Vec<i32>) -> Self {
        Self { side, of }
    }

    /// Codes of a channel; 0 if nothing is known of their inputs.
    #[must_use]
    pub const fn side(&self) -> usize {
        self.side
    }

    /// The matrix of a channel, row by row.
    #[must_use]
    pub fn channel(&self, channel: usize) -> &[i32] {
        let length = self.side * self.side;
        if self.of.len() == length { &self.of } else { &self.of[channel * length..][..length] }
    }
}

/// What is expected to go wrong where values are not known: squared errors by the significance of the bit.
/// A held cell is wrong half of the time, one above the lowest `used_bits` is never read.
fn expected(mask: Mask<u32>, used_bits: u8) -> u128 {
    let bits = (0..used_bits.min(32)).filter(|bit| mask.cells() >> bit & 1 == 1);
    bits.map(|bit| (1 + u128::from(mask.inverting() >> bit & 1)) << (2 * bit)).sum()
}

/// What lies in a memory at a time.
pub struct Content<'a> {
    /// Its number among the contents of its memory.
    pub number: u32,
    /// Which bit lies at which position of the order.
    pub stores: &'a dyn Stores,
    /// The codes to be written, by tensor and number, where they are known.
    pub codes: Option<&'a dyn Fn(usize, usize) -> u32>,
    /// Known faults of data cells, by position.
    pub known: Vec<Fault>,
    /// Known faults of check bits, by position among check bits, without a row table.
    pub known_checks: Vec<Fault>,
    /// The rows of the order in which something lies, rising.
    pub rows: Vec<u64>,
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A memory of a chip with its known faults and with what is to be stored there.
pub struct KnownChip<'a> {
    /// Everything that lies there at some time.
    pub contents: Vec<Content<'a>>,
    /// Where cells lie.
    pub cells: CellPlaces<'a>,
    /// All tensors.
    pub tensors: &'a [Stored],
    /// Damage of wrong codes, per tensor; none where values are not known.
    pub damage: &'a [Damage],
    /// Moments of inputs, per tensor; none where they were not measured.
    pub moments: &'a [Moments],
    /// Bits of a code that are read, the lowest; cells above hold nothing of it.
    pub used_bits: u8,
    /// How words become codes.
    pub scheme: &'a Scheme,
    /// Channels whose order is free.
    pub channels: &'a [Channels],
    /// True if a rule writes around faulty cells, after those that only lay bits.
    pub writes_around: bool,
    /// Whether what is decided is of no use any more: then rules may leave a storage half decided.
    pub stop: &'a AtomicBool,
}

impl fmt::Debug for KnownChip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownChip").field("contents", &self.contents).finish_non_exhaustive()
    }
}

/// Channels that may change places together, in all tensors that have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// How many.
    pub count: usize,
    /// Where the codes of each channel are.
    pub axes: Vec<Axis>,
}

/// An axis of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Axis {
    /// The tensor.
    pub tensor: usize,
    /// Codes from one channel to the next.
    pub stride: usize,
}

/// Rows and banks of positions.
#[derive(Clone, Copy)]
pub struct CellPlaces<'a> {
    /// Cells of a row.
    pub columns: u64,
    /// Rows of all banks.
    pub rows: u64,
    /// The bank of a row.
    pub bank: &'a dyn Fn(u64) -> u32,
}

/// A faulty cell under a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellUnder {
    /// Its row in the memory, by position.
    pub row: u64,
    /// The bit that it holds.
    pub held: CodeBit,
    /// What it does to what was written, whatever the flag of its row.
    pub effect: CellEffect,
}

impl KnownChip<'_> {
    /// True once `stop` was set.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The known faulty cells under codes of a content, as the rows and rotations decided so far place them.
    #[must_use]
    pub fn cells_under(&self, content: &Content<'_>, storage: &Storage) -> Vec<CellUnder> {
        let of = |fault: &Fault| {
            let position =
                storage.landed(content.stores, self.tensors, self.cells, fault.address)?;
            let held = storage.ordered(content.stores).held(position)?;
            let row = fault.address / self.cells.columns;
            Some(CellUnder { row, held, effect: fault.effect })
        };
        content.known.iter().filter_map(of).collect()
    }

    /// The damage to a code that is left with these cells.
    #[must_use]
    pub fn harm(
        &self,
        content: &Content<'_>,
        (tensor, code): (usize, usize),
        mask: Mask<u32>,
    ) -> u128 {
        let (Some(codes), Some(damage)) = (content.codes, self.damage.get(tensor)) else {
            return expected(mask, self.used_bits);
        };
        let wanted = codes(tensor, code);
        let written = if self.writes_around { damage.closest(wanted, mask) } else { wanted };
        damage.of(code, wanted, mask.read(written)).into()
    }

    /// The damage to all codes that is left, as words do not see it.
    #[must_use]
    pub fn total_harm(&self, storage: &Storage) -> u128 {
        let of_content = |content: &Content<'_>| -> u128 {
            let masks = self.masks(content, storage);
            masks.into_iter().map(|(code, mask)| self.harm(content, code, mask)).sum()
        };
        self.contents.iter().map(of_content).sum()
    }

    /// The known faulty cells of each code, with the flags of rows decided so far.
    #[must_use]
    pub fn masks(
        &self,
        content: &Content<'_>,
        storage: &Storage,
    ) -> BTreeMap<(usize, usize), Mask<u32>> {
        let mut masks = BTreeMap::new();
        for CellUnder { row, held, effect } in self.cells_under(content, storage) {
            let inverted = storage.is_inverted(content.number, row);
            let mask = masks.entry((held.tensor, held.code)).or_insert(Mask::NONE);
            mask.add(held.bit.into(), effect.seen_through(inverted));
        }
        masks
    }
}

/// How the bits of a memory are stored on one chip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Which row of the memory holds a row of the order.
    pub rows: Option<RowTable>,
    /// Channels that lie in another order, by axis.
    pub channels: Vec<ChannelOrder>,
    /// How far codes are rotated toward their most significant bit, by bank and by the column at which they
    /// begin.
    pub rotations: Vec<Rotation>,
    /// What is written for each content, by its number.
    pub contents: BTreeMap<u32, Written>,
}

/// The order of the channels along an axis: which channel lies at each place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChannelOrder {
    /// The axis.
    pub axis: Axis,
    /// Each channel once.
    pub order: Vec<usize>,
}

impl ChannelOrder {
    /// The code that lies at the place of code number `place`.
    pub(crate) fn code(&self, place: usize) -> usize {
        let at = place / self.axis.stride % self.order.len();
        place - at * self.axis.stride + self.order[at] * self.axis.stride
    }
}

/// What lies in a memory where channels are in the order of a storage.
#[derive(Clone, Copy)]
pub struct Ordered<'a> {
    stores: &'a dyn Stores,
    storage: &'a Storage,
}

impl Stores for Ordered<'_> {
    fn held(&self, address: u64) -> Option<CodeBit> {
        let held = self.stores.held(address)?;
        Some(CodeBit { code: self.storage.code_at(held.tensor, held.code), ..held })
    }
}

/// The rotation of the codes that begin at a column of a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rotation {
    /// The bank.
    pub bank: u32,
    /// The column, by position.
    pub column: u64,
    /// Bits to rotate by; of a narrower code, the remainder by its width.
    pub bits: u8,
}

/// What is written for one content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Rows of the memory that are stored inverted, by position, rising.
    pub inverted_rows: Vec<u64>,
    /// Codes that are written in place of others: tensor, code, what is written. Rising.
    pub codes: Vec<(usize, usize, u32)>,
}

/// Which row of the memory holds a row of the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct RowTable {
    /// Rows of the order with theirs of the memory, rising.
    pairs: Vec<(u64, u64)>,
    /// The same, rising by row of the memory.
    inverse: Vec<(u64, u64)>,
}

impl From<Vec<(u64, u64)>> for RowTable {
    fn from(mut pairs: Vec<(u64, u64)>) -> Self {
        pairs.sort_unstable();
        let mut inverse: Vec<_> = pairs.iter().map(|&(order, memory)| (memory, order)).collect();
        inverse.sort_unstable();
        Self { pairs, inverse }
    }
}

impl From<RowTable> for Vec<(u64, u64)> {
    fn from(table: RowTable) -> Self {
        table.pairs
    }
}

/// The second of the pair that begins with `first`.
fn looked_up(pairs: &[(u64, u64)], first: u64) -> Option<u64> {
    let found = pairs.binary_search_by_key(&first, |&(key, _)| key).ok()?;
    Some(pairs[found].1)
}

impl RowTable {
    /// Rows of the order with the rows of the memory that hold them.
    #[must_use]
    pub fn pairs(&self) -> &[(u64, u64)] {
        &self.pairs
    }

    /// The row of the memory that holds a row of the order.
    #[must_use]
    pub fn row_of(&self, order: u64) -> Option<u64> {
        looked_up(&self.pairs, order)
    }

    /// The row of the order that lies in a row of the memory, if one does.
    #[must_use]
    pub fn order_of(&self, row: u64) -> Option<u64> {
        looked_up(&self.inverse, row)
    }
}

impl Storage {
    /// True if everything is stored as it stands.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The code that lies where, without orders of channels, code number `place` of a tensor would.
    #[must_use]
    pub fn code_at(&self, tensor: usize, place: usize) -> usize {
        let first = self.channels.partition_point(|of| of.axis.tensor < tensor);
        let of_tensor = self.channels[first..].iter().take_while(|of| of.axis.tensor == tensor);
        of_tensor.fold(place, |code, of| of.code(code))
    }

    /// What lies where, with the orders of channels.
    #[must_use]
    pub fn ordered<'a>(&'a self, stores: &'a dyn Stores) -> Ordered<'a> {
        Ordered { stores, storage: self }
    }

    /// The codes that are written in place of others while a content lies there: tensor, code, what is written.
    #[must_use]
    pub fn codes(&self, content: u32) -> &[(usize, usize, u32)] {
        self.contents.get(&content).map_or(&[], |written| &written.codes)
    }

    /// Whether a row of the memory is stored inverted while a content lies there.
    #[must_use]
    pub fn is_inverted(&self, content: u32, row: u64) -> bool {
        let of = self.contents.get(&content);
        of.is_some_and(|written| written.inverted_rows.binary_search(&row).is_ok())
    }

    /// The lane of the codes that begin at this position of the order: bank and column.
    #[must_use]
    pub fn lane(&self, cells: CellPlaces<'_>, first: u64) -> Option<(u32, u64)> {
        let row = first / cells.columns;
        let row = self.rows.as_ref().map_or(Some(row), |table| table.row_of(row));
        Some(((cells.bank)(row?), first % cells.columns))
    }

    /// Bits by which the codes that begin at this position of the order are rotated.
    fn rotation(&self, cells: CellPlaces<'_>, first: u64) -> u8 {
        if self.rotations.is_empty() {
            return 0;
        }
        let Some(lane) = self.lane(cells, first) else { return 0 };
        let found = self.rotations.binary_search_by_key(&lane, |of| (of.bank, of.column));
        found.map_or(0, |index| self.rotations[index].bits)
    }

    /// The position of the cell that holds a bit of the code of `bits` bits that begins at the position `first` of
    /// the order; none if its row is not in use.
    #[must_use]
    pub fn placed(&self, cells: CellPlaces<'_>, first: u64, bit: u8, bits: u8) -> Option<u64> {
        let bits = bits.max(1);
        let by = self.rotation(cells, first) % bits;
        let position = first + u64::from((bit + by) % bits);
        let (row, column) = (position / cells.columns, position % cells.columns);
        let row = self.rows.as_ref().map_or(Some(row), |table| table.row_of(row))?;
        Some(row * cells.columns + column)
    }

    /// The position in the order that the cell at `position` holds; none if its row is not in use.
    #[must_use]
    pub fn landed(
        &self,
        stores: &dyn Stores,
        tensors: &[Stored],
        cells: CellPlaces<'_>,
        position: u64,
    ) -> Option<u64> {
        let columns = cells.columns;
        let position = match &self.rows {
            None => position,
            Some(table) => table.order_of(position / columns)? * columns + position % columns,
        };
        let Some(held) = stores.held(position) else { return Some(position) };
        let first = position - u64::from(held.bit);
        let bits = tensors.get(held.tensor).map_or(1, |stored| stored.bits).max(1);
        let by = self.rotation(cells, first) % bits;
        // A cell that is `by` bits higher holds the bit.
        Some(first + u64::from((held.bit + bits - by) % bits))
    }

    /// The faults of data cells, given by position, as they act on the order.
    #[must_use]
    pub fn data_faults(
        &self,
        content: u32,
        stores: &dyn Stores,
        tensors: &[Stored],
        cells: CellPlaces<'_>,
        faults: Vec<Fault>,
    ) -> Vec<Fault> {
        if self.is_plain() {
            return faults;
        }
        let of = |fault: Fault| {
            let row = fault.address / cells.columns;
            let address = self.landed(stores, tensors, cells, fault.address)?;
            let effect = fault.effect.seen_through(self.is_inverted(content, row));
            Some(Fault { address, effect })
        };
        faults.into_iter().filter_map(of).collect()
    }

    /// The faults of check bits, given by position in rows of `columns` cells, as they act on the order: they
    /// move with the rows of their words.
    #[must_use]
    pub fn check_faults(&self, columns: u64, faults: Vec<Fault>) -> Vec<Fault> {
        let Some(table) = &self.rows else { return faults };
        let of = |fault: Fault| {
            let row = table.order_of(fault.address / columns)?;
            Some(Fault { address: row * columns + fault.address % columns, ..fault })
        };
        faults.into_iter().filter_map(of).collect()
    }
}
