//! Digests of the values that decide the trials and the results of a plan: every field, as its type
//! serializes it. Titles, prose and formatting are no part of them.

use serde::Serialize;
use vmin_accel::PerMemory;
use vmin_emulator::{Placement, Supplies};
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

/// The supplies of a point, with the thresholds that decide which cells fail.
pub(super) fn supplies(supplies: &Supplies) -> PerMemory<Option<SupplyId>> {
    supplies.map(|at| {
        let at = at.as_ref()?;
        Some(SupplyId { vdd_mv: at.access.base().vdd_mv, cells: short(at) })
    })
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
