//! Energy reference tables of Accelergy: import and export.
//!
//! An energy reference table (`ERT.yaml`) lists the energy in pJ of each action of each component of an
//! architecture. Its components carry the names of that architecture, so an import takes a mapping
//! from its names to ours. Components with one of our names need no mapping:
//!
//! | component | actions, the first that a table has counts | meaning here |
//! |---|---|---|
//! | `mac` | `mac_random`, `mult_random`, `mac`, `mult`, `compute`; `leak` | one int8 MAC; idle cycle of one PE |
//! | `vector_unit` | `compute` | one element |
//! | `pe_register_bit` | `write` | one bit |
//! | `weight_memory`, `activation_memory` | `random_read`, `read`; `random_fill`, `random_write`, `fill`, `write`, `update`; `leak` | one word of the accelerator's width; one cycle |
//! | `accumulator_memory` | the same, but `random_update`, `random_write`, `update`, `write`, `fill` | the same |
//! | `dram` | `transfer` | one byte |
//! | `dram:BITS` | as of a memory, without `leak` | one access of so many bits; the dearer of read and write |
//!
//! The order of the names is that in which Timeloop looks for them (`topology.hpp`). `leak` may also be called
//! `idle`. Where a table lists an action several times, for several arguments, the dearest entry counts. Notes say
//! so, and name what has no count here: reused, gated and skipped actions, metadata, networks on chip.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use vmin_diagnostic::{Diagnostic, Diagnostics, Source, closest, list_words};

use super::{Action, EnergyTable};
use crate::{Accelerator, area};

const VERSION: &str = "0.4";
const MEMORIES: [&str; 3] = ["weight_memory", "activation_memory", "accumulator_memory"];

/// Components that a table's names can be mapped to; `ignore` leaves one out. `dram:BITS` is a `dram` of accesses.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Energy(Action),
    /// pJ per cycle of one PE.
    ArrayLeakage,
    /// pJ per cycle of a memory, by its index in [`MEMORIES`].
    MemoryLeakage(usize),
}

const MACS: &[&str] = &["mac_random", "mult_random", "mac", "mult", "compute"];
const READS: &[&str] = &["random_read", "read"];
const WRITES: &[&str] =
    &["random_fill", "random_write", "fill", "write", "random_update", "update"];
const UPDATES: &[&str] =
    &["random_update", "random_write", "update", "write", "random_fill", "fill"];
const LEAKS: &[&str] = &["leak", "idle"];

/// The numbers that a component replaces, each with the names of its action, the first ones first.
fn targets(component: &str, access_bits: Option<f64>) -> Vec<(Target, &'static [&'static str])> {
    use Target::{ArrayLeakage, Energy, MemoryLeakage};
    let of_memory = |read, write, writes, index| {
        vec![(Energy(read), READS), (Energy(write), writes), (MemoryLeakage(index), LEAKS)]
    };
    match component {
        "mac" => vec![(Energy(Action::Mac), MACS), (ArrayLeakage, LEAKS)],
        "vector_unit" => vec![(Energy(Action::VectorOperation), &["compute"])],
        "pe_register_bit" => vec![(Energy(Action::RegisterBit), &["write"])],
        "weight_memory" => of_memory(Action::WeightRead, Action::WeightWrite, WRITES, 0),
        "activation_memory" => {
            of_memory(Action::ActivationRead, Action::ActivationWrite, WRITES, 1)
        }
        "accumulator_memory" => {
            of_memory(Action::AccumulatorRead, Action::AccumulatorWrite, UPDATES, 2)
        }
        "dram" if access_bits.is_some() => {
            let byte = Energy(Action::DramByte);
            vec![(byte, READS), (byte, WRITES)]
        }
        "dram" => vec![(Energy(Action::DramByte), &["transfer"])],
        _ => Vec::new(),
    }
}

