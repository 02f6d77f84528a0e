//! The contents of `results.json`, computed from the journal's records.
//!
//! Rates, errors, yields and savings are fractions in 0..=1. Seeds are texts, because JSON readers
//! lose digits of large integers. The same plan and records give the same bytes.

use serde::{Deserialize, Serialize};
use vmin_diagnostic::Diagnostic;

use vmin_accel::energy::Sourced;
use vmin_accel::{MemoryAt, VddReference};

use crate::accuracy::Subject;
use crate::experiment::ReadErrors;
use crate::journal::Counts;
use crate::remedy::RemedyResult;
use crate::statistics::{self, MeanError, Spread, Vmin, Yield, share_words, yield_words};

/// Version of the layout of results. 3: with `subject`; 4: with the faults of the profile in it.
pub const RESULTS_VERSION: u32 = 4;

/// The results of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Results {
    /// Version of this layout, [`RESULTS_VERSION`].
    pub results_version: u32,
    /// `name` of the experiment.
    pub name: String,
    /// The setting of the sweep.
    pub setting: Setting,
    /// The network without bit errors.
    pub clean: Clean,
    /// One entry per voltage, falling.
    pub points: Vec<Point>,
    /// One entry per chip.
    pub chips: Vec<ChipSummary>,
    /// How low the experiment's own network can go: its operating voltages, and the lowest passing ones of chips.
    pub vmin: Vmin,
    /// Remedies, the unprotected network first; none if the experiment has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<RemedyResult>,
    /// Remarks that a reader must know.
    pub notes: Vec<String>,
    /// What the errors belong to; absent before version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Inputs and version behind these numbers.
    pub provenance: Provenance,
}

/// The setting, in words and sizes for tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Setting {
    /// Network.
    pub model: String,
    /// How its sums become codes: `litert-2.3`, `single` or `double`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rounding: String,
    /// How pixels become its input.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pixels: String,
    /// Data set.
    pub data: String,
    /// Accelerator.
    pub accelerator: String,
    /// Voltage profile.
    pub profile: String,
    /// `flip`, `stuck_at`, `measured` or `transient`.
    pub fault_kind: String,
    /// Read noise of every cell, in mV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_noise_mv: Option<f64>,
    /// `resident` or `streamed`.
    pub placement: String,
    /// The supply of each memory, in words; empty where only weights err, at the swept voltage.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub memories: String,
    /// The layout of the weights, in words.
    #[serde(default)]
    pub layout: String,
    /// Offsets at which each chip was used; with more than one, every chip at every offset counts as a
    /// chip of its own below.
    #[serde(default = "one")]
    pub offsets: usize,
    /// Widest weight code, in bits.
    pub weight_bits: u8,
    /// Number of weight codes.
    pub weights: u64,
    /// Bits of weight memory that the codes occupy.
    pub stored_bits: u64,
    /// Bits of an inference's activations that can err, of every tensor once; absent if none can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_bits: Option<u64>,
    /// Bits of partial sums that an inference reads from a memory that can err; absent if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator_bits_read: Option<u64>,
    /// Multiply-accumulates of one inference.
    pub macs_per_image: u64,
    /// Voltage that savings refer to, in mV.
    pub vdd_nominal_mv: f64,
    /// What a millivolt of this sweep is.
    pub vdd_reference: VddReference,
    /// Seed of the chips.
    pub seed: String,
    /// Budget of accuracy loss for the yield, as a fraction.
    pub accuracy_loss_max: f64,
    /// Share of chips that must be within the budget.
    pub yield_target: f64,
    /// Confidence of all intervals and bounds.
    pub confidence: f64,
}

const fn one() -> usize {
    1
}

/// The network without bit errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Clean {
    /// Images evaluated.
    pub images: u64,
    /// Images predicted right.
    pub correct: u64,
    /// Clean test error.
    pub err: f64,
    /// Energy of one inference at the nominal voltage, in nJ.
    pub energy_per_inference_nj: f64,
    /// Latency of one inference at the nominal voltage, in us.
    pub latency_us: f64,
}

