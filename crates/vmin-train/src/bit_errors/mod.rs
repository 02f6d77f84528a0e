//! Training under bit errors in weights, activations, inputs and partial sums: which errors, and how
//! their gradient counts.
//!
//! | `pattern` | errors | known as |
//! |---|---|---|
//! | `random` | each bit flips with probability `rate`, anew every step | RandBET |
//! | `fixed` | those of one chip, the same in every step | PattBET |
//! | `population` | those of another chip of a population every step | |
//!
//! Beside any of them, or alone, an adversary flips the bits that raise the loss of the step most (`adversary.rs`,
//! AdvBET).
//!
//! Chips come from the sources of `vmin-emulator`: sampled from a population, or measured (`measured.rs`).
//!
//! Activations, inputs (`data.rs`) and partial sums (`sums.rs`) have random errors only, whatever the pattern of the
//! weights.
//!
//! Source: D. Stutz, N. Chandramoorthy, M. Hein, B. Schiele, "Bit Error Robustness for
//! Energy-Efficient DNN Accelerators", MLSys 2021, section 4.3, and its released code (gradient
//! clamp, mean in place of sum, start rule). Unlike there, biases hold no errors: the hardware
//! keeps them as int32 beside the weight memory.

mod adversary;
mod chips;
mod data;
mod measured;
mod random;
mod start;
mod sums;

use serde::Serialize;

use crate::random::{Purpose, Stream};

pub use adversary::Adversary;
pub(crate) use adversary::Attacked;
pub(crate) use chips::ChipErrors;
pub(crate) use data::{DataErrors, DataRates, StoredValues};
pub use measured::{ErrorMap, Measured};
pub(crate) use random::flip;
#[cfg(test)]
pub(crate) use random::flip_all;
pub(crate) use start::StartRule;
pub(crate) use sums::Sums;

/// Bit errors in training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BitErrors {
    /// Probability that a cell of the weight memory is faulty, above 0 and up to 0.5; 0 where only
    /// activations, inputs or sums have errors; absent where the chips were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Probability that a bit of an activation flips, 0 up to 0.5.
    #[serde(skip_serializing_if = "is_zero")]
    pub activations_rate: f64,
    /// Probability that a bit of an input pixel flips, 0 up to 0.5.
    #[serde(skip_serializing_if = "is_zero")]
    pub inputs_rate: f64,
    /// Probability that a bit of a partial sum flips, 0 up to 0.5.
    #[serde(skip_serializing_if = "is_zero")]
    pub sums_rate: f64,
    /// Taps that the array adds before a sum leaves it: the rows of a weight-stationary array.
    #[serde(skip_serializing_if = "is_usual_fold")]
    pub sums_fold: usize,
    /// How the words of sums are kept.
    #[serde(flatten)]
    pub sums_kept: SumKeeping,
    /// Which bits of activations, inputs and sums flip within a step.
    #[serde(skip_serializing_if = "DataFaults::is_transient")]
    pub data_faults: DataFaults,
    /// Where the faulty cells are.
    pub pattern: Pattern,
    /// How the gradient under errors joins that without.
    pub method: Method,
    /// The rates rise in 20 equal steps over the first half of training.
    pub curricular: bool,
    /// First epoch (from 0) that has errors; an epoch without costs half as much.
    pub from_epoch: u32,
    /// Largest magnitude of each element of the gradient under errors; 0.05 in the papers' code,
    /// without a bound if absent. Of no use with batch normalization: a part of that gradient goes
    /// through the moments of the batch and balances the rest only as long as nothing is cut off.
    pub gradient_clamp: Option<f32>,
    /// Errors are injected while the loss stays below about this: 1.75 for 10 classes in the paper.
    pub start_loss: f64,
    /// What a faulty cell does; `stuck_at` needs chips (`fixed` or `population`).
    pub fault_kind: FaultKindChoice,
    /// Seed of the chips; drawn from the seed of the recipe if absent.
    pub chip_seed: Option<u64>,
    /// Number of the chip of `fixed`, and of the first of `population`.
    pub chip: u64,
    /// Every code is written as the nearest one that the chip's stuck cells can hold, as `closest_code` does.
    pub closest_codes: bool,
    /// What chips are drawn from; independent cells if absent.
    pub population: ChipPopulation,
    /// Chips that were measured, in place of drawn ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Every step draws its rate of wrong weights, and its adversary's flips, evenly from 0 up to these.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub varied: bool,
    /// Targets under errors that fade to uniform with the share of wrong weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fade: Option<Fade>,
    /// Bits that are chosen to do harm, after all other errors in the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adversary: Option<Adversary>,
}

