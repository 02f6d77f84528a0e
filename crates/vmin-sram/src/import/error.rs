//! Errors of an import.

use crate::chip::ChipError;
use crate::geometry::GeometryError;

/// A problem and its file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{problem}", file.as_ref().map_or(String::new(), |file| format!("`{file}`: ")))]
pub struct ImportError {
    /// Name of the file, if the problem is in one.
    pub file: Option<String>,
    /// The problem.
    pub problem: ImportProblem,
}

/// A problem of an import. [`Self::hint`] gives advice.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportProblem {
    /// Nothing to import.
    #[error("there is no map to import")]
    NoFiles,
    /// An empty file.
    #[error("the file is empty")]
    Empty,
    /// None of the formats.
    #[error("the file is in none of the known formats")]
    Unrecognised,
    /// Already a chip.
    #[error("the file is a chip file already")]
    ChipFile,
    /// Files of two formats.
    #[error("the file is of the format {this}, and those before it of {first}")]
    MixedFormats {
        /// Format of the first file.
        first: &'static str,
        /// Format of this file.
        this: &'static str,
    },
    /// No voltage in the name.
    #[error("the name does not say the voltage")]
    NoVoltage,
    /// More than one number in the name.
    #[error("the name may say the voltage {first} or {second}")]
    TwoVoltages {
        /// One reading.
        first: String,
        /// Another.
        second: String,
    },
    /// A voltage without a unit that could mean anything.
    #[error("the voltage {value} has no unit, and is neither clearly volts nor millivolts")]
    VoltageUnit {
        /// As written.
        value: String,
    },
    /// Not a voltage of a memory.
    #[error("{vdd_mv} mV is not a supply voltage; the range is 0.001 to 4,294,967 mV")]
    Voltage {
        /// In mV.
        vdd_mv: f64,
    },
    /// As many voltages or patterns as files are needed.
    #[error("{given} {what} are given for at least {files} files")]
    Count {
        /// The counted things.
        what: &'static str,
        /// Their number.
        given: usize,
        /// Files so far.
        files: usize,
    },
    /// The file's name does not say which map it is.
    #[error("the name does not say {what}")]
    Role {
        /// The missing statement.
        what: &'static str,
    },
    /// Compressed data are damaged or cannot be read.
    #[error("cannot be decompressed: {0}")]
    Gzip(String),
    /// A limit is exceeded.
    #[error("the file has more than {max} {what}")]
    Limit {
        /// The counted things.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// An unexpected text.
    #[error("line {line}: {found}, where {expected} is expected")]
    Text {
        /// From 1.
        line: u64,
        /// The found text.
        found: String,
        /// The expected text.
        expected: &'static str,
    },
    /// A line of another length.
    #[error("line {line} has {found} values, the first {expected}")]
    Width {
        /// From 1.
        line: u64,
        /// Its values.
        found: u64,
        /// Those of the first line.
        expected: u64,
    },
    /// A file of another size than the first.
    #[error("the file has {found}, and `{file}` {expected}")]
    Size {
        /// Of this file.
        found: String,
        /// Of the first file.
        expected: String,
        /// The first file.
        file: String,
    },
    /// Two files about the same.
    #[error("`{file}` has a map of {map} at {vdd_mv} mV already")]
    Repeated {
        /// In mV.
        vdd_mv: f64,
        /// The kind of map.
        map: &'static str,
        /// The other file.
        file: String,
    },
    /// The dump does not show the written pattern.
    #[error("no word fills nine tenths of the dump, so the written pattern is not known")]
    Pattern,
    /// A dump does not say where banks end.
    #[error("the dump does not say how many of its {words} words of {word_bits} bits are a bank")]
    NoBanks {
        /// Words of the dump.
        words: u64,
        /// Bits of a word.
        word_bits: u32,
    },
    /// An array of voltages of failure without one.
    #[error("the array names no voltage: every cell is NaN, 0 or minus infinity")]
    NeverFails,
    /// An option that is given and changes nothing.
    #[error("`{option}` has no effect: {why}")]
    NoEffect {
        /// The option.
        option: &'static str,
        /// The reason.
        why: String,
    },
    /// Maps with too many rows for one bank.
    #[error("the maps do not say how many of their {rows} rows are a bank")]
    NoBankRows {
        /// Rows of a map.
        rows: u64,
    },
    /// A list without a row and without a voltage.
    #[error(
        "the list has a header and no rows, so that no voltage is known at which cells were tested"
    )]
    NoRows,
    /// An option that the format cannot have.
    #[error("{what} of {found}: {expected}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The allowed values.
        expected: &'static str,
    },
    /// Words cut at the end.
    #[error("the dump ends within a word of {word_bits} bits")]
    PartialWord {
        /// Bits per word.
        word_bits: u32,
    },
    /// The order of a word's bytes is not known.
    #[error(
        "words of {word_bits} bits in a binary dump have an order of bytes, which is not given"
    )]
    ByteOrder {
        /// Bits per word.
        word_bits: u32,
    },
    /// A size that is no multiple.
    #[error("{count} {what} cannot be divided by {by}")]
    Divide {
        /// The counted things.
        what: &'static str,
        /// Their number.
        count: u64,
        /// The divisor.
        by: u64,
    },
    /// Halves that are to be folded differ.
    #[error("{words} words with faults do not repeat their lower half")]
    NotRepeated {
        /// Their number.
        words: u64,
    },
    /// An array that cannot be read.
    #[error("not an array that can be read: {0}")]
    Npy(String),
    /// A value of an array out of range.
    #[error("element {index} of the array is {value}, where {expected} is expected")]
    Element {
        /// In the order of the file.
        index: u64,
        /// The value.
        value: f64,
        /// The allowed values.
        expected: &'static str,
    },
    /// Voltages of failure that look like volts.
    #[error("the highest voltage of failure is {value}: volts or millivolts?")]
    FailureUnit {
        /// The highest.
        value: f64,
    },
    /// A table that cannot be read.
    #[error("not a table that can be read: {0}")]
    Table(String),
    /// A column of a list that is not known.
    #[error("it has a column `{name}`, which is none of a list's")]
    Column {
        /// Its name.
        name: String,
    },
    /// A column that a list needs.
    #[error("it has no column `{name}`")]
    NoColumn {
        /// Its name.
        name: &'static str,
    },
    /// Voltages of a list without a unit.
    #[error("the voltages of column `{name}` have no unit")]
    ListUnit {
        /// Name of the column.
        name: String,
    },
    /// A list of cells without the size of their memory.
    #[error(
        "the size of the memory is not given; the cells reach to bank {bank}, row {row}, column {column}"
    )]
    NoGeometry {
        /// Highest bank.
        bank: u32,
        /// Highest row.
        row: u32,
        /// Highest column.
        column: u32,
    },
    /// A size that contradicts the list's own.
    #[error(
        "the list says that its memory is {banks} x {rows} x {columns}, and another size is given"
    )]
    OtherSize {
        /// Banks that the list says.
        banks: u32,
        /// Rows of a bank.
        rows: u32,
        /// Columns of a bank.
        columns: u32,
    },
    /// A cell beyond the memory.
    #[error(
        "bank {bank}, row {row}, column {column} lies outside a memory of {banks} x {rows} x {columns}"
    )]
    Outside {
        /// Of the cell.
        bank: u32,
        /// Of the cell.
        row: u32,
        /// Of the cell.
        column: u32,
        /// Of the memory.
        banks: u32,
        /// Of the memory.
        rows: u32,
        /// Of the memory.
        columns: u32,
    },
    /// A cell that is listed twice in one direction at one voltage.
    #[error("the cell {address} is listed twice at {vdd_mv} mV")]
    CellTwice {
        /// Linear bit address.
        address: u64,
        /// In mV.
        vdd_mv: f64,
    },
    /// An impossible memory.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// Something else that is no chip.
    #[error(transparent)]
    Chip(#[from] ChipError),
}

