//! `[chips]`: sampled chips by number and seed, or measured ones by their files; and the errors of their
//! cells.

use vmin_diagnostic::{Diagnostic, Located, TableReader};
use vmin_sram::FaultKind;

use super::{CHIPS_MAX, narrow};
use crate::preset::Preset;

/// Most chip files of one experiment.
pub const CHIP_FILES_MAX: usize = 10_000;

/// The errors of cells: `[memory] fault_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrors {
    /// All faulty cells err in the same way at every read.
    Alike(FaultKind),
    /// Each cell of a chip file errs as it was measured. Whether an uncertain cell errs is decided once per
    /// chip, offset and voltage: weights are written once and read once.
    Measured,
    /// Anew for every image and layer: every bit is inverted with the cell-fault rate as its probability,
    /// or with a chip file each cell errs as it was measured.
    Transient,
}

impl ReadErrors {
    /// All of them with their words.
    pub const ALL: [(&'static str, Self); 4] = [
        ("flip", Self::Alike(FaultKind::Flip)),
        ("stuck_at", Self::Alike(FaultKind::StuckAt)),
        ("measured", Self::Measured),
        ("transient", Self::Transient),
    ];

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alike(kind) => kind.word(),
            Self::Measured => "measured",
            Self::Transient => "transient",
        }
    }

    /// The fault kind of all cells, if it is the same for all.
    #[must_use]
    pub const fn alike(self) -> Option<FaultKind> {
        match self {
            Self::Alike(kind) => Some(kind),
            Self::Measured | Self::Transient => None,
        }
    }
}

/// The values of `[chips]`.
pub(super) struct Chips {
    pub(super) count: Option<u32>,
    pub(super) seed: Option<u64>,
    pub(super) files: Vec<Located<String>>,
}

/// True if the experiment names chip files.
pub(super) fn named_by_file(root: &TableReader<'_>) -> bool {
    root.has_table("chips") && root.table("chips").has("files")
}

/// Parses `[chips]`.
pub(super) fn read(root: &TableReader<'_>, preset: Option<Preset>) -> Chips {
    if let Some((count, seed)) = preset.filter(|_| !root.has("chips")).map(Preset::chips) {
        return Chips { count: Some(count), seed: Some(seed), files: Vec::new() };
    }
    let chips = root.table("chips");
    if !chips.has("files") {
        let count = chips.integer("count", 1..=CHIPS_MAX);
        let seed = chips.integer("seed", 0..=i64::MAX);
        chips.finish();
        let value = |located: Option<Located<i64>>| Some(narrow(located?)?.value);
        return Chips {
            count: count.and_then(narrow).map(|count| count.value),
            seed: value(seed),
            files: Vec::new(),
        };
    }
    let files = chips.strings("files");
    for key in ["count", "seed"] {
        if chips.has(key)
            && let Some(stranger) = chips.optional_integer(key, i64::MIN..=i64::MAX)
        {
            chips.report_at(
                stranger.span,
                Diagnostic::new("both", format!("`chips` names files and a {key}")).hint(format!(
                    "measured chips are counted by their files: leave `{key}` away, or `files`"
                )),
            );
        }
    }
    let Some(files) = files else {
        chips.finish();
        return Chips { count: None, seed: None, files: Vec::new() };
    };
    if preset.is_some() {
        chips.report_at(
            files.span.clone(),
            Diagnostic::new("preset", "a preset has chips of its own, no measured ones")
                .hint("leave `preset` away, or `files`"),
        );
    }
    if files.value.len() > CHIP_FILES_MAX {
        chips.report_at(
            files.span.clone(),
            Diagnostic::new("too-many", format!("{} chip files are named", files.value.len()))
                .allowed(format!("expected at most {CHIP_FILES_MAX}")),
        );
    }
    let mut names: Vec<&str> = Vec::new();
    for file in &files.value {
        if names.contains(&file.value.as_str()) {
            chips.report_at(
                file.span.clone(),
                Diagnostic::new("repeated", format!("chip file `{}` is named twice", file.value))
                    .hint("name each chip once; `[placement] offset_bits` uses it several times"),
            );
        }
        names.push(&file.value);
    }
    chips.finish();
    Chips { count: u32::try_from(files.value.len()).ok(), seed: Some(1), files: files.value }
}

/// The errors of an experiment: as it says, otherwise measured ones with chip files. Without either (none) they
/// are those of the profile's population. Reports a contradiction to the chips.
pub(super) fn errors(
    memory: &TableReader<'_>,
    said: Option<&Located<ReadErrors>>,
    by_file: bool,
) -> Option<ReadErrors> {
    if let Some(said) = said
        && said.value == ReadErrors::Measured
        && !by_file
    {
        memory.report_at(
            said.span.clone(),
            Diagnostic::new("fault-kind", "chips of a population have no measured errors")
                .allowed("expected `flip`, `stuck_at` or `transient`")
                .hint("name measured chips: `[chips] files = [...]`"),
        );
    }
    said.map(|said| said.value).or(by_file.then_some(ReadErrors::Measured))
}
