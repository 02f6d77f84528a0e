//! The experiment file as its author wrote it: every value with its place, nothing resolved.

mod chips;

use std::ops::Range;

use vmin_accel::placement::{Alignment, Interleaving};
use vmin_diagnostic::{Diagnostic, Diagnostics, Document, Located, Source, TableReader};
use vmin_sram::FaultKind;

pub use chips::{CHIP_FILES_MAX, ReadErrors};

use crate::preset::{self, Preset};
use crate::remedy::{self, Remedy};

/// Most operating points of one experiment.
pub const POINTS_MAX: usize = 10_000;
/// Most chips of one experiment.
pub const CHIPS_MAX: i64 = 1_000_000;
/// Most images of one experiment.
pub const IMAGES_MAX: i64 = 10_000_000;
/// Highest supply voltage, in millivolts, that a description may name.
pub const VDD_MV_MAX: f64 = 5_000.0;

/// Share of chips within the budget, in percent, that a remedy must keep if nothing else is said.
const YIELD_TARGET_PCT: f64 = 90.0;

/// Where the networks's codes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The whole model in one weight memory at fixed addresses.
    Resident,
}

/// How a resident model is laid out: `[placement]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `interleave`: rows over the banks, columns behind multiplexers.
    pub interleaving: Interleaving,
    /// `align`: where tensors may begin.
    pub alignment: Alignment,
    /// `offset_bits`: where the model begins; every chip is used once per offset.
    pub offset_bits: Vec<u64>,
    /// `bit_assignment = "msb_to_reliable_columns"`: columns chosen from each chip's own faults at the lowest
    /// voltage.
    pub reliable_columns: Option<Range<usize>>,
    /// Where the table stands, for messages.
    pub span: Range<usize>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            interleaving: Interleaving::default(),
            alignment: Alignment::Code,
            offset_bits: vec![0],
            reliable_columns: None,
            span: 0..0,
        }
    }
}

impl Layout {
    /// In words, for tables.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = vec![match (self.interleaving.rows, self.interleaving.columns) {
            (false, false) => "linear".to_owned(),
            (true, false) => "rows interleaved".to_owned(),
            (false, true) => "columns interleaved".to_owned(),
            (true, true) => "rows and columns interleaved".to_owned(),
        }];
        match self.alignment {
            Alignment::Code => {}
            Alignment::Row => words.push("tensors aligned to rows".to_owned()),
            Alignment::Bank => words.push("tensors aligned to banks".to_owned()),
        }
        if self.reliable_columns.is_some() {
            words.push("most significant bits in reliable columns".to_owned());
        }
        match self.offset_bits[..] {
            [0] => {}
            [offset] => words.push(format!("offset of {offset} bits")),
            _ => words.push(format!("{} offsets", self.offset_bits.len())),
        }
        words.join(", ")
    }
}

/// What an experiment names: as much of it as could be read.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// `[network] model`.
    pub model: Option<Located<String>>,
    /// `[data] set`.
    pub data: Option<Located<String>>,
    /// `[accelerator] model`.
    pub accelerator: Option<Located<String>>,
    /// `[memory] profile`.
    pub profile: Option<Located<String>>,
    /// `[chips] files`.
    pub chip_files: Vec<Located<String>>,
}

/// A text that is no experiment: its problems, and the names that could be read all the same, so
/// that these can be checked in the same go.
#[derive(Clone, Debug)]
pub struct NotAnExperiment {
    /// All problems of the text.
    pub problems: Diagnostics,
    /// Names in it.
    pub references: References,
}

