//! The memories of one chip, read through their protection: one way for all of them, and a shortcut for those
//! without protection.
//!
//! ```text
//!  source ─> cells of data, check bits, spare lines         (opened once per chip: `Array`)
//!               │ supplies: rails pick the supply of each cell, spares replace lines
//!               v
//!            faults by position                             (per content and read: `Powered::faults`)
//!               │ store rules, words
//!               v
//!            codes as read                                  (`weights`, `activations`, `sums`)
//! ```

pub(crate) mod activations;
mod contents;
pub(crate) mod image;
pub(crate) mod sums;
mod transient;
pub(crate) mod weights;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::AddressMap;
use vmin_accel::{Memory, MemoryAt};
use vmin_protection::mechanisms::{Repair, SpareFaults, SpareLines, repaired_faults};
use vmin_protection::rails::{RailCells, RailPlace, Supplies, banks_on_rail, weakest_banks};
use vmin_protection::store::{CellPlaces, Channels, Content, Damage, KnownChip, Moments, Storage};
use vmin_protection::words::{
    CodeBit, Codes, ReadError, Scheme, Stored, Stores, Words, check_widths, compile,
};
use vmin_protection::{KnownAt, Protection, Stages};
use vmin_sram::{ApplyError, ChipKey, Fault, Geometry, GeometryError, SampleError, Threshold};

use crate::deployment::ChipSpec;
use crate::source::{CellSource, Cells, Errors, Site, faults};
pub(crate) use contents::Contents;
use contents::{CheckBits, Empty, InCells, InWords};
use image::{FaultSite, Image, ImageError, Laid};
use transient::AnyBit;

/// Why protection does not fit a network in a memory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectedError {
    /// Words do not divide rows or accesses.
    #[error(
        "words of {data_bits} data bits do not divide rows of {columns} cells and accesses of {word_bits} bits"
    )]
    Word {
        /// Data bits of a word.
        data_bits: u32,
        /// Cells of a row.
        columns: u32,
        /// Bits of an access.
        word_bits: u64,
    },
    /// Words do not divide the halves that streamed weights pass through.
    #[error("words of {data_bits} data bits do not divide halves of {half_bits} bits")]
    Half {
        /// Data bits of a word.
        data_bits: u32,
        /// Bits of half of the weight memory.
        half_bits: u64,
    },
    /// A word holds parts of several sums.
    #[error(
        "words of {data_bits} data bits do not divide partial sums of 32 bits, which are written one by one"
    )]
    Sum {
        /// Data bits of a word.
        data_bits: u32,
    },
    /// A layer that the network does not have.
    #[error("the network has {layers} layers with weights, there is no layer {layer}")]
    Layer {
        /// What was asked for.
        layer: usize,
        /// Layers with weights.
        layers: usize,
    },
    /// More cells than a memory may have.
    #[error("check bits or spares are too many: {0}")]
    Geometry(#[from] GeometryError),
    /// Words are codes, and codes are of several widths.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The placement is of another network.
    #[error("the placement has {placed} tensors, the network {tensors}")]
    PlacedTensors {
        /// Tensors placed.
        placed: usize,
        /// Weight tensors of the network.
        tensors: usize,
    },
    /// The placement does not fit the network's weights.
    #[error("the placement does not fit the network: {0}")]
    Placement(#[from] ApplyError),
}

/// One memory under its protection.
#[derive(Debug)]
pub(crate) struct Protected {
    memory: Memory,
    stages: Stages,
    data: Geometry,
    check: Option<Geometry>,
    lines: SpareLines,
    /// First cell in a measured map, of the data and of what lies behind all data.
    first_cells: [u64; 2],
    /// Tensors that belong to each layer with weights.
    layers: Vec<Vec<usize>>,
    stored: Vec<Stored>,
    /// Damage of wrong codes, per tensor.
    damage: Vec<Damage>,
    /// Moments of inputs, per tensor, once measured.
    pub(crate) moments: Vec<Moments>,
    /// Bits of a code that are read, the lowest.
    used_bits: u8,
    /// Channels whose order is free.
    channels: Vec<Channels>,
    /// True if what lies there stays for good, so that a test knows what each cell holds.
    lasting: bool,
}

/// What [`Protected::new`] needs to know of a memory.
pub(crate) struct Setup {
    pub(crate) memory: Memory,
    pub(crate) data: Geometry,
    /// Bits that an access moves.
    pub(crate) word_bits: u64,
    /// Runs of cells that are rewritten on their own, if not the whole memory.
    pub(crate) unit_bits: Option<u64>,
    pub(crate) first_cells: [u64; 2],
    pub(crate) layers: Vec<Vec<usize>>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) damage: Vec<Damage>,
    /// Bits of a code that are read, the lowest.
    pub(crate) used_bits: u8,
    pub(crate) channels: Vec<Channels>,
}