/// Rows of the array of `gemmini-16`.
pub(crate) const USUAL_FOLD: usize = 16;

pub(crate) fn is_usual_fold(fold: &usize) -> bool {
    *fold == USUAL_FOLD
}

pub(crate) fn is_zero(rate: &f64) -> bool {
    *rate == 0.0
}

/// How confidence fades with wrong weights: confidence-calibrated training (CCAT) for bit errors in place of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fade {
    /// Share of wrong weights at which the target is uniform, above 0 and up to 1.
    pub full: f64,
    /// Power by which the share of the label falls, positive.
    pub rho: f64,
}

impl Fade {
    /// The share of the label where so many of all weights are wrong; the rest is spread over all classes.
    pub(crate) fn share(self, wrong: usize, all: usize) -> f32 {
        let part = wrong as f64 / (self.full * all.max(1) as f64);
        libm::pow(1.0 - part.min(1.0), self.rho) as f32
    }
}

/// How the accelerator keeps sums in their words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SumKeeping {
    /// In as many cells as the layer's sums can need, as the mechanism `narrow_sums` does.
    #[serde(rename = "narrow_sums", skip_serializing_if = "std::ops::Not::not")]
    pub narrow: bool,
    /// Clamped into the range of its sums and this share of it more at each end, as `sum_guard` does.
    #[serde(rename = "sum_guard", skip_serializing_if = "Option::is_none")]
    pub guard: Option<f64>,
}

/// Which bits of activations, inputs and sums flip within a step or on a test chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataFaults {
    /// Others in every image, and of sums at every read.
    #[default]
    Transient,
    /// The same in every image, and of sums at every read: those of faulty cells under a value.
    Persistent,
}

impl DataFaults {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 2] =
        [("transient", Self::Transient), ("persistent", Self::Persistent)];

    pub(crate) fn last(self) -> bool {
        self == Self::Persistent
    }

    pub(crate) fn is_transient(&self) -> bool {
        *self == Self::Transient
    }
}

/// Where the faulty cells are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Anywhere, anew every step.
    #[default]
    Random,
    /// Those of one chip.
    Fixed,
    /// Those of a new chip every step.
    Population,
}

impl Pattern {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 3] =
        [("random", Self::Random), ("fixed", Self::Fixed), ("population", Self::Population)];
}

/// How the gradient under errors joins that without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// One step along the mean of both.
    #[default]
    Average,
    /// A step along the one, then a step along the other whose result stays within the range that
    /// each weight tensor had.
    Alternating,
    /// One step along the gradient under errors alone.
    Perturbed,
}

impl Method {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 3] = [
        ("average", Self::Average),
        ("alternating", Self::Alternating),
        ("perturbed", Self::Perturbed),
    ];
}

/// What a faulty cell does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKindChoice {
    /// Inverts its bit.
    #[default]
    Flip,
    /// Holds its preferred value.
    StuckAt,
}

impl FaultKindChoice {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 2] = [("flip", Self::Flip), ("stuck_at", Self::StuckAt)];
}

/// What chips are drawn from, and the memory they have. The shares are those of
/// [`vmin_sram::VarianceShares`]; the cell's own share is what remains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChipPopulation {
    /// Share of the variance common to a die.
    pub die: f64,
    /// Common to a bank.
    pub bank: f64,
    /// Common to a column.
    pub column: f64,
    /// Common to half a column.
    pub half_column: f64,
    /// Probability that a faulty cell prefers 0.
    pub share_stuck_at_0: f64,
    /// Rows of a bank.
    pub rows: u32,
    /// Columns of a bank, in bits.
    pub columns: u32,
    /// Weights pass through a memory of so many banks in place of one that holds all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streamed: Option<Streaming>,
}