/// A checked experiment file. References (to a model, data, profile) are still names.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The text, for messages that come later.
    pub source: Source,
    /// `name`.
    pub name: String,
    /// `[network] model`.
    pub model: Located<String>,
    /// `[network] bits`: re-quantize the weights to so many bits.
    pub bits: Option<Located<u8>>,
    /// `[data] set`.
    pub data: Located<String>,
    /// `[data] first`: index of the first image.
    pub first_image: Located<usize>,
    /// `[data] images`: number of images, all if absent.
    pub images: Option<Located<usize>>,
    /// `[accelerator] model`.
    pub accelerator: Located<String>,
    /// `[accelerator] placement`.
    pub placement: Placement,
    /// `[placement]`.
    pub layout: Layout,
    /// `[memory] profile`.
    pub profile: Located<String>,
    /// `[memory] fault_kind`, `flip` where not all faulty cells do the same.
    pub fault_kind: FaultKind,
    /// `[memory] fault_kind`, with the ways in which cells differ.
    pub errors: ReadErrors,
    /// `preset`.
    pub preset: Option<Preset>,
    /// `[memory] rates_pct` as fractions, rising; empty if the experiment names voltages.
    pub rates: Vec<Located<f64>>,
    /// `[memory] vdd_mv`, in falling order; empty until resolved if the experiment names rates, or chip
    /// files alone.
    pub vdd_mv: Vec<Located<f64>>,
    /// `[chips] count`, or the number of files.
    pub chips: u32,
    /// `[chips] seed`; 0 with files, whose uncertain cells it draws.
    pub seed: u64,
    /// `[chips] files`: measured chips in place of a population's.
    pub chip_files: Vec<Located<String>>,
    /// `[yield] accuracy_loss_max_pct`: the budget in percentage points.
    pub accuracy_loss_max_pct: f64,
    /// `[yield] target_pct`: the share of chips, in percent, that a remedy must keep within the budget.
    pub yield_target_pct: f64,
    /// `[[remedy]]`, in the order of the file.
    pub remedies: Vec<Remedy>,
    /// `[protection] costs`: the table of what protection costs.
    pub protection_costs: Located<String>,
}