impl Protected {
    pub(crate) fn new(protection: &Protection, setup: Setup) -> Result<Self, ProtectedError> {
        let Setup { memory, data, word_bits, unit_bits, first_cells, layers, stored, .. } = setup;
        let Setup { damage, used_bits, channels, .. } = setup;
        let code_bits = stored.iter().find(|stored| stored.codes > 0).map_or(8, |first| first.bits);
        let mut stages = protection.stages(memory, code_bits);
        for rail in &stages.rails {
            let RailCells::Layers(named) = &rail.cells else { continue };
            if let Some(&layer) = named.iter().find(|&&layer| layer > layers.len()) {
                return Err(ProtectedError::Layer { layer, layers: layers.len() });
            }
        }
        check_widths(&stages.scheme, &stored)?;
        let mut check = None;
        if let Scheme::Code { code, words, .. } = &mut stages.scheme {
            let data_bits = code.data_bits();
            let k = u64::from(data_bits);
            let columns = data.columns();
            let fits = u64::from(columns).is_multiple_of(k) && word_bits.is_multiple_of(k);
            if *words == Words::Cells && !fits {
                return Err(ProtectedError::Word { data_bits, columns, word_bits });
            }
            if let Some(half_bits) = unit_bits.filter(|unit| !unit.is_multiple_of(k)) {
                return Err(match memory {
                    Memory::Weight | Memory::Activation => {
                        ProtectedError::Half { data_bits, half_bits }
                    }
                    Memory::Accumulator => ProtectedError::Sum { data_bits },
                });
            }
            if unit_bits.is_some() {
                // A check bit belongs to the cells of a code, whichever passes through them.
                *words = Words::Cells;
            }
            let codes: u64 = stored.iter().map(|stored| stored.codes as u64).sum();
            let count = if *words == Words::Cells { data.cells() / k } else { codes };
            let rows = u64::from(data.banks()) * u64::from(data.rows());
            let columns = (count * u64::from(code.check_bits())).div_ceil(rows).max(1);
            let columns = u32::try_from(columns).unwrap_or(u32::MAX);
            check = Some(Geometry::new(data.banks(), data.rows(), columns)?);
        }
        let lines = stages.spares.map_or(SpareLines { rows: 0, columns: 0 }, |(lines, _)| lines);
        lines.row_geometry(data)?;
        lines.column_geometry(data)?;
        let lasting = unit_bits.is_none();
        Ok(Self {
            memory,
            stages,
            data,
            check,
            lines,
            first_cells,
            layers,
            stored,
            damage,
            moments: Vec::new(),
            used_bits,
            channels,
            lasting,
        })
    }

    /// Width of the widest code.
    pub(crate) fn code_bits(&self) -> u8 {
        self.stored.iter().map(|stored| stored.bits).max().unwrap_or(0)
    }

    pub(crate) const fn geometry(&self) -> Geometry {
        self.data
    }