/// A memory through which weights pass half by half, in the order in which an array asks for them
/// ([`vmin_accel::placement::StreamedPlacement`]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Streaming {
    /// Banks.
    pub banks: u32,
    /// Rows and columns of the array.
    pub array: [u64; 2],
    /// Dataflow of the array; weight stationary if absent.
    pub dataflow: vmin_accel::Dataflow,
}

impl Default for ChipPopulation {
    /// Independent cells in banks of 4,096 rows of 128 bits, as `gemmini-16` has.
    fn default() -> Self {
        Self {
            die: 0.0,
            bank: 0.0,
            column: 0.0,
            half_column: 0.0,
            share_stuck_at_0: 0.5,
            rows: 4096,
            columns: 128,
            streamed: None,
        }
    }
}

impl Default for BitErrors {
    /// The default of every key of a recipe: no errors at all.
    fn default() -> Self {
        Self {
            rate: None,
            activations_rate: 0.0,
            inputs_rate: 0.0,
            sums_rate: 0.0,
            sums_fold: USUAL_FOLD,
            sums_kept: SumKeeping::default(),
            data_faults: DataFaults::default(),
            pattern: Pattern::default(),
            method: Method::default(),
            curricular: false,
            from_epoch: 0,
            gradient_clamp: None,
            start_loss: 1.75,
            fault_kind: FaultKindChoice::default(),
            chip_seed: None,
            chip: 0,
            closest_codes: false,
            population: ChipPopulation::default(),
            measured: None,
            varied: false,
            fade: None,
            adversary: None,
        }
    }
}

impl BitErrors {
    /// The rate of faulty cells; 0 where it is absent.
    pub(crate) fn cell_rate(&self) -> f64 {
        self.rate.unwrap_or(0.0)
    }

    /// Whether a step can have errors at all.
    pub(crate) fn any(&self) -> bool {
        let rates = [self.cell_rate(), self.activations_rate, self.inputs_rate, self.sums_rate];
        let adversary = self.adversary.is_some_and(|adversary| adversary.flips > 0);
        adversary || self.measured.is_some() || rates.iter().any(|&rate| rate > 0.0)
    }

    /// The rate in an epoch.
    ///
    /// Curricular: `rate * (i + 1) / 20` from epoch `i / 20 * epochs / 2` on, for `i` of 0..=19.
    pub(crate) fn rate_in(&self, epoch: u32, epochs: u32) -> f64 {
        self.risen(self.cell_rate(), epoch.into(), epochs.into())
    }

    /// The same of errors in what layers read.
    pub(crate) fn data_rates_in(&self, epoch: u32, epochs: u32) -> DataRates {
        let (epoch, epochs) = (epoch.into(), epochs.into());
        DataRates {
            inputs: self.risen(self.inputs_rate, epoch, epochs),
            activations: self.risen(self.activations_rate, epoch, epochs),
            sums: self.risen(self.sums_rate, epoch, epochs),
        }
    }

    /// The part of its rate that a step has.
    pub(crate) fn part(&self, seed: u64, step: usize) -> f64 {
        if self.varied { Stream::new(seed, Purpose::ErrorPart, step).unit() } else { 1.0 }
    }

    /// The adversary after so many of all steps: its flips rise as the rates do, but with the steps.
    pub(crate) fn adversary_in(&self, step: usize, steps: usize, part: f64) -> Option<Adversary> {
        let adversary = self.adversary?;
        let flips = part * self.risen(adversary.flips.into(), step as u64, steps as u64);
        // At most all of them.
        Some(Adversary { flips: libm::ceil(flips) as u32, ..adversary })
    }

    /// A rate after a part of the run.
    fn risen(&self, rate: f64, done: u64, all: u64) -> f64 {
        if !self.curricular {
            return rate;
        }
        let stage = 40 * done / all.max(1);
        rate * (stage.min(19) + 1) as f64 / 20.0
    }
}

#[cfg(test)]
mod integer_tests;
#[cfg(test)]
mod tests;
