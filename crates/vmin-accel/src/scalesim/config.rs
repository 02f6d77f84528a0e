//! SCALE-Sim's configuration files (`.cfg`).
//!
//! Keys that the tool ignores silently, and features that are not modelled here, are refused with a
//! reason.

use std::ops::Range;

use ini::{Ini, ParseOption};
use vmin_diagnostic::{Diagnostic, Diagnostics, Source, closest, list_words};

use crate::dataflow::{ARRAY_SIDE_MAX, Dataflow};

/// Largest buffer, in KiB.
const BUFFER_KIB_MAX: u64 = 1 << 20;

/// A checked configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Name of the run.
    pub run_name: String,
    /// Rows of the array.
    pub rows: u64,
    /// Columns of the array.
    pub columns: u64,
    /// Sizes of the buffers of inputs, weights and outputs, in KiB.
    pub buffers_kib: [u64; 3],
    /// Dataflow.
    pub dataflow: Dataflow,
    /// Words per cycle from DRAM (`InterfaceBandwidth: USER`); without limit (`CALC`) if absent.
    pub words_per_cycle: Option<u64>,
}

/// Every key of a section, and whether it has to be there.
const KEYS: [(&str, &[(&str, bool)]); 5] = [
    ("general", &[("run_name", true)]),
    (
        "architecture_presets",
        &[
            ("ArrayHeight", true),
            ("ArrayWidth", true),
            ("IfmapSramSzkB", true),
            ("FilterSramSzkB", true),
            ("OfmapSramSzkB", true),
            ("Dataflow", true),
            ("IfmapOffset", false),
            ("FilterOffset", false),
            ("OfmapOffset", false),
            ("Bandwidth", false),
            ("ReadRequestBuffer", false),
            ("WriteRequestBuffer", false),
            ("MemoryBanks", false),
        ],
    ),
    (
        "layout",
        &[
            ("IfmapCustomLayout", false),
            ("IfmapSRAMBankBandwidth", false),
            ("IfmapSRAMBankNum", false),
            ("IfmapSRAMBankPort", false),
            ("FilterCustomLayout", false),
            ("FilterSRAMBankBandwidth", false),
            ("FilterSRAMBankNum", false),
            ("FilterSRAMBankPort", false),
        ],
    ),
    (
        "sparsity",
        &[
            ("SparsitySupport", false),
            ("SparseRep", false),
            ("OptimizedMapping", false),
            ("BlockSize", false),
            ("RandomNumberGeneratorSeed", false),
        ],
    ),
    ("run_presets", &[("InterfaceBandwidth", true), ("UseRamulatorTrace", false)]),
];

/// Switches that must be off, and why.
const OFF: [(&str, &str, &str); 4] = [
    ("layout", "IfmapCustomLayout", "bank conflicts of custom data layouts are not modelled"),
    ("layout", "FilterCustomLayout", "bank conflicts of custom data layouts are not modelled"),
    ("sparsity", "SparsitySupport", "N:M sparse weights are not modelled"),
    ("run_presets", "UseRamulatorTrace", "Ramulator traces are not read"),
];

