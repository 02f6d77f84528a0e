//! `[memory] rails`, or `[memory.weight]`, `[memory.activation]`, `[memory.accumulator]`: the supply of each memory.
//!
//! Without its table the weight memory follows the swept voltage; the others run at the nominal voltage
//! and make no errors.

use std::ops::Range;

use vmin_accel::energy::{Rail, Rails};
use vmin_accel::{Memory, PerMemory};
use vmin_diagnostic::{Diagnostic, Located, TableReader};

use super::VDD_MV_MAX;

/// The supply of a memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Supply {
    /// Nominal; no errors.
    Nominal,
    /// The voltage that is swept.
    Swept,
    /// This voltage at every point, in mV.
    Fixed(Located<f64>),
}

/// The memories of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Memories {
    /// `vdd_mv` of `[memory.weight]`, `[memory.activation]` and `[memory.accumulator]`.
    pub supplies: PerMemory<Supply>,
    /// Array and vector unit follow the swept voltage too (`rails = "chip"`).
    pub logic_swept: bool,
    /// `[memory.activation] inputs`: the network's input lies in this memory too.
    pub inputs: bool,
    /// `[memory.accumulator] biases`: biases are written to this memory as the start of each sum.
    pub biases: bool,
    /// Place of the first of these tables, if there is one.
    pub span: Option<Range<usize>>,
    /// Place of `[memory.accumulator]`, if it exists.
    pub accumulator_span: Option<Range<usize>>,
}

impl Default for Memories {
    fn default() -> Self {
        Self {
            supplies: PerMemory {
                weight: Supply::Swept,
                activation: Supply::Nominal,
                accumulator: Supply::Nominal,
            },
            logic_swept: false,
            inputs: true,
            biases: true,
            span: None,
            accumulator_span: None,
        }
    }
}

impl Memories {
    /// The fixed supplies, in mV.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = &Located<f64>> {
        self.supplies.iter().filter_map(|(_, supply)| match supply {
            Supply::Fixed(vdd_mv) => Some(vdd_mv),
            Supply::Swept | Supply::Nominal => None,
        })
    }

    /// True if a memory leaves the nominal voltage.
    pub(crate) fn lowered(&self, memory: Memory) -> bool {
        *self.supplies.get(memory) != Supply::Nominal
    }

    /// True if only weights err, at the swept voltage.
    #[must_use]
    pub fn weights_alone(&self) -> bool {
        self.supplies == Self::default().supplies && !self.logic_swept
    }

    /// In words, for tables; empty where only weights err, at the swept voltage.
    #[must_use]
    pub fn words(&self) -> String {
        if self.weights_alone() {
            return String::new();
        }
        let of = |(memory, supply): (Memory, &Supply)| {
            let spared = match memory {
                Memory::Activation if !self.inputs => " without inputs",
                Memory::Accumulator if !self.biases => " without biases",
                Memory::Weight | Memory::Activation | Memory::Accumulator => "",
            };
            let word = memory.word();
            match supply {
                Supply::Nominal => format!("{word} memory nominal"),
                Supply::Swept => format!("{word} memory swept{spared}"),
                Supply::Fixed(vdd_mv) => format!("{word} memory at {} mV{spared}", vdd_mv.value),
            }
        };
        let logic = self.logic_swept.then(|| "logic swept".to_owned());
        self.supplies.iter().map(of).chain(logic).collect::<Vec<_>>().join(", ")
    }
}

/// Parses the tables of single memories in `[memory]`.
pub(super) fn read(memory: &TableReader<'_>) -> Option<Memories> {
    memory.suggest(Memory::SYNONYMS);
    let rails = memory.optional_choice("rails", &Rails::ALL);
    if let Some(rails) = rails {
        return by_rails(memory, &rails);
    }
    let mut memories = Memories::default();
    let mut complete = true;
    for (word, which) in Memory::ALL {
        let Some(table) = memory.optional_table(word) else { continue };
        let supply = supply(&table);
        complete &= supply.is_some();
        match which {
            Memory::Weight => {}
            Memory::Activation => {
                let inputs = table.optional_boolean("inputs");
                complete &= inputs.is_some() == table.has("inputs");
                memories.inputs = inputs.is_none_or(|inputs| inputs.value);
            }
            Memory::Accumulator => {
                let biases = table.optional_boolean("biases");
                complete &= biases.is_some() == table.has("biases");
                memories.biases = biases.is_none_or(|biases| biases.value);
                memories.accumulator_span = table.span();
            }
        }
        let place = memories.supplies.get_mut(which);
        *place = supply.unwrap_or(Supply::Swept);
        memories.span = memories.span.or(table.span());
        table.finish();
    }
    let swept = memories.supplies.iter().any(|(_, supply)| *supply == Supply::Swept);
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

/// The supplies that `rails` names are swept, the others nominal.
fn by_rails(memory: &TableReader<'_>, rails: &Located<Rails>) -> Option<Memories> {
    let refuse = |code, message: &str, hint: &str| {
        memory.report_at(rails.span.clone(), Diagnostic::new(code, message).hint(hint));
        None
    };
    if Memory::ALL.iter().any(|(word, _)| memory.has_table(word)) {
        for (word, _) in Memory::ALL {
            let _ = memory.optional_table(word);
        }
        return refuse(
            "conflict",
            "`rails` and tables of single memories give the supplies twice",
            "remove `rails`, or the tables",
        );
    }
    let swept = rails.value.rails();
    let supplies = PerMemory::from_fn(|memory| {
        if swept.contains(&memory.rail()) { Supply::Swept } else { Supply::Nominal }
    });
    if supplies.iter().all(|(_, supply)| *supply == Supply::Nominal) {
        return refuse(
            "nothing-swept",
            "no memory follows the swept voltage",
            "logic makes no errors here: `vmin energy --rails logic` tells what it saves",
        );
    }
    let logic_swept = swept.contains(&Rail::Logic);
    let span = Some(rails.span.clone());
    Some(Memories { supplies, logic_swept, span, ..Memories::default() })
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
