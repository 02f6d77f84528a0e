//! An accelerator file as a checked [`Accelerator`]. What it does not give is as in [`REFERENCE`], and told.

use std::cell::RefCell;
use std::path::Path;
use std::sync::LazyLock;

use vmin_diagnostic::{Diagnostic, Diagnostics, Document, FileKind, Located, Source, TableReader};
use vmin_sram::Geometry;

use super::{Accelerator, Dram, Memories, Memory, Provenance};
use crate::cycles::{CycleModel, Overlap, PartialSums, Residence};
use crate::dataflow::{ARRAY_SIDE_MAX, ArraySize, Dataflow};
use crate::energy::{Action, Bank, Cells, ConstantSet, DramKind, EnergyTable, Rail};
use crate::mapping::{LoopOrder, MappingRules, Objective, Rule};

/// Largest memory, in KiB.
const KIB_MAX: i64 = 1 << 20;
const CLOCK_MHZ_MAX: f64 = 20_000.0;
const BANKS_MAX: i64 = 1 << 16;
const ROWS_MAX: i64 = 1 << 24;
const COLUMNS_MAX: i64 = 1 << 16;
const PORTS_MAX: i64 = 16;
const LATENCY_NS_MAX: f64 = 1e6;
const LANES_MAX: i64 = 1 << 16;
const ACCUMULATOR_BITS_MAX: i64 = 64;

/// The shipped accelerator whose values stand for those that a file does not give.
pub(super) const REFERENCE: &str = "gemmini-16";

/// Complete, so that reading it asks for no default.
static OF_REFERENCE: LazyLock<Accelerator> =
    LazyLock::new(|| Accelerator::load(REFERENCE).expect("a shipped accelerator without mistakes"));

/// The keys whose values are those of the reference.
#[derive(Default)]
struct Defaults(RefCell<Vec<String>>);

impl Defaults {
    /// The value of a key, or that of the reference where it is not given; none where it is faulty.
    fn or<T>(
        &self,
        table: &TableReader<'_>,
        key: &str,
        value: Option<T>,
        of: impl FnOnce(&Accelerator) -> T,
    ) -> Option<T> {
        if value.is_some() || table.has(key) {
            return value;
        }
        self.0.borrow_mut().push(table.dotted(key));
        Some(of(&OF_REFERENCE))
    }
}

/// A value without a place in the file.
fn unplaced<T>(value: T) -> Located<T> {
    Located { value, span: 0..0 }
}

pub(super) fn accelerator(source: &Source) -> Result<Accelerator, Diagnostics> {
    let document = Document::parse_kind(source, FileKind::Accelerator)?;
    let root = document.root();
    let defaults = &Defaults::default();
    let name = root.optional_string("name");
    let title = root.optional_string("title");
    let provenance = provenance(&root);
    let energy = energy(&root, defaults);
    let array = array(&root, defaults);
    let vector = root.table_if_any("vector");
    let lanes = vector.optional_integer("lanes", 1..=LANES_MAX);
    let lanes = lanes.map(|lanes| lanes.value.unsigned_abs());
    let lanes = defaults.or(&vector, "lanes", lanes, |of| of.vector_lanes);
    vector.finish();
    let size = array.as_ref().map(|array| array.size);
    let memories = memories(&root, energy.as_ref().map(|energy| energy.constants), defaults, size);
    let dram = dram(&root, defaults);
    let mapping = mapping(&root);
    let cycle_model = root.optional_choice("cycle_model", &CycleModel::ALL);
    if let Some(model) = &cycle_model
        && model.value == CycleModel::ScalesimV3
        && !root.has_table("dram")
    {
        let message = "`scalesim-v3` moves all operands through DRAM, and there is none";
        let hint = "choose the cycle model `causal`, or add a table `[dram]`";
        root.report_at(model.span.clone(), Diagnostic::new("no-dram", message).hint(hint));
    }
    root.finish();
    document.finish()?;

    let read = || {
        let array = array?;
        let stem = Path::new(source.name()).file_stem().unwrap_or_default().to_string_lossy();
        let name = name.map_or_else(|| stem.into_owned(), |name| name.value);
        let plain = || format!("{name}, {} x {}", array.size.rows(), array.size.columns());
        let title = title.map_or_else(plain, |title| title.value);
        let (memories, accumulator_bits, partial_sums) = memories?;
        let energy = energy?.table(&memories, source.name());
        Some(Accelerator {
            name,
            text: source.text().to_owned(),
            title,
            provenance,
            defaults: defaults.0.take(),
            array: array.size,
            dataflow: array.dataflow,
            dataflows: array.dataflows,
            clock_mhz: array.clock_mhz,
            weight_double_buffer: array.weight_double_buffer,
            leakage_uw_per_pe: array.leakage_uw_per_pe,
            leakage_source: array.leakage_source,
            cycle_model: cycle_model.map_or(CycleModel::Causal, |model| model.value),
            vector_lanes: lanes?,
            accumulator_bits,
            partial_sums,
            memories,
            dram: dram?,
            energy,
            mapping,
        })
    };
    // Every getter that gives nothing has reported why, so a clean document is complete.
    read().ok_or_else(|| {
        Diagnostic::new("incomplete", "the accelerator is incomplete").within(source).into()
    })
}

