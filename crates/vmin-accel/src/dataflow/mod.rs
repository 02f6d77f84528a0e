//! Dataflows: which operand stays in the array, and which way the two others move.
//!
//! A product `C[m, n] = A[m, k] * B[k, n]` has three operands: inputs `A`, weights `B`, sums `C`. Each
//! lacks one of the three dimensions. In a systolic array one operand stays in the processing elements,
//! one moves to the right and one moves down, and this decides where the dimensions lie:
//!
//! ```text
//!        stays     moves right  moves down  |  rows  columns  stream
//!  ws    weights   inputs       sums        |  k     n        m
//!  os    sums      inputs       weights     |  m     n        k
//!  is    inputs    weights      sums        |  k     m        n
//!
//!  rows: the dimension that the operand moving down lacks
//!  columns: the one that the operand moving right lacks
//!  stream (time): the one that the staying operand lacks
//! ```
//!
//! The product is cut into *folds*, tiles as large as the array. For each block of columns, the folds
//! of all blocks of rows run one after another.
//!
//! Each dataflow is one file, [`Dataflow::ALL`] is the one list. A dataflow is data and not an
//! implementation of a trait: cycles, traffic, placement and SCALE-Sim's demands are formulas over
//! [`Path`] and [`Dimension`], so that no formula can omit a dataflow.

mod input_stationary;
mod output_stationary;
mod weight_stationary;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::GemmShape;

/// A dimension of `C[m, n] = A[m, k] * B[k, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Rows of the result: output pixels.
    M,
    /// Columns of the result: filters.
    N,
    /// Length of the sums: taps.
    K,
}

/// An operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// Inputs, `A[m, k]`.
    Ifmap,
    /// Weights, `B[k, n]`.
    Filter,
    /// Sums and results, `C[m, n]`.
    Ofmap,
}

impl Operand {
    const fn lacks(self) -> Dimension {
        match self {
            Self::Ifmap => Dimension::N,
            Self::Filter => Dimension::M,
            Self::Ofmap => Dimension::K,
        }
    }

    /// Elements in a product of `[m, n, k]`; saturating.
    #[must_use]
    pub const fn elements(self, [m, n, k]: [u64; 3]) -> u64 {
        match self {
            Self::Ifmap => m.saturating_mul(k),
            Self::Filter => k.saturating_mul(n),
            Self::Ofmap => m.saturating_mul(n),
        }
    }
}

/// Way of an operand through the array during one fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Each element stays in one processing element.
    Stays,
    /// Elements enter at the left of a row.
    Right,
    /// Elements enter at the top of a column, or sums leave at its bottom.
    Down,
}

/// A dataflow.
///
/// ```
/// use vmin_accel::dataflow::{Dataflow, Operand, Path};
/// let ws = Dataflow::named("ws").ok_or("unknown")?;
/// assert_eq!(ws.path(Operand::Filter), Path::Stays);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dataflow {
    name: &'static str,
    title: &'static str,
    stays: Operand,
    right: Operand,
    down: Operand,
}

impl Dataflow {
    /// Every dataflow with the word that names it in files and on the command line.
    pub const ALL: &'static [(&'static str, Self)] = &[
        weight_stationary::DATAFLOW.listed(),
        output_stationary::DATAFLOW.listed(),
        input_stationary::DATAFLOW.listed(),
    ];

    const WORDS: [&'static str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut index = 0;
        while index < words.len() {
            words[index] = Self::ALL[index].0;
            index += 1;
        }
        words
    };

    /// A dataflow whose operands stay, move right and move down in this order. An operand that is
    /// named twice, or sums that move right, do not compile.
    const fn new(
        name: &'static str,
        title: &'static str,
        stays: Operand,
        right: Operand,
        down: Operand,
    ) -> Self {
        let [a, b, c] = [stays as u8, right as u8, down as u8];
        assert!(a != b && b != c && a != c, "every operand has one path");
        assert!(!matches!(right, Operand::Ofmap), "sums stay or move down");
        Self { name, title, stays, right, down }
    }

    const fn listed(self) -> (&'static str, Self) {
        (self.name, self)
    }

    /// The dataflow with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, dataflow)| *dataflow)
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Its name in full.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.title
    }

    /// The operand on a path.
    #[must_use]
    pub const fn operand(self, path: Path) -> Operand {
        match path {
            Path::Stays => self.stays,
            Path::Right => self.right,
            Path::Down => self.down,
        }
    }

    /// The path of an operand.
    #[must_use]
    pub fn path(self, operand: Operand) -> Path {
        if operand == self.stays {
            Path::Stays
        } else if operand == self.right {
            Path::Right
        } else {
            Path::Down
        }
    }

    /// Whether sums stay in the array until they are complete. Otherwise each fold loads a tile of
    /// the operand that stays, and partial sums pass through the accumulator memory.
    #[must_use]
    pub const fn sums_stay(self) -> bool {
        matches!(self.stays, Operand::Ofmap)
    }

    /// `[row, column, stream]` dimension of the array.
    #[must_use]
    pub const fn dimensions(self) -> [Dimension; 3] {
        [self.down.lacks(), self.right.lacks(), self.stays.lacks()]
    }

    /// `[m, n, k]` as `[rows, columns, stream]`.
    #[must_use]
    pub fn laid<T: Copy>(self, [m, n, k]: [T; 3]) -> [T; 3] {
        self.dimensions().map(|dimension| match dimension {
            Dimension::M => m,
            Dimension::N => n,
            Dimension::K => k,
        })
    }

    /// `[row, column, step]` as `[m, n, k]`: the inverse of [`Self::laid`].
    #[must_use]
    pub fn coordinates<T: Copy>(self, place: [T; 3]) -> [T; 3] {
        let [row, column, _] = self.dimensions();
        [Dimension::M, Dimension::N, Dimension::K].map(|dimension| {
            if dimension == row {
                place[0]
            } else if dimension == column {
                place[1]
            } else {
                place[2]
            }
        })
    }

    /// A product (of one group) laid on the array.
    #[must_use]
    pub fn extent(self, shape: GemmShape) -> Extent {
        let [rows, columns, stream] = self.laid(shape.sizes());
        Extent { rows, columns, stream }
    }

    /// How often each element of an operand crosses the edge of the array.
    #[must_use]
    pub fn passes(self, operand: Operand, folds: Folds) -> u64 {
        match self.path(operand) {
            Path::Stays => 1,
            Path::Right => folds.columns,
            Path::Down => folds.rows,
        }
    }
}

/// The first of the list.
impl Default for Dataflow {
    fn default() -> Self {
        Self::ALL[0].1
    }
}

impl Serialize for Dataflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl schemars::JsonSchema for Dataflow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dataflow".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": Self::WORDS })
    }
}

impl<'de> Deserialize<'de> for Dataflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::named(&word).ok_or_else(|| de::Error::unknown_variant(&word, &Self::WORDS))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_the_files_agree() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dataflow");
        let files = std::fs::read_dir(folder).unwrap().count() - 1;
        assert_eq!(Dataflow::ALL.len(), files);
        for &(word, dataflow) in Dataflow::ALL {
            assert_eq!(Dataflow::named(word), Some(dataflow), "two dataflows have one word");
        }
    }

    #[test]
    fn coordinates_undo_the_layout() {
        for (word, dataflow) in Dataflow::ALL {
            assert_eq!(dataflow.coordinates(dataflow.laid([1, 2, 3])), [1, 2, 3], "{word}");
            for path in [Path::Stays, Path::Right, Path::Down] {
                assert_eq!(dataflow.path(dataflow.operand(path)), path, "{word}");
            }
        }
    }
}