impl ImportProblem {
    /// Advice for the user, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unrecognised => {
                "name the format with `--format-in`; `vmin chip import --help` lists them"
            }
            Self::ChipFile => "`vmin chip inspect` shows it",
            Self::MixedFormats { .. } => {
                "import one format at a time, or name it with `--format-in`"
            }
            Self::NoVoltage | Self::TwoVoltages { .. } => {
                "say it with `--vdd-mv V,V,...`, one for each file"
            }
            Self::VoltageUnit { .. } => "add `--vdd-unit mv`, `v` or `vmin:MILLIVOLTS`",
            Self::ListUnit { .. } => "add `--vdd-unit mv`, `v` or `vmin:MILLIVOLTS`",
            Self::Column { .. } => {
                "name the columns you have, as `--columns-named bank=Block,vdd_mv=\"Voltage (V)\"`; others are \
                 then ignored"
            }
            Self::NoColumn { name: "kind" } => {
                "say what all cells do with `--failure-kind`, or name the column: `--columns-named kind=NAME`"
            }
            Self::NoColumn { .. } => {
                "lists have bank, row and column, or address and bit; other names are told with \
                 `--columns-named bank=NAME,...`"
            }
            Self::FailureUnit { .. } => "add `--vdd-unit mv` or `--vdd-unit v`",
            Self::Count { .. } => "give one for each file, in their order",
            Self::Role { .. } => {
                "IBM's files have `sa0` or `sa1` in their names, arrays `p01`, `p10`, `flip` or \
                 `vfail`, or say it with `--npy-values`"
            }
            Self::Limit { what: "observations", .. } => {
                "raise it with `--observations-max`, or cut voltages of failure with `--levels-mv`"
            }
            Self::Limit { what: "different voltages", .. } => {
                "say at which to cut with `--levels-mv V,V,...`"
            }
            Self::Pattern => "say what was written with `--written 0xFFFF`",
            Self::ByteOrder { .. } => "add `--byte-order little` or `--byte-order big`",
            Self::NotRepeated { .. } => "remove `--fold-duplicates always`",
            Self::NoBanks { .. } => {
                "add `--words-per-bank N` (all words for a single bank), and `--column-mux M` where a row has \
                 several words"
            }
            Self::NoEffect { .. } => "leave it away",
            Self::OtherSize { .. } => "leave `--banks`, `--rows` and `--columns` away",

            Self::NoBankRows { .. } => {
                "add `--rows-per-bank N` (all rows for a single bank), or import an array with an axis of banks"
            }
            Self::NoRows => {
                "a chip without faults needs its voltages: a line `# levels_mv=590,580` before the header, or \
                 `--vdd-mv V` without a column of voltages"
            }
            Self::NeverFails => {
                "check the measurement; a chip without faults needs its levels, `--levels-mv V,V,...`"
            }
            Self::NoGeometry { .. } => "add `--banks B --rows R --columns C`",
            Self::Repeated { .. } => {
                "give each map once; repeated reads are given as probabilities"
            }
            Self::PartialWord { .. } => "set `--word-bits`, or check that the file is complete",
            Self::NoFiles
            | Self::Empty
            | Self::Voltage { .. }
            | Self::Gzip(_)
            | Self::Limit { .. }
            | Self::Text { .. }
            | Self::Width { .. }
            | Self::Size { .. }
            | Self::Option { .. }
            | Self::Divide { .. }
            | Self::Npy(_)
            | Self::Element { .. }
            | Self::Table(_)
            | Self::Outside { .. }
            | Self::CellTwice { .. }
            | Self::Geometry(_)
            | Self::Chip(_) => return None,
        })
    }
}
