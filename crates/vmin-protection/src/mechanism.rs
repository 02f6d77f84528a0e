//! The seam of a mechanism: its words, its effect and its price, all in one file of `mechanisms/`.

use core::fmt;

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;
use vmin_sram::{Fault, Geometry};

use crate::ProtectionCosts;
use crate::mechanisms::{DetectingReads, SpareLines};
use crate::rails::Rail;
use crate::words::{OnDetected, Stores, WordCode, Words};

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
    /// Bits are stored in another way where the chip's fault map asks for it.
    Store(Box<dyn StoreRule>),
    /// Words carry check bits.
    Word(Box<dyn WordCode>, Words, OnDetected),
    /// Sense amplifiers detect wrong bits.
    Detect(DetectingReads),
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
        }
    }

    /// Whether it needs a chip's fault map, which transient errors do not have.
    #[must_use]
    pub const fn needs_map(&self) -> bool {
        match self {
            Self::Rail(rail) => matches!(rail.cells, crate::rails::RailCells::WeakestBanks(_)),
            Self::Spares(..) | Self::Store(_) => true,
            Self::Word(..) | Self::Detect(_) => false,
        }
    }
}

/// A content that is about to be written.
pub struct Content<'a> {
    /// Which bit lies at which position in linear order.
    pub stores: &'a dyn Stores,
    /// The codes to be written, by tensor and number.
    pub codes: &'a dyn Fn(usize, usize) -> u32,
    /// The damage done if a code (`tensor`, `wanted`) reads as another: comparable between tensors.
    pub damage: &'a dyn Fn(usize, u32, u32) -> u64,
    /// The physical row of a position.
    pub row: &'a dyn Fn(u64) -> u64,
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// How bits are stored over a known fault map.
pub trait StoreRule: fmt::Debug + Send + Sync {
    /// The physical rows that are stored inverted, rising; `known` are faulty cells by position.
    fn inverted_rows(&self, content: &Content<'_>, known: &[Fault]) -> Vec<u64>;
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
