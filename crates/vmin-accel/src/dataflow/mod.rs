//! Dataflows: which operand stays in the array while the others pass.
//!
//! A product of `m x n x k` is cut into *folds*, tiles as large as the array. Two of the three
//! dimensions lie on the rows and columns of the array, the third streams through in time:
//!
//! ```text
//!        rows  columns  stream     stays in a PE     order of folds
//!  ws    k     n        m          a weight          for each block of columns:
//!  os    m     n        k          an output sum        for each block of rows: run the fold
//!  is    k     m        n          an input
//! ```
//!
//! Each dataflow is one file behind [`Mapping`]; [`Dataflow::ALL`] is the one list.

mod input_stationary;
mod output_stationary;
mod weight_stationary;

use crate::GemmShape;

/// The dataflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dataflow {
    /// Weight stationary.
    Ws,
    /// Output stationary.
    Os,
    /// Input stationary.
    Is,
}

impl Dataflow {
    /// Every dataflow with the word that names it in files and on the command line.
    pub const ALL: [(&'static str, Self); 3] =
        [("ws", Self::Ws), ("os", Self::Os), ("is", Self::Is)];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Os => "os",
            Self::Is => "is",
        }
    }

    /// How it maps a product onto the array.
    #[must_use]
    pub fn mapping(self) -> &'static dyn Mapping {
        match self {
            Self::Ws => &weight_stationary::WeightStationary,
            Self::Os => &output_stationary::OutputStationary,
            Self::Is => &input_stationary::InputStationary,
        }
    }
}

/// Rows and columns of processing elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArraySize {
    rows: u64,
    columns: u64,
}

/// Most rows or columns of an array.
pub const ARRAY_SIDE_MAX: u64 = 4096;

impl ArraySize {
    /// An array, or `None` unless both sides are in `1..=`[`ARRAY_SIDE_MAX`].
    #[must_use]
    pub fn new(rows: u64, columns: u64) -> Option<Self> {
        let allowed = 1..=ARRAY_SIDE_MAX;
        (allowed.contains(&rows) && allowed.contains(&columns)).then_some(Self { rows, columns })
    }

    /// Rows of processing elements.
    #[must_use]
    pub const fn rows(self) -> u64 {
        self.rows
    }

    /// Columns of processing elements.
    #[must_use]
    pub const fn columns(self) -> u64 {
        self.columns
    }

    /// Processing elements.
    #[must_use]
    pub const fn elements(self) -> u64 {
        self.rows * self.columns
    }
}

/// A product laid on the array: extents of rows, columns and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Dimension on the rows of the array, `Sr`.
    pub rows: u64,
    /// Dimension on the columns, `Sc`.
    pub columns: u64,
    /// Dimension in time, `T`.
    pub stream: u64,
}

/// How often the array is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folds {
    /// Blocks of rows, `Fr = ceil(Sr / R)`.
    pub rows: u64,
    /// Blocks of columns, `Fc = ceil(Sc / C)`.
    pub columns: u64,
}

impl Folds {
    /// Folds of `extent` on `array`.
    #[must_use]
    pub const fn of(extent: Extent, array: ArraySize) -> Self {
        Self {
            rows: extent.rows.div_ceil(array.rows),
            columns: extent.columns.div_ceil(array.columns),
        }
    }

    /// All folds.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.rows * self.columns
    }
}

/// Reads of the two operands, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperandReads {
    /// Activations.
    pub ifmap: u64,
    /// Weights.
    pub filter: u64,
}

/// Words asked for in one cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Activations read.
    pub inputs: u64,
    /// Weights read.
    pub weights: u64,
    /// Sums read and written.
    pub sums: u64,
}

/// Words per cycle in the three parts of a fold; the stream takes as many cycles as it is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// While the tile that stays is loaded.
    pub load: Words,
    /// Cycles of the load.
    pub load_steps: u64,
    /// While operands stream.
    pub stream: Words,
    /// While finished sums are shifted out.
    pub drain: Words,
    /// Cycles of the drain.
    pub drain_steps: u64,
}

/// What lies wholly in its on-chip memory, and so need not be fetched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fits {
    /// The layer's inputs fit in the activation memory.
    pub inputs: bool,
    /// The layer's weights fit in the weight memory.
    pub weights: bool,
    /// The weights of one block of columns fit in the weight memory.
    pub weight_block: bool,
}

/// A dataflow: a pure function from a product (of one group) to folds and traffic.
pub trait Mapping: Sync {
    /// Which dimension lies where.
    fn extent(&self, shape: GemmShape) -> Extent;

    /// Reads of the on-chip memories by the array.
    fn reads(&self, shape: GemmShape, folds: Folds) -> OperandReads;

    /// How often each output sum is written to the accumulator memory: once if it stays in its PE,
    /// once per block of rows if it passes through.
    fn sum_passes(&self, folds: Folds) -> u64;

    /// Sums that are unfinished at one time and must wait in the accumulator memory.
    fn sums_waiting(&self, shape: GemmShape, array: ArraySize) -> u64;

    /// How often inputs and weights come from DRAM.
    fn fetches(&self, folds: Folds, fits: Fits) -> OperandReads;

    /// What the array asks of the on-chip memories in one cycle.
    fn rates(&self, array: ArraySize, folds: Folds) -> Rates;

    /// How SCALE-Sim 3.0.0 counts this dataflow.
    fn scalesim(&self) -> ScalesimRules;
}

/// Where SCALE-Sim 3.0.0 departs from the causal closed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalesimRules {
    /// Array rows counted per fold: 2 (load and skew) or 1 (skew only).
    pub rows_per_fold: u64,
    /// Its "compute utilisation" divides by `C - 1` cycles more than a fold takes.
    pub extra_columns_in_utilization: bool,
    /// Its output write counter adds `R + C` per fold.
    pub extra_writes_per_fold: bool,
}