/// One operating point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Point {
    /// The swept voltage, in mV: the supply of the weight memory unless that is fixed.
    pub vdd_mv: f64,
    /// Share of faulty cells that the profile states for this voltage; of chip files, the share that was
    /// measured, mean over the chips.
    pub cell_fault_rate: f64,
    /// Share of cells that erred or could err among those that hold weights, over all chips (with
    /// transient errors, over all reads).
    pub cell_fault_rate_realised: f64,
    /// Share of stored bits that were changed, over all chips.
    pub flip_rate: f64,
    /// Supply of the weight memory, in mV, where it is not the swept one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_vdd_mv: Option<f64>,
    /// Supply of the activation memory, in mV, where activations can err.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_vdd_mv: Option<f64>,
    /// Share of faulty cells that the profile states for that supply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_cell_fault_rate: Option<f64>,
    /// Share of faulty cells among those under activations, over all chips and images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_cell_fault_rate_realised: Option<f64>,
    /// Share of bits of activations that were changed, over all chips and images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_flip_rate: Option<f64>,
    /// Supply of the accumulator memory, in mV, where partial sums can err.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator_vdd_mv: Option<f64>,
    /// Share of faulty cells that the profile states for that supply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator_cell_fault_rate: Option<f64>,
    /// Share of faulty cells among those read for partial sums, over all chips, images and reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator_cell_fault_rate_realised: Option<f64>,
    /// Share of bits of partial sums that were read wrongly, over all chips, images and reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accumulator_flip_rate: Option<f64>,
    /// Mean over chips of the test error under bit errors.
    pub rerr_mean: f64,
    /// Sample standard deviation over chips; 0 for one chip.
    pub rerr_std: f64,
    /// Best chip.
    pub rerr_min: f64,
    /// Worst chip.
    pub rerr_max: f64,
    /// Standard error of the mean from the sample of chips; absent for one chip.
    pub rerr_se_chips: Option<f64>,
    /// Standard error of the mean from the sample of images, which all chips share: at most.
    pub rerr_se_images: f64,
    /// Lower end of the two-sided interval of the mean, for other chips and other images; absent for one chip, and
    /// for a few that are equal.
    pub rerr_low: Option<f64>,
    /// Upper end of that interval.
    pub rerr_high: Option<f64>,
    /// Error that 5 % of the chips do not exceed.
    pub rerr_q05: f64,
    /// Median chip.
    pub rerr_q50: f64,
    /// Error that 95 % of the chips do not exceed.
    pub rerr_q95: f64,
    /// Bound of the papers (proposition 1): the error over all chips and images exceeds it with a chance of at
    /// most one minus the confidence; 1 where it says nothing.
    pub rerr_bound: f64,
    /// Mean over chips when an image also counts as wrong if its clean prediction is wrong.
    pub rerr_union_mean: f64,
    /// Its sample standard deviation.
    pub rerr_union_std: f64,
    /// Share of chips whose accuracy loss stays within the budget.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Chips whose accuracy loss stays within the budget.
    pub chips_within_budget: u32,
    /// Lower end of the two-sided interval of the yield (Clopper and Pearson).
    pub yield_low: f64,
    /// Upper end of that interval.
    pub yield_high: f64,
    /// One-sided lower bound: the share of the population that the sample shows to be within the budget.
    pub yield_shown: f64,
    /// Standard error of one chip's accuracy loss from the sample of images.
    pub loss_se_images: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Of it, accesses of the weight memory.
    pub energy_weight_memory_nj: f64,
    /// Of it, accesses of the activation and accumulator memories.
    pub energy_other_memories_nj: f64,
    /// Of it, multiply-accumulates, registers of the array and the vector unit.
    pub energy_compute_nj: f64,
    /// Of it, DRAM.
    pub energy_dram_nj: f64,
    /// Of it, leakage of the memories.
    pub energy_leakage_nj: f64,
    /// Share of the energy of one inference saved against the nominal voltage.
    pub energy_saving: f64,
    /// Share of the scaled memories' access energy saved against the nominal voltage.
    pub memory_energy_saving: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
    /// Chips evaluated.
    pub chips: u32,
    /// Images evaluated per chip.
    pub images: u64,
}

