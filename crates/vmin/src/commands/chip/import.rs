//! `vmin chip import`: a chip from measured fault maps.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_sram::import::{
    FORMATS, FoldDuplicates, Format as MapFormat, ImportError, ImportLimits, ImportOptions,
    ImportReport, Importer, Meaning, NpyValues, VddUnit,
};
use vmin_sram::{ErrorRates, Geometry};

use crate::args::FormatArgs;
use crate::failure::{say, with_causes};
use crate::{Answer, Failure, answer, files};

/// Options of `vmin chip import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin chip import fmap_sa?_v_*.txt --out chip.chip
                                        IBM's pairs of 0/1 files, one pair per voltage
  vmin chip import KC705B-0.*.bin.gz --written 0xFFFF --words-per-bank 1024 --column-mux 2 \\
    --out kc705b.chip                   read-outs of 16-bit words
  vmin chip import faults.csv --banks 4 --rows 512 --columns 64 --out chip.chip
                                        columns bank,row,column,vdd_mv,kind (and
                                        probability), or address,bit, or others
                                        (`--columns-named`)
  vmin chip import p01_850mV.npy p10_850mV.npy --out chip.chip
                                        error probabilities of every cell")]
pub struct ImportArgs {
    /// Files of one measurement or patterns such as `maps/*.npy`; plain or gzip
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Output chip file
    #[arg(long, value_name = "CHIP")]
    out: PathBuf,
    /// Format of the files
    #[arg(long, default_value = "auto", value_parser = format_words(), value_name = "FORMAT")]
    format_in: String,
    /// Voltage of each file in mV; the default comes from the names
    #[arg(long, value_name = "V,V,...", value_delimiter = ',')]
    vdd_mv: Vec<f64>,
    /// Unit of voltages without one: `mv`, `v` or `vmin:MILLIVOLTS`
    ///
    /// With `vmin:MILLIVOLTS`, they are fractions of that voltage.
    #[arg(long, value_name = "UNIT", value_parser = vdd_unit)]
    vdd_unit: Option<VddUnit>,
    /// Dumps: pattern written to each word, for all or each file
    ///
    /// The default is the most frequent word.
    #[arg(long, value_name = "HEX,...", value_delimiter = ',', value_parser = pattern)]
    written: Vec<u64>,
    /// Dumps, lists of words: bits of a word; 16 if absent
    #[arg(long, value_name = "BITS")]
    word_bits: Option<u32>,
    /// Words per bank: needed for dumps; lists of words: default one bank
    #[arg(long, value_name = "N")]
    words_per_bank: Option<u32>,
    /// Dumps, lists of words: words per row; 1 if absent
    ///
    /// Bit `b` of word `w` is column `b * N + w % N`.
    #[arg(long, value_name = "N")]
    column_mux: Option<u32>,
    /// Dumps: byte order of binary words
    #[arg(long, value_enum, value_name = "ORDER")]
    byte_order: Option<ByteOrder>,
    /// Dumps: digits or bytes; the default comes from the content
    #[arg(long, value_enum, value_name = "ENCODING")]
    dump_encoding: Option<DumpEncoding>,
    /// Dumps: count equal halves of a word as one cell
    #[arg(long, value_enum, value_name = "WHEN")]
    fold_duplicates: Option<Fold>,
    /// 0/1 files and 2-D arrays: rows per bank; default: one bank
    #[arg(long, value_name = "R")]
    rows_per_bank: Option<u32>,
    /// Lists: number of banks
    #[arg(long, value_name = "B", requires_all = ["rows", "columns"])]
    banks: Option<u32>,
    /// Lists: rows per bank
    #[arg(long, value_name = "R", requires_all = ["banks", "columns"])]
    rows: Option<u32>,
    /// Lists: columns per bank
    #[arg(long, value_name = "C", requires_all = ["banks", "rows"])]
    columns: Option<u32>,
    /// Arrays: meaning of the values; the default comes from the names
    #[arg(long, value_enum, value_name = "VALUES")]
    npy_values: Option<Values>,
    /// Failure voltages: levels in mV; default: all different values
    #[arg(long, value_name = "V,V,...", value_delimiter = ',')]
    levels_mv: Vec<f64>,
    /// Kind of all faults, where the files do not say; arrays: `flip`
    #[arg(long, value_enum, value_name = "KIND")]
    failure_kind: Option<FailureKind>,
    /// Lists: names of the columns in the files, as `row=Wordline`
    #[arg(long, value_name = "OURS=THEIRS,...", value_delimiter = ',', value_parser = column)]
    columns_named: Vec<(String, String)>,
    /// Lists: what the voltage of a row means
    #[arg(long, value_enum, value_name = "MEANING")]
    meaning: Option<RowMeaning>,
    /// Most faulty cells, summed over the voltages
    ///
    /// The default fits the size of the files and 64 MiB.
    #[arg(long, value_name = "N")]
    observations_max: Option<u64>,
    /// Author and publication of the measurement
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Licence of the measurement
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

fn format_words() -> PossibleValuesParser {
    let auto = PossibleValue::new("auto").help("Recognized by the content");
    let formats = FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(core::iter::once(auto).chain(formats))
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ByteOrder {
    /// Least significant byte first
    Little,
    /// Most significant byte first
    Big,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DumpEncoding {
    /// Hex digits
    Hex,
    /// Bytes
    Binary,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Fold {
    /// If every word with a fault repeats its lower half; the default
    #[default]
    Auto,
    /// Always; words that differ are an error
    Always,
    /// Never; every bit is a cell
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Values {
    /// Highest voltage at which each cell fails
    Vfail,
    /// Probability that a stored 0 is read as 1
    P01,
    /// Probability that a stored 1 is read as 0
    P10,
    /// Probability that a bit is inverted
    Flip,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum RowMeaning {
    /// The cell errs at this voltage; the default
    #[default]
    PerLevel,
    /// The highest voltage at which the cell errs
    FirstFails,
}

fn column(text: &str) -> Result<(String, String), String> {
    let (ours, theirs) = text.split_once('=').ok_or("expected `OURS=THEIRS`, as `row=Wordline`")?;
    Ok((ours.trim().to_owned(), theirs.trim().to_owned()))
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum FailureKind {
    /// Failing cells invert the stored bit
    Flip,
    /// Failing cells return 0
    #[value(name = "stuck_at_0")]
    StuckAt0,
    /// Failing cells return 1
    #[value(name = "stuck_at_1")]
    StuckAt1,
}

fn vdd_unit(text: &str) -> Result<VddUnit, String> {
    let lower = text.to_ascii_lowercase();
    match (lower.as_str(), lower.strip_prefix("vmin:")) {
        ("mv", _) => Ok(VddUnit::Millivolts),
        ("v", _) => Ok(VddUnit::Volts),
        (_, Some(vmin)) => match vmin.parse::<f64>() {
            Ok(vmin_mv) if vmin_mv > 0.0 && vmin_mv < 1e6 => Ok(VddUnit::OfVmin { vmin_mv }),
            _ => Err("`vmin:` needs a voltage in mV, as `vmin:720`".to_owned()),
        },
        _ => Err("expected `mv`, `v` or `vmin:MILLIVOLTS`".to_owned()),
    }
}

fn pattern(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten();
    value.ok_or_else(|| "expected up to 16 hex digits, as `0xFFFF`".to_owned())
}

impl ImportArgs {
    /// The options that some formats have, of those that are given.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            (!self.vdd_mv.is_empty(), "--vdd-mv"),
            (!self.written.is_empty(), "--written"),
            (self.word_bits.is_some(), "--word-bits"),
            (self.words_per_bank.is_some(), "--words-per-bank"),
            (self.column_mux.is_some(), "--column-mux"),
            (self.byte_order.is_some(), "--byte-order"),
            (self.dump_encoding.is_some(), "--dump-encoding"),
            (self.fold_duplicates.is_some(), "--fold-duplicates"),
            (self.rows_per_bank.is_some(), "--rows-per-bank"),
            (self.banks.is_some(), "--banks"),
            (self.npy_values.is_some(), "--npy-values"),
            (!self.levels_mv.is_empty(), "--levels-mv"),
            (self.failure_kind.is_some(), "--failure-kind"),
            (!self.columns_named.is_empty(), "--columns-named"),
            (self.meaning.is_some(), "--meaning"),
        ];
        all.into_iter().filter_map(|(given, option)| given.then_some(option)).collect()
    }

    fn options(&self) -> Result<ImportOptions, Failure> {
        let geometry = match (self.banks, self.rows, self.columns) {
            (Some(banks), Some(rows), Some(columns)) => Some(
                Geometry::new(banks, rows, columns)
                    .map_err(|error| Failure::input("geometry", &error))?,
            ),
            _ => None,
        };
        Ok(ImportOptions {
            format: MapFormat::named(&self.format_in),
            vdd_mv: self.vdd_mv.clone(),
            vdd_unit: self.vdd_unit,
            written: self.written.clone(),
            word_bits: self.word_bits.unwrap_or(16),
            words_per_bank: self.words_per_bank,
            column_mux: self.column_mux.unwrap_or(1),
            big_endian: self.byte_order.map(|order| matches!(order, ByteOrder::Big)),
            binary: self.dump_encoding.map(|encoding| matches!(encoding, DumpEncoding::Binary)),
            fold_duplicates: match self.fold_duplicates.unwrap_or_default() {
                Fold::Auto => FoldDuplicates::Auto,
                Fold::Always => FoldDuplicates::Always,
                Fold::Never => FoldDuplicates::Never,
            },
            rows_per_bank: self.rows_per_bank,
            geometry,
            npy_values: self.npy_values.map(|values| match values {
                Values::Vfail => NpyValues::FailureVoltage,
                Values::P01 => NpyValues::P01,
                Values::P10 => NpyValues::P10,
                Values::Flip => NpyValues::Flip,
            }),
            levels_mv: self.levels_mv.clone(),
            failure_rates: self.failure_kind.map(|kind| match kind {
                FailureKind::Flip => ErrorRates::flip(1.0),
                FailureKind::StuckAt0 => ErrorRates::stuck_at_0(1.0),
                FailureKind::StuckAt1 => ErrorRates::stuck_at_1(1.0),
            }),
            columns: self.columns_named.clone(),
            meaning: match self.meaning.unwrap_or_default() {
                RowMeaning::PerLevel => Meaning::PerLevel,
                RowMeaning::FirstFails => Meaning::FirstFails,
            },
            source: self.source.clone(),
            licence: self.licence.clone(),
            given: self.given(),
        })
    }
}

/// Makes a chip file from measured maps.
///
/// # Errors
/// All maps that cannot be read or do not belong together, or the chip cannot be written.
pub fn run(args: &ImportArgs) -> Result<Imported, Failure> {
    let paths = files::expanded(&args.files)?;
    for (what, given) in [("--vdd-mv", args.vdd_mv.len()), ("--written", args.written.len())] {
        let one_for_all = what == "--written" && given == 1;
        if given > 0 && given != paths.len() && !one_for_all {
            return Err(Diagnostic::new(
                "count",
                format!("`{what}` has {given} values for {} files", paths.len()),
            )
            .hint("give one for each file, in their order")
            .into());
        }
    }
    let mut limits = ImportLimits::default();
    limits.observations_max = args.observations_max;
    let mut importer = Importer::new(args.options()?, limits);
    let mut problems = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match vmin_files::bytes("map", path) {
            Err(error) => problems.push(error.diagnostic()),
            Ok(bytes) => {
                if let Err(error) = importer.add(&name, &bytes) {
                    problems.push(diagnostic(&error));
                }
            }
        }
    }
    if let Some(problems) = Diagnostics::from_list(problems) {
        return Err(problems.into());
    }
    let (chip, report) = importer.finish().map_err(|error| diagnostic(&error))?;
    super::write(&args.out, &chip)?;
    for note in &report.notes {
        say(&format!("note: {note}"));
    }
    Ok(imported(report))
}

fn diagnostic(error: &ImportError) -> Diagnostic {
    let diagnostic = Diagnostic::new("bad-map", with_causes(error));
    match error.problem.hint() {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// The figures of imported maps.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Imported {
    files: Vec<FileRow>,
    cells: u64,
    faulty_cells: u64,
    vdd_mv: Vec<f64>,
    faults: Vec<u64>,
    levels: Vec<LevelRow>,
    nesting_violations: u64,
    both_directions: u64,
    share_stuck_at_0: Option<f64>,
    columns_hit: u64,
    max_per_column: u64,
    folded_duplicates: bool,
    identical_maps: Vec<[f64; 2]>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FileRow {
    name: String,
    format: &'static str,
    gzip: bool,
    vdd_mv: Option<f64>,
    faulty_bits: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LevelRow {
    vdd_mv: f64,
    faults: u64,
    stuck_at_0: u64,
    stuck_at_1: u64,
    flip: u64,
    mixed: u64,
    persistent: u64,
    columns_hit: u64,
    max_per_column: u64,
}

fn imported(report: ImportReport) -> Imported {
    let levels: Vec<LevelRow> = report
        .levels
        .iter()
        .map(|level| LevelRow {
            vdd_mv: level.vdd_mv,
            faults: level.faults,
            stuck_at_0: level.stuck_at_0,
            stuck_at_1: level.stuck_at_1,
            flip: level.flip,
            mixed: level.mixed,
            persistent: level.persistent,
            columns_hit: level.columns_hit,
            max_per_column: level.max_per_column,
        })
        .collect();
    let files = report.files.into_iter().map(|file| FileRow {
        name: file.name,
        format: file.format,
        gzip: file.gzip,
        vdd_mv: file.vdd_mv,
        faulty_bits: file.faults,
    });
    Imported {
        files: files.collect(),
        cells: report.cells,
        faulty_cells: report.faulty_cells,
        vdd_mv: levels.iter().map(|level| level.vdd_mv).collect(),
        faults: levels.iter().map(|level| level.faults).collect(),
        nesting_violations: report.nesting_violations,
        both_directions: report.both_directions,
        share_stuck_at_0: report.share_stuck_at_0,
        columns_hit: levels.last().map_or(0, |level| level.columns_hit),
        max_per_column: levels.last().map_or(0, |level| level.max_per_column),
        folded_duplicates: report.folded,
        identical_maps: report.identical_maps.iter().map(|&(high, low)| [high, low]).collect(),
        notes: report.notes,
        levels,
    }
}

impl Answer for Imported {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.levels)
    }

    fn table(&self) -> String {
        let header = [
            "Vdd (mV)",
            "faulty cells",
            "stuck at 0",
            "stuck at 1",
            "flip",
            "both ways",
            "always",
            "columns hit",
            "most in one column",
        ];
        let row = |level: &LevelRow| {
            let counts = [
                level.faults,
                level.stuck_at_0,
                level.stuck_at_1,
                level.flip,
                level.mixed,
                level.persistent,
                level.columns_hit,
                level.max_per_column,
            ];
            core::iter::once(format!("{}", level.vdd_mv))
                .chain(counts.iter().map(u64::to_string))
                .collect()
        };
        let table = answer::table(&header, 0, self.levels.iter().map(row));
        let first = self.files.first();
        format!(
            "{} {} of the format {}{}\n{} cells, {} of them faulty at some voltage\n{} fail and do not at \
         a lower voltage, {} err in both directions\n{table}",
            self.files.len(),
            if self.files.len() == 1 { "file" } else { "files" },
            first.map_or("", |file| file.format),
            if self.folded_duplicates { ", words repeat their lower half: folded" } else { "" },
            self.cells,
            self.faulty_cells,
            self.nesting_violations,
            self.both_directions,
        )
    }
}
