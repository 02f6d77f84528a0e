//! Import of measured fault maps.
//!
//! ```text
//! files (plain or gzip) --format--> observations: (level, cell, rates) --finish--> Chip + ImportReport
//! ```
//!
//! Each file is parsed once, as a stream; memory holds the compressed file and the observations. A
//! format is one file of this folder and one entry of [`FORMATS`]. Ambiguous input is refused or listed
//! in [`ImportReport::notes`].

mod collect;
mod dump;
mod error;
mod foreign;
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
pub use limits::ImportLimits;
pub(crate) use list::{COLUMNS, escape};
pub use report::{FileReport, ImportReport, LevelReport};
pub use voltage::VddUnit;

use self::collect::Collector;
use crate::chip::Chip;
use crate::geometry::Geometry;

/// A form in which maps are published.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// The name that users type.
    pub name: &'static str,
    /// A description for help texts.
    pub about: &'static str,
    /// Its options on the command line, beside those of every format.
    options: &'static [&'static str],
    /// Whether a file that begins so is of this format. No two formats recognize the same file.
    recognizes: fn(&Head<'_>) -> bool,
    /// Takes the contents of a file: its index, its name, its bytes.
    add: fn(&mut Importer, usize, &str, &[u8]) -> Result<(), ImportProblem>,
    /// The memory, after the last file.
    finish: fn(&mut Importer) -> Result<Geometry, ImportProblem>,
}

/// All formats.
pub const FORMATS: [Format; 5] =
    [ibm::FORMAT, dump::FORMAT, list_csv::FORMAT, list_parquet::FORMAT, npy::FORMAT];

impl Format {
    /// The format that users call by this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        FORMATS.into_iter().find(|format| format.name == name)
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Most rows of a map that is taken for one bank without being told: no array has more on one bit line.
const BANK_ROWS_MAX: u64 = 8192;

/// The first bytes of a file, decompressed.
struct Head<'a> {
    bytes: &'a [u8],
    /// The first line that is neither empty nor a comment, in lower case.
    line: &'a str,
}

/// Treatment of words with two equal halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FoldDuplicates {
    /// Fold if every word of every file repeats its lower half and some word has a fault. Independent
    /// cells do not fail in pairs in every faulty word, so these are one cell read twice, and counting
    /// it twice would double the rate. A note reports it.
    #[default]
    Auto,
    /// Fold; words that do not repeat are an error.
    Always,
    /// Every bit is a cell.
    Never,
}

/// The meaning of the values of a numpy array.
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

/// What a row of a list says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    /// The cell errs at this voltage.
    #[default]
    PerLevel,
    /// The cell errs at this voltage, the highest, and at all lower ones.
    FirstFails,
}

/// Options for what the files do not contain.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// The format; by default recognized by the content.
    pub format: Option<Format>,
    /// Voltages of the files in their order, in mV; from their names if empty.
    pub vdd_mv: Vec<f64>,
    /// Unit of a voltage without a unit, in file names and arrays.
    pub vdd_unit: Option<VddUnit>,
    /// Written pattern of each dump, or one for all; the most frequent word if empty.
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
    /// Whether a dump is binary; by default the content decides.
    pub binary: Option<bool>,
    /// Treatment of words with equal halves.
    pub fold_duplicates: FoldDuplicates,
    /// Rows of a bank, for pairs of 0/1 files and arrays of two axes; all if absent.
    pub rows_per_bank: Option<u32>,
    /// Columns of a list whose names are not known: ours and those of the files. Further columns are ignored then.
    pub columns: Vec<(String, String)>,
    /// What a row of a list says.
    pub meaning: Meaning,
    /// The memory of a list without that property.
    pub geometry: Option<Geometry>,
    /// Meaning of arrays; from their names if absent.
    pub npy_values: Option<NpyValues>,
    /// Levels for failure voltages, in mV; all different voltages if empty.
    pub levels_mv: Vec<f64>,
    /// Error rates of cells with a failure voltage (1 in both directions by default), and of lists without
    /// a column of kinds.
    pub failure_rates: Option<crate::ErrorRates>,
    /// Author and publication; the files' names if absent.
    pub source: Option<String>,
    /// Licence.
    pub licence: Option<String>,
    /// Options of the command line that were given, as `--banks`: one that has no effect is an error.
    pub given: Vec<&'static str>,
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
            columns: Vec::new(),
            meaning: Meaning::PerLevel,
            geometry: None,
            npy_values: None,
            levels_mv: Vec::new(),
            failure_rates: None,
            source: None,
            licence: None,
            given: Vec::new(),
        }
    }
}