/// One chip over all voltages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChipSummary {
    /// Index of the chip.
    pub chip: u32,
    /// Its lowest passing voltage: the lowest swept one at which, and at all swept voltages above which, the accuracy
    /// loss stays within the budget; absent if the highest already fails. A lower voltage at which the chip
    /// happens to be within the budget again does not count.
    pub vmin_mv: Option<f64>,
    /// Test error at each voltage, in the order of the points.
    pub rerr: Vec<f64>,
}

/// Inputs and version behind the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Provenance {
    /// Version of the program.
    pub vmin_version: String,
    /// Digest of all values that decide the results.
    pub plan_sha256: String,
    /// Digest of each input by name.
    pub inputs: Vec<InputDigest>,
    /// Where the numbers behind energies, clock and faults come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Sourced>,
}

/// Digest of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InputDigest {
    /// Which input: `experiment`, `model`, `data`, `accelerator`, `profile`, `chip`.
    pub role: String,
    /// Its name as the user gave it.
    pub name: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

/// What does not depend on the records.
#[derive(Clone, Debug, Serialize)]
pub struct PointCost {
    /// The swept voltage, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells by the profile.
    pub cell_fault_rate: f64,
    /// Supply of the weight memory, in mV, where it is not the swept one.
    pub weight_vdd_mv: Option<f64>,
    /// The activation memory, where activations can err.
    pub activation: Option<MemoryAt>,
    /// The accumulator memory, where partial sums can err.
    pub accumulator: Option<MemoryAt>,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Of it, accesses of the weight memory.
    pub energy_weight_memory_nj: f64,
    /// Of it, accesses of the activation and accumulator memories.
    pub energy_other_memories_nj: f64,
    /// Of it, multiply-accumulates, registers of the array and the vector unit.
    pub energy_compute_nj: f64,
    /// Of it, DRAM.
    pub energy_dram_nj: f64,
    /// Of it, leakage of the memories.
    pub energy_leakage_nj: f64,
    /// Of it, encoders and decoders.
    pub energy_codec_nj: f64,
    /// Share of that energy saved against nominal.
    pub energy_saving: f64,
    /// Share saved, against nominal, of the access energy of the memories that are lowered.
    pub memory_energy_saving: f64,
    /// The same of the memories that are lowered, or that a remedy of the experiment protects.
    pub access_energy_saving: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// Evaluates the counts of one candidate: `counts` holds those of every trial, point by point.
///
/// Returns `None` if any is missing.
#[must_use]
pub fn evaluate(
    costs: &[PointCost],
    chips: u32,
    clean: &Clean,
    setting: &Setting,
    counts: &[Counts],
) -> Option<(Vec<Point>, Vec<ChipSummary>, Vmin)> {
    let per_point = usize::try_from(chips).ok()?;
    if per_point == 0 || counts.len() != costs.len().checked_mul(per_point)? {
        return None;
    }
    let images = clean.images as f64;
    let error = |correct: u64| (images - correct as f64) / images;
    let lost_max = setting.lost_max(clean.images);
    let within = |counts: &Counts| clean.correct <= counts.correct + lost_max;
    let mut points = Vec::with_capacity(costs.len());
    for (cost, of_point) in costs.iter().zip(counts.chunks_exact(per_point)) {
        let plain: Vec<f64> = of_point.iter().map(|counts| error(counts.correct)).collect();
        let union: Vec<f64> = of_point.iter().map(|counts| error(counts.correct_union)).collect();
        let MeanError { se_chips, se_images, interval } =
            MeanError::of(&plain, setting.offsets, clean.images, setting.confidence)?;
        let quantiles = statistics::quantiles(&plain, [0.05, 0.5, 0.95])?;
        let (plain, union) = (Spread::of(&plain)?, Spread::of(&union)?);
        // Transient errors are drawn for every image.
        let reads = if setting.fault_kind == ReadErrors::Transient.word() { images } else { 1.0 };
        let bits = setting.stored_bits as f64 * f64::from(chips) * reads;
        let sum = |of: &dyn Fn(&Counts) -> u64| of_point.iter().map(of).sum::<u64>() as f64;
        // Activations and sums are written anew for every image: shares of cells met, of bits changed.
        let shares = |bits: Option<u64>, of: fn(&Counts) -> [u64; 2]| {
            let bits = bits.map(|bits| bits as f64 * f64::from(chips) * images);
            [0, 1].map(|index| bits.map(|bits| sum(&|counts| of(counts)[index]) / bits))
        };
        let [activation_cells, activation_flips] =
            shares(setting.activation_bits, |counts| counts.activation);
        let [accumulator_cells, accumulator_flips] =
            shares(setting.accumulator_bits_read, |counts| counts.accumulator);
        let passing = of_point.iter().filter(|counts| within(counts)).count() as u32;
        let of_yield = Yield::of(passing, chips, setting.offsets, setting.confidence);
        points.push(Point {
            vdd_mv: cost.vdd_mv,
            cell_fault_rate: cost.cell_fault_rate,
            cell_fault_rate_realised: sum(&|counts| counts.weight[0]) / bits,
            flip_rate: sum(&|counts| counts.weight[1]) / bits,
            weight_vdd_mv: cost.weight_vdd_mv,
            activation_vdd_mv: cost.activation.as_ref().map(|at| at.vdd_mv),
            activation_cell_fault_rate: cost.activation.as_ref().map(|at| at.cell_fault_rate),
            activation_cell_fault_rate_realised: activation_cells,
            activation_flip_rate: activation_flips,
            accumulator_vdd_mv: cost.accumulator.as_ref().map(|at| at.vdd_mv),
            accumulator_cell_fault_rate: cost.accumulator.as_ref().map(|at| at.cell_fault_rate),
            accumulator_cell_fault_rate_realised: accumulator_cells,
            accumulator_flip_rate: accumulator_flips,
            rerr_mean: plain.mean,
            rerr_std: plain.std,
            rerr_min: plain.min,
            rerr_max: plain.max,
            rerr_union_mean: union.mean,
            rerr_union_std: union.std,
            rerr_se_chips: se_chips,
            rerr_se_images: se_images,
            rerr_low: interval.map(|(low, _)| low),
            rerr_high: interval.map(|(_, high)| high),
            rerr_q05: quantiles[0],
            rerr_q50: quantiles[1],
            rerr_q95: quantiles[2],
            rerr_bound: statistics::papers_bound(
                plain.mean,
                clean.images,
                chips / setting.offsets as u32,
                1.0 - setting.confidence,
            ),
            yield_fraction: f64::from(passing) / f64::from(chips),
            chips_within_budget: passing,
            yield_low: of_yield.interval.0,
            yield_high: of_yield.interval.1,
            yield_shown: of_yield.shown,
            loss_se_images: statistics::loss_se_images(of_point, clean),
            energy_per_inference_nj: cost.energy_per_inference_nj,
            energy_weight_memory_nj: cost.energy_weight_memory_nj,
            energy_other_memories_nj: cost.energy_other_memories_nj,
            energy_compute_nj: cost.energy_compute_nj,
            energy_dram_nj: cost.energy_dram_nj,
            energy_leakage_nj: cost.energy_leakage_nj,
            energy_saving: cost.energy_saving,
            memory_energy_saving: cost.memory_energy_saving,
            latency_us: cost.latency_us,
            chips,
            images: clean.images,
        });
    }
    let summaries: Vec<ChipSummary> = (0..per_point)
        .map(|chip| {
            let of_chip = || counts.iter().skip(chip).step_by(per_point);
            let passed = of_chip().take_while(|counts| within(counts)).count();
            ChipSummary {
                chip: u32::try_from(chip).unwrap_or(u32::MAX),
                vmin_mv: passed.checked_sub(1).map(|last| costs[last].vdd_mv),
                rerr: of_chip().map(|counts| error(counts.correct)).collect(),
            }
        })
        .collect();
    let vmin = Vmin::of(&points, &summaries, setting);
    Some((points, summaries, vmin))
}

impl Setting {
    /// A voltage with what it stands for: `896 mV (89.6 % of V_min)`.
    #[must_use]
    pub fn voltage(&self, vdd_mv: f64) -> String {
        self.vdd_reference.words(vdd_mv)
    }