fn provenance(root: &TableReader<'_>) -> Provenance {
    let table = root.table_if_any("provenance");
    let [source, exact, estimated] = ["source", "exact", "estimated"].map(|key| {
        table.optional_string(key).map_or_else(|| "not stated".to_owned(), |text| text.value)
    });
    table.finish();
    Provenance { source, exact, estimated }
}

struct Array {
    size: ArraySize,
    dataflow: Dataflow,
    dataflows: Vec<Dataflow>,
    clock_mhz: f64,
    weight_double_buffer: bool,
    leakage_uw_per_pe: f64,
    leakage_source: String,
}

fn array(root: &TableReader<'_>, defaults: &Defaults) -> Option<Array> {
    let side = ARRAY_SIDE_MAX.cast_signed();
    let table = root.table("array");
    let rows = table.integer("rows", 1..=side);
    let columns = table.integer("columns", 1..=side);
    let dataflow = table.optional_choice("dataflow", Dataflow::ALL).map(|it| it.value);
    let dataflow = defaults.or(&table, "dataflow", dataflow, |of| of.dataflow);
    // `also` is a second dataflow of the hardware, chosen on the command line.
    let also = table.optional_choice("also", Dataflow::ALL);
    let clock_mhz = table.optional_number("clock_mhz", 0.001..=CLOCK_MHZ_MAX).map(|it| it.value);
    let clock_mhz = defaults.or(&table, "clock_mhz", clock_mhz, |of| of.clock_mhz);
    let double_buffer = table.optional_boolean("weight_double_buffer");
    let leakage = table.optional_number("leakage_uw_per_pe", 0.0..=1e6);
    let leakage_source = match leakage {
        Some(_) => format!("given in {}", table.source().name()),
        None => "none is given: the array's leakage is not counted".to_owned(),
    };
    table.finish();
    let dataflow = dataflow?;
    let mut dataflows = vec![dataflow];
    dataflows.extend(also.map(|also| also.value).filter(|also| *also != dataflow));
    Some(Array {
        size: ArraySize::new(rows?.value.unsigned_abs(), columns?.value.unsigned_abs())?,
        dataflow,
        dataflows,
        clock_mhz: clock_mhz?,
        weight_double_buffer: double_buffer.is_some_and(|value| value.value),
        leakage_source,
        leakage_uw_per_pe: leakage.map_or(0.0, |value| value.value),
    })
}

fn memories(
    root: &TableReader<'_>,
    constants: Option<ConstantSet>,
    defaults: &Defaults,
    size: Option<ArraySize>,
) -> Option<(Memories, u64, PartialSums)> {
    let table = root.table_if_any("memory");
    let plain = |which: crate::Memory| {
        let reader = table.table_if_any(which.word());
        let memory = memory(&reader, constants, defaults, which, size);
        reader.finish();
        memory
    };
    let weight = plain(crate::Memory::Weight);
    let activation = plain(crate::Memory::Activation);
    let reader = table.table_if_any(crate::Memory::Accumulator.word());
    let sum_bits = reader.optional_integer("sum_bits", 8..=ACCUMULATOR_BITS_MAX);
    let sum_bits = sum_bits.map(|bits| bits.value.unsigned_abs());
    let sum_bits = defaults.or(&reader, "sum_bits", sum_bits, |of| of.accumulator_bits);
    let psum = reader.optional_choice("psum", &PartialSums::ALL);
    let accumulator = memory(&reader, constants, defaults, crate::Memory::Accumulator, size);
    reader.finish();
    table.finish();
    let memories = Memories { weight: weight?, activation: activation?, accumulator: accumulator? };
    let psum = psum.map_or(PartialSums::Accumulator, |value| value.value);
    Some((memories, sum_bits?, psum))
}

