//! Energy per action, each number with its source.

use serde::Serialize;

use super::constants::{ConstantSet, Logic};
use crate::accelerator::Memories;

/// An action that costs energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// One int8 multiply with int32 accumulation.
    Mac,
    /// One element through the vector unit: a 32-bit multiply and add.
    VectorOperation,
    /// One word read from the weight memory.
    WeightRead,
    /// One word written to the weight memory.
    WeightWrite,
    /// One word read from the activation memory.
    ActivationRead,
    /// One word written to the activation memory.
    ActivationWrite,
    /// One word read from the accumulator memory.
    AccumulatorRead,
    /// One word written to the accumulator memory.
    AccumulatorWrite,
    /// One byte to or from DRAM.
    DramByte,
    /// One bit written to a register between two processing elements.
    RegisterBit,
}

impl Action {
    /// Every action, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::Mac,
        Self::VectorOperation,
        Self::WeightRead,
        Self::WeightWrite,
        Self::ActivationRead,
        Self::ActivationWrite,
        Self::AccumulatorRead,
        Self::AccumulatorWrite,
        Self::DramByte,
        Self::RegisterBit,
    ];

    /// Its key in `[energy.override_pj]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::VectorOperation => "vector_operation",
            Self::WeightRead => "weight_read",
            Self::WeightWrite => "weight_write",
            Self::ActivationRead => "activation_read",
            Self::ActivationWrite => "activation_write",
            Self::AccumulatorRead => "accumulator_read",
            Self::AccumulatorWrite => "accumulator_write",
            Self::DramByte => "dram_byte",
            Self::RegisterBit => "register_bit",
        }
    }
}

/// A kind of off-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DramKind {
    /// LPDDR4, 8 pJ/bit.
    Lpddr4,
    /// LPDDR, 40 pJ/bit.
    Lpddr,
    /// DDR3, 70 pJ/bit.
    Ddr3,
    /// GDDR5, 14 pJ/bit.
    Gddr5,
    /// HBM2, 3.9 pJ/bit.
    Hbm2,
    /// 640 pJ per 32-bit access: the figure of many papers.
    Horowitz,
}

impl DramKind {
    /// Every kind with its word.
    pub const ALL: [(&'static str, Self); 6] = [
        ("lpddr4", Self::Lpddr4),
        ("lpddr", Self::Lpddr),
        ("ddr3", Self::Ddr3),
        ("gddr5", Self::Gddr5),
        ("hbm2", Self::Hbm2),
        ("horowitz", Self::Horowitz),
    ];

    fn pj_per_byte(self) -> (f64, String) {
        let plugin = |name: &str, bit: f64| {
            (8.0 * bit, format!("accelergy-cacti-plug-in, type2energy: {name} {bit} pJ/bit"))
        };
        match self {
            Self::Lpddr4 => plugin("LPDDR4", 8.0),
            Self::Lpddr => plugin("LPDDR", 40.0),
            Self::Ddr3 => plugin("DDR3", 70.0),
            Self::Gddr5 => plugin("GDDR5", 14.0),
            Self::Hbm2 => plugin("HBM2", 3.9),
            Self::Horowitz => (160.0, "M. Horowitz, ISSCC 2014: 640 pJ per 32 bits".to_owned()),
        }
    }
}

/// One number with its source.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct EnergyEntry {
    /// The action.
    pub action: Action,
    /// Its energy at the reference voltage, in pJ.
    pub pj: f64,
    /// Where the number comes from.
    pub source: String,
}

/// Energy per action of one accelerator, in the order of [`Action::ALL`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct EnergyTable {
    entries: Vec<EnergyEntry>,
    #[serde(skip)]
    set: ConstantSet,
    #[serde(skip)]
    dram: Option<DramKind>,
    /// Actions whose number was replaced.
    #[serde(skip)]
    replaced: Vec<Action>,
}

impl EnergyTable {
    /// The kind of DRAM, if there is one.
    pub(crate) const fn dram(&self) -> Option<DramKind> {
        self.dram
    }

    /// The table of a constant set for memories of these sizes, and of a DRAM if there is one.
    #[must_use]
    pub fn new(set: ConstantSet, dram: Option<DramKind>, memories: &Memories) -> Self {
        let [weight, activation, accumulator] =
            [&memories.weight, &memories.activation, &memories.accumulator].map(|memory| {
                let (sram, sources) = set.sram(memory.bank());
                (sram.read_pj, sram.write_pj, sources.energy)
            });
        let read = |(pj, _, source): &(f64, f64, String)| (*pj, source.clone());
        let write = |(_, pj, source): &(f64, f64, String)| (*pj, source.clone());
        let entries = Action::ALL
            .into_iter()
            .map(|action| {
                let (pj, source) = match action {
                    Action::Mac => set.logic(Logic::Mac),
                    Action::VectorOperation => set.logic(Logic::Vector),
                    Action::RegisterBit => set.logic(Logic::RegisterBit),
                    Action::WeightRead => read(&weight),
                    Action::WeightWrite => write(&weight),
                    Action::ActivationRead => read(&activation),
                    Action::ActivationWrite => write(&activation),
                    Action::AccumulatorRead => read(&accumulator),
                    Action::AccumulatorWrite => write(&accumulator),
                    Action::DramByte => dram.map_or_else(
                        || {
                            (
                                0.0,
                                "no DRAM; input and output over the host's bus cost nothing here"
                                    .to_owned(),
                            )
                        },
                        DramKind::pj_per_byte,
                    ),
                };
                EnergyEntry { action, pj, source }
            })
            .collect();
        Self { entries, set, dram, replaced: Vec::new() }
    }

    /// The same constants for memories of other sizes; replaced numbers stay as they are.
    #[must_use]
    pub fn resized(&self, memories: &Memories) -> Self {
        let mut table = Self::new(self.set, self.dram, memories);
        for (entry, own) in table.entries.iter_mut().zip(&self.entries) {
            if self.replaced.contains(&own.action) {
                entry.clone_from(own);
            }
        }
        table.replaced.clone_from(&self.replaced);
        table
    }

    /// Replaces one number.
    pub fn set(&mut self, action: Action, pj: f64, source: &str) {
        for entry in self.entries.iter_mut().filter(|entry| entry.action == action) {
            entry.pj = pj;
            source.clone_into(&mut entry.source);
        }
        self.replaced.push(action);
    }

    /// The set the numbers come from.
    #[must_use]
    pub const fn constants(&self) -> ConstantSet {
        self.set
    }

    /// pJ of an action at the reference voltage.
    #[must_use]
    pub fn pj(&self, action: Action) -> f64 {
        // Entries stand in the order of the actions.
        self.entries[action as usize].pj
    }

    /// All numbers with their sources.
    #[must_use]
    pub fn entries(&self) -> &[EnergyEntry] {
        &self.entries
    }
}