/// The accelerator with the energies of a table, and notes about them.
///
/// `names` maps names of the table's components to [`COMPONENTS`]. A component of the table may be named
/// in full or by its last part, without the range in brackets.
///
/// # Errors
/// The text is no energy reference table, a mapping leads nowhere or to nothing, the bits of a DRAM access are not
/// told, an energy is negative or not finite, nothing is replaced.
pub fn import(
    accelerator: &Accelerator,
    source: &Source,
    names: &BTreeMap<String, String>,
) -> Result<(Accelerator, Vec<String>), Diagnostics> {
    let document: InputDocument =
        serde_saphyr::from_str(source.text()).map_err(|error| not_a_table(source, &error))?;
    let tables = &document.ert.tables;
    let mut problems = check_names(source, names, tables);
    let mut found = Vec::new();
    let (mut unnamed, mut uncounted) = (Vec::new(), Vec::new());
    for table in tables {
        let (component, access_bits) = match component(&table.name, names) {
            Some(("ignore", _)) => continue,
            Some(component) => component,
            None => {
                unnamed.push(table.name.clone());
                continue;
            }
        };
        let mut used: Vec<&str> = Vec::new();
        for (target, actions) in targets(component, access_bits) {
            let of = |name: &&str| table.actions.iter().any(|entry| entry.name == **name);
            let Some(&action) = actions.iter().find(|name| of(name)) else { continue };
            used.push(action);
            let entries = table.actions.iter().filter(|entry| entry.name == action);
            let dearest = entries.clone().map(|entry| entry.energy).fold(0.0, f64::max);
            found.push(Found {
                place: format!("{}.{action}", table.name),
                target,
                pj: access_bits.map_or(dearest, |bits| dearest * 8.0 / bits),
                entries: entries.count(),
                is_access: access_bits.is_some(),
            });
        }
        for entry in &table.actions {
            let place = format!("{}.{}", table.name, entry.name);
            if !(0.0..=1e9).contains(&entry.energy) {
                problems.push(
                    Diagnostic::new("out-of-range", format!("`{place}` costs {} pJ", entry.energy))
                        .within(source)
                        .allowed("expected 0 to 1e9"),
                );
            } else if used.contains(&entry.name.as_str()) || entry.energy == 0.0 {
            } else if component == "dram" && access_bits.is_none() && is_access(&entry.name) {
                problems.push(width_unknown(source, &table.name, &place, entry.energy));
            } else if !uncounted.contains(&place) {
                uncounted.push(place);
            }
        }
    }
    problems.extend(conflicts(source, &found));
    if problems.is_empty() && found.is_empty() {
        let known = list_words(COMPONENTS);
        problems.push(
            Diagnostic::new("ert-empty", "the table changes no energy").within(source).allowed(
                match (&tables[..], &unnamed[..]) {
                    ([], _) => "it lists no components".to_owned(),
                    (_, []) => "none of its components has an action that is counted here".to_owned(),
                    (_, names) => format!("its components {} are not known here", some(names)),
                },
            )
            .hint("leave `--ert` out, or map its components to ours with `--ert-map NAME=COMPONENT`")
            .hint(format!("COMPONENT is {known}; `dram:64` for accesses of 64 bits")),
        );
    }
    if let Some(problems) = Diagnostics::from_list(problems) {
        return Err(problems);
    }
    let (changed, mut notes) = apply(accelerator, source, &found);
    let kept = Action::ALL
        .into_iter()
        .filter(|&action| action != Action::DramByte || accelerator.dram.is_some())
        .filter(|&action| !found.iter().any(|entry| entry.target == Target::Energy(action)));
    let kept: Vec<String> = kept.map(|action| action.name().to_owned()).collect();
    let count = |list: &[String], words: &str| format!("{} {words}: {}", list.len(), some(list));
    if !unnamed.is_empty() {
        notes.push(count(
            &unnamed,
            "components of the table have no meaning here (`--ert-map` gives one)",
        ));
    }
    if !uncounted.is_empty() {
        notes.push(count(&uncounted, "actions of the table are not counted here"));
    }
    if !kept.is_empty() {
        let name = accelerator.name();
        notes.push(count(
            &kept,
            &format!("energies are not in the table and stay those of `{name}`"),
        ));
    }
    Ok((changed, notes))
}

/// A number that a table replaces.
struct Found {
    place: String,
    target: Target,
    pj: f64,
    /// Entries of the table, of which the dearest counts.
    entries: usize,
    /// Given by access, not by byte.
    is_access: bool,
}

fn is_access(action: &str) -> bool {
    READS.contains(&action) || WRITES.contains(&action)
}

/// The first names of a list.
fn some(names: &[String]) -> String {
    const MOST: usize = 8;
    let words: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", words.join(", "))
}

