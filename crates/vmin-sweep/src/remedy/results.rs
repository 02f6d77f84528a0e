//! Results of remedies, from the journal's records.

use serde::{Deserialize, Serialize};

use vmin_accel::{Memory, PerMemory};
use vmin_protection::Extent;

use crate::plan::{Candidate, CandidatePoint};
use crate::results::Point;
use crate::statistics::{PairedDifference, Vmin};

/// One remedy over its voltages. The first of a list is the experiment's network without protection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemedyResult {
    /// Its name.
    pub name: String,
    /// Its protection in words; `none`.
    pub protection: String,
    /// What is known of each chip: `exact`, or the table of the test; absent where no mechanism works from a fault map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Its network.
    pub model: String,
    /// Widest weight code, in bits.
    pub weight_bits: u8,
    /// Test error of its network without bit errors.
    pub err: f64,
    /// Extra cells (check bits, spare lines, flags) over data cells of the weight memory.
    pub extra_bits_share: f64,
    /// The same of the activation memory, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_extra_bits_share: Option<f64>,
    /// The same of the accumulator memory, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator_extra_bits_share: Option<f64>,
    /// Area of extra cells and gates over that of the bit cells of all memories: an estimate.
    #[serde(default)]
    pub area_share: f64,
    /// Inferences at start-up, for each chip and supply.
    #[serde(default)]
    pub calibration_inferences: u64,
    /// Rows that the test for the fault map reads at start-up, all its reads together, for one pattern of data.
    #[serde(default)]
    pub test_row_reads: u64,
    /// Rows of each memory that hold something at some time, and all rows; only of memories that can err.
    #[serde(default)]
    pub rows: PerMemory<Option<RowsUsed>>,
    /// Mean over chips of faulty cells replaced by spares at the repair voltage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells_repaired_mean: Option<f64>,
    /// Mean over chips of faulty cells for which no spare was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells_unrepaired_mean: Option<f64>,
    /// How low it can go.
    pub vmin: Vmin,
    /// Its point at `vmin.reached_mv`; absent if there is none.
    pub best: Option<RemedySweepPoint>,
    /// All voltages, falling.
    pub points: Vec<RemedySweepPoint>,
}

/// How full a memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RowsUsed {
    /// Rows that hold something at some time.
    pub used: u64,
    /// All rows.
    pub all: u64,
}

impl RowsUsed {
    /// Of a memory that can err.
    #[must_use]
    pub fn of(extent: &Extent) -> Option<Self> {
        (extent.rows > 0).then_some(Self { used: extent.rows_used, all: extent.rows })
    }
}