impl Experiment {
    /// Reads an experiment file.
    ///
    /// # Errors
    /// All problems of the file, each with its place.
    pub fn parse(source: &Source) -> Result<Self, Box<NotAnExperiment>> {
        let document = Document::parse(source).map_err(|problems| {
            Box::new(NotAnExperiment { problems, references: References::default() })
        })?;
        let root = document.root();
        let name = root.string("name");
        let preset = root.optional_choice("preset", &Preset::ALL).map(|preset| preset.value);

        let network = root.table("network");
        let model = network.string("model");
        let bits = network.optional_integer("bits", 2..=8);
        network.finish();

        let data = root.table("data");
        let set = data.string("set");
        let first = data.optional_integer("first", 0..=IMAGES_MAX);
        let images = data.optional_integer("images", 1..=IMAGES_MAX);
        data.finish();

        let accelerator = root.table("accelerator");
        let accelerator_model = accelerator.string("model");
        let placement =
            accelerator.optional_choice("placement", &[("resident", Placement::Resident)]);
        accelerator.finish();

        let layout =
            root.optional_table("placement").map_or_else(|| Some(Layout::default()), layout);

        let memory = root.table("memory");
        let profile = memory.string("profile");
        let by_file = chips::named_by_file(&root);
        let fault_kind = memory.optional_choice("fault_kind", &ReadErrors::ALL);
        preset::check_kind(&memory, preset, fault_kind.as_ref());
        let errors = chips::errors(&memory, fault_kind.as_ref(), by_file);
        // Rates stand in place of voltages; with both, the rates are the stranger.
        let by_rate = memory.has("rates_pct") && !memory.has("vdd_mv");
        let wants_rates = by_rate && !by_file;
        let rates_pct = if wants_rates { preset::rates(&memory) } else { Some(Vec::new()) };
        // Measured chips bring their voltages.
        let no_voltages = by_rate || by_file && !memory.has("vdd_mv");
        let vdd_mv = if no_voltages { Some(Vec::new()) } else { voltages(&memory) };
        if by_rate
            && by_file
            && let Some(both) = memory.optional_numbers("rates_pct", 0.0..=100.0)
        {
            memory.report_at(
                both.span,
                Diagnostic::new("both", "measured chips have voltages, no rates")
                    .hint("name some of their voltages with `vdd_mv`, or leave `rates_pct` away"),
            );
        }
        if memory.has("rates_pct")
            && !by_rate
            && let Some(both) = memory.optional_numbers("rates_pct", 0.0..=100.0)
        {
            memory.report_at(
                both.span,
                Diagnostic::new("both", "`memory` names voltages and rates")
                    .hint("name either `vdd_mv` or `rates_pct`"),
            );
        }
        memory.finish();

        let chips = chips::read(&root, preset);

        let loss = root.optional_table("yield").map(|table| {
            let loss = table.number("accuracy_loss_max_pct", 0.0..=100.0);
            let target = table.optional_number("target_pct", 0.0..=100.0);
            table.finish();
            (loss, target)
        });
        let (loss, yield_target) = loss.unwrap_or_default();
        let costs = root.optional_table("protection").and_then(|table| {
            let costs = table.optional_string("costs");
            table.finish();
            costs
        });
        let remedies = remedy::read(&root);
        if let Some(first) = remedies.iter().flatten().next()
            && (by_file || errors == ReadErrors::Transient)
        {
            root.report_at(
                first.name.span.clone(),
                Diagnostic::new(
                    "remedy",
                    "remedies are compared on lasting faults of a population",
                )
                .hint("leave `[[remedy]]` away, or `[chips] files` and `transient`"),
            );
        }
        root.finish();

        let references = References {
            model: model.clone(),
            data: set.clone(),
            accelerator: accelerator_model.clone(),
            profile: profile.clone(),
            chip_files: chips.files.clone(),
        };
        let set_span = set.as_ref().map_or(0..0, |set| set.span.clone());
        let experiment = (|| {
            Some(Self {
                source: source.clone(),
                name: name?.value,
                model: model?,
                bits: bits.and_then(narrow),
                data: set?,
                first_image: first.and_then(narrow).unwrap_or(Located { value: 0, span: 0..0 }),
                images: match (images, preset) {
                    (None, Some(preset)) => {
                        Some(Located { value: preset.images(), span: set_span })
                    }
                    (images, _) => images.and_then(narrow),
                },
                accelerator: accelerator_model?,
                placement: placement.map_or(Placement::Resident, |placement| placement.value),
                layout: layout?,
                profile: profile?,
                fault_kind: errors.kind(),
                errors,
                vdd_mv: vdd_mv?,
                chips: chips.count?,
                seed: chips.seed?,
                chip_files: chips.files,
                preset,
                rates: rates_pct?,
                accuracy_loss_max_pct: loss.map_or(1.0, |loss| loss.value),
                yield_target_pct: yield_target.map_or(YIELD_TARGET_PCT, |target| target.value),
                remedies: remedies?,
                protection_costs: costs
                    .unwrap_or_else(|| Located { value: "estimates".to_owned(), span: 0..0 }),
            })
        })();
        let finished = document.finish().and_then(|()| {
            experiment.ok_or_else(|| {
                Diagnostic::new("incomplete", "the experiment is incomplete").within(source).into()
            })
        });
        finished.map_err(|problems| Box::new(NotAnExperiment { problems, references }))
    }
}

fn narrow<T: TryFrom<i64>>(located: Located<i64>) -> Option<Located<T>> {
    Some(Located { value: T::try_from(located.value).ok()?, span: located.span })
}

/// Most offsets of one experiment.
const OFFSETS_MAX: usize = 10_000;

