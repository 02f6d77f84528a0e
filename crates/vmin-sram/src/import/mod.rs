//! Reading the fault maps that others measured.
//!
//! ```text
//! files (plain or gzip) --format--> observations: (level, cell, rates) --finish--> Chip + ImportReport
//! ```
//!
//! Each file is read once, in a stream; what is held is the file as it lies on the disk and what was
//! found. A format is one file of this folder and one line of [`FORMATS`]. What is ambiguous is refused
//! or told in [`ImportReport::notes`], never passed over.

mod collect;
mod dump;
mod error;
mod ibm;
mod limits;
mod list;
mod list_csv;
mod list_parquet;
mod npy;
mod report;
mod source;
mod voltage;

use std::collections::BTreeMap;

pub use error::{ImportError, ImportProblem};
pub use limits::Limits;
pub(crate) use list::{COLUMNS, escape};
pub use report::{FileReport, ImportReport, LevelReport};
pub use voltage::VddUnit;

use self::collect::Collector;
use crate::chip::Chip;
use crate::geometry::Geometry;

/// A form in which maps are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A pair of comma-separated 0/1 files per voltage, stuck at 0 and stuck at 1.
    Ibm,
    /// What was read back of a written pattern, hex digits or binary, a file per voltage.
    Dump,
    /// A table with a row per faulty cell and voltage, comma-separated.
    ListCsv,
    /// The same table as Parquet.
    ListParquet,
    /// Arrays of numpy: voltage of failure, or error probabilities.
    Npy,
}

/// All formats, by the name people type.
pub const FORMATS: [(&str, Format); 5] = [
    ("ibm", Format::Ibm),
    ("dump", Format::Dump),
    ("list", Format::ListCsv),
    ("parquet", Format::ListParquet),
    ("npy", Format::Npy),
];

impl Format {
    /// The name people type.
    #[must_use]
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

/// What to do about words whose two halves are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FoldDuplicates {
    /// Fold if every word of every file repeats its lower half and some word has a fault. Independent
    /// cells do not fail in pairs in every faulty word, so these are one cell read twice, and counting
    /// it twice would double the rate. Told in the notes.
    #[default]
    Auto,
    /// Fold; words that do not repeat are an error.
    Always,
    /// Take all bits for cells of their own.
    Never,
}

/// What an array of numpy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NpyValues {
    /// Highest voltage at which each cell fails, in mV; NaN, minus infinity or 0: it never does.
    FailureVoltage,
    /// Probability that a stored 0 is read as 1.
    P01,
    /// Probability that a stored 1 is read as 0.
    P10,
    /// Probability that a stored bit is inverted.
    Flip,
}

/// What the files do not say themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// The format; found out by looking if absent.
    pub format: Option<Format>,
    /// Voltages of the files in their order, in mV; from their names if empty.
    pub vdd_mv: Vec<f64>,
    /// What a voltage without a unit in a file's name, or in an array, means.
    pub vdd_unit: Option<VddUnit>,
    /// Written pattern of each dump, or one for all; found out if empty.
    pub written: Vec<u64>,
    /// Bits of a word of a dump: a multiple of 4 up to 64 for hex, of 8 for binary.
    pub word_bits: u32,
    /// Words of a bank of a dump; all if absent.
    pub words_per_bank: Option<u32>,
    /// Words that share a row of a dump: cell `(word w, bit b)` lies at row `w / mux`, column
    /// `b * mux + w % mux`.
    pub column_mux: u32,
    /// Whether a binary dump stores the most significant byte first; needed above 8 bits per word.
    pub big_endian: Option<bool>,
    /// Whether a dump is binary; found out by looking if absent.
    pub binary: Option<bool>,
    /// What to do with words whose halves are alike.
    pub fold_duplicates: FoldDuplicates,
    /// Rows of a bank, for pairs of 0/1 files and arrays of two axes; all if absent.
    pub rows_per_bank: Option<u32>,
    /// The memory of a list that does not tell it.
    pub geometry: Option<Geometry>,
    /// What arrays hold; from their names if absent.
    pub npy_values: Option<NpyValues>,
    /// Levels at which voltages of failure are cut, in mV; all different ones if empty.
    pub levels_mv: Vec<f64>,
    /// Which way cells with a voltage of failure err: rates of 1 in one or both directions.
    pub failure_rates: crate::ErrorRates,
    /// Who measured, where it is published; the files' names if absent.
    pub source: Option<String>,
    /// Under which terms.
    pub licence: Option<String>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            format: None,
            vdd_mv: Vec::new(),
            vdd_unit: None,
            written: Vec::new(),
            word_bits: 16,
            words_per_bank: None,
            column_mux: 1,
            big_endian: None,
            binary: None,
            fold_duplicates: FoldDuplicates::Auto,
            rows_per_bank: None,
            geometry: None,
            npy_values: None,
            levels_mv: Vec::new(),
            failure_rates: crate::ErrorRates::flip(1.0),
            source: None,
            licence: None,
        }
    }
}

