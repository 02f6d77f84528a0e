//! Options of a network on a chip: the same for `vmin eval`, `vmin deploy`, `vmin monitor` and `vmin noise`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ArithmeticArgs, read_noise_mv, whole};

/// An effect of faulty cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKindArg {
    /// A faulty cell inverts its bit (the papers' model)
    Flip,
    /// A faulty cell holds its preferred value (as silicon does)
    #[value(name = "stuck_at")]
    StuckAt,
    /// Any bit can err, anew for every image and layer
    Transient,
}

impl FaultKindArg {
    /// The word of transient errors in answers.
    pub(crate) const TRANSIENT: &'static str = vmin_sweep::ReadErrors::Transient.word();
}

/// A placement of the weights.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PlacementArg {
    /// All weights lie in the weight memory at fixed addresses
    #[default]
    Resident,
    /// Tiles of weights pass through the accelerator's weight memory
    Streamed,
}

impl PlacementArg {
    /// Its word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Streamed => "streamed",
        }
    }
}

/// The supply of a memory beside that of the weights; as text, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum MemorySupply {
    /// That of the weight memory.
    Same,
    /// This voltage, in mV.
    Mv(f64),
}

fn memory_supply(text: &str) -> Result<MemorySupply, String> {
    if text == "same" {
        return Ok(MemorySupply::Same);
    }
    let mv = text.parse().ok().filter(|mv: &f64| mv.is_finite() && *mv > 0.0);
    mv.map(MemorySupply::Mv).ok_or_else(|| "expected a voltage in mV, or `same`".to_owned())
}

/// Chips of a population, or some in files; as text, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ChipChoice {
    /// Number in the population.
    Index(u32),
    /// Numbers in the population.
    Range(std::ops::Range<u32>),
    /// A chip file, or a pattern of several.
    File(PathBuf),
}

/// Most chips of one call.
const CHIPS_MAX: u32 = 1_000_000;

/// Whole numbers are chips of a population; a file with such a name is given as `./7`.
fn chip_choice(text: &str) -> Result<ChipChoice, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(ChipChoice::Index).map_err(|error| error.to_string());
    }
    if let Some((first, last)) = text.split_once("..")
        && let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
    {
        return match last.checked_add(1).filter(|&end| first < end && end - first <= CHIPS_MAX) {
            Some(end) => Ok(ChipChoice::Range(first..end)),
            None => Err(format!("expected A..B with A <= B and at most {CHIPS_MAX} chips")),
        };
    }
    Ok(ChipChoice::File(PathBuf::from(text)))
}

impl From<ChipChoice> for String {
    fn from(choice: ChipChoice) -> Self {
        match choice {
            ChipChoice::Index(chip) => chip.to_string(),
            ChipChoice::Range(range) => format!("{}..{}", range.start, range.end - 1),
            ChipChoice::File(path) => path.display().to_string(),
        }
    }
}

impl TryFrom<String> for ChipChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        chip_choice(&text)
    }
}

impl From<MemorySupply> for String {
    fn from(supply: MemorySupply) -> Self {
        match supply {
            MemorySupply::Same => "same".to_owned(),
            MemorySupply::Mv(mv) => mv.to_string(),
        }
    }
}

impl TryFrom<String> for MemorySupply {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        memory_supply(&text)
    }
}

/// Seeds as text: JSON numbers have 53 bits.
mod seed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(seed: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(seed)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        super::whole(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl OnChipArgs {
    /// The seed where none is named: that of the experiment of `vmin init`.
    pub(crate) const CHIP_SEED: u64 = 1;
}

/// Chips, their supplies and the places of a network on them.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnChipArgs {
    /// Seed of the chips, or of a chip file's uncertain cells
    #[arg(long, value_name = "S", default_value_t = Self::CHIP_SEED, value_parser = whole)]
    #[serde(with = "seed")]
    #[schemars(with = "String")]
    pub chip_seed: u64,
    /// Chips: number, range `0..99` (last included), files, or patterns `lot/*.chip`
    #[arg(long, value_name = "I|A..B|CHIP", num_args = 1.., default_value = "0")]
    #[arg(value_parser = chip_choice)]
    #[schemars(with = "Vec<String>")]
    pub chip: Vec<ChipChoice>,
    /// Cell of the chip file's map under the first stored bit. A map smaller than the memory is
    /// repeated
    #[arg(long, value_name = "BITS", default_value_t = 0, value_parser = whole)]
    pub chip_offset: u64,
    /// Cell-fault rate, 0 to 0.5
    #[arg(long, value_name = "P", conflicts_with = "vdd_mv")]
    pub rate: Option<f64>,
    /// Supply voltage of the weight memory, in mV
    #[arg(long, value_name = "V")]
    pub vdd_mv: Option<f64>,
    /// Voltage profile: a name (see `vmin data list`) or a file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Re-quantize the weights to this number of bits, 2 to 8
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub bits: Option<u8>,
    /// Rounding and pixels.
    #[command(flatten)]
    pub arithmetic: ArithmeticArgs,
    /// Effect of a faulty cell; the profile's or chip's if absent
    #[arg(long, value_enum, value_name = "KIND")]
    pub fault_kind: Option<FaultKindArg>,
    /// Add read noise: sigma of each cell's critical voltage, in mV
    #[arg(long, value_name = "MV", requires = "vdd_mv", value_parser = read_noise_mv)]
    pub read_noise_mv: Option<f64>,
    /// Placement of the weights in their memory
    #[arg(long, value_enum, default_value_t, value_name = "PLACEMENT")]
    pub placement: PlacementArg,
    /// Lower the activation memory too: supply in mV, or `same`
    #[arg(long, value_name = "V|same", value_parser = memory_supply)]
    #[schemars(with = "Option<String>")]
    pub activation_vdd_mv: Option<MemorySupply>,
    /// Lower the accumulator memory too: supply in mV, or `same`
    #[arg(long, value_name = "V|same", value_parser = memory_supply)]
    #[schemars(with = "Option<String>")]
    pub accumulator_vdd_mv: Option<MemorySupply>,
    /// Map from which mechanisms decide, as `known` in `[[remedy]]`
    #[arg(long, value_name = "TOML")]
    pub known: Option<String>,
    /// Set whose training images calibrate mechanisms; that of `--data` if absent
    #[arg(long, value_name = "DATA")]
    pub calibration: Option<String>,
    /// Accelerator whose memories hold the network
    #[arg(long, value_name = "ACCELERATOR", default_value = "gemmini-16")]
    pub accelerator: String,
}