/// A remedy at one voltage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemedySweepPoint {
    /// The swept voltage, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells by the profile, on the common rail during an access.
    pub cell_fault_rate: f64,
    /// Share of bits of weight codes that are wrong after protection, over all chips.
    pub residual_flip_rate: f64,
    /// Mean over chips of the test error.
    pub rerr_mean: f64,
    /// Its sample standard deviation.
    pub rerr_std: f64,
    /// Worst chip.
    pub rerr_max: f64,
    /// By how much the test error exceeds that of the same remedy with the exact map of each chip, paired over chips;
    /// absent where the map is exact, or the experiment has no such remedy at this voltage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_by_map: Option<PairedDifference>,
    /// Share of chips within the budget.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Chips within the budget.
    pub chips_within_budget: u32,
    /// Chips evaluated.
    pub chips: u32,
    /// Lower end of the two-sided interval of the yield.
    pub yield_low: f64,
    /// Upper end of that interval.
    pub yield_high: f64,
    /// Share of the population that the sample shows to be within the budget (one-sided).
    pub yield_shown: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Of it, accesses of the weight memory, encoders and decoders included.
    pub energy_weight_memory_nj: f64,
    /// Of it, encoders and decoders.
    pub energy_codec_nj: f64,
    /// Share saved of the access energy of all memories that are lowered, or that a remedy protects, against the
    /// experiment's network unprotected at the nominal voltage.
    pub access_energy_saving: f64,
    /// Share saved of the energy of one inference, against the same.
    pub energy_saving: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// One line of the table of remedies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemedyRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its protection in words.
    pub protection: &'a str,
    /// Its network.
    pub model: &'a str,
    /// Widest weight code, in bits.
    pub weight_bits: u8,
    /// Test error of its network without bit errors.
    pub err: f64,
    /// Extra cells over data cells of the weight memory.
    pub extra_bits_share: f64,
    /// The same of the activation memory.
    pub activation_extra_bits_share: f64,
    /// The same of the accumulator memory.
    pub accumulator_extra_bits_share: f64,
    /// What is known of each chip.
    pub known: Option<&'a str>,
    /// Area of extra cells and gates over that of the bit cells of all memories.
    pub area_share: f64,
    /// Inferences at start-up, for each chip and supply.
    pub calibration_inferences: u64,
    /// Rows that the test for the fault map reads at start-up.
    pub test_row_reads: u64,
    /// Rows of the weight memory that hold something.
    pub weight_rows_used: Option<u64>,
    /// All its rows.
    pub weight_rows: Option<u64>,
    /// Rows of the activation memory that hold something.
    pub activation_rows_used: Option<u64>,
    /// All its rows.
    pub activation_rows: Option<u64>,
    /// Rows of the accumulator memory that hold something.
    pub accumulator_rows_used: Option<u64>,
    /// All its rows.
    pub accumulator_rows: Option<u64>,
    /// Lowest voltage at which the sampled chips reach the target.
    pub vdd_mv: Option<f64>,
    /// Lowest voltage at which the sample shows the target.
    pub shown_mv: Option<f64>,
    /// True if the voltage reached is the lowest one of the sweep.
    pub reached_at_lowest: bool,
    /// Share saved of the energy of one inference at the voltage shown.
    pub energy_saving_shown: Option<f64>,
    /// The voltage of the columns that follow: that reached, or else that of the lowest mean test error.
    pub at_mv: Option<f64>,
    /// Which of the two it is: `reached` or `lowest_rerr`.
    pub at: Option<&'static str>,
    /// Mean test error there.
    pub rerr_mean: Option<f64>,
    /// By how much it exceeds that with the exact map, mean over chips.
    pub lost_by_map: Option<f64>,
    /// Lower end of its interval.
    pub lost_by_map_low: Option<f64>,
    /// Upper end of that interval.
    pub lost_by_map_high: Option<f64>,
    /// Yield there.
    #[serde(rename = "yield")]
    pub yield_fraction: Option<f64>,
    /// Lower end of its two-sided interval.
    pub yield_low: Option<f64>,
    /// Upper end of that interval.
    pub yield_high: Option<f64>,
    /// Share saved of the access energy of the memories that are lowered or protected.
    pub access_energy_saving: Option<f64>,
    /// Energy of one inference there, in nJ.
    pub energy_per_inference_nj: Option<f64>,
    /// Share saved of it.
    pub energy_saving: Option<f64>,
    /// Latency there, in us.
    pub latency_us: Option<f64>,
}

impl RemedyResult {
    /// The point that tables tell: that of the voltage reached, or else that of the lowest mean test error, the
    /// highest voltage of equals.
    #[must_use]
    pub fn told(&self) -> Option<RemedySweepPoint> {
        let lowest = self.points.iter().min_by(|a, b| a.rerr_mean.total_cmp(&b.rerr_mean));
        self.best.or(lowest.copied())
    }

    /// True if it works from a map of each chip that is not the exact one.
    #[must_use]
    pub fn has_inexact_map(&self) -> bool {
        self.known.as_deref().is_some_and(|known| known != "exact")
    }

    /// Its point at `vmin.shown_mv`.
    #[must_use]
    pub fn shown(&self) -> Option<&RemedySweepPoint> {
        self.points.iter().find(|point| Some(point.vdd_mv) == self.vmin.shown_mv)
    }