/// Parses files one after another and makes a chip.
#[derive(Debug)]
pub struct Importer {
    options: ImportOptions,
    limits: ImportLimits,
    collector: Collector,
    format: Option<Format>,
    files: Vec<FileReport>,
    notes: Vec<String>,
    /// Rows and columns of the matrices, or banks too; of dumps the words.
    shape: Option<(Shape, String)>,
    /// The file of each map and voltage.
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

/// The kind of map of a file; two of one kind at one voltage contradict or repeat each other.
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
    pub fn new(options: ImportOptions, limits: ImportLimits) -> Self {
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
    /// something that the options do not say; or exceed the limits. After an error
    /// the importer can only check further files.
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
            None if self.options.columns.is_empty() || bytes.starts_with(b"PAR1") => {
                source::detect(bytes)?
            }
            None => list_csv::FORMAT,
        };
        let first = *self.format.get_or_insert(format);
        if first != format {
            return Err(ImportProblem::MixedFormats { first: first.name, this: format.name });
        }
        self.check_options(format)?;
        self.files[index].format = format.name;
        self.files[index].gzip = source::is_gzip(bytes);
        (format.add)(self, index, name, bytes)
    }

    /// Refuses the options of other formats.
    fn check_options(&self, format: Format) -> Result<(), ImportProblem> {
        for &option in &self.options.given {
            let of: Vec<&str> = FORMATS
                .iter()
                .filter(|format| format.options.contains(&option))
                .map(|format| format.name)
                .collect();
            if !of.is_empty() && !of.contains(&format.name) {
                let why = format!(
                    "it belongs to the format {}, and the file is of the format {}",
                    of.join(", "),
                    format.name
                );
                return Err(ImportProblem::NoEffect { option, why });
            }
        }
        Ok(())
    }

    /// Refuses an option that has no effect, if it is given.
    pub(crate) fn no_effect(&self, option: &'static str, why: &str) -> Result<(), ImportProblem> {
        match self.options.given.contains(&option) {
            true => Err(ImportProblem::NoEffect { option, why: why.to_owned() }),
            false => Ok(()),
        }
    }

    /// The chip and the report.
    ///
    /// # Errors
    /// No files, a cell listed twice, a memory that the sizes do not divide into, or more than a chip can
    /// hold.
    pub fn finish(mut self) -> Result<(Chip, ImportReport), ImportError> {
        self.finish_all().map_err(|problem| ImportError { file: None, problem })
    }

    fn finish_all(&mut self) -> Result<(Chip, ImportReport), ImportProblem> {
        let format = self.format.ok_or(ImportProblem::NoFiles)?;
        let geometry = (format.finish)(self)?;
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

    /// Records the map of a file at a voltage; a second one is an error.
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
        for &(vdd_uv, map) in self.maps.keys() {
            let other = match map {
                MapId::StuckAt0 => Some(MapId::StuckAt1),
                MapId::StuckAt1 => Some(MapId::StuckAt0),
                MapId::P01 => Some(MapId::P10),
                MapId::P10 => Some(MapId::P01),
                MapId::Flip | MapId::Written(_) => None,
            };
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

    fn matrix_geometry(&mut self) -> Result<Geometry, ImportProblem> {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        match self.shape {
            Some((Shape::Banks { banks, rows, columns }, _)) => {
                self.no_effect("--rows-per-bank", "the arrays have an axis of banks")?;
                Ok(Geometry::new(small(banks), small(rows), small(columns))?)
            }
            Some((Shape::Matrix { rows, columns }, _)) => {
                if self.options.rows_per_bank.is_none() {
                    if rows > BANK_ROWS_MAX {
                        return Err(ImportProblem::NoBankRows { rows });
                    }
                    self.notes.push(format!(
                        "the maps mark no banks: their {rows} rows of {columns} cells are taken for one bank \
                         (`--rows-per-bank N` divides them)"
                    ));
                }
                let per_bank = self.options.rows_per_bank.map_or(rows, u64::from);
                if per_bank == 0 || rows % per_bank != 0 {
                    return Err(ImportProblem::Divide { what: "rows", count: rows, by: per_bank });
                }
                Ok(Geometry::new(small(rows / per_bank), small(per_bank), small(columns))?)
            }
            Some((Shape::Words(_), _)) | None => Err(ImportProblem::NoFiles),
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