    /// Images on which moments are to be measured.
    pub(crate) fn calibration_images(&self) -> Option<u32> {
        self.stages.store.iter().filter_map(|rule| rule.calibration_images()).max()
    }

    /// Cells of check bits and spare lines.
    pub(crate) fn extra_cells(&self) -> u64 {
        let spares = [self.lines.row_geometry(self.data), self.lines.column_geometry(self.data)];
        let spares = spares.into_iter().filter_map(|geometry| geometry.ok().flatten());
        self.check.into_iter().chain(spares).map(Geometry::cells).sum()
    }
}

/// Number of banks that hold something.
pub(crate) fn banks_used<'c, 'p: 'c>(
    contents: impl Iterator<Item = &'c Contents<'p>>,
    layout: &AddressMap,
) -> u32 {
    // At most a geometry's banks.
    contents::banks(contents, layout).len() as u32
}

/// An odd number that tells the reads of neighbouring offsets apart: 2^64 over the golden ratio.
const OFFSETS_APART: u64 = 0x9e37_79b9_7f4a_7c15;

/// The arrays of one memory on one chip.
pub(crate) struct Arrays<'c> {
    protected: &'c Protected,
    data: Box<dyn Cells + 'c>,
    check: Option<Box<dyn Cells + 'c>>,
    spare_rows: Option<Box<dyn Cells + 'c>>,
    spare_columns: Option<Box<dyn Cells + 'c>>,
    layout: Cow<'c, AddressMap>,
    /// Chip for reads.
    reads: ChipKey,
    repair: Option<Repair>,
}

impl<'c> Arrays<'c> {
    /// Opens the arrays of a memory; `layout` is that of the data.
    pub(crate) fn open(
        protected: &'c Protected,
        source: &'c dyn CellSource,
        spec: ChipSpec,
        layout: Cow<'c, AddressMap>,
        floor: Threshold,
    ) -> Result<Self, SampleError> {
        let ChipSpec { chip, offset_bits, map_offset, .. } = spec;
        let memory = protected.memory.number();
        let mut next = protected.first_cells[1];
        let mut open = |part: u32, geometry: Option<Geometry>| {
            let Some(geometry) = geometry else { return Ok(None) };
            let first_cell = map_offset + next;
            next += geometry.cells();
            source
                .cells(
                    Site { chip: chip.into(), region: region(memory, part), geometry, first_cell },
                    floor,
                )
                .map(Some)
        };
        let check = open(0, protected.check)?;
        let line = |geometry: Result<Option<Geometry>, GeometryError>| geometry.ok().flatten();
        let spare_rows = open(1, line(protected.lines.row_geometry(protected.data)))?;
        let spare_columns = open(2, line(protected.lines.column_geometry(protected.data)))?;
        let first_cell = map_offset + protected.first_cells[0];
        let site = Site { chip: chip.into(), region: memory, geometry: protected.data, first_cell };
        let data = source.cells(site, floor)?;
        let chip = source.reads(chip) ^ offset_bits.wrapping_mul(OFFSETS_APART);
        let reads = ChipKey { seed: source.seed(), chip, memory };
        Ok(Self { protected, data, check, spare_rows, spare_columns, layout, reads, repair: None })
    }

