//! Design-space files: checked keys and values, names not yet resolved.

use std::ops::Range;

use vmin_accel::Dataflow;
use vmin_accel::dataflow::ARRAY_SIDE_MAX;
use vmin_accel::energy::{Clock, Rails};
use vmin_diagnostic::{Diagnostic, Diagnostics, Document, FileKind, Located, Source, TableReader};

use vmin_sweep::{Placement, VDD_MV_MAX};

use crate::Objective;

/// Most points of one space. All are held at once, since any may beat any other: some 500 bytes each while the
/// front is found, and up to 2 KB where they are on it.
pub const POINTS_MAX: u64 = 1_000_000;
const MEMORY_KIB_MAX: i64 = 1 << 24;
const LANES_MAX: i64 = 1 << 16;

/// The lists of `[vary]`; empty where absent.
#[derive(Clone, Debug, Default)]
pub struct Vary {
    /// Rows and columns of processing elements.
    pub arrays: Vec<(u64, u64)>,
    /// Dataflows.
    pub dataflows: Vec<Dataflow>,
    /// Elements per cycle of the vector unit.
    pub vector_lanes: Vec<u64>,
    /// Sizes of the weight memory in KiB, each with its place.
    pub weight_kib: Vec<Located<u64>>,
    /// Sizes of the activation memory in KiB.
    pub activation_kib: Vec<Located<u64>>,
    /// Sizes of the accumulator memory in KiB.
    pub accumulator_kib: Vec<Located<u64>>,
    /// Sustained DRAM bandwidths in GB/s.
    pub dram_bandwidth_gb_per_s: Vec<f64>,
}

/// A checked design-space file. References are still names.
#[derive(Clone, Debug)]
pub struct Space {
    /// The text, for messages that come later.
    pub source: Source,
    /// `name`.
    pub name: String,
    /// `[network] model`.
    pub model: Located<String>,
    /// `[network] bits`: re-quantize the weights to so many bits.
    pub bits: Option<Located<u8>>,
    /// `[accelerator] base`.
    pub base: Located<String>,
    /// `[accelerator] placement` of the weights; that of the accelerator's file if absent.
    pub placement: Option<Placement>,
    /// `[memory] profile`.
    pub profile: Located<String>,
    /// `[memory] vmin_mv`: V_min of the user's memory, for a profile that is relative to it.
    pub vmin_mv: Option<Located<f64>>,
    /// `[memory] vdd_mv`, falling.
    pub vdd_mv: Vec<Located<f64>>,
    /// `[memory] rails`: the supplies that follow the voltage.
    pub rails: Rails,
    /// `[memory] clock`.
    pub clock: Clock,
    /// `[vary]`.
    pub vary: Vary,
    /// `[objectives] minimize`.
    pub objectives: Vec<Objective>,
    /// `[limits]`: points beyond one of them are not candidates for the front.
    pub limits: Vec<(Objective, f64)>,
    /// `[accuracy] results`: a sweep's `results.json`.
    pub accuracy: Option<Located<String>>,
}

impl Space {
    /// Reads a design-space file.
    ///
    /// # Errors
    /// All problems of the file, each with its place.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let document = Document::parse_kind(source, FileKind::Space)?;
        let root = document.root();
        let name = root.string("name");
        let network = root.table("network");
        let model = network.string("model");
        let bits = network.optional_integer("bits", 2..=8).and_then(|bits| {
            Some(Located { value: u8::try_from(bits.value).ok()?, span: bits.span })
        });
        network.finish();
        let accelerator = root.table("accelerator");
        let base = accelerator.string("base");
        let placement = accelerator.optional_choice("placement", &Placement::ALL);
        accelerator.finish();
        let memory = root.table("memory");
        let profile = memory.string("profile");
        let vmin_mv = memory.optional_number("vmin_mv", 1.0..=VDD_MV_MAX);
        let vdd_mv = vmin_sweep::voltages(&memory);
        let rails = memory.optional_choice("rails", &Rails::ALL);
        let clock = memory.optional_choice(
            "clock",
            &[("follows_voltage", Clock::FollowsVoltage), ("fixed", Clock::Fixed)],
        );
        memory.finish();
        let vary = vary(&root);
        let accuracy = root.optional_table("accuracy").and_then(|table| {
            let results = table.string("results");
            table.finish();
            results
        });
        let objectives = objectives(&root, accuracy.is_some());
        let limits = limits(&root, accuracy.is_some());
        root.finish();

