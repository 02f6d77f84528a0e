//! What remedies achieve, from the journal's records.

use serde::{Deserialize, Serialize};

use super::run::repaired;
use crate::journal::Record;
use crate::results::Point;
use crate::run::RunError;
use crate::statistics::Spread;
use crate::{Plan, PlannedRemedy};

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
    /// Extra cells (check bits, spare lines) over data cells.
    pub extra_bits_share: f64,
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
    /// Supply of the weight memory, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells by the profile, on the common rail during an access.
    pub cell_fault_rate: f64,
    /// Share of bits of codes that are wrong as used, after protection, over all chips.
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

/// The unprotected network from the sweep's own points.
fn unprotected(plan: &Plan, points: &[Point], err: f64) -> RemedyResult {
    let setting = plan.setting();
    RemedyResult {
        name: "unprotected".to_owned(),
        protection: "none".to_owned(),
        model: setting.model,
        weight_bits: setting.weight_bits,
        err,
        extra_bits_share: 0.0,
        cells_repaired_mean: None,
        cells_unrepaired_mean: None,
        best: None,
        points: points
            .iter()
            .map(|point| RemedySweepPoint {
                vdd_mv: point.vdd_mv,
                cell_fault_rate: point.cell_fault_rate,
                residual_flip_rate: point.flip_rate,
                rerr_mean: point.rerr_mean,
                rerr_std: point.rerr_std,
                rerr_max: point.rerr_max,
                yield_fraction: point.yield_fraction,
                energy_per_inference_nj: point.energy_per_inference_nj,
                energy_weight_memory_nj: point.energy_weight_memory_nj,
                energy_codec_nj: 0.0,
                access_energy_saving: point.memory_energy_saving,
                energy_saving: point.energy_saving,
                latency_us: point.latency_us,
            })
            .collect(),
    }
}

/// All remedies, the unprotected network first; `records` are those behind the sweep's own points, in
/// order; `clean_correct` counts right predictions per remedy without bit errors.
pub(crate) fn evaluate_remedies(
    plan: &Plan,
    points: &[Point],
    clean_correct: u64,
    own_correct: &[u64],
    records: &[Record],
) -> Result<Vec<RemedyResult>, RunError> {
    let images = plan.labels().len() as f64;
    let error = |correct: u64| 1.0 - correct as f64 / images;
    let experiment = &plan.experiment;
    let loss_max = experiment.accuracy_loss_max_pct / 100.0;
    let (rerr_max, yield_min) =
        (error(clean_correct) + loss_max, experiment.yield_target_pct / 100.0);
    let lost_max = (loss_max * images + 1e-9).floor();
    let mut results = vec![unprotected(plan, points, error(clean_correct))];
    let mut rest = records;
    for (remedy, &own) in plan.remedies.iter().zip(own_correct) {
        let count = remedy.points.len() * plan.trials() as usize;
        let (mine, others) = rest.split_at_checked(count).ok_or(RunError::ForeignRecords)?;
        rest = others;
        let within = |r: &&Record| clean_correct as f64 - r.correct as f64 <= lost_max;
        let of_points = mine.chunks_exact(plan.trials() as usize);
        let swept: Option<Vec<RemedySweepPoint>> = remedy
            .points
            .iter()
            .zip(of_points)
            .map(|(point, of_point)| {
                let errors: Vec<f64> = of_point.iter().map(|r| error(r.correct)).collect();
                let spread = Spread::of(&errors)?;
                let flips: u64 = of_point.iter().map(|record| record.flips).sum();
                let bits = remedy.stored_bits as f64 * of_point.len() as f64;
                let passing = of_point.iter().filter(within).count();
                let nominal_nj = plan.nominal.energy_per_inference_nj;
                Some(RemedySweepPoint {
                    vdd_mv: point.vdd_mv,
                    cell_fault_rate: point.cell_fault_rate,
                    residual_flip_rate: flips as f64 / bits,
                    rerr_mean: spread.mean,
                    rerr_std: spread.std,
                    rerr_max: spread.max,
                    yield_fraction: passing as f64 / of_point.len() as f64,
                    energy_per_inference_nj: point.energy_per_inference_nj,
                    energy_weight_memory_nj: point.energy_weight_memory_nj,
                    energy_codec_nj: point.energy_codec_nj,
                    access_energy_saving: 1.0 - point.access_scale,
                    energy_saving: 1.0 - point.energy_per_inference_nj / nominal_nj,
                    latency_us: point.latency_us,
                })
            })
            .collect();
        results.push(result(plan, remedy, error(own), swept.ok_or(RunError::ForeignRecords)?)?);
    }
    for result in &mut results {
        result.find_best(rerr_max, yield_min);
    }
    Ok(results)
}

fn result(
    plan: &Plan,
    remedy: &PlannedRemedy,
    err: f64,
    points: Vec<RemedySweepPoint>,
) -> Result<RemedyResult, RunError> {
    let (repaired, left) = repaired(plan, remedy)?.unzip();
    let graph = remedy.graph.as_ref().unwrap_or(&plan.graph);
    Ok(RemedyResult {
        name: remedy.name.clone(),
        protection: remedy.protection.describe(),
        model: remedy.model.clone(),
        weight_bits: graph.weights.iter().map(|weights| weights.bits).max().unwrap_or(0),
        err,
        extra_bits_share: remedy.extra_bits_share,
        cells_repaired_mean: repaired,
        cells_unrepaired_mean: left,
        best: None,
        points,
    })
}
