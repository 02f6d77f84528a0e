//! Digests of the values that decide the trials and the results of a plan: every field, as its type
//! serializes it. Titles, prose and formatting are no part of them.

use serde::Serialize;
use vmin_accel::PerMemory;
use vmin_emulator::{Placement, Reads, Supplies};
use vmin_files::sha256;
use vmin_protection::Protection;

use super::Plan;
use crate::CalibrationImages;
use crate::journal::SupplyId;

/// Raised when the same trial gives other counts than before.
const REVISION: u32 = 4;

/// Hexadecimal digits of a digest in records: 64 bits.
const DIGITS: usize = 16;

fn digest(value: &impl Serialize) -> String {
    sha256(&serde_json::to_vec(value).expect("finite numbers and texts serialize"))
}

/// The short digest of a value.
pub(super) fn short(value: &impl Serialize) -> String {
    let mut digest = digest(value);
    digest.truncate(DIGITS);
    digest
}

/// A candidate, without chips, supplies and images; `lowest` are the supplies of its lowest point.
pub(super) fn candidate(
    graph_sha256: &str,
    placement: &Placement,
    protection: &Protection,
    calibration: Option<&CalibrationImages>,
    lowest: Option<&PerMemory<Option<SupplyId>>>,
) -> String {
    // Offsets are part of the chip.
    let layouts = placement.layouts.first().map(|map| vec![map.without_offset()]);
    let placement = Placement { layouts: layouts.unwrap_or_default(), ..placement.clone() };
    let columns_at = placement.reliable_columns.and(lowest);
    let version = env!("CARGO_PKG_VERSION");
    let value = (version, REVISION, graph_sha256, &placement, columns_at, protection.identity());
    match calibration {
        None => short(&value),
        Some(images) => short(&(value, &images.sha256)),
    }
}

/// A chip, with the reads at which its uncertain cells decide again.
pub(super) fn chip(cells: &serde_json::Value, reads: Reads) -> String {
    match reads {
        Reads::Once => short(cells),
        Reads::EveryImage => short(&(cells, "every image")),
    }
}

/// The supplies of a point, with the thresholds that decide which cells fail. Of measured chips the voltages alone
/// decide: rates are means over the chips at hand, and other chips beside one change nothing about it.
pub(super) fn supplies(supplies: &Supplies, is_measured: bool) -> PerMemory<Option<SupplyId>> {
    supplies.map(|at| {
        let at = at.as_ref()?;
        let cells = if is_measured {
            let mut value = serde_json::to_value(at).expect("finite numbers and texts serialize");
            without_rates(&mut value);
            short(&value)
        } else {
            short(at)
        };
        Some(SupplyId { vdd_mv: at.access.base().vdd_mv, cells })
    })
}

/// Takes rates and thresholds out of a serialized supply.
fn without_rates(value: &mut serde_json::Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| key != "cell_fault_rate" && key != "threshold");
        object.values_mut().for_each(without_rates);
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(without_rates);
    }
}

/// The whole plan: all trials with their costs. What is only asked of their counts (budget, target of yield,
/// confidence) is no part of it, so that a finished sweep answers another such question without a run.
pub(super) fn plan(plan: &Plan) -> String {
    // The first trial of every point names the rest: chips and offsets follow.
    let points = plan.candidates.iter().flat_map(|candidate| {
        candidate.points.iter().map(move |point| (plan.trial(candidate, point, 0), &point.cost))
    });
    let points: Vec<_> = points.collect();
    digest(&(points, plan.reads, &plan.chip_ids, plan.chips, &plan.offset_bits))
}