        let space = (|| {
            Some(Self {
                source: source.clone(),
                name: name?.value,
                model: model?,
                bits,
                base: base?,
                placement: placement.map(|placement| placement.value),
                profile: profile?,
                vmin_mv,
                vdd_mv: vdd_mv?,
                rails: rails.map_or(Rails::Memories, |rails| rails.value),
                clock: clock.map_or(Clock::FollowsVoltage, |clock| clock.value),
                vary: vary?,
                objectives: objectives?,
                limits: limits?,
                accuracy,
            })
        })();
        document.finish()?;
        space.ok_or_else(|| {
            Diagnostic::new("incomplete", "the design space is incomplete").within(source).into()
        })
    }

    /// Whether an objective or a limit weighs this.
    #[must_use]
    pub fn weighs(&self, objective: Objective) -> bool {
        let mut limits = self.limits.iter();
        self.objectives.contains(&objective) || limits.any(|(limited, _)| *limited == objective)
    }

    /// Designs times voltages; saturating.
    #[must_use]
    pub fn points(&self) -> u64 {
        let Vary {
            arrays,
            dataflows,
            vector_lanes,
            weight_kib,
            activation_kib,
            accumulator_kib,
            dram_bandwidth_gb_per_s,
        } = &self.vary;
        [
            arrays.len(),
            dataflows.len(),
            vector_lanes.len(),
            weight_kib.len(),
            activation_kib.len(),
            accumulator_kib.len(),
            dram_bandwidth_gb_per_s.len(),
            self.vdd_mv.len(),
        ]
        .into_iter()
        .fold(1, |product: u64, length| product.saturating_mul(length.max(1) as u64))
    }
}

fn vary(root: &TableReader<'_>) -> Option<Vary> {
    let table = root.table("vary");
    let side = 1..=ARRAY_SIDE_MAX.cast_signed();
    let sides = integers(&table, "array_sides", side.clone());
    let rows = integers(&table, "array_rows", side.clone());
    let columns = integers(&table, "array_columns", side);
    let arrays = arrays(&table, &sides?, &rows?, &columns?);
    let dataflow = distinct(&table, "dataflow", table.optional_choices("dataflow", Dataflow::ALL));
    let lanes = integers(&table, "vector_lanes", 1..=LANES_MAX);
    let [weight, activation, accumulator] = ["weight_kib", "activation_kib", "accumulator_kib"]
        .map(|key| integers(&table, key, 1..=MEMORY_KIB_MAX));
    let dram = table.optional_numbers("dram_bandwidth_gb_per_s", 1e-6..=1e6);
    let dram = distinct(&table, "dram_bandwidth_gb_per_s", dram);
    table.finish();
    let values = |list: Vec<Located<u64>>| list.into_iter().map(|item| item.value).collect();
    Some(Vary {
        arrays: arrays?,
        dataflows: dataflow?.into_iter().map(|item| item.value).collect(),
        vector_lanes: values(lanes?),
        weight_kib: weight?,
        activation_kib: activation?,
        accumulator_kib: accumulator?,
        dram_bandwidth_gb_per_s: dram?.into_iter().map(|item| item.value).collect(),
    })
}

/// The integers of a list, empty if it is absent, nothing if it is wrong.
fn integers(
    table: &TableReader<'_>,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Option<Vec<Located<u64>>> {
    let list = distinct(table, key, table.optional_integers(key, range))?;
    Some(
        list.into_iter()
            .map(|item| Located { value: item.value.unsigned_abs(), span: item.span })
            .collect(),
    )
}