    /// The errors of the data at a supply.
    pub(crate) fn errors(&self, at: &MemoryAt) -> Errors<'_> {
        self.data.errors(at)
    }

    pub(crate) fn set_layout(&mut self, layout: AddressMap) {
        self.layout = Cow::Owned(layout);
    }

    /// Allocates spare lines by the chip's map at the supplies of the test; `contents` are all that lie there.
    pub(crate) fn test(&mut self, supplies: Option<&Supplies>, contents: &[Contents<'_>]) {
        let (Some(supplies), Some(_)) = (supplies, self.protected.stages.spares) else { return };
        let powered = self.powered(supplies, None, contents, &NEVER);
        let map = |stores: &dyn Stores| {
            let data = self.protected.data;
            powered.on_their_rails(
                &powered.at,
                &powered.at.data,
                data,
                stores,
                |of: &Errors<'_>| of.map(),
            )
        };
        let known = match contents {
            [contents] if self.protected.lasting => {
                map(&InCells { contents, layout: &self.layout })
            }
            _ => map(&Empty),
        };
        let map = |cells: &Option<Box<dyn Cells + 'c>>| {
            cells.as_ref().map_or_else(Vec::new, |cells| cells.errors(supplies.base()).map())
        };
        let (rows, columns) = (map(&self.spare_rows), map(&self.spare_columns));
        let spares = SpareFaults { rows: &rows, columns: &columns };
        let Protected { data, lines, .. } = *self.protected;
        let repair = Repair::allocate(data, lines, &known, spares);
        drop(powered);
        self.repair = Some(repair);
    }

    pub(crate) fn repair(&self) -> Option<&Repair> {
        self.repair.as_ref()
    }

    /// The arrays at these supplies; `known` tells the test that found the fault map. Once `stop` is set, how bits are
    /// stored may be decided by half.
    pub(crate) fn powered<'a>(
        &'a self,
        supplies: &'a Supplies,
        known: Option<&'a KnownAt>,
        contents: &[Contents<'_>],
        stop: &'a AtomicBool,
    ) -> Powered<'a> {
        let tested = known.map_or(supplies, |known| &known.supplies);
        let places = self.protected.stages.rails.iter().map(|rail| match &rail.cells {
            RailCells::All => RailPlace::All,
            RailCells::TopBits(count) => RailPlace::TopBits(*count),
            RailCells::Layers(layers) => {
                let of = |layer: &usize| self.protected.layers.get(layer - 1);
                let mut tensors: Vec<usize> =
                    layers.iter().filter_map(of).flatten().copied().collect();
                tensors.sort_unstable();
                tensors.dedup();
                RailPlace::Tensors(tensors)
            }
            RailCells::WeakestBanks(share) => {
                let used = contents::banks(contents.iter(), &self.layout);
                // At most a geometry's banks.
                let count = banks_on_rail(*share, used.len() as u32) as usize;
                let map = self.data.errors(tested.base()).map();
                RailPlace::Banks(weakest_banks(&map, self.protected.data, &used, count))
            }
        });
        let levels = |supplies: &'a Supplies| {
            let of = |cells: &'a dyn Cells| -> Vec<(usize, Errors<'a>)> {
                supplies.levels().map(|(level, at)| (level, cells.errors(at))).collect()
            };
            let check = self.check.as_deref().map_or_else(Vec::new, of);
            Levels { supplies, data: of(self.data.as_ref()), check }
        };
        Powered {
            arrays: self,
            places: places.collect(),
            at: levels(supplies),
            tested: known.map(|known| (levels(&known.supplies), known.reads)),
            storage: OnceLock::new(),
            stop,
        }
    }
}

/// Number of an array of check bits or spare lines: far from those of data.
const fn region(memory: u32, part: u32) -> u32 {
    0x100 + 0x10 * memory + part
}

