//! Energy reference tables of Accelergy: import and export.
//!
//! An energy reference table (`ERT.yaml`) lists the energy in pJ of each action of each component of an
//! architecture. Its components carry the names of that architecture, so an import takes a mapping
//! from its names to ours. Components with one of our names need no mapping:
//!
//! | component | actions | meaning here |
//! |---|---|---|
//! | `mac` | `compute`, `mac`, `mac_random`; `leak` | one int8 MAC; idle cycle of one PE |
//! | `vector_unit` | `compute` | one element |
//! | `pe_register_bit` | `write` | one bit |
//! | `weight_memory`, `activation_memory`, `accumulator_memory` | `read`; `write`, `update`; `leak` | one word of the accelerator's width; one cycle |
//! | `dram` | `transfer` | one byte |
//!
//! `leak` may also be called `idle`. Where a table lists an action several times, for several arguments,
//! the dearest entry counts, and a note says so.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use vmin_diagnostic::{Diagnostic, Diagnostics, Source, closest, list_words};

use super::{Action, EnergyTable};
use crate::{Accelerator, area};

const VERSION: &str = "0.4";
const MEMORIES: [&str; 3] = ["weight_memory", "activation_memory", "accumulator_memory"];

/// Components that a table's names can be mapped to; `ignore` leaves one out.
pub const COMPONENTS: [&str; 8] = [
    "mac",
    "vector_unit",
    "pe_register_bit",
    "weight_memory",
    "activation_memory",
    "accumulator_memory",
    "dram",
    "ignore",
];

/// The number that an entry of a table replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Energy(Action),
    /// pJ per cycle of one PE.
    ArrayLeakage,
    /// pJ per cycle of a memory, by its index in [`MEMORIES`].
    MemoryLeakage(usize),
}

fn target(component: &str, action: &str) -> Option<Target> {
    use Target::{ArrayLeakage, Energy, MemoryLeakage};
    let of_memory = |read, write, index| match action {
        "read" => Some(Energy(read)),
        "write" | "update" => Some(Energy(write)),
        "leak" | "idle" => Some(MemoryLeakage(index)),
        _ => None,
    };
    match (component, action) {
        ("mac", "compute" | "mac" | "mac_random") => Some(Energy(Action::Mac)),
        ("mac", "leak" | "idle") => Some(ArrayLeakage),
        ("vector_unit", "compute") => Some(Energy(Action::VectorOperation)),
        ("pe_register_bit", "write") => Some(Energy(Action::RegisterBit)),
        ("dram", "transfer") => Some(Energy(Action::DramByte)),
        ("weight_memory", _) => of_memory(Action::WeightRead, Action::WeightWrite, 0),
        ("activation_memory", _) => of_memory(Action::ActivationRead, Action::ActivationWrite, 1),
        ("accumulator_memory", _) => {
            of_memory(Action::AccumulatorRead, Action::AccumulatorWrite, 2)
        }
        _ => None,
    }
}

fn actions_of(component: &str) -> &'static [&'static str] {
    match component {
        "mac" => &["compute", "leak"],
        "vector_unit" => &["compute"],
        "pe_register_bit" => &["write"],
        "dram" => &["transfer"],
        _ => &["read", "write", "leak"],
    }
}

/// The accelerator with the energies of a table, and notes about them.
///
/// `names` maps names of the table's components to [`COMPONENTS`]. A component of the table may be named
/// in full or by its last part, without the range in brackets.
///
/// # Errors
/// The text is no energy reference table, a component is neither ours nor mapped, a mapping leads
/// nowhere, an action is not one that is counted, an energy is negative or not finite.
pub fn import(
    accelerator: &Accelerator,
    source: &Source,
    names: &BTreeMap<String, String>,
) -> Result<(Accelerator, Vec<String>), Diagnostics> {
    let document: InputDocument =
        serde_saphyr::from_str(source.text()).map_err(|error| not_a_table(source, &error))?;
    let mut problems = check_names(source, names);
    let mut found: BTreeMap<String, (Target, f64, usize)> = BTreeMap::new();
    for table in &document.ert.tables {
        let component = match component(&table.name, names) {
            Some("ignore") => continue,
            Some(component) => component,
            None => {
                problems.push(unknown_component(source, &table.name));
                continue;
            }
        };
        for entry in &table.actions {
            let place = format!("{}.{}", table.name, entry.name);
            let Some(target) = target(component, &entry.name) else {
                problems.push(
                    Diagnostic::new("ert-action", format!("`{place}` is not counted"))
                        .within(source)
                        .allowed(format!(
                            "expected {} of `{component}`",
                            list_words(actions_of(component).iter().copied())
                        ))
                        .hint(format!("leave it out, or map `{}` to `ignore`", table.name)),
                );
                continue;
            };
            if !(0.0..=1e9).contains(&entry.energy) {
                problems.push(
                    Diagnostic::new("out-of-range", format!("`{place}` costs {} pJ", entry.energy))
                        .within(source)
                        .allowed("expected 0 to 1e9"),
                );
                continue;
            }
            let (_, energy, entries) = found.entry(place).or_insert((target, entry.energy, 0));
            *energy = energy.max(entry.energy);
            *entries += 1;
        }
    }
    problems.extend(conflicts(source, &found));
    if problems.is_empty() && found.is_empty() {
        problems.push(
            Diagnostic::new("ert-empty", "the table changes no energy")
                .within(source)
                .allowed(if document.ert.tables.is_empty() {
                    "it lists no components"
                } else {
                    "none of its components has an action that is counted here"
                })
                .hint("leave `--ert` out, or map its components to ours with `--ert-map`"),
        );
    }
    if let Some(problems) = Diagnostics::from_list(problems) {
        return Err(problems);
    }
    Ok(apply(accelerator, source, &found))
}

