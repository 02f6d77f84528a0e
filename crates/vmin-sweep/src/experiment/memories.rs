//! `[memory.weight]`, `[memory.activation]`, `[memory.accumulator]`: at which supply each memory runs.
//!
//! A memory that is not named runs at the nominal voltage and makes no errors, but for the weight memory,
//! which follows the swept voltage.

use std::ops::Range;

use vmin_accel::energy::Rail;
use vmin_diagnostic::{Diagnostic, Located, TableReader};

use super::VDD_MV_MAX;

/// An on-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Of weights.
    Weight,
    /// Of inputs and activations.
    Activation,
    /// Of biases and partial sums.
    Accumulator,
}

impl Memory {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Weight, Self::Activation, Self::Accumulator];

    /// Its number among the memories of a chip: each has cells of its own.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Weight => 0,
            Self::Activation => 1,
            Self::Accumulator => 2,
        }
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
        match self {
            Self::Weight => "weight",
            Self::Activation => "activation",
            Self::Accumulator => "accumulator",
        }
    }
}

/// The supply of a memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Supply {
    /// Nominal; no errors.
    Nominal,
    /// The voltage that is swept.
    Swept,
    /// This voltage throughout, in mV.
    Fixed(Located<f64>),
}

/// The memories of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Memories {
    /// `[memory.weight] vdd_mv`.
    pub weight: Supply,
    /// `[memory.activation] vdd_mv`.
    pub activation: Supply,
    /// `[memory.accumulator] vdd_mv`.
    pub accumulator: Supply,
    /// `[memory.activation] inputs`: the network's input lies there too.
    pub inputs: bool,
    /// `[memory.accumulator] biases`: biases are written there first, as the start of each sum.
    pub biases: bool,
    /// Where the first of these tables stands, if any was written.
    pub span: Option<Range<usize>>,
    /// Where `[memory.accumulator]` stands, if it was written.
    pub accumulator_span: Option<Range<usize>>,
}

impl Default for Memories {
    fn default() -> Self {
        Self {
            weight: Supply::Swept,
            activation: Supply::Nominal,
            accumulator: Supply::Nominal,
            inputs: true,
            biases: true,
            span: None,
            accumulator_span: None,
        }
    }
}

impl Memories {
    /// The supply of a memory.
    #[must_use]
    pub const fn supply(&self, memory: Memory) -> &Supply {
        match memory {
            Memory::Weight => &self.weight,
            Memory::Activation => &self.activation,
            Memory::Accumulator => &self.accumulator,
        }
    }

    /// The fixed supplies, in mV.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = &Located<f64>> {
        Memory::ALL.into_iter().filter_map(|memory| match self.supply(memory) {
            Supply::Fixed(vdd_mv) => Some(vdd_mv),
            Supply::Swept | Supply::Nominal => None,
        })
    }

    /// True if weights alone err, at the swept voltage.
    #[must_use]
    pub fn weights_alone(&self) -> bool {
        self.weight == Supply::Swept
            && self.activation == Supply::Nominal
            && self.accumulator == Supply::Nominal
    }

    /// In words, for tables; nothing where weights alone err, at the swept voltage.
    #[must_use]
    pub fn words(&self) -> String {
        if self.weights_alone() {
            return String::new();
        }
        let of = |memory: Memory| {
            let supply = match self.supply(memory) {
                Supply::Nominal => "nominal".to_owned(),
                Supply::Swept => "swept".to_owned(),
                Supply::Fixed(vdd_mv) => format!("at {} mV", vdd_mv.value),
            };
            let spared = match memory {
                _ if *self.supply(memory) == Supply::Nominal => "",
                Memory::Activation if !self.inputs => " without inputs",
                Memory::Accumulator if !self.biases => " without biases",
                _ => "",
            };
            format!("{} memory {supply}{spared}", memory.word())
        };
        Memory::ALL.map(of).join(", ")
    }
}

/// Reads the tables of single memories in `[memory]`.
pub(super) fn read(memory: &TableReader<'_>) -> Option<Memories> {
    let mut memories = Memories::default();
    let mut complete = true;
    for which in Memory::ALL {
        let Some(table) = memory.optional_table(which.word()) else { continue };
        let supply = supply(&table);
        complete &= supply.is_some();
        let place = match which {
            Memory::Weight => &mut memories.weight,
            Memory::Activation => {
                let inputs = table.optional_boolean("inputs");
                complete &= inputs.is_some() == table.has("inputs");
                memories.inputs = inputs.is_none_or(|inputs| inputs.value);
                &mut memories.activation
            }
            Memory::Accumulator => {
                let biases = table.optional_boolean("biases");
                complete &= biases.is_some() == table.has("biases");
                memories.biases = biases.is_none_or(|biases| biases.value);
                memories.accumulator_span = table.span();
                &mut memories.accumulator
            }
        };
        *place = supply.unwrap_or(Supply::Swept);
        memories.span = memories.span.or(table.span());
        table.finish();
    }
    let swept = Memory::ALL.iter().any(|&which| *memories.supply(which) == Supply::Swept);
    if let Some(span) = memories.span.clone().filter(|_| complete && !swept) {
        memory.report_at(
            span,
            Diagnostic::new("nothing-swept", "no memory follows the swept voltage").hint(
                "leave `vdd_mv` away in one of the tables `[memory.weight]`, `[memory.activation]`, \
                 `[memory.accumulator]`, or say `vdd_mv = \"swept\"` there",
            ),
        );
        return None;
    }
    complete.then_some(memories)
}

/// `vdd_mv` of one memory: a number, or a word.
fn supply(table: &TableReader<'_>) -> Option<Supply> {
    if table.has_string("vdd_mv") {
        let words = [("swept", Supply::Swept), ("nominal", Supply::Nominal)];
        return table.optional_choice("vdd_mv", &words).map(|word| word.value);
    }
    match table.optional_number("vdd_mv", 1.0..=VDD_MV_MAX) {
        Some(vdd_mv) => Some(Supply::Fixed(vdd_mv)),
        None => (!table.has("vdd_mv")).then_some(Supply::Swept),
    }
}
