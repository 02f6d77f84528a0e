//! The experiment file: every value with its place, no name resolved.

mod chips;
mod layout;
mod memories;
mod pixels;
mod question;
mod voltages;

use std::ops::Range;

use vmin_accel::cycles::Residence;
use vmin_accel::voltage::READ_NOISE_MV;
use vmin_diagnostic::{Diagnostic, Diagnostics, Document, FileKind, Located, Source};
use vmin_nn::{Pixels, Rounding};

pub use chips::{CHIP_FILES_MAX, ReadErrors};
pub use layout::Layout;
pub use memories::{Memories, Supply};
pub use pixels::typed_pixels;
pub use question::Question;
pub use voltages::voltages;

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

/// Share of chips, in percent, that must be within the budget where the file names none.
const YIELD_TARGET_PCT: f64 = 90.0;

/// Confidence of intervals and bounds, in percent, where the file names none.
const CONFIDENCE_PCT: f64 = 95.0;

/// The placement of the network's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// All weights lie in the weight memory at fixed addresses.
    Resident,
    /// Tiles of weights pass through the accelerator's real weight memory.
    Streamed,
}

impl Placement {
    /// Every placement with its word.
    pub const ALL: [(&'static str, Self); 2] =
        [("resident", Self::Resident), ("streamed", Self::Streamed)];

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Streamed => "streamed",
        }
    }

    /// What it keeps on the chip between inferences; resident weights lie there even if they do not fit.
    #[must_use]
    pub const fn residence(self) -> Residence {
        match self {
            Self::Resident => Residence::Assumed,
            Self::Streamed => Residence::Streamed,
        }
    }
}

/// The names in an experiment: those that could be parsed.
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

/// A text that is no experiment: its problems, and the names that could be parsed nevertheless, so
/// that they are checked at the same time.
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
    /// `[network] bits`: re-quantize the weights to this number of bits.
    pub bits: Option<Located<u8>>,
    /// `[network] rounding`, in place of the network's own.
    pub rounding: Option<Rounding>,
    /// `[data] set`.
    pub data: Located<String>,
    /// `[data] calibration`: the set whose training images calibrate mechanisms; that of `set` if absent.
    pub calibration: Option<Located<String>>,
    /// `[data] pixels`: how pixels become the network's input, in place of its own rule.
    pub pixels: Option<Located<Pixels>>,
    /// `[data] first`: index of the first image.
    pub first_image: Located<usize>,
    /// `[data] images`: number of images, all if absent.
    pub images: Option<Located<usize>>,
    /// `[accelerator] model`.
    pub accelerator: Located<String>,
    /// `[accelerator] placement`.
    pub placement: Placement,
    /// Place of the placement in the file, or else of the accelerator.
    pub placement_span: Range<usize>,
    /// `[placement]`.
    pub layout: Layout,
    /// `[memory] profile`.
    pub profile: Located<String>,
    /// `[memory] vmin_mv`: V_min of the user's memory, for a profile that is relative to it.
    pub vmin_mv: Option<Located<f64>>,
    /// `[memory.weight]`, `[memory.activation]`, `[memory.accumulator]`.
    pub memories: Memories,
    /// `[memory] fault_kind`; without it cells err as those of the population.
    pub errors: Option<ReadErrors>,
    /// `[memory] read_noise_mv`: sigma of each cell's critical voltage from read to read.
    pub read_noise_mv: Option<Located<f64>>,
    /// `question`.
    pub question: Question,
    /// `preset`.
    pub preset: Option<Preset>,
    /// `[memory] rates_pct` as fractions, rising; empty if the experiment names voltages.
    pub rates: Vec<Located<f64>>,
    /// `[memory] vdd_mv`, in falling order; empty until resolved if the experiment names rates, or chip
    /// files alone.
    pub vdd_mv: Vec<Located<f64>>,
    /// `[chips] count`, or the number of files.
    pub chips: u32,
    /// `[chips] seed`; 0 with files, where it decides about uncertain cells.
    pub seed: u64,
    /// `[chips] files`: measured chips in place of a population's.
    pub chip_files: Vec<Located<String>>,
    /// `[yield] accuracy_loss_max_pct`: the budget in percentage points.
    pub accuracy_loss_max_pct: f64,
    /// `[yield] target_pct`: the share of chips, in percent, that must be within the budget.
    pub yield_target_pct: f64,
    /// `[yield] confidence_pct`: the confidence of all intervals and bounds.
    pub confidence_pct: f64,
    /// `[[remedy]]`, in the order of the file.
    pub remedies: Vec<Remedy>,
    /// `[protection] costs`: the table of protection costs.
    pub protection_costs: Located<String>,
}