fn not_a_table(source: &Source, error: &serde_saphyr::Error) -> Diagnostic {
    let plain = error.without_snippet();
    let problem = Diagnostic::new("ert", format!("not an energy reference table: {plain}"))
        .hint("expected `ERT:` with `tables:`, each with `name` and `actions`");
    match plain.location().and_then(|place| offset(source.text(), place.line(), place.column())) {
        Some(span) => problem.at(source, span),
        None => problem.within(source),
    }
}

/// The bytes of the character at a line and column, both from 1.
fn offset(text: &str, line: u64, column: u64) -> Option<std::ops::Range<usize>> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    text.get(before..)?
        .char_indices()
        .nth(column)
        .map(|(at, character)| before + at..before + at + character.len_utf8())
}

/// Two components of the table that stand for the same number here.
fn conflicts(source: &Source, found: &BTreeMap<String, (Target, f64, usize)>) -> Vec<Diagnostic> {
    let list: Vec<_> = found.iter().collect();
    let mut problems = Vec::new();
    for (index, (place, (target, energy, _))) in list.iter().enumerate() {
        let earlier =
            list[..index].iter().find(|(_, (other, pj, _))| other == target && pj != energy);
        if let Some((other, _)) = earlier {
            problems.push(
                Diagnostic::new(
                    "ert-conflict",
                    format!("`{other}` and `{place}` give different energies for the same action"),
                )
                .within(source)
                .hint("map one of the two components to `ignore`"),
            );
        }
    }
    problems
}

fn apply(
    accelerator: &Accelerator,
    source: &Source,
    found: &BTreeMap<String, (Target, f64, usize)>,
) -> (Accelerator, Vec<String>) {
    let mut accelerator = accelerator.clone();
    let mut notes = Vec::new();
    for (place, &(target, energy, entries)) in found {
        if entries > 1 {
            notes.push(format!("`{place}` has {entries} entries; the dearest counts"));
        }
        // 1 pJ per cycle at 1 MHz is 1 uW.
        let microwatts = energy * accelerator.clock_mhz;
        let memories = &mut accelerator.memories;
        match target {
            Target::Energy(action) => {
                accelerator.energy.set(action, energy, &format!("{}, {place}", source.name()));
            }
            Target::ArrayLeakage => accelerator.leakage_uw_per_pe = microwatts,
            Target::MemoryLeakage(index) => {
                let memory = match index {
                    0 => &mut memories.weight,
                    1 => &mut memories.activation,
                    _ => &mut memories.accumulator,
                };
                memory.leakage_uw_per_kib = microwatts / (memory.bits() as f64 / 8192.0);
                memory.leakage_source = format!("{}, {place}", source.name());
            }
        }
    }
    (accelerator, notes)
}

/// The component that a table's name stands for, by the mapping or by itself.
fn component<'a>(name: &str, names: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let bare = bare(name);
    let mapped = names.get(name).or_else(|| names.get(&bare));
    mapped
        .map(String::as_str)
        .or_else(|| COMPONENTS.into_iter().find(|component| *component == bare))
}

