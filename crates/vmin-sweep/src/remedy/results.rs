//! Results of remedies, from the journal's records.

use serde::{Deserialize, Serialize};

use vmin_accel::PerMemory;

use crate::plan::{Candidate, CandidatePoint};
use crate::results::Point;

/// One remedy over its voltages. The first of a list is the experiment's network without protection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemedyResult {
    /// Its name.
    pub name: String,
    /// Its protection in words; `none`.
    pub protection: String,
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
    /// Mean over chips of faulty cells replaced by spares at the repair voltage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells_repaired_mean: Option<f64>,
    /// Mean over chips of faulty cells for which no spare was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells_unrepaired_mean: Option<f64>,
    /// The lowest swept voltage at which, and at all above which, the mean over chips stays within the
    /// budget and the yield reaches its target; absent if there is none.
    pub best: Option<RemedyAt>,
    /// All voltages, falling.
    pub points: Vec<RemedySweepPoint>,
}

/// A remedy at its lowest voltage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemedyAt {
    /// That voltage, in mV.
    pub vdd_mv: f64,
    /// Mean over chips of the test error.
    pub rerr_mean: f64,
    /// Share of chips within the budget.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Share saved of the access energy of the memories that are lowered, against the experiment's network
    /// unprotected at the nominal voltage.
    pub access_energy_saving: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Share of it saved, against the same.
    pub energy_saving: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// A remedy at one voltage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Share of chips within the budget.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Of it, accesses of the weight memory, encoders and decoders included.
    pub energy_weight_memory_nj: f64,
    /// Of it, encoders and decoders.
    pub energy_codec_nj: f64,
    /// Share saved of the access energy of the memories that are lowered.
    pub access_energy_saving: f64,
    /// Share saved of the energy of one inference.
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
    /// Extra cells over data cells.
    pub extra_bits_share: f64,
    /// Lowest voltage within the budget.
    pub vdd_mv: Option<f64>,
    /// Mean test error there.
    pub rerr_mean: Option<f64>,
    /// Yield there.
    #[serde(rename = "yield")]
    pub yield_fraction: Option<f64>,
    /// Share saved of the access energy of the memories that are lowered.
    pub access_energy_saving: Option<f64>,
    /// Energy of one inference there, in nJ.
    pub energy_per_inference_nj: Option<f64>,
    /// Share saved of it.
    pub energy_saving: Option<f64>,
    /// Latency there, in us.
    pub latency_us: Option<f64>,
}

impl RemedyResult {
    /// Its line of the table.
    #[must_use]
    pub fn row(&self) -> RemedyRow<'_> {
        RemedyRow {
            name: &self.name,
            protection: &self.protection,
            model: &self.model,
            weight_bits: self.weight_bits,
            err: self.err,
            extra_bits_share: self.extra_bits_share,
            vdd_mv: self.best.map(|best| best.vdd_mv),
            rerr_mean: self.best.map(|best| best.rerr_mean),
            yield_fraction: self.best.map(|best| best.yield_fraction),
            access_energy_saving: self.best.map(|best| best.access_energy_saving),
            energy_per_inference_nj: self.best.map(|best| best.energy_per_inference_nj),
            energy_saving: self.best.map(|best| best.energy_saving),
            latency_us: self.best.map(|best| best.latency_us),
        }
    }

    /// The lowest point at which, and at all above which, budget and target hold.
    fn find_best(&mut self, rerr_max: f64, yield_min: f64) {
        let holds = |p: &&RemedySweepPoint| {
            p.rerr_mean <= rerr_max + 1e-12 && p.yield_fraction >= yield_min
        };
        self.best = self.points.iter().take_while(holds).last().map(|point| RemedyAt {
            vdd_mv: point.vdd_mv,
            rerr_mean: point.rerr_mean,
            yield_fraction: point.yield_fraction,
            access_energy_saving: point.access_energy_saving,
            energy_per_inference_nj: point.energy_per_inference_nj,
            energy_saving: point.energy_saving,
            latency_us: point.latency_us,
        });
    }
}

/// A candidate with the points that its counts gave; `err` is the test error of its network without bit errors.
pub(crate) fn remedy(
    candidate: &Candidate,
    err: f64,
    points: &[Point],
    repaired: Option<(f64, f64)>,
    (rerr_max, yield_min): (f64, f64),
) -> RemedyResult {
    let (cells_repaired_mean, cells_unrepaired_mean) = repaired.unzip();
    let of = |(point, planned): (&Point, &CandidatePoint)| RemedySweepPoint {
        vdd_mv: point.vdd_mv,
        cell_fault_rate: point.cell_fault_rate,
        residual_flip_rate: point.flip_rate,
        rerr_mean: point.rerr_mean,
        rerr_std: point.rerr_std,
        rerr_max: point.rerr_max,
        yield_fraction: point.yield_fraction,
        energy_per_inference_nj: point.energy_per_inference_nj,
        energy_weight_memory_nj: point.energy_weight_memory_nj,
        energy_codec_nj: planned.cost.energy_codec_nj,
        access_energy_saving: point.memory_energy_saving,
        energy_saving: point.energy_saving,
        latency_us: point.latency_us,
    };
    let PerMemory { weight, activation, accumulator } = candidate.extra_bits_share;
    let mut result = RemedyResult {
        name: candidate.name.clone(),
        protection: candidate.protection.describe(),
        model: candidate.model.clone(),
        weight_bits: candidate.weight_bits(),
        err,
        extra_bits_share: weight,
        activation_extra_bits_share: (activation > 0.0).then_some(activation),
        accumulator_extra_bits_share: (accumulator > 0.0).then_some(accumulator),
        cells_repaired_mean,
        cells_unrepaired_mean,
        best: None,
        points: points.iter().zip(&candidate.points).map(of).collect(),
    };
    result.find_best(rerr_max, yield_min);
    result
}