fn layout(table: TableReader<'_>) -> Option<Layout> {
    #[derive(Clone, Copy, PartialEq)]
    enum Interleave {
        Rows,
        Columns,
    }
    let interleave = table.optional_choices(
        "interleave",
        &[("rows", Interleave::Rows), ("columns", Interleave::Columns)],
    );
    let align = table.optional_choice("align", &Alignment::ALL);
    let offsets = table.optional_integers("offset_bits", 0..=i64::MAX);
    let assignment = table.optional_choice(
        "bit_assignment",
        &[("as_stored", false), ("msb_to_reliable_columns", true)],
    );
    let written =
        ["interleave", "align", "offset_bits", "bit_assignment"].map(|key| table.has(key));
    let span = table.span().unwrap_or(0..0);
    let mut offset_bits: Vec<u64> = Vec::new();
    for offset in offsets.iter().flat_map(|list| &list.value) {
        let bits = offset.value.unsigned_abs();
        if offset_bits.contains(&bits) {
            table.report_at(
                offset.span.clone(),
                Diagnostic::new("repeated", format!("offset {bits} is named twice"))
                    .hint("name each offset once"),
            );
        }
        offset_bits.push(bits);
    }
    if offset_bits.len() > OFFSETS_MAX {
        table.report_at(
            span.clone(),
            Diagnostic::new("too-many", format!("{} offsets are named", offset_bits.len()))
                .allowed(format!("expected at most {OFFSETS_MAX}")),
        );
    }
    if offset_bits.is_empty() {
        offset_bits.push(0);
    }
    let read = [interleave.is_some(), align.is_some(), offsets.is_some(), assignment.is_some()];
    table.finish();
    let has =
        |which| interleave.iter().flat_map(|list| &list.value).any(|item| item.value == which);
    (written == read).then(|| Layout {
        interleaving: Interleaving {
            rows: has(Interleave::Rows),
            columns: has(Interleave::Columns),
        },
        alignment: align.map_or(Alignment::Code, |align| align.value),
        offset_bits,
        reliable_columns: assignment.filter(|chosen| chosen.value).map(|chosen| chosen.span),
        span,
    })
}

/// The supply voltages of a table, in mV: `vdd_mv = [...]` or `vdd_mv = { from, to, step }`. Falling,
/// without repeats; what is wrong is reported.
pub fn voltages(memory: &TableReader<'_>) -> Option<Vec<Located<f64>>> {
    let range = 1.0..=VDD_MV_MAX;
    let (mut list, span) = if memory.has_table("vdd_mv") {
        let table = memory.table("vdd_mv");
        let from = table.number("from", range.clone());
        let to = table.number("to", range.clone());
        let step = table.number("step", 0.001..=VDD_MV_MAX);
        let span = table.span()?;
        table.finish();
        (steps(memory, &span, from?.value, to?.value, step?.value)?, span)
    } else {
        let list = memory.numbers("vdd_mv", range)?;
        (list.value, list.span)
    };
    if list.len() > POINTS_MAX {
        memory.report_at(
            span,
            Diagnostic::new("too-many", format!("`memory.vdd_mv` names {} voltages", list.len()))
                .allowed(format!("expected at most {POINTS_MAX}")),
        );
        return None;
    }
    list.sort_by(|a, b| b.value.total_cmp(&a.value));
    let mut repeated = false;
    for pair in list.windows(2) {
        if pair[0].value == pair[1].value {
            repeated = true;
            memory.report_at(
                pair[1].span.clone(),
                Diagnostic::new("repeated", format!("voltage {} mV is named twice", pair[1].value))
                    .hint("name each voltage once"),
            );
        }
    }
    (!repeated).then_some(list)
}

fn steps(
    memory: &TableReader<'_>,
    span: &Range<usize>,
    from: f64,
    to: f64,
    step: f64,
) -> Option<Vec<Located<f64>>> {
    let (high, low) = (from.max(to), from.min(to));
    let intervals = ((high - low) / step).round();
    if intervals >= POINTS_MAX as f64 {
        memory.report_at(
            span.clone(),
            Diagnostic::new("too-many", "`memory.vdd_mv` names too many voltages")
                .allowed(format!("expected at most {POINTS_MAX}")),
        );
        return None;
    }
    if (high - low - intervals * step).abs() > 1e-6 * step {
        memory.report_at(
            span.clone(),
            Diagnostic::new(
                "not-divisible",
                format!("steps of {step} mV do not lead from {from} to {to} mV"),
            )
            .hint("choose a step that divides the range, or list the voltages"),
        );
        return None;
    }
    // `intervals` is a whole number below POINTS_MAX here.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by POINTS_MAX just above"
    )]
    let count = intervals as usize;
    Some(
        (0..=count)
            .map(|index| {
                // Whole microvolts, so that 900 - 3 * 0.1 reads 899.7.
                let value = ((high - index as f64 * step) * 1000.0).round() / 1000.0;
                Located { value, span: span.clone() }
            })
            .collect(),
    )
}