/// The rows of a bank of a memory that is given by its size.
fn rows_of(
    table: &TableReader<'_>,
    kib: &Located<i64>,
    rows: Option<&Located<i64>>,
    banks: i64,
    columns: i64,
) -> Option<Located<i64>> {
    if let Some(rows) = rows {
        let both = Diagnostic::new("both", "a memory has `rows` or `kib`, not both");
        table.report_at(rows.span.clone(), both.hint("leave one of the two away"));
        return None;
    }
    // Within the limits of the keys.
    let (bits, of_rows) = (kib.value * 8192, banks * columns);
    let rows = bits / of_rows;
    if bits % of_rows != 0 || rows > ROWS_MAX {
        let message = format!(
            "{} KiB are no whole number of rows in {banks} banks of {columns} columns",
            kib.value
        );
        let problem = Diagnostic::new("memory-size", message);
        let hint = format!("a row of all banks holds {} KiB", of_rows as f64 / 8192.0);
        table.report_at(kib.span.clone(), problem.hint(hint));
        return None;
    }
    Some(Located { value: rows, span: kib.span.clone() })
}

fn memory(
    table: &TableReader<'_>,
    constants: Option<ConstantSet>,
    defaults: &Defaults,
    which: crate::Memory,
    size: Option<ArraySize>,
) -> Option<Memory> {
    let or = |key, value, of: fn(Geometry) -> u32| {
        let of =
            |reference: &Accelerator| unplaced(of(reference.memories.get(which).geometry).into());
        defaults.or(table, key, value, of)
    };
    let banks = or("banks", table.optional_integer("banks", 1..=BANKS_MAX), Geometry::banks);
    let kib = table.optional_integer("kib", 1..=KIB_MAX);
    let rows = table.optional_integer("rows", 1..=ROWS_MAX);
    let rows = if table.has("kib") { rows } else { or("rows", rows, Geometry::rows) };
    // A row is as wide for each row or column of the array as in the reference.
    let side = |of: ArraySize| match which {
        crate::Memory::Activation => of.rows().cast_signed(),
        crate::Memory::Weight | crate::Memory::Accumulator => of.columns().cast_signed(),
    };
    let width = |of: &Accelerator| {
        let reference = i64::from(of.memories.get(which).geometry.columns());
        unplaced(size.map_or(reference, |size| {
            (reference * side(size) / side(of.array)).clamp(1, COLUMNS_MAX)
        }))
    };
    let columns = table.optional_integer("columns", 1..=COLUMNS_MAX);
    let columns = defaults.or(table, "columns", columns, width);
    let word_bits = table.optional_integer("word_bits", 1..=COLUMNS_MAX);
    // There a word is a whole row.
    let row = columns.as_ref().map_or(0, |columns| columns.value);
    let word_bits = defaults.or(table, "word_bits", word_bits, |_| unplaced(row));
    let rail = table.optional_choice("rail", &Rail::MEMORIES).map(|rail| rail.value);
    let rail = defaults.or(table, "rail", rail, |of| of.memories.get(which).rail);
    let cells = table.optional_choice("cells", &Cells::ALL);
    let leakage = table.optional_number("leakage_uw_per_kib", 0.0..=1e6);
    let cycle_ns = table.optional_number("cycle_ns", 1e-3..=1e6);
    let ports = table.optional_integer("ports", 1..=PORTS_MAX);
    let (banks, columns) = (banks?, columns?);
    let rows = match kib {
        Some(kib) => rows_of(table, &kib, rows.as_ref(), banks.value, columns.value)?,
        None => rows?,
    };
    let word_bits = word_bits?;
    if columns.value % word_bits.value != 0 {
        table.report_at(
            word_bits.span,
            Diagnostic::new(
                "word-width",
                format!(
                    "words of {} bits do not divide rows of {} columns",
                    word_bits.value, columns.value
                ),
            )
            .allowed(format!("expected a divisor of {}", columns.value))
            .hint("a row holds one word, or several behind a column multiplexer"),
        );
        return None;
    }
    let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    match Geometry::new(small(banks.value), small(rows.value), small(columns.value)) {
        Ok(geometry) => {
            let word_bits = word_bits.value.unsigned_abs();
            let cells = cells.map_or(Cells::Lstp, |cells| cells.value);
            let (sram, sources) = constants?.sram(Bank::of(geometry, word_bits, cells));
            let (leakage_uw_per_kib, leakage_source) = match leakage {
                Some(given) => (given.value, format!("given in {}", table.source().name())),
                None => (sram.leakage_uw_per_kib, sources.leakage),
            };
            Some(Memory {
                geometry,
                word_bits,
                rail: rail?,
                cells,
                leakage_uw_per_kib,
                leakage_source,
                given_cycle_ns: cycle_ns.map(|cycle_ns| cycle_ns.value),
                ports: ports.map(|ports| ports.value.unsigned_abs()),
            })
        }
        Err(error) => {
            table.report_at(rows.span, Diagnostic::new("memory-size", error.to_string()));
            None
        }
    }
}