    /// Its line of the table.
    #[must_use]
    pub fn row(&self) -> RemedyRow<'_> {
        let told = self.told();
        let lost = told.and_then(|told| told.lost_by_map);
        RemedyRow {
            name: &self.name,
            protection: &self.protection,
            model: &self.model,
            weight_bits: self.weight_bits,
            err: self.err,
            extra_bits_share: self.extra_bits_share,
            activation_extra_bits_share: self.activation_extra_bits_share.unwrap_or(0.0),
            accumulator_extra_bits_share: self.accumulator_extra_bits_share.unwrap_or(0.0),
            known: self.known.as_deref(),
            area_share: self.area_share,
            calibration_inferences: self.calibration_inferences,
            test_row_reads: self.test_row_reads,
            weight_rows_used: self.rows.weight.map(|rows| rows.used),
            weight_rows: self.rows.weight.map(|rows| rows.all),
            activation_rows_used: self.rows.activation.map(|rows| rows.used),
            activation_rows: self.rows.activation.map(|rows| rows.all),
            accumulator_rows_used: self.rows.accumulator.map(|rows| rows.used),
            accumulator_rows: self.rows.accumulator.map(|rows| rows.all),
            vdd_mv: self.best.map(|best| best.vdd_mv),
            shown_mv: self.vmin.shown_mv,
            reached_at_lowest: self.vmin.reached_at_lowest,
            energy_saving_shown: self.shown().map(|shown| shown.energy_saving),
            at_mv: told.map(|told| told.vdd_mv),
            at: told.map(|_| if self.best.is_some() { "reached" } else { "lowest_rerr" }),
            lost_by_map: lost.map(|lost| lost.mean),
            lost_by_map_low: lost.and_then(|lost| lost.low),
            lost_by_map_high: lost.and_then(|lost| lost.high),
            rerr_mean: told.map(|told| told.rerr_mean),
            yield_fraction: told.map(|told| told.yield_fraction),
            yield_low: told.map(|told| told.yield_low),
            yield_high: told.map(|told| told.yield_high),
            access_energy_saving: told.map(|told| told.access_energy_saving),
            energy_per_inference_nj: told.map(|told| told.energy_per_inference_nj),
            energy_saving: told.map(|told| told.energy_saving),
            latency_us: told.map(|told| told.latency_us),
        }
    }

    /// Its extra bits in words: of each memory that has any, `weight 12.5 %`.
    #[must_use]
    pub fn extra_bits(&self) -> String {
        let all = [
            (Memory::Weight, Some(self.extra_bits_share)),
            (Memory::Activation, self.activation_extra_bits_share),
            (Memory::Accumulator, self.accumulator_extra_bits_share),
        ];
        let some = all.into_iter().filter_map(|(memory, share)| Some((memory, share?)));
        let words: Vec<_> = some
            .filter(|(_, share)| *share > 0.0)
            .map(|(memory, share)| format!("{} {:.1} %", memory.word(), share * 100.0))
            .collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    }
}

/// A candidate with the points that its counts gave; `err` is the test error of its network without bit errors.
pub(crate) fn remedy(
    candidate: &Candidate,
    err: f64,
    points: &[Point],
    vmin: Vmin,
    repaired: Option<(f64, f64)>,
    lost_by_map: &[Option<PairedDifference>],
) -> RemedyResult {
    let start_up = candidate.protection.start_up(&candidate.extents);
    let (cells_repaired_mean, cells_unrepaired_mean) = repaired.unzip();
    let of = |((point, planned), lost): ((&Point, &CandidatePoint), &Option<_>)| RemedySweepPoint {
        lost_by_map: *lost,
        vdd_mv: point.vdd_mv,
        cell_fault_rate: point.cell_fault_rate,
        residual_flip_rate: point.flip_rate,
        rerr_mean: point.rerr_mean,
        rerr_std: point.rerr_std,
        rerr_max: point.rerr_max,
        yield_fraction: point.yield_fraction,
        chips_within_budget: point.chips_within_budget,
        chips: point.chips,
        yield_low: point.yield_low,
        yield_high: point.yield_high,
        yield_shown: point.yield_shown,
        energy_per_inference_nj: point.energy_per_inference_nj,
        energy_weight_memory_nj: point.energy_weight_memory_nj,
        energy_codec_nj: planned.cost.energy_codec_nj,
        access_energy_saving: planned.cost.access_energy_saving,
        energy_saving: point.energy_saving,
        latency_us: point.latency_us,
    };
    let PerMemory { weight, activation, accumulator } = candidate.extra_bits_share;
    let planned = points.iter().zip(&candidate.points);
    let points: Vec<_> = planned.zip(lost_by_map).map(of).collect();
    RemedyResult {
        name: candidate.name.clone(),
        protection: candidate.protection.describe(),
        known: candidate.protection.known_text(),
        model: candidate.model.clone(),
        weight_bits: candidate.weight_bits(),
        err,
        extra_bits_share: weight,
        activation_extra_bits_share: (activation > 0.0).then_some(activation),
        accumulator_extra_bits_share: (accumulator > 0.0).then_some(accumulator),
        area_share: candidate.area_share,
        calibration_inferences: start_up.calibration_inferences,
        test_row_reads: start_up.test_row_reads,
        rows: candidate.extents.map(RowsUsed::of),
        cells_repaired_mean,
        cells_unrepaired_mean,
        vmin,
        best: points.iter().find(|point| Some(point.vdd_mv) == vmin.reached_mv).copied(),
        points,
    }
}