/// `chip.PE[0..255].mac[0..1]` is `mac`.
fn bare(name: &str) -> String {
    let mut depth = 0_u32;
    let without: String = name
        .chars()
        .filter(|character| {
            match character {
                '[' => depth += 1,
                ']' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect();
    without.rsplit('.').next().unwrap_or_default().to_owned()
}

fn check_names(source: &Source, names: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    names
        .iter()
        .filter(|(_, to)| !COMPONENTS.contains(&to.as_str()))
        .map(|(from, to)| {
            let problem = Diagnostic::new("unknown-word", format!("`{from}` is mapped to `{to}`"))
                .within(source)
                .allowed(format!("expected {}", list_words(COMPONENTS)));
            match closest(to, COMPONENTS) {
                Some(word) => problem.hint(format!("did you mean `{word}`?")),
                None => problem,
            }
        })
        .collect()
}

fn unknown_component(source: &Source, name: &str) -> Diagnostic {
    Diagnostic::new("ert-component", format!("the table's component `{name}` is not known here"))
        .within(source)
        .allowed(format!("expected {}", list_words(COMPONENTS)))
        .hint(format!("say which it is: `--ert-map {}=COMPONENT`", bare(name)))
}

/// The accelerator's energies at the reference voltage as an energy reference table.
///
/// # Panics
/// Never: names and finite numbers.
#[must_use]
pub fn export(accelerator: &Accelerator) -> String {
    let table: &EnergyTable = &accelerator.energy;
    let entry = |name, energy| OutputAction { name, arguments: BTreeMap::new(), energy };
    let one = |name, action: &'static str, energy| OutputTable {
        name: format!("{}.{name}", accelerator.name()),
        actions: vec![entry(action, energy)],
    };
    let leak = |microwatts: f64| microwatts / accelerator.clock_mhz;
    let mut mac = one("mac", "compute", table.pj(Action::Mac));
    mac.actions.push(entry("leak", leak(accelerator.leakage_uw_per_pe)));
    let mut tables = vec![
        mac,
        one("vector_unit", "compute", table.pj(Action::VectorOperation)),
        one("pe_register_bit", "write", table.pj(Action::RegisterBit)),
    ];
    let memories = &accelerator.memories;
    let ours = [
        (&memories.weight, Action::WeightRead, Action::WeightWrite),
        (&memories.activation, Action::ActivationRead, Action::ActivationWrite),
        (&memories.accumulator, Action::AccumulatorRead, Action::AccumulatorWrite),
    ];
    for (name, (memory, read, write)) in MEMORIES.into_iter().zip(ours) {
        let kib = memory.bits() as f64 / 8192.0;
        let mut of_memory = one(name, "read", table.pj(read));
        of_memory.actions.push(entry("write", table.pj(write)));
        of_memory.actions.push(entry("leak", leak(memory.leakage_uw_per_kib * kib)));
        tables.push(of_memory);
    }
    tables.push(one("dram", "transfer", table.pj(Action::DramByte)));
    let document = OutputDocument { ert: OutputErt { version: VERSION, tables } };
    serde_saphyr::to_string(&document).expect("names and finite numbers")
}

/// The accelerator's area estimate as an area reference table, in um2.
///
/// # Panics
/// Never: names and finite numbers.
#[must_use]
pub fn export_area(accelerator: &Accelerator) -> String {
    let tables = area::components(accelerator)
        .into_iter()
        .map(|component| AreaTable {
            name: format!("{}.{}", accelerator.name(), component.component),
            area: component.area_mm2 * 1e6,
        })
        .collect();
    let document = AreaDocument { art: Art { version: VERSION, tables } };
    serde_saphyr::to_string(&document).expect("names and finite numbers")
}

#[derive(Deserialize)]
struct InputDocument {
    #[serde(rename = "ERT")]
    ert: InputErt,
}

#[derive(Deserialize)]
struct InputErt {
    #[serde(rename = "version", default)]
    _version: Option<IgnoredAny>,
    tables: Vec<InputTable>,
}

#[derive(Deserialize)]
struct InputTable {
    name: String,
    actions: Vec<InputAction>,
}

#[derive(Deserialize)]
struct InputAction {
    name: String,
    #[serde(rename = "arguments", default)]
    _arguments: Option<IgnoredAny>,
    energy: f64,
}

#[derive(Serialize)]
struct OutputDocument {
    #[serde(rename = "ERT")]
    ert: OutputErt,
}

#[derive(Serialize)]
struct OutputErt {
    version: &'static str,
    tables: Vec<OutputTable>,
}

#[derive(Serialize)]
struct OutputTable {
    name: String,
    actions: Vec<OutputAction>,
}

#[derive(Serialize)]
struct OutputAction {
    name: &'static str,
    arguments: BTreeMap<String, String>,
    energy: f64,
}

#[derive(Serialize)]
struct AreaDocument {
    #[serde(rename = "ART")]
    art: Art,
}

#[derive(Serialize)]
struct Art {
    version: &'static str,
    tables: Vec<AreaTable>,
}

#[derive(Serialize)]
struct AreaTable {
    name: String,
    area: f64,
}