/// Takes files one after another and makes a chip of them.
#[derive(Debug)]
pub struct Importer {
    options: ImportOptions,
    limits: Limits,
    collector: Collector,
    format: Option<Format>,
    files: Vec<FileReport>,
    notes: Vec<String>,
    /// Rows and columns of the matrices, or banks too; of dumps the words.
    shape: Option<(Shape, String)>,
    /// Which file gave which map of which voltage.
    maps: BTreeMap<(u32, MapId), String>,
    dump: dump::Found,
    list: list::Found,
}

/// The size of what a file holds, which all files must share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Matrix { rows: u64, columns: u64 },
    Banks { banks: u64, rows: u64, columns: u64 },
    Words(u64),
}

/// What a file tells about a voltage; two of the same kind contradict or repeat each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MapId {
    StuckAt0,
    StuckAt1,
    P01,
    P10,
    Flip,
    Written(u64),
}

impl Importer {
    /// An importer without files yet.
    #[must_use]
    pub fn new(options: ImportOptions, limits: Limits) -> Self {
        Self {
            collector: Collector::new(limits),
            options,
            limits,
            format: None,
            files: Vec::new(),
            notes: Vec::new(),
            shape: None,
            maps: BTreeMap::new(),
            dump: dump::Found::default(),
            list: list::Found::default(),
        }
    }

