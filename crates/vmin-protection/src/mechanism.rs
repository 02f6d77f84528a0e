//! The seam of a mechanism: its words, its effect and its price, all in one file of `mechanisms/`.

use core::fmt;

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;
use vmin_sram::Geometry;

use crate::mechanisms::{DetectingReads, SpareLines};
use crate::rails::Rail;
use crate::store::StoreRule;
use crate::words::{OnDetected, WordCode, Words};
use crate::{CostKey, Extent, ProtectionCosts};

/// One way to protect a memory.
///
/// A mechanism is a value with named fields: [`Identity`] takes all of them, so that a journal never
/// confuses two of them.
pub trait Mechanism: Identity + fmt::Debug + Send + Sync {
    /// Its word in files.
    fn kind(&self) -> &'static str;

    /// Its settings, as tables print them.
    fn describe(&self) -> String;

    /// What it changes in a memory whose codes have `code_bits` bits.
    fn effect(&self, code_bits: u8) -> Effect;

    /// What it costs in a memory of this shape.
    fn price(&self, costs: &ProtectionCosts, shape: Shape) -> Price;

    /// Work at start-up that no inference pays for, if there is some.
    fn startup(&self) -> Option<String> {
        None
    }

    /// What its results do not say where all faulty cells invert what they store, if so.
    fn caution_if_inverting(&self) -> Option<&'static str> {
        None
    }

    /// What there is to say of it in a memory that holds so much.
    fn remark(&self, memory: Memory, extent: Extent) -> Option<String> {
        let _ = (memory, extent);
        None
    }

    /// Share of the accumulator memory's rows to which it keeps tiles of partial sums, if it does.
    fn share_of_rows(&self) -> Option<f64> {
        None
    }

    /// Why this memory cannot have it, if so.
    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        let _ = memory;
        None
    }
}

/// The value of a mechanism, field by field.
pub trait Identity {
    /// All fields by name.
    fn identity(&self) -> serde_json::Value;
}

impl<T: Serialize> Identity for T {
    fn identity(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("finite numbers and texts serialize")
    }
}

/// The effect of a mechanism, by the stage at which it acts, from the cells outwards.
#[derive(Debug)]
pub enum Effect {
    /// Some cells hang on a supply of their own.
    Rail(Rail),
    /// Spare lines replace faulty ones after a test at a voltage in mV.
    Spares(SpareLines, f64),
    /// Bits are stored otherwise where the chip's fault map asks for it.
    Store(Box<dyn StoreRule>),
    /// Words carry check bits.
    Word(Box<dyn WordCode>, Words, OnDetected),
    /// Sense amplifiers detect wrong bits.
    Detect(DetectingReads),
    /// Partial sums are kept, or read, otherwise.
    Sum(SumKeeping),
    /// The network's constants are fitted to what the chip reads.
    Fit(Fitted),
}

/// How partial sums are kept and read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SumKeeping {
    /// In as many cells as the sums of the layer need.
    Narrow,
    /// Clamped into the range seen on calibration images.
    Guarded(Guard),
}

/// A range of sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// Calibration images.
    pub images: u32,
    /// Both ends move outwards by this share of their distance.
    pub margin: f64,
}

/// Constants of a network that are written anew for each chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// Calibration images.
    pub images: u32,
    /// True if requantization multipliers are fitted beside biases.
    pub multipliers: bool,
}

/// Where an effect acts, from the cells outwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Which cells fail.
    Rails,
    /// Which cells are used.
    Spares,
    /// How bits lie in cells.
    Store,
    /// How cells become codes.
    Words,
    /// How partial sums are kept and read.
    Sums,
    /// What the network makes of it.
    Network,
}

impl Effect {
    /// Where it acts.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Rail(_) => Stage::Rails,
            Self::Spares(..) => Stage::Spares,
            Self::Store(_) => Stage::Store,
            Self::Word(..) | Self::Detect(_) => Stage::Words,
            Self::Sum(_) => Stage::Sums,
            Self::Fit(_) => Stage::Network,
        }
    }

    /// Whether it needs a chip's fault map, which transient errors do not have.
    #[must_use]
    pub const fn needs_map(&self) -> bool {
        match self {
            Self::Rail(rail) => matches!(rail.cells, crate::rails::RailCells::WeakestBanks(_)),
            Self::Spares(..) | Self::Store(_) => true,
            Self::Word(..) | Self::Detect(_) | Self::Sum(_) | Self::Fit(_) => false,
        }
    }

    /// Whether [`crate::Known`] says from which map it decides; spare lines have a test of their own.
    #[must_use]
    pub const fn asks_known(&self) -> bool {
        match self {
            Self::Rail(_) | Self::Store(_) => self.needs_map(),
            Self::Spares(..) | Self::Word(..) | Self::Detect(_) | Self::Sum(_) | Self::Fit(_) => {
                false
            }
        }
    }

    /// Whether it does nothing about cells that invert what they store.
    #[must_use]
    pub fn needs_held_values(&self) -> bool {
        match self {
            Self::Store(rule) => rule.needs_held_values(),
            Self::Rail(_)
            | Self::Spares(..)
            | Self::Word(..)
            | Self::Detect(_)
            | Self::Sum(_)
            | Self::Fit(_) => false,
        }
    }
}

/// What the price of a mechanism depends on.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The memory.
    pub geometry: Geometry,
    /// Bits that an access moves.
    pub word_bits: u64,
    /// Bits per code.
    pub code_bits: u8,
}

/// The price of a mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Extra energy of an access, as a share of it.
    pub access_share: f64,
    /// Extra cells that every access moves, over data cells.
    pub check_share: f64,
    /// Extra cells that no access moves, over data cells.
    pub idle_share: f64,
    /// Gates between cells and array, if there are any.
    pub codec: Option<Codec>,
}

impl Price {
    /// Area of extra cells and gates over that of the memory's cells: gates for one access at a time.
    #[must_use]
    pub fn area_share(&self, costs: &ProtectionCosts, shape: Shape) -> f64 {
        let gates = self.codec.map_or(0.0, |codec| {
            let per_bit = (codec.encoder_gates + codec.decoder_gates) / codec.data_bits;
            per_bit * shape.word_bits as f64
        });
        let cells = shape.geometry.cells() as f64;
        let gate_in_cells = costs.value(CostKey::GateAreaUm2) / costs.value(CostKey::CellAreaUm2);
        self.check_share + self.idle_share + gates * gate_in_cells / cells
    }
}

/// Encoder and decoder of a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    /// Data bits of a word.
    pub data_bits: f64,
    /// Two-input gates of the encoder.
    pub encoder_gates: f64,
    /// Two-input gates of the decoder.
    pub decoder_gates: f64,
    /// Extra cycles per fold.
    pub cycles: f64,
}

/// Reads a mechanism from its table; none if that has problems, which are then reported.
pub type Reader = fn(&TableReader<'_>) -> Option<Box<dyn Mechanism>>;