    /// Images of so many that a chip may lose: budgets are decided on counts, where no rounding can tip the balance.
    #[must_use]
    pub fn lost_max(&self, images: u64) -> u64 {
        (self.accuracy_loss_max * images as f64 + 1e-9).floor() as u64
    }

    /// The budget in words.
    #[must_use]
    pub fn budget(&self) -> String {
        format!("lose at most {:.2} points of accuracy", self.accuracy_loss_max * 100.0)
    }
}

impl Results {
    /// Reads the results of a sweep; `name` is that of their file.
    ///
    /// # Errors
    /// They are those of no sweep, or of a newer program.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Box<Diagnostic>> {
        let refused = |message: String, hint: &str| {
            Box::new(Diagnostic::new("bad-results", message).hint(hint))
        };
        let results: Self = serde_json::from_slice(bytes).map_err(|error| {
            let message = format!("`{name}` is not the result of a sweep: {error}");
            refused(message, "name the folder of a finished sweep; `vmin sweep --resume` writes its results again")
        })?;
        let version = results.results_version;
        if version > RESULTS_VERSION {
            let message =
                format!("`{name}` is of version {version}, this program knows {RESULTS_VERSION}");
            return Err(refused(message, "read it with the program that wrote it, or a newer one"));
        }
        Ok(results)
    }