    /// Reads one file's bytes as they lie on the disk, plain or gzip. `name` is its name without the
    /// folder; it may say the voltage.
    ///
    /// # Errors
    /// The bytes are in no known format, or not in the one given; contradict an earlier file; lack
    /// something that the options do not say; or exceed the limits. The importer is then of no more use
    /// than to look at further files for more problems.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let index = self.files.len();
        self.files.push(FileReport::new(name));
        self.collector.allow(bytes.len());
        self.add_bytes(index, name, bytes)
            .map_err(|problem| ImportError { file: Some(name.to_owned()), problem })
    }

    fn add_bytes(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), ImportProblem> {
        let format = match self.options.format {
            Some(format) => format,
            None => source::detect(bytes)?,
        };
        let first = *self.format.get_or_insert(format);
        if first != format {
            return Err(ImportProblem::MixedFormats { first: first.name(), this: format.name() });
        }
        self.files[index].format = format.name();
        self.files[index].gzip = source::is_gzip(bytes);
        match format {
            Format::Ibm => self.add_ibm(index, name, bytes),
            Format::Dump => self.add_dump(index, name, bytes),
            Format::ListCsv => self.add_list_csv(bytes),
            Format::ListParquet => self.add_list_parquet(bytes),
            Format::Npy => self.add_npy(index, name, bytes),
        }
    }

    /// The chip, and what was found on the way.
    ///
    /// # Errors
    /// No files, a cell told twice, a memory that the sizes do not divide into, or more than a chip can
    /// hold.
    pub fn finish(mut self) -> Result<(Chip, ImportReport), ImportError> {
        self.finish_all().map_err(|problem| ImportError { file: None, problem })
    }

    fn finish_all(&mut self) -> Result<(Chip, ImportReport), ImportProblem> {
        let geometry = match self.format {
            None => return Err(ImportProblem::NoFiles),
            Some(Format::Dump) => self.finish_dump()?,
            Some(Format::ListCsv | Format::ListParquet) => self.finish_list()?,
            Some(Format::Ibm | Format::Npy) => self.matrix_geometry()?,
        };
        self.missing_halves();
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        let source = self
            .options
            .source
            .clone()
            .or_else(|| self.list.source.take())
            .unwrap_or_else(|| source::list_of_names(&names));
        let licence = self.options.licence.clone().or_else(|| self.list.licence.take());
        let (vdd_uv, runs) = self.collector.take()?;
        let chip = Chip::measured(geometry, source, licence.unwrap_or_default(), &vdd_uv, runs)?;
        let report = report::report(
            &chip,
            core::mem::take(&mut self.files),
            core::mem::take(&mut self.notes),
            self.dump.folded,
        );
        Ok((chip, report))
    }

    /// Checks that a file is as large as those before it.
    pub(crate) fn same_shape(&mut self, name: &str, shape: Shape) -> Result<(), ImportProblem> {
        match &self.shape {
            None => self.shape = Some((shape, name.to_owned())),
            Some((first, _)) if *first == shape => {}
            Some((first, file)) => {
                return Err(ImportProblem::Size {
                    found: shape.to_string(),
                    expected: first.to_string(),
                    file: file.clone(),
                });
            }
        }
        Ok(())
    }

    /// Notes that a file tells this about a voltage, which no other may.
    pub(crate) fn claim(
        &mut self,
        name: &str,
        vdd_uv: u32,
        map: MapId,
    ) -> Result<(), ImportProblem> {
        match self.maps.insert((vdd_uv, map), name.to_owned()) {
            None => Ok(()),
            Some(file) => Err(ImportProblem::Repeated {
                vdd_mv: f64::from(vdd_uv) / 1000.0,
                map: map.name(),
                file,
            }),
        }
    }

    fn missing_halves(&mut self) {
        let pairs = [(MapId::StuckAt0, MapId::StuckAt1), (MapId::P01, MapId::P10)];
        for &(vdd_uv, map) in self.maps.keys() {
            let other = pairs.iter().find_map(|&(a, b)| match map {
                map if map == a => Some(b),
                map if map == b => Some(a),
                _ => None,
            });
            if let Some(other) = other.filter(|&other| !self.maps.contains_key(&(vdd_uv, other))) {
                self.notes.push(format!(
                    "at {} mV there is a map of {} and none of {}: taken as without faults of that kind",
                    f64::from(vdd_uv) / 1000.0,
                    map.name(),
                    other.name()
                ));
            }
        }
    }

    fn matrix_geometry(&self) -> Result<Geometry, ImportProblem> {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        match self.shape {
            Some((Shape::Banks { banks, rows, columns }, _)) => {
                Ok(Geometry::new(small(banks), small(rows), small(columns))?)
            }
            Some((Shape::Matrix { rows, columns }, _)) => {
                let per_bank = self.options.rows_per_bank.map_or(rows, u64::from);
                if per_bank == 0 || rows % per_bank != 0 {
                    return Err(ImportProblem::Divide { what: "rows", count: rows, by: per_bank });
                }
                Ok(Geometry::new(small(rows / per_bank), small(per_bank), small(columns))?)
            }
            _ => Err(ImportProblem::NoFiles),
        }
    }
}

impl MapId {
    fn name(self) -> &'static str {
        match self {
            Self::StuckAt0 => "cells stuck at 0",
            Self::StuckAt1 => "cells stuck at 1",
            Self::P01 => "0 read as 1",
            Self::P10 => "1 read as 0",
            Self::Flip => "inverted bits",
            Self::Written(_) => "a written pattern",
        }
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Matrix { rows, columns } => write!(f, "{rows} rows of {columns} cells"),
            Self::Banks { banks, rows, columns } => {
                write!(f, "{banks} banks of {rows} rows of {columns} cells")
            }
            Self::Words(words) => write!(f, "{words} words"),
        }
    }
}
