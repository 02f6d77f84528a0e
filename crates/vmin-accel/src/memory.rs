//! The on-chip memories by purpose, and values that each of them has one of.

use serde::{Deserialize, Serialize};
use vmin_sram::Threshold;

use crate::energy::Rail;
use crate::voltage::ReadNoise;

/// An on-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Memory {
    /// Holds weights.
    Weight,
    /// Holds inputs and activations.
    Activation,
    /// Holds biases and partial sums.
    Accumulator,
}

impl Memory {
    /// Every memory with its word in files.
    pub const ALL: [(&'static str, Self); 3] = [
        ("weight", Self::Weight),
        ("activation", Self::Activation),
        ("accumulator", Self::Accumulator),
    ];

    /// Other words that people use for them, each with that in files.
    pub const SYNONYMS: &'static [(&'static str, &'static str)] = &[
        ("weights", "weight"),
        ("filter", "weight"),
        ("filters", "weight"),
        ("activations", "activation"),
        ("input", "activation"),
        ("inputs", "activation"),
        ("ifmap", "activation"),
        ("accumulators", "accumulator"),
        ("partial_sum", "accumulator"),
        ("partial_sums", "accumulator"),
        ("psum", "accumulator"),
        ("psums", "accumulator"),
        ("sum", "accumulator"),
        ("sums", "accumulator"),
    ];

    /// Its number among the memories of a chip; each number has its own cells.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Its supply.
    #[must_use]
    pub const fn rail(self) -> Rail {
        match self {
            Self::Weight => Rail::Weight,
            Self::Activation => Rail::Activation,
            Self::Accumulator => Rail::Accumulator,
        }
    }

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// One value for each memory.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub struct PerMemory<T> {
    /// Of the weight memory.
    pub weight: T,
    /// Of the activation memory.
    pub activation: T,
    /// Of the accumulator memory.
    pub accumulator: T,
}

impl<T> PerMemory<T> {
    /// The value that `of` gives for each memory, in the order of [`Memory::ALL`].
    pub fn from_fn(mut of: impl FnMut(Memory) -> T) -> Self {
        Self {
            weight: of(Memory::Weight),
            activation: of(Memory::Activation),
            accumulator: of(Memory::Accumulator),
        }
    }

    /// The value of a memory.
    pub const fn get(&self, memory: Memory) -> &T {
        match memory {
            Memory::Weight => &self.weight,
            Memory::Activation => &self.activation,
            Memory::Accumulator => &self.accumulator,
        }
    }

    /// The value of a memory, to be changed.
    pub const fn get_mut(&mut self, memory: Memory) -> &mut T {
        match memory {
            Memory::Weight => &mut self.weight,
            Memory::Activation => &mut self.activation,
            Memory::Accumulator => &mut self.accumulator,
        }
    }

    /// Every memory with its value, in the order of [`Memory::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Memory, &T)> {
        Memory::ALL.into_iter().map(|(_, memory)| (memory, self.get(memory)))
    }

    /// The value that `of` makes of each value.
    pub fn map<U>(&self, mut of: impl FnMut(&T) -> U) -> PerMemory<U> {
        PerMemory::from_fn(|memory| of(self.get(memory)))
    }
}

impl<T> PerMemory<Option<T>> {
    /// Every memory that has a value.
    pub fn present(&self) -> impl Iterator<Item = (Memory, &T)> {
        self.iter().filter_map(|(memory, value)| Some((memory, value.as_ref()?)))
    }
}

impl<T, E> PerMemory<Result<T, E>> {
    /// All values, or the first error.
    ///
    /// # Errors
    /// The first error, in the order of [`Memory::ALL`].
    pub fn transpose(self) -> Result<PerMemory<T>, E> {
        Ok(PerMemory {
            weight: self.weight?,
            activation: self.activation?,
            accumulator: self.accumulator?,
        })
    }
}

/// A memory at one supply voltage, with the integers that decide which of its cells fail.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MemoryAt {
    /// Supply, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells at that supply.
    pub cell_fault_rate: f64,
    /// The same as a threshold on the scores of cells.
    pub threshold: Threshold,
    /// How the critical voltages of cells vary from read to read, if they do.
    pub noise: Option<ReadNoise>,
}

impl MemoryAt {
    /// A memory at this supply whose cells fail at this rate, without read noise.
    #[must_use]
    pub fn new(vdd_mv: f64, cell_fault_rate: f64) -> Self {
        let threshold = Threshold::from_rate(cell_fault_rate).unwrap_or(Threshold::ALWAYS);
        Self { vdd_mv, cell_fault_rate, threshold, noise: None }
    }

    /// Cells below this score never err at this supply.
    #[must_use]
    pub fn floor(&self) -> Threshold {
        self.noise.as_ref().map_or(self.threshold, |noise| noise.floor().min(self.threshold))
    }

    /// The supply in whole microvolts, as chip files state it.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "profiles reach from 0 to a few thousand millivolts"
    )]
    pub fn vdd_uv(&self) -> u32 {
        (self.vdd_mv * 1000.0).round() as u32
    }
}