/// Off-chip memory, if the file has any; nothing if it is faulty.
fn dram(root: &TableReader<'_>, defaults: &Defaults) -> Option<Option<Dram>> {
    let Some(table) = root.optional_table("dram") else { return Some(None) };
    let key = "bandwidth_gb_per_s";
    let bandwidth = table.optional_number(key, 1e-6..=1e6).map(|of| of.value * 1e9);
    let of_reference = |of: &Accelerator| of.dram.map_or(0.0, |dram| dram.bytes_per_second);
    let bandwidth = defaults.or(&table, key, bandwidth, of_reference);
    let weights = table.optional_choice("weights", &Residence::ALL);
    let activations = table.optional_choice("activations", &Residence::ALL);
    let latency = table.optional_number("latency_ns", 0.0..=LATENCY_NS_MAX);
    let overlap = table.optional_choice("overlap", &Overlap::ALL);
    table.finish();
    Some(Some(Dram {
        bytes_per_second: bandwidth?,
        weights: weights.map_or(Residence::Streamed, |value| value.value),
        activations: activations.map_or(Residence::Resident, |value| value.value),
        latency_ns: latency.map_or(0.0, |value| value.value),
        overlap: overlap.map_or(Overlap::Layer, |value| value.value),
    }))
}

/// Largest tile; larger ones are as good as whole layers.
const TILE_MAX: i64 = 1 << 48;

fn mapping(root: &TableReader<'_>) -> MappingRules {
    let Some(table) = root.optional_table("mapping") else { return MappingRules::default() };
    let objective = table.optional_choice("objective", &Objective::ALL);
    let all = rule(&table);
    let mut layers: Vec<(String, Rule)> = Vec::new();
    for table in table.tables("layer") {
        let (name, rule) = (table.string("name"), rule(&table));
        if let Some(name) = name {
            if layers.iter().any(|(known, _)| *known == name.value) {
                let problem = format!("layer `{}` has tiles already", name.value);
                let problem = Diagnostic::new("duplicate", problem).hint("keep one of the two");
                table.report_at(name.span, problem);
            }
            layers.push((name.value, rule));
        }
        table.finish();
    }
    table.finish();
    let objective = objective.map_or_else(Objective::default, |value| value.value);
    MappingRules { objective, all, layers }
}

fn rule(table: &TableReader<'_>) -> Rule {
    let size = |key| {
        let tile = table.optional_integer(key, 1..=TILE_MAX);
        tile.map(|tile| tile.value.unsigned_abs())
    };
    let order = table.optional_choice("order", &LoopOrder::ALL);
    Rule { order: order.map(|order| order.value), m_tile: size("m_tile"), n_tile: size("n_tile") }
}

/// `[energy]`.
struct Energy {
    constants: ConstantSet,
    dram: Option<DramKind>,
    overrides: Vec<(Action, f64)>,
}

impl Energy {
    fn table(self, memories: &Memories, file: &str) -> EnergyTable {
        let mut table = EnergyTable::new(self.constants, self.dram, memories);
        for (action, pj) in self.overrides {
            table.set(action, pj, &format!("given in {file}, energy.override_pj"));
        }
        table
    }
}

fn energy(root: &TableReader<'_>, defaults: &Defaults) -> Option<Energy> {
    let table = root.table_if_any("energy");
    let constants = table.optional_choice("constants", &ConstantSet::ALL).map(|it| it.value);
    let constants = defaults.or(&table, "constants", constants, |of| of.energy.constants());
    let has_dram = root.has_table("dram");
    let without_dram = |reader: &TableReader<'_>, key: &str, span| {
        let problem = Diagnostic::new("no-dram", format!("`{key}` is given, but there is no DRAM"))
            .hint("remove it, or add a table `[dram]`");
        reader.report_at(span, problem);
    };
    let dram = if has_dram {
        let dram = table.optional_choice("dram", &DramKind::ALL).map(|dram| Some(dram.value));
        defaults.or(&table, "dram", dram, |of| of.energy.dram())
    } else {
        if let Some(dram) = table.optional_choice("dram", &DramKind::ALL) {
            without_dram(&table, "energy.dram", dram.span);
        }
        Some(None)
    };
    let mut overrides = Vec::new();
    if let Some(reader) = table.optional_table("override_pj") {
        for action in Action::ALL {
            let Some(pj) = reader.optional_number(action.name(), 0.0..=1e9) else { continue };
            if action == Action::DramByte && !has_dram {
                without_dram(&reader, "energy.override_pj.dram_byte", pj.span);
                continue;
            }
            overrides.push((action, pj.value));
        }
        reader.finish();
    }
    table.finish();
    Some(Energy { constants: constants?, dram: dram?, overrides })
}