fn width_unknown(source: &Source, table: &str, place: &str, pj: f64) -> Diagnostic {
    Diagnostic::new(
        "ert-width",
        format!("`{place}` costs {pj} pJ, for a number of bits that no table tells"),
    )
    .within(source)
    .hint(format!("say the bits of one access: `--ert-map {}=dram:64`", bare(table)))
    .hint(format!("or leave it out: `--ert-map {}=ignore`", bare(table)))
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
fn conflicts(source: &Source, found: &[Found]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for (index, one) in found.iter().enumerate() {
        // Of the two accesses of a DRAM the dearer counts.
        let differs = |other: &&Found| {
            other.target == one.target && other.pj != one.pj && !(other.is_access && one.is_access)
        };
        if let Some(other) = found[..index].iter().find(differs) {
            problems.push(
                Diagnostic::new(
                    "ert-conflict",
                    format!(
                        "`{}` and `{}` give different energies for the same action",
                        other.place, one.place
                    ),
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
    found: &[Found],
) -> (Accelerator, Vec<String>) {
    let mut accelerator = accelerator.clone();
    let mut notes = Vec::new();
    for Found { place, target, pj, entries, is_access } in found {
        if *entries > 1 {
            notes.push(format!("`{place}` has {entries} entries; the dearest counts"));
        }
        let dearer = |other: &&Found| *is_access && other.target == *target && other.pj > *pj;
        if let Some(other) = found.iter().find(dearer) {
            notes.push(format!("`{}` is dearer than `{place}` and counts for both", other.place));
            continue;
        }
        if *target == Target::Energy(Action::DramByte) && accelerator.dram.is_none() {
            let name = accelerator.name();
            notes.push(format!("`{place}` has no effect: `{name}` has no DRAM"));
            continue;
        }
        // 1 pJ per cycle at 1 MHz is 1 uW.
        let microwatts = pj * accelerator.clock_mhz;
        let memories = &mut accelerator.memories;
        match *target {
            Target::Energy(action) => {
                accelerator.energy.set(action, *pj, &format!("{}, {place}", source.name()));
            }
            Target::ArrayLeakage => {
                accelerator.leakage_uw_per_pe = microwatts;
                accelerator.leakage_source = format!("{}, {place}", source.name());
            }
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

/// The component that a table's name stands for, by the mapping or by itself, with the bits of a DRAM access.
fn component<'a>(
    name: &str,
    names: &'a BTreeMap<String, String>,
) -> Option<(&'a str, Option<f64>)> {
    let bare = bare(name);
    let mapped = names.get(name).or_else(|| names.get(&bare));
    let own = || COMPONENTS.into_iter().find(|component| *component == bare);
    mapped.map_or_else(|| own().map(|own| (own, None)), |to| meaning(to))
}

/// One of [`COMPONENTS`], or `dram:BITS`.
fn meaning(word: &str) -> Option<(&str, Option<f64>)> {
    match word.split_once(':') {
        Some(("dram", bits)) => {
            let bits = bits.parse::<u32>().ok().filter(|bits| (1..=1 << 20).contains(bits))?;
            Some(("dram", Some(f64::from(bits))))
        }
        Some(_) => None,
        None => COMPONENTS.contains(&word).then_some((word, None)),
    }
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

fn check_names(
    source: &Source,
    names: &BTreeMap<String, String>,
    tables: &[InputTable],
) -> Vec<Diagnostic> {
    let problem = |(from, to): (&String, &String)| {
        if meaning(to).is_none() {
            let problem = Diagnostic::new("unknown-word", format!("`{from}` is mapped to `{to}`"))
                .within(source)
                .allowed(format!(
                    "expected {}; `dram:64` for accesses of 64 bits",
                    list_words(COMPONENTS)
                ));
            return Some(match closest(to, COMPONENTS) {
                Some(word) => problem.hint(format!("did you mean `{word}`?")),
                None => problem,
            });
        }
        let is_there = tables.iter().any(|table| table.name == *from || bare(&table.name) == *from);
        let known: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        (!is_there && !tables.is_empty()).then(|| {
            Diagnostic::new("ert-component", format!("the table has no component `{from}`"))
                .within(source)
                .allowed(format!("it has {}", some(&known)))
        })
    };
    names.iter().filter_map(problem).collect()
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
    if accelerator.dram.is_some() {
        tables.push(one("dram", "transfer", table.pj(Action::DramByte)));
    }
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