struct Reader<'s> {
    source: &'s Source,
    ini: Ini,
    problems: Vec<Diagnostic>,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// All problems of the text.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        // As Python's `configparser` reads it: neither quotes nor backslashes mean anything.
        let options =
            ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let ini = Ini::load_from_str_opt(source.text(), options).map_err(|error| {
            let place = line_span(source.text(), error.line);
            Diagnostic::new("cfg-syntax", "this line is not understood")
                .at(source, place)
                .allowed("expected `[section]`, `key = value` or `key: value`")
        })?;
        let mut reader = Reader { source, ini, problems: Vec::new() };
        reader.known_keys_only();
        let config = reader.config();
        match (Diagnostics::from_list(reader.problems), config) {
            (None, Some(config)) => Ok(config),
            (Some(problems), _) => Err(problems),
            (None, None) => Err(Diagnostic::new("incomplete", "the configuration is incomplete")
                .within(source)
                .into()),
        }
    }

    /// The configuration as an accelerator file of this project, for everything SCALE-Sim does not
    /// know: 1 GHz, constants of 45 nm, and a DRAM that never limits in `CALC` mode.
    #[must_use]
    pub(crate) fn to_toml(&self) -> String {
        let Self { rows, columns, buffers_kib: [ifmap, filter, ofmap], .. } = self;
        let name: String = self.run_name.chars().filter(|c| !c.is_control()).collect();
        let name = name.replace('\\', "/").replace('"', "'");
        let gb_per_s = self.words_per_cycle.map_or(1e6, |words| words as f64);
        let model = if self.words_per_cycle.is_some() { "causal" } else { "scalesim-v3" };
        let memory = |purpose: &str, kib: &u64, extra: &str| {
            let rows = kib * 64;
            format!(
                "[memory.{purpose}]\nbanks = 1\nrows = {rows}\ncolumns = 128\nword_bits = 128\n\
                 rail = \"{purpose}\"\n{extra}"
            )
        };
        format!(
            "name = \"{name}\"\ntitle = \"SCALE-Sim configuration, {rows} x {columns}\"\n\
             cycle_model = \"{model}\"\n\
             [provenance]\nsource = \"a SCALE-Sim configuration\"\n\
             exact = \"array, buffers, dataflow\"\nestimated = \"everything else\"\n\
             [array]\nrows = {rows}\ncolumns = {columns}\ndataflow = \"{}\"\nclock_mhz = 1000.0\n\
             [vector]\nlanes = {columns}\n{}{}{}\
             [dram]\nbandwidth_gb_per_s = {gb_per_s:?}\n\
             [energy]\nconstants = \"45nm\"\ndram = \"lpddr4\"\n",
            self.dataflow.name(),
            memory("weight", filter, ""),
            memory("activation", ifmap, ""),
            memory("accumulator", ofmap, "sum_bits = 8\n"),
        )
    }
}