    /// What the target of yield comes to, each as a value and words about it: the operating
    /// voltage that the sampled chips reach, that which they show, and the lowest passing voltages of the chips. V_min is
    /// neither: it is that of the memory, to which a profile may be relative.
    #[must_use]
    pub fn vmin_words(&self) -> Vec<(String, String)> {
        let Self { setting, vmin, points, .. } = self;
        let point = |at: Option<f64>| points.iter().find(|point| Some(point.vdd_mv) == at);
        let mv = |mv: Option<f64>, at_lowest: bool| {
            let mark = if at_lowest { "<= " } else { "" };
            mv.map_or("none".to_owned(), |mv| format!("{mark}{}", setting.voltage(mv)))
        };
        let lowest = |at_lowest| if at_lowest { ", the lowest of the sweep" } else { "" };
        let target = share_words(setting.yield_target, 0);
        let confidence = share_words(setting.confidence, 0);
        let trials = self.chips.len() as u32;
        let chips = trials / (setting.offsets as u32).max(1);
        let goal = format!("{target} of the sampled chips {}", setting.budget());
        let reached = match point(vmin.reached_mv) {
            Some(at) => format!(
                "operating voltage reached, the lowest swept one at which {goal}; {} do{}",
                yield_words(at.chips_within_budget, at.chips),
                lowest(vmin.reached_at_lowest)
            ),
            None => {
                format!("operating voltage reached; at the highest swept voltage fewer than {goal}")
            }
        };
        let shown = match (point(vmin.shown_mv), vmin.chips_to_show) {
            (Some(at), _) => format!(
                "operating voltage shown, the lowest at which the sample shows that target for the population: a \
                 yield of at least {} at {confidence} confidence (one-sided)",
                share_words(at.yield_shown, 1)
            ),
            (None, Some(needed)) => {
                let why = if u64::from(chips) < needed {
                    let most = Yield::of(chips, chips, 1, setting.confidence).shown;
                    let most = share_words(most, 1);
                    format!("{chips} of {chips} chips would show {most}, {needed} are needed")
                } else {
                    let shown = points.first().map_or(0.0, |point| point.yield_shown);
                    format!("the highest shows {}", share_words(shown, 1))
                };
                format!(
                    "operating voltage shown for the population at {confidence} confidence (one-sided): {why}"
                )
            }
            (None, None) => format!(
                "operating voltage shown for the population: no sample shows a yield of {target}"
            ),
        };
        let swept = points.iter().map(|point| point.vdd_mv);
        let end = |mv: Option<f64>| match mv {
            Some(mv) => format!("at most {mv} mV"),
            None => "more than the highest swept voltage".to_owned(),
        };
        let of_chips = match trials {
            1 => "lowest passing voltage of the one chip: no spread over chips".to_owned(),
            _ => {
                let above = match vmin.chip_q50_mv {
                    Some(_) => String::new(),
                    None => format!(
                        "; {} of {trials} chips miss the budget at the highest swept voltage already",
                        vmin.chips_above
                    ),
                };
                format!(
                    "median of the chips' lowest passing voltages{above}; 5 % of the chips have one of {}, 95 % \
                     one of {}",
                    end(vmin.chip_q05_mv),
                    end(vmin.chip_q95_mv)
                )
            }
        };
        let of_network = [
            (mv(vmin.reached_mv, vmin.reached_at_lowest), reached),
            (mv(vmin.shown_mv, vmin.shown_at_lowest), shown),
            (mv(vmin.chip_q50_mv, vmin.chip_q50_mv == swept.reduce(f64::min)), of_chips),
        ];
        of_network.into_iter().chain(self.most_saved()).collect()
    }