/// Errors of the arrays of a memory at one set of supplies.
struct Levels<'a> {
    supplies: &'a Supplies,
    /// At each supply that some cell may hang on.
    data: Vec<(usize, Errors<'a>)>,
    check: Vec<(usize, Errors<'a>)>,
}

/// The arrays of one memory of one chip at one set of supplies.
pub(crate) struct Powered<'a> {
    arrays: &'a Arrays<'a>,
    places: Vec<RailPlace>,
    at: Levels<'a>,
    /// At the supplies of the test that found the fault map, with its reads; none if the map is that of the
    /// supplies themselves.
    tested: Option<(Levels<'a>, u32)>,
    /// How bits are stored, once it was asked for.
    storage: OnceLock<Storage>,
    /// Whether deciding that is of no use any more.
    stop: &'a AtomicBool,
}

/// The stop flag of what decides nothing.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// Number of the first read of a test.
const TEST: u64 = 1 << 63;

/// The faults that a test of `reads` reads finds: every cell that errs at one of them.
fn found_by(errors: &Errors<'_>, key: ChipKey, reads: u32) -> Vec<Fault> {
    let of = |read: u32| faults(&errors.at_read(key, TEST + u64::from(read)));
    let mut found: Vec<Fault> = (0..reads).flat_map(of).collect();
    found.sort_by_key(|fault| fault.address);
    found.dedup_by_key(|fault| fault.address);
    found
}

impl Powered<'_> {
    fn protected(&self) -> &Protected {
        self.arrays.protected
    }

    /// Of the faults on each level those whose cells hang on it.
    fn on_their_rails(
        &self,
        at: &Levels<'_>,
        levels: &[(usize, Errors<'_>)],
        geometry: Geometry,
        stores: &dyn Stores,
        of: impl Fn(&Errors<'_>) -> Vec<Fault>,
    ) -> Vec<Fault> {
        if let [(_, errors)] = levels {
            return of(errors);
        }
        let width = |held: CodeBit| Some((held, self.protected().stored.get(held.tensor)?.bits));
        let level_of = |cell: u64| {
            let bank = geometry.position(cell).map_or(0, |position| position.bank);
            at.supplies.level_of(&self.places, bank, stores.held(cell).and_then(width))
        };
        let mut found = Vec::new();
        for (level, errors) in levels {
            let here = |fault: &Fault| level_of(fault.address) == *level;
            found.extend(of(errors).into_iter().filter(here));
        }
        found
    }

    /// The faults of a content by position, after spares; `of` takes them from the errors of an array, whose
    /// reads have this key.
    fn data_faults(
        &self,
        at: &Levels<'_>,
        contents: &Contents<'_>,
        of: impl Fn(&Errors<'_>, ChipKey) -> Vec<Fault>,
    ) -> Vec<Fault> {
        let Arrays { protected, layout, reads, repair, spare_rows, spare_columns, .. } =
            self.arrays;
        let stores = InCells { contents, layout };
        let mut found =
            self.on_their_rails(at, &at.data, protected.data, &stores, |errors| of(errors, *reads));
        if let Some(repair) = repair {
            let spare = |cells: &Option<Box<dyn Cells + '_>>, part: u32| {
                let key = ChipKey { memory: region(reads.memory, part), ..*reads };
                let cells = cells.as_ref();
                cells.map_or_else(Vec::new, |cells| of(&cells.errors(at.supplies.base()), key))
            };
            let (rows, columns) = (spare(spare_rows, 1), spare(spare_columns, 2));
            let spares = SpareFaults { rows: &rows, columns: &columns };
            found = repaired_faults(protected.data, protected.lines, repair, &found, spares);
        }
        for fault in &mut found {
            fault.address = layout.position(fault.address);
        }
        found
    }

    /// The known faults of a content: of data by position, of check bits by position among check bits.
    fn known(&self, contents: &Contents<'_>) -> [Vec<Fault>; 2] {
        match &self.tested {
            None => {
                let map = |errors: &Errors<'_>, _: ChipKey| errors.map();
                [
                    self.data_faults(&self.at, contents, map),
                    self.check_faults(&self.at, contents, map),
                ]
            }
            Some((at, reads)) => {
                let found = |errors: &Errors<'_>, key: ChipKey| found_by(errors, key, *reads);
                [self.data_faults(at, contents, found), self.check_faults(at, contents, found)]
            }
        }
    }

    /// The faults of a content at a read: of data by position, of check bits by position among check bits.
    fn faults(&self, contents: &Contents<'_>, read: u64, storage: &Storage) -> [Vec<Fault>; 2] {
        let at_read = |errors: &Errors<'_>, key: ChipKey| faults(&errors.at_read(key, read));
        let data = self.data_faults(&self.at, contents, at_read);
        let check = self.check_faults(&self.at, contents, at_read);
        if storage.is_plain() {
            return [data, check];
        }
        let Protected { stored, check: beside, .. } = self.protected();
        let stores = InWords { contents, layout: &self.arrays.layout };
        let bank = |row| self.bank(row);
        let data = storage.data_faults(contents.number, &stores, stored, self.cells(&bank), data);
        let columns = beside.map_or(1, |geometry| u64::from(geometry.columns()));
        // Check bits of codes are not in the rows of their codes.
        let of_rows = self.words() == Some(Words::Cells);
        let check = if of_rows { storage.check_faults(columns, check) } else { check };
        [data, check]
    }

    fn words(&self) -> Option<Words> {
        match &self.protected().stages.scheme {
            Scheme::Code { words, .. } => Some(*words),
            Scheme::Plain | Scheme::Detecting(_) => None,
        }
    }

    /// The bank of a row, by position.
    fn bank(&self, row: u64) -> u32 {
        let Protected { data, .. } = self.protected();
        let layout = &self.arrays.layout;
        let cell = layout.cell(layout.bit_at(row * u64::from(data.columns())));
        data.position(cell).map_or(0, |position| position.bank)
    }

    fn cells<'a>(&self, bank: &'a dyn Fn(u64) -> u32) -> CellPlaces<'a> {
        let Protected { data, .. } = self.protected();
        let rows = u64::from(data.banks()) * u64::from(data.rows());
        CellPlaces { columns: data.columns().into(), rows, bank }
    }

    /// How the bits of `contents`, all that the memory ever holds, are stored on this chip; `codes` are those to
    /// be written, where they are known.
    pub(crate) fn storage(
        &self,
        contents: &[Contents<'_>],
        codes: Option<&dyn Fn(usize, usize) -> u32>,
    ) -> &Storage {
        self.storage.get_or_init(|| {
            let Protected { stages, stored, damage, moments, used_bits, channels, .. } =
                self.protected();
            let mut storage = Storage::default();
            if stages.store.is_empty() {
                return storage;
            }
            let layout = &self.arrays.layout;
            let stores: Vec<InWords<'_>> =
                contents.iter().map(|contents| InWords { contents, layout }).collect();
            let all = contents.iter().zip(&stores).map(|(contents, stores)| {
                let [known, known_checks] = self.known(contents);
                let (number, rows) = (contents.number, contents.rows(layout));
                Content { number, stores, codes, known, known_checks, rows }
            });
            let bank = |row| self.bank(row);
            let chip = KnownChip {
                contents: all.collect(),
                cells: self.cells(&bank),
                tensors: stored,
                damage,
                moments,
                used_bits: *used_bits,
                scheme: &stages.scheme,
                channels,
                writes_around: stages.store.iter().any(|rule| rule.writes_around()),
                stop: self.stop,
            };
            for rule in stages.store.iter().take_while(|_| !chip.is_stopped()) {
                rule.decide(&chip, &mut storage);
            }
            storage
        })
    }

    /// True if nothing stands between cells and codes, and everything is stored as it stands.
    fn is_plain(&self) -> bool {
        let given = self.storage.get();
        self.protected().stages.is_plain() && given.is_none_or(Storage::is_plain)
    }

    /// Has bits stored so, in place of what the mechanisms decide.
    pub(crate) fn store(&mut self, storage: Storage) {
        self.storage = storage.into();
    }

    fn laid<T>(
        &self,
        contents: &Contents<'_>,
        storage: &Storage,
        then: impl FnOnce(Laid<'_>) -> T,
    ) -> T {
        let Protected { stored, .. } = self.protected();
        let bank = |row| self.bank(row);
        let (layout, cells) = (&*self.arrays.layout, self.cells(&bank));
        then(Laid { contents, layout, stored, cells, storage })
    }

    /// The cells of the memory for each content, where `codes` are stored.
    pub(crate) fn images(
        &self,
        contents: &[Contents<'_>],
        codes: &[Vec<u8>],
        storage: &Storage,
    ) -> Vec<Image> {
        let mut codes = codes.to_vec();
        // Every code lies in one content.
        for &(tensor, code, written) in contents.iter().flat_map(|of| storage.codes(of.number)) {
            codes[..].set(tensor, code, written);
        }
        let of = |contents| self.laid(contents, storage, |laid| laid.image(&codes));
        contents.iter().map(of).collect()
    }

    /// The codes that `images` hold, in place of `codes`.
    pub(crate) fn read_images(
        &self,
        contents: &[Contents<'_>],
        images: &[Image],
        storage: &Storage,
        codes: &mut [Vec<u8>],
    ) -> Result<(), ImageError> {
        let (expected, found) = (contents.len(), images.len());
        if expected != found {
            return Err(ImageError::Images { expected, found });
        }
        let mut of = contents.iter().zip(images);
        of.try_for_each(|(contents, image)| {
            self.laid(contents, storage, |laid| laid.codes(image, codes))
        })
    }

    /// The faulty cells under the codes of a content at a read.
    pub(crate) fn sites(
        &self,
        contents: &Contents<'_>,
        read: u64,
        storage: &Storage,
    ) -> Vec<FaultSite> {
        let at_read = |errors: &Errors<'_>, key: ChipKey| faults(&errors.at_read(key, read));
        let found = self.data_faults(&self.at, contents, at_read);
        let Protected { stored, .. } = self.protected();
        let stores = InWords { contents, layout: &self.arrays.layout };
        self.laid(contents, storage, |laid| {
            let of = |fault: Fault| {
                let landed = storage.landed(&stores, stored, laid.cells, fault.address)?;
                let CodeBit { tensor, code, bit } = storage.ordered(&stores).held(landed)?;
                let inverted =
                    storage.is_inverted(contents.number, fault.address / laid.cells.columns);
                let effect = fault.effect.seen_through(inverted);
                let (row, column) = laid.cell(fault.address);
                Some(FaultSite { content: contents.number, tensor, code, bit, effect, row, column })
            };
            found.into_iter().filter_map(of).collect()
        })
    }

    /// Faults of check bits. A check bit hangs on the rail of its word's first data bit.
    fn check_faults(
        &self,
        at: &Levels<'_>,
        contents: &Contents<'_>,
        of: impl Fn(&Errors<'_>, ChipKey) -> Vec<Fault>,
    ) -> Vec<Fault> {
        let Protected { check: Some(geometry), stages, .. } = self.protected() else {
            return Vec::new();
        };
        let Scheme::Code { code, words, .. } = &stages.scheme else { return Vec::new() };
        let layout = self.arrays.layout.beside(*geometry);
        let stores = CheckBits {
            data: InWords { contents, layout: &self.arrays.layout },
            layout: &layout,
            data_bits: code.data_bits().into(),
            check_bits: code.check_bits().into(),
            words: *words,
        };
        let key = ChipKey { memory: region(self.arrays.reads.memory, 0), ..self.arrays.reads };
        let mut found =
            self.on_their_rails(at, &at.check, *geometry, &stores, |errors| of(errors, key));
        for fault in &mut found {
            fault.address = layout.position(fault.address);
        }
        found
    }

    /// The faults of a content at a read, ready to be applied to its codes.
    fn compiled(
        &self,
        contents: &Contents<'_>,
        read: u64,
        storage: &Storage,
    ) -> vmin_protection::words::Faults {
        let [data, check] = match AnyBit::of(self, read) {
            Some(any) => any.faults(contents),
            None => self.faults(contents, read, storage),
        };
        let stores = InWords { contents, layout: &self.arrays.layout };
        let Protected { stages, stored, .. } = self.protected();
        compile(&stages.scheme, &storage.ordered(&stores), stored, &data, &check)
    }
}