impl Reader<'_> {
    /// The last value of a key, whose case does not matter, and its line.
    fn find(&self, section: &str, key: &str) -> Option<(String, Range<usize>)> {
        let properties = self.ini.section(Some(section))?;
        let (_, value) = properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        Some((value.trim().to_owned(), self.place(section, key)))
    }

    /// Where a key stands: its line after the header of its section.
    fn place(&self, section: &str, key: &str) -> Range<usize> {
        let text = self.source.text();
        let (mut inside, mut start) = (false, 0);
        for line in text.split_inclusive('\n') {
            let trimmed = line.trim();
            if let Some(name) = trimmed.strip_prefix('[') {
                inside = name.trim_end_matches(']').trim() == section;
                if inside && key.is_empty() {
                    return start..start + line.trim_end().len();
                }
            } else if inside
                && trimmed
                    .split(['=', ':'])
                    .next()
                    .is_some_and(|name| name.trim().eq_ignore_ascii_case(key))
            {
                let indent = line.len() - line.trim_start().len();
                return start + indent..start + line.trim_end().len().max(indent);
            }
            start += line.len();
        }
        0..0
    }

    fn report(&mut self, place: Range<usize>, diagnostic: Diagnostic) {
        self.problems.push(diagnostic.at(self.source, place));
    }

    fn known_keys_only(&mut self) {
        let mut problems = Vec::new();
        for (section, properties) in &self.ini {
            let Some(section) = section else {
                for (key, _) in properties {
                    let problem = format!("`{key}` stands before the first section");
                    problems.push((0..0, Diagnostic::new("cfg-key", problem)));
                }
                continue;
            };
            let Some((_, keys)) = KEYS.iter().find(|(name, _)| *name == section) else {
                let mut problem =
                    Diagnostic::new("cfg-section", format!("unknown section `[{section}]`"))
                        .allowed(format!(
                            "expected {}",
                            list_words(KEYS.iter().map(|(name, _)| *name))
                        ));
                if section == "network_presets" {
                    problem = problem.hint("name the layers with `--topology` or `--gemm`");
                }
                problems.push((self.place(section, ""), problem));
                continue;
            };
            let mut seen: Vec<&str> = Vec::new();
            for (key, _) in properties {
                if let Some((known, _)) =
                    keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))
                {
                    if seen.contains(known) {
                        let problem = format!("`{known}` is given twice in `[{section}]`");
                        problems
                            .push((self.place(section, key), Diagnostic::new("cfg-key", problem)));
                    }
                    seen.push(known);
                    continue;
                }
                let names = || keys.iter().map(|(name, _)| *name);
                let mut problem =
                    Diagnostic::new("cfg-key", format!("unknown key `{key}` in `[{section}]`"))
                        .allowed("SCALE-Sim ignores it silently");
                if let Some(word) = closest(key, names()) {
                    problem = problem.hint(format!("did you mean `{word}`?"));
                }
                problems.push((self.place(section, key), problem));
            }
        }
        for (section, keys) in KEYS {
            for (key, required) in keys {
                if *required && self.find(section, key).is_none() {
                    self.problems.push(
                        Diagnostic::new(
                            "cfg-missing",
                            format!("missing key `{key}` in `[{section}]`"),
                        )
                        .within(self.source),
                    );
                }
            }
        }
        for (place, problem) in problems {
            self.report(place, problem);
        }
    }

    fn integer(&mut self, key: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let (value, place) = self.find("architecture_presets", key)?;
        match value.parse::<u64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                self.report(
                    place,
                    Diagnostic::new("cfg-value", format!("`{key}` is `{value}`")).allowed(format!(
                        "expected an integer from {} to {}",
                        range.start(),
                        range.end()
                    )),
                );
                None
            }
        }
    }

    fn config(&mut self) -> Option<Config> {
        for (section, key, why) in OFF {
            if let Some((value, place)) = self.find(section, key)
                && !value.eq_ignore_ascii_case("false")
            {
                let problem =
                    Diagnostic::new("cfg-unsupported", format!("`{key}` is `{value}`: {why}"));
                self.report(place, problem.allowed("expected `False`"));
            }
        }
        let rows = self.integer("ArrayHeight", 1..=ARRAY_SIDE_MAX);
        let columns = self.integer("ArrayWidth", 1..=ARRAY_SIDE_MAX);
        let buffers = ["IfmapSramSzkB", "FilterSramSzkB", "OfmapSramSzkB"]
            .map(|key| self.integer(key, 1..=BUFFER_KIB_MAX));
        let _ = self.integer("MemoryBanks", 1..=1);
        let dataflow = self.choice("architecture_presets", "Dataflow", Dataflow::ALL);
        let user =
            self.choice("run_presets", "InterfaceBandwidth", &[("CALC", false), ("USER", true)]);
        let words_per_cycle = match user {
            Some(true) => {
                if self.find("architecture_presets", "Bandwidth").is_none() {
                    let place = self.place("run_presets", "InterfaceBandwidth");
                    self.report(
                        place,
                        Diagnostic::new(
                            "cfg-missing",
                            "`USER` needs `Bandwidth` in `[architecture_presets]`",
                        ),
                    );
                }
                self.integer("Bandwidth", 1..=1_000_000)
            }
            _ => None,
        };
        Some(Config {
            run_name: self.find("general", "run_name")?.0,
            rows: rows?,
            columns: columns?,
            buffers_kib: [buffers[0]?, buffers[1]?, buffers[2]?],
            dataflow: dataflow?,
            words_per_cycle,
        })
    }

    fn choice<T: Copy>(&mut self, section: &str, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let (value, place) = self.find(section, key)?;
        let found = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
        if found.is_none() {
            let words = list_words(choices.iter().map(|(word, _)| *word));
            self.report(
                place,
                Diagnostic::new("cfg-value", format!("`{key}` is `{value}`"))
                    .allowed(format!("expected {words}")),
            );
        }
        found
    }
}

/// The characters of a line, counted from 1.
fn line_span(text: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            return start..start + content.trim_end().len();
        }
        start += content.len();
    }
    text.len()..text.len()
}