    /// The remedy that saves most of a whole inference where it shows the target, or else reaches it; none
    /// without remedies, or where none reaches it.
    fn most_saved(&self) -> Option<(String, String)> {
        let at = |remedy: &'_ RemedyResult, mv: Option<f64>| {
            remedy.points.iter().find(|point| Some(point.vdd_mv) == mv).copied()
        };
        let shown = self.remedies.iter().any(|remedy| remedy.vmin.shown_mv.is_some());
        let point = |remedy: &RemedyResult| {
            at(remedy, if shown { remedy.vmin.shown_mv } else { remedy.vmin.reached_mv })
        };
        let all = self.remedies.iter().filter_map(|remedy| Some((remedy, point(remedy)?)));
        // The first of equals: what is simpler comes first.
        let (best, most) =
            all.rev().max_by(|(_, a), (_, b)| a.energy_saving.total_cmp(&b.energy_saving))?;
        let own = self.remedies.first().filter(|_| self.remedies.len() > 1)?;
        let where_words = if shown {
            "where the target is shown, each alone at that confidence"
        } else {
            "where the target is reached"
        };
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let words = if best.name == own.name {
            format!(
                "saved of a whole inference at {} mV without a remedy; none saves more {where_words}",
                most.vdd_mv
            )
        } else {
            let without = match point(own) {
                Some(own) => format!("{} at {} mV", percent(own.energy_saving), own.vdd_mv),
                None => "at no swept voltage".to_owned(),
            };
            format!(
                "saved of a whole inference by `{}` at {} mV, the most {where_words}; without a remedy {without}",
                best.name, most.vdd_mv
            )
        };
        Some((percent(most.energy_saving), words))
    }

    /// What the table of remedies does not say by its numbers: where a target is missed, what a network loses before
    /// any bit error, and what a map loses.
    #[must_use]
    pub fn remedy_words(&self) -> Vec<String> {
        let Self { setting, clean, .. } = self;
        let lost = self.remedies.iter().filter_map(|remedy| {
            let lost = remedy.err - clean.err;
            let over = lost > setting.accuracy_loss_max + 1e-9;
            let (lost, budget) = (lost * 100.0, setting.accuracy_loss_max * 100.0);
            (lost > 0.5 * budget).then(|| {
                let then = if over {
                    format!(
                        "more than the budget of {budget:.2}: it keeps that only where bit errors or their remedy \
                         happen to mend some"
                    )
                } else {
                    format!("so that less of the budget of {budget:.2} is left for bit errors")
                };
                format!(
                    "the network of `{}` loses {lost:.2} points without any bit error, {then}",
                    remedy.name
                )
            })
        });
        let missed = self.remedies.iter().filter(|remedy| remedy.best.is_none());
        let missed = missed.filter_map(|remedy| {
            let told = remedy.told()?;
            Some(format!(
                "* `{}` misses the target at its highest voltage already; its columns are those of its lowest mean \
                 error, at {} mV",
                remedy.name, told.vdd_mv
            ))
        });
        let inexact = self.remedies.iter().filter(|remedy| remedy.has_inexact_map());
        let by_map = inexact.filter_map(|remedy| {
            let told = remedy.told()?;
            Some(match told.lost_by_map {
                Some(lost) => format!(
                    "`{}` loses by its map, against the exact one: {}",
                    remedy.name,
                    lost.words()
                ),
                None => format!(
                    "what `{}` loses by its map is not known: at {} mV there is no remedy with the same protection \
                     and without `known`",
                    remedy.name, told.vdd_mv
                ),
            })
        });
        missed.chain(lost).chain(by_map).collect()
    }

    /// `results.json`: one document, ending in a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("finite numbers and texts serialise");
        text.push('\n');
        text
    }

    /// `results.csv`: one line per point, columns named as in JSON.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv_text(&self.points)
    }

    /// `remedies.csv`: one line per remedy, columns named as in JSON.
    #[must_use]
    pub fn remedies_to_csv(&self) -> String {
        csv_text(self.remedies.iter().map(RemedyResult::row))
    }
}

