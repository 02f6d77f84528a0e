//! What a reader of energies must know: caveats, and the list of all sources. The one place that makes them.

use serde::{Deserialize, Serialize};

use super::report::clock_scale;
use super::{Cells, OperatingPoint, Rail};
use crate::accelerator::Memory as OnChip;
use crate::{Accelerator, Memory, VoltageProfile};

/// A number or curve, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Sourced {
    /// What it is.
    pub what: String,
    /// Its value with the unit; empty for a text or a curve.
    pub value: String,
    /// Where it comes from.
    pub source: String,
}

/// A memory that cannot be accessed in every cycle of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlowMemory {
    /// The memory.
    pub memory: Memory,
    /// Least time between two accesses at its supply, in ns.
    pub cycle_ns: f64,
    /// Time between two edges of the clock, in ns.
    pub clock_ns: f64,
}

/// The memories that are slower than the clock at an operating point.
///
/// A memory slows down with its supply as the profile's clock does. Where the clock follows the voltage it slows
/// down at least as much, so a memory that keeps up at the reference voltage always does.
#[must_use]
pub fn slow_memories(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    point: &OperatingPoint,
) -> Vec<SlowMemory> {
    let clock_ns = 1e3 / (accelerator.clock_mhz * clock_scale(accelerator, profile, point));
    Memory::ALL
        .into_iter()
        .filter_map(|(_, memory)| {
            let rail = accelerator.memories.get(memory).rail;
            let (cycle_ns, _) = accelerator.cycle_ns(memory);
            let cycle_ns = cycle_ns / profile.f_max_scale(point.vdd_mv(rail)).min(1.0);
            // A clock that stands still asks for nothing; rounding is no reason to complain.
            let slow = clock_ns.is_finite() && cycle_ns > clock_ns * (1.0 + 1e-9);
            slow.then_some(SlowMemory { memory, cycle_ns, clock_ns })
        })
        .collect()
}

/// In tables, whether the clock is too fast for a memory.
#[must_use]
pub const fn clock_word(too_fast: bool) -> &'static str {
    if too_fast { "too fast" } else { "ok" }
}

/// What must be said wherever a point is named the best; starts with a comma.
#[must_use]
pub const fn clock_caveat(too_fast: bool) -> &'static str {
    if too_fast { ", with a clock too fast for a memory" } else { "" }
}

/// Caveats about energies of an accelerator at an operating point.
#[must_use]
pub fn notes(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    point: &OperatingPoint,
) -> Vec<String> {
    let mut notes = Vec::from_iter(profile.reference().note());
    notes.extend(node_note(accelerator, profile));
    let slow = slow_memories(accelerator, profile, point);
    notes.extend(slow.into_iter().map(|slow| slow_note(accelerator, &slow)));
    let logic_mv = point.vdd_mv(Rail::Logic);
    if logic_mv < profile.v_ref_mv() {
        notes.push(
            "errors of the array are not modelled: its logic is taken to keep up with the clock"
                .to_owned(),
        );
        if !profile.has_clock_law() {
            notes.push(format!(
                "profile `{}` has no law of the clock: logic at {logic_mv} mV keeps the nominal clock",
                profile.name()
            ));
        }
    }
    notes
}

/// Energies and faults of two technology nodes.
fn node_note(accelerator: &Accelerator, profile: &VoltageProfile) -> Option<String> {
    let energies_nm = accelerator.energy.constants().node_nm();
    let faults_nm = profile.node_nm().filter(|node_nm| *node_nm != energies_nm)?;
    Some(format!(
        "two technology nodes: energies, leakage and cycle times of `{}` are those of {energies_nm} nm, the faults \
         of `{}` over the voltage those of {faults_nm} nm; no chip has both",
        accelerator.name(),
        profile.name()
    ))
}

fn slow_note(accelerator: &Accelerator, slow: &SlowMemory) -> String {
    let memory = accelerator.memories.get(slow.memory);
    let clock_mhz = 1e3 / slow.clock_ns;
    let what = match memory.given_cycle_ns {
        Some(_) => String::new(),
        None => format!(
            " ({} cells, banks of {} KiB)",
            memory.cells.name(),
            memory.bank().bytes / 1024.0
        ),
    };
    // At a lower supply every kind of cell is as much slower.
    let slower = slow.cycle_ns / accelerator.cycle_ns(slow.memory).0;
    let faster = faster_cells(accelerator, memory, slow.clock_ns / slower);
    let faster =
        faster.map_or_else(String::new, |cells| format!("`cells = \"{}\"`, ", cells.word()));
    format!(
        "the {} memory{what} can be accessed every {:.2} ns, but the clock of {clock_mhz:.0} MHz asks every {:.2} ns: \
         take {faster}smaller banks, or at most {:.0} MHz",
        slow.memory.word(),
        slow.cycle_ns,
        slow.clock_ns,
        (1e3 / slow.cycle_ns).floor()
    )
}

/// The cells that leak least among those that keep up at the reference voltage.
fn faster_cells(accelerator: &Accelerator, memory: &OnChip, clock_ns: f64) -> Option<Cells> {
    let keeps_up = |cells: Cells| {
        let bank = super::Bank { cells, ..memory.bank() };
        accelerator.energy.constants().sram(bank).0.cycle_ns <= clock_ns
    };
    let given = memory.given_cycle_ns.is_some();
    Cells::ALL.into_iter().map(|(_, cells)| cells).find(|&cells| !given && keeps_up(cells))
}

/// Every number that energies, leakage, clock and faults rest on, with its source.
#[must_use]
pub fn sources(accelerator: &Accelerator, profile: &VoltageProfile) -> Vec<Sourced> {
    let sourced = |what: String, value: String, source: &str| Sourced {
        what,
        value,
        source: source.to_owned(),
    };
    let provenance = &accelerator.provenance;
    let text = |what: &str, source: &str| sourced(what.to_owned(), String::new(), source);
    let mut list = vec![
        text("accelerator", &provenance.source),
        text("stated there", &provenance.exact),
        text("estimated", &provenance.estimated),
    ];
    let defaults = &accelerator.defaults;
    if !defaults.is_empty() {
        let what = format!("not given, so as `{}`", Accelerator::REFERENCE);
        list.push(sourced(what, format!("{} values", defaults.len()), &defaults.join(", ")));
    }
    list.extend(accelerator.energy.entries().iter().map(|entry| {
        let what = format!("energy: {}", entry.action.name().replace('_', " "));
        sourced(what, format!("{:.4} pJ", entry.pj), &entry.source)
    }));
    for (word, memory) in Memory::ALL {
        let on_chip = accelerator.memories.get(memory);
        let leakage = format!("{:.4} uW/KiB", on_chip.leakage_uw_per_kib);
        list.push(sourced(format!("leakage: {word} memory"), leakage, &on_chip.leakage_source));
        let (cycle_ns, source) = accelerator.cycle_ns(memory);
        list.push(sourced(format!("cycle: {word} memory"), format!("{cycle_ns:.3} ns"), &source));
    }
    let leakage = format!("{:.4} uW", accelerator.leakage_uw_per_pe);
    list.push(sourced(
        "leakage: a processing element".to_owned(),
        leakage,
        &accelerator.leakage_source,
    ));
    let node = profile.node_nm().map_or_else(String::new, |node_nm| format!("{node_nm} nm"));
    list.push(sourced("faults and energy over the voltage".to_owned(), node, profile.source()));
    list
}