impl Experiment {
    /// Parses an experiment file.
    ///
    /// # Errors
    /// All problems of the file, each with its place.
    pub fn parse(source: &Source) -> Result<Self, Box<NotAnExperiment>> {
        let document = Document::parse_kind(source, FileKind::Experiment).map_err(|problems| {
            Box::new(NotAnExperiment { problems, references: References::default() })
        })?;
        let root = document.root();
        let name = root.string("name");
        let question = root.optional_choice("question", &Question::ALL);
        let preset = root.optional_choice("preset", &Preset::ALL).map(|preset| preset.value);

        let network = root.table("network");
        let model = network.string("model");
        let bits = network.optional_integer("bits", 2..=8);
        let rounding = network.optional_choice("rounding", &Rounding::ALL);
        network.finish();

        let data = root.table("data");
        let set = data.string("set");
        let calibration = data.optional_string("calibration");
        let pixels = pixels::read(&data);
        let first = data.optional_integer("first", 0..=IMAGES_MAX);
        let images = data.optional_integer("images", 1..=IMAGES_MAX);
        data.finish();

        let accelerator = root.table("accelerator");
        let accelerator_model = accelerator.string("model");
        let placement = accelerator.optional_choice("placement", &Placement::ALL);
        accelerator.finish();

        let layout =
            root.optional_table("placement").map_or_else(|| Some(Layout::default()), layout::read);

        let memory = root.table("memory");
        let profile = memory.string("profile");
        let by_file = chips::named_by_file(&root);
        let fault_kind = memory.optional_choice("fault_kind", &ReadErrors::ALL);
        preset::check_kind(&memory, preset, fault_kind.as_ref());
        let errors = chips::errors(&memory, fault_kind.as_ref(), by_file);
        // Rates replace voltages; with both, the rates are reported.
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
        let vmin_mv = memory.optional_number("vmin_mv", 1.0..=VDD_MV_MAX);
        let memories = memories::read(&memory);
        let read_noise = memory.optional_number("read_noise_mv", READ_NOISE_MV);
        memory.finish();

        let chips = chips::read(&root, preset);

        let loss = root.optional_table("yield").map(|table| {
            let loss = table.optional_number("accuracy_loss_max_pct", 0.0..=100.0);
            let target = table.optional_number("target_pct", 0.0..=100.0);
            let confidence = table.optional_number("confidence_pct", 50.0..=99.99);
            table.finish();
            (loss, target, confidence)
        });
        let (loss, yield_target, confidence) = loss.unwrap_or_default();
        let costs = root.optional_table("protection").and_then(|table| {
            let costs = table.optional_string("costs");
            table.finish();
            costs
        });
        let remedies = remedy::read(&root);
        if let Some(noise) = &read_noise {
            let stranger = match () {
                () if by_file => Some("`[chips] files`, whose cells err as they were measured"),
                () if preset.is_some() => Some("a preset"),
                () if by_rate => Some("`rates_pct`: noise is told in millivolts"),
                () => None,
            };
            if let Some(stranger) = stranger {
                root.report_at(
                    noise.span.clone(),
                    Diagnostic::new(
                        "read-noise",
                        format!("read noise does not go with {stranger}"),
                    )
                    .hint("leave one of the two away"),
                );
            }
        }
        root.finish();

        let references = References {
            model: model.clone(),
            data: set.clone(),
            accelerator: accelerator_model.clone(),
            profile: profile.clone(),
            chip_files: chips.files.clone(),
        };
        let accelerator_span = accelerator_model.as_ref().map_or(0..0, |model| model.span.clone());
        let set_span = set.as_ref().map_or(0..0, |set| set.span.clone());
        let experiment = (|| {
            Some(Self {
                source: source.clone(),
                name: name?.value,
                question: question.map_or(Question::Sweep, |question| question.value),
                model: model?,
                bits: bits.and_then(narrow),
                rounding: rounding.map(|named| named.value),
                data: set?,
                calibration,
                pixels,
                first_image: first.and_then(narrow).unwrap_or(Located { value: 0, span: 0..0 }),
                images: match (images, preset) {
                    (None, Some(preset)) => {
                        Some(Located { value: preset.images(), span: set_span })
                    }
                    (images, _) => images.and_then(narrow),
                },
                accelerator: accelerator_model?,
                placement: placement.as_ref().map_or(Placement::Resident, |named| named.value),
                placement_span: placement.map_or(accelerator_span, |named| named.span),
                layout: layout?,
                profile: profile?,
                vmin_mv,
                memories: memories?,
                errors,
                read_noise_mv: read_noise,
                vdd_mv: vdd_mv?,
                chips: chips.count?,
                seed: chips.seed?,
                chip_files: chips.files,
                preset,
                rates: rates_pct?,
                accuracy_loss_max_pct: loss.map_or(1.0, |loss| loss.value),
                yield_target_pct: yield_target.map_or(YIELD_TARGET_PCT, |target| target.value),
                confidence_pct: confidence.map_or(CONFIDENCE_PCT, |confidence| confidence.value),
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