/// A list without repeats, empty if it is absent.
fn distinct<T: PartialEq>(
    table: &TableReader<'_>,
    key: &str,
    list: Option<Located<Vec<Located<T>>>>,
) -> Option<Vec<Located<T>>> {
    if !table.has(key) {
        return Some(Vec::new());
    }
    let list = list?.value;
    let repeat = (1..list.len())
        .find(|&index| list[..index].iter().any(|earlier| earlier.value == list[index].value));
    if let Some(index) = repeat {
        table.report_at(
            list[index].span.clone(),
            Diagnostic::new("repeated", format!("`vary.{key}` names a value twice"))
                .hint("name each value once"),
        );
        return None;
    }
    Some(list)
}

fn arrays(
    table: &TableReader<'_>,
    sides: &[Located<u64>],
    rows: &[Located<u64>],
    columns: &[Located<u64>],
) -> Option<Vec<(u64, u64)>> {
    let conflict = |span: Range<usize>, message: &str, hint: &str| {
        table.report_at(span, Diagnostic::new("array-lists", message).hint(hint));
    };
    match (sides.first(), rows.first(), columns.first()) {
        (Some(side), Some(_), _) | (Some(side), _, Some(_)) => {
            conflict(
                side.span.clone(),
                "`array_sides` and `array_rows` or `array_columns` exclude each other",
                "`array_sides` makes square arrays, the other two every combination",
            );
            None
        }
        (None, Some(one), None) | (None, None, Some(one)) => {
            conflict(
                one.span.clone(),
                "`array_rows` and `array_columns` belong together",
                "give both, or `array_sides` for square arrays",
            );
            None
        }
        _ => {
            let squares = sides.iter().map(|side| (side.value, side.value));
            let products = rows
                .iter()
                .flat_map(|row| columns.iter().map(move |column| (row.value, column.value)));
            Some(squares.chain(products).collect())
        }
    }
}

fn objectives(root: &TableReader<'_>, accuracy: bool) -> Option<Vec<Objective>> {
    // Without an objective that worsens with it, the lowest voltage would win everywhere.
    let reliability = if accuracy { Objective::Rerr } else { Objective::CellFaultRate };
    let default =
        vec![Objective::LatencyUs, Objective::EnergyNj, Objective::ProcessingElements, reliability];
    let Some(table) = root.optional_table("objectives") else { return Some(default) };
    let minimize =
        if table.has("minimize") { distinct_objectives(&table, accuracy) } else { Some(default) };
    table.finish();
    minimize
}

fn distinct_objectives(table: &TableReader<'_>, accuracy: bool) -> Option<Vec<Objective>> {
    let list = table.optional_choices("minimize", &Objective::ALL)?.value;
    let mut objectives = Vec::new();
    for item in list {
        if objectives.contains(&item.value) {
            table.report_at(
                item.span,
                Diagnostic::new("repeated", "`objectives.minimize` names a value twice")
                    .hint("name each value once"),
            );
            return None;
        }
        if item.value == Objective::Rerr && !accuracy {
            table.report_at(item.span, without_accuracy());
            return None;
        }
        objectives.push(item.value);
    }
    Some(objectives)
}

fn limits(root: &TableReader<'_>, accuracy: bool) -> Option<Vec<(Objective, f64)>> {
    let Some(table) = root.optional_table("limits") else { return Some(Vec::new()) };
    let mut limits = Vec::new();
    let mut sound = true;
    for (word, objective) in Objective::ALL {
        if !table.has(word) {
            continue;
        }
        match table.optional_number(word, 0.0..=objective.limit_max()) {
            Some(limit) if objective == Objective::Rerr && !accuracy => {
                table.report_at(limit.span, without_accuracy());
                sound = false;
            }
            Some(limit) => limits.push((objective, limit.value)),
            None => sound = false,
        }
    }
    table.finish();
    sound.then_some(limits)
}

fn without_accuracy() -> Diagnostic {
    Diagnostic::new("missing-key", "`rerr` needs the results of a sweep")
        .hint("add `[accuracy]` with `results = \"FOLDER/results.json\"`")
}