fn csv_text<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("writing to memory succeeds");
    }
    let bytes = writer.into_inner().expect("flushing memory succeeds");
    String::from_utf8(bytes).expect("CSV of texts and numbers is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> Setting {
        Setting {
            model: "m".into(),
            rounding: "litert-2.3".into(),
            pixels: "0..1".into(),
            data: "d".into(),
            accelerator: "a".into(),
            profile: "p".into(),
            fault_kind: "flip".into(),
            read_noise_mv: None,
            placement: "resident".into(),
            memories: String::new(),
            layout: "linear".into(),
            offsets: 1,
            weight_bits: 8,
            weights: 10,
            stored_bits: 80,
            activation_bits: None,
            accumulator_bits_read: None,
            macs_per_image: 1,
            vdd_nominal_mv: 1000.0,
            vdd_reference: VddReference::Absolute,
            seed: "1".into(),
            accuracy_loss_max: 0.01,
            yield_target: 0.5,
            confidence: 0.95,
        }
    }

    fn cost(vdd_mv: f64) -> PointCost {
        PointCost {
            vdd_mv,
            cell_fault_rate: 0.1,
            weight_vdd_mv: None,
            activation: None,
            accumulator: None,
            energy_per_inference_nj: 1.0,
            energy_weight_memory_nj: 0.2,
            energy_other_memories_nj: 0.2,
            energy_compute_nj: 0.2,
            energy_dram_nj: 0.2,
            energy_leakage_nj: 0.2,
            energy_codec_nj: 0.0,
            energy_saving: 0.0,
            memory_energy_saving: 0.0,
            access_energy_saving: 0.0,
            latency_us: 1.0,
        }
    }

    fn counts(correct: u64) -> Counts {
        Counts { correct, correct_union: correct - 1, weight: [8, 4], ..Counts::default() }
    }

    #[test]
    fn two_chips_at_two_voltages() {
        let clean = Clean {
            images: 100,
            correct: 90,
            err: 0.1,
            energy_per_inference_nj: 1.0,
            latency_us: 1.0,
        };
        let records = [90, 89, 89, 50].map(counts);
        let (points, chips, vmin) =
            evaluate(&[cost(900.0), cost(800.0)], 2, &clean, &setting(), &records)
                .expect("complete");
        assert_eq!(points[0].yield_fraction, 1.0, "a loss of just the budget passes");
        assert_eq!(points[1].yield_fraction, 0.5);
        assert!((points[0].rerr_mean - 0.105).abs() < 1e-12);
        assert!((points[0].rerr_union_mean - 0.115).abs() < 1e-12);
        assert!((points[0].flip_rate - 0.05).abs() < 1e-12);
        assert!((points[0].cell_fault_rate_realised - 0.1).abs() < 1e-12);
        assert_eq!(chips[0].vmin_mv, Some(800.0));
        assert_eq!(chips[1].vmin_mv, Some(900.0));
        assert_eq!((vmin.reached_mv, vmin.shown_mv), (Some(800.0), None));
        assert_eq!(vmin.reached_words(), "<= 800");
        assert_eq!((vmin.reached_at_lowest, vmin.shown_at_lowest), (true, false));
        assert_eq!((vmin.chip_q50_mv, vmin.chip_q95_mv), (Some(800.0), Some(900.0)));
        assert_eq!((vmin.chips_above, vmin.chips_at_lowest), (0, 1));
        assert!(evaluate(&[cost(900.0)], 2, &clean, &setting(), &records).is_none());
    }
}
