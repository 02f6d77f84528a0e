//! An experiment with every name resolved, every size checked and the cost known. A run reads nothing else.

mod about;
mod candidates;
mod checks;
mod identity;
mod layout;
mod measured;
mod resolve;
mod supplies;
mod weights;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use vmin_accel::{Accelerator, Memory, PerMemory, VoltageProfile};
use vmin_emulator::source::CellSource;
use vmin_emulator::{ChipSpec, Deployment, Images, Placement, Reads, Supplies};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_protection::Protection;
use vmin_sram::Chip;

use crate::accuracy::Subject;
use crate::journal::{ChipId, Counts, JournalOf, TrialId};
use crate::results::{InputDigest, PointCost, Provenance, Setting};
use crate::run::RunError;

pub use candidates::{Candidate, CandidatePoint, layers as priced_layers};
pub use checks::Known;

/// Energy and latency of one inference at the nominal voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nominal {
    /// Supply of all memories, in mV.
    pub vdd_mv: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// A resolved experiment.
pub struct Plan {
    /// `name` of the experiment.
    pub name: String,
    /// Networks with placement and protection: the experiment's own first, then its remedies.
    pub candidates: Vec<Candidate>,
    /// The source of faulty cells.
    pub source: Box<dyn CellSource>,
    /// The reads at which uncertain cells decide again.
    pub reads: Reads,
    /// Number of chips.
    pub chips: u32,
    /// Offsets of the model on a chip, in bits; every chip is used once per offset.
    pub offset_bits: Vec<u64>,
    /// Number of the first image in its set.
    pub first_image: u64,
    /// True if results show the union RErr beside the plain one.
    pub with_union: bool,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Cell-fault rates and energies over the voltage.
    pub profile: VoltageProfile,
    /// Energy and latency at the nominal voltage.
    pub nominal: Nominal,
    /// The setting in words, for results.
    pub setting: Setting,
    /// Remarks that a reader of the results must know.
    pub notes: Vec<String>,
    /// What its errors belong to.
    pub subject: Subject,
    /// Digest of each input.
    pub inputs: Vec<InputDigest>,
    /// SHA-256 of all values that decide the trials and their costs. The budget, the target of yield and the
    /// confidence are no part of it: they are asked of finished trials.
    pub digest: String,
    /// The chip that a report shows, if faults are permanent and few enough to be drawn.
    pub first_chip: Option<Chip>,
    /// Digest of each chip that a record may name.
    chip_ids: Vec<String>,
    data: Dataset,
    calibration: Option<crate::CalibrationImages>,
    data_id: String,
    /// True if an offset moves the map of a chip, not the network over it.
    moves_map: bool,
}

/// The cost of a plan, for `vmin check`.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanCost {
    /// Voltages, those of remedies included.
    pub points: usize,
    /// Chips.
    pub chips: u32,
    /// Offsets at which each chip is used.
    pub offsets: usize,
    /// Images per chip, offset and voltage.
    pub images: usize,
    /// Inferences of the whole sweep, the clean ones included.
    pub inferences_total: u64,
    /// Multiply-accumulates of one inference.
    pub macs_per_image: u64,
    /// Multiply-accumulates of the whole sweep.
    pub macs_total: u64,
    /// Weight codes.
    pub weights: u64,
    /// Bits of weight memory they occupy.
    pub stored_bits: u64,
    /// Bits of activations of an inference that can err.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_bits: Option<u64>,
    /// Bits of partial sums that an inference reads from a memory that can err.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_bits_read: Option<u64>,
    /// How the network's sums become codes.
    pub rounding: &'static str,
    /// How pixels become its input.
    pub pixels: String,
    /// Banks of weight memory that are emulated.
    pub banks: u32,
    /// Faulty cells expected per chip, in all memories that err, at the lowest voltage.
    pub faulty_cells_max: f64,
}

impl Plan {
    /// The experiment's own network, without protection.
    #[must_use]
    pub fn own(&self) -> &Candidate {
        &self.candidates[0]
    }

    /// Points of all candidates.
    #[must_use]
    pub fn points_total(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.points.len()).sum()
    }

    /// Whether its chips are files, not samples of a population.
    #[must_use]
    pub const fn has_chip_files(&self) -> bool {
        self.moves_map
    }

    /// The images, with labels.
    #[must_use]
    pub fn images(&self) -> Images<'_> {
        Images { pixels: &self.data.images, labels: &self.data.labels }
    }

    /// The network of a candidate in protected memories, calibrated if its protection asks for that.
    ///
    /// # Errors
    /// Protection or calibration images do not fit, which [`Plan::resolve`] refuses, or `stop` was set.
    pub fn deployment<'p>(
        &'p self,
        candidate: &'p Candidate,
        kernel: &'static dyn GemmKernel,
        stop: &AtomicBool,
    ) -> Result<Deployment<'p>, RunError> {
        let Candidate { graph, placement, protection, .. } = candidate;
        let deployment = Deployment::new(graph, placement, protection)?;
        Ok(match &self.calibration {
            Some(images) => deployment.calibrated(&images.pixels, kernel, stop)?,
            None => deployment,
        })
    }

    /// One label per image.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.data.labels
    }

    /// Chips times offsets: each is evaluated at every voltage.
    #[must_use]
    pub fn trials(&self) -> u32 {
        // `Plan::resolve` has checked the product.
        let offsets = u32::try_from(self.offset_bits.len()).unwrap_or(u32::MAX);
        self.chips.saturating_mul(offsets)
    }

    /// The chip of a trial by number; neighbouring trials are the offsets of one chip.
    #[must_use]
    pub fn chip(&self, number: u32) -> ChipSpec {
        let offsets = u32::try_from(self.offset_bits.len()).unwrap_or(u32::MAX);
        let offset = (number % offsets) as usize;
        ChipSpec {
            chip: number / offsets,
            offset_bits: self.offset_bits[offset],
            layout: offset,
            map_offset: if self.moves_map { self.offset_bits[offset] } else { 0 },
        }
    }

    /// The name of a trial, the same in every experiment that contains it.
    #[must_use]
    pub fn trial(&self, candidate: &Candidate, point: &CandidatePoint, number: u32) -> TrialId {
        TrialId {
            candidate: candidate.id.clone(),
            chip: self.chip_id(number),
            supplies: point.id.clone(),
            images: self.images_name(),
        }
    }

    /// The name of its images in records: `set:first+count`.
    #[must_use]
    pub fn images_name(&self) -> String {
        format!("{}:{}+{}", self.data_id, self.first_image, self.data.len())
    }

    /// Images that a chip may lose, net of those gained, and still be within the budget.
    #[must_use]
    pub fn lost_max(&self) -> u64 {
        self.setting.lost_max(self.data.len() as u64)
    }

    fn chip_id(&self, number: u32) -> ChipId {
        let ChipSpec { chip, offset_bits, .. } = self.chip(number);
        ChipId {
            chip: self.chip_ids[chip as usize % self.chip_ids.len()].clone(),
            number: chip,
            offset_bits,
        }
    }

    /// Records a complete journal holds: a trial that several candidates share has one.
    #[must_use]
    pub fn records_total(&self) -> u64 {
        self.records_of(&(0..self.trials()))
    }

    /// Records of the trials of these numbers.
    #[must_use]
    pub fn records_of(&self, numbers: &Range<u32>) -> u64 {
        let points = self.candidates.iter().flat_map(|candidate| {
            candidate.points.iter().map(move |point| (&candidate.id, &point.id))
        });
        points.collect::<BTreeSet<_>>().len() as u64 * numbers.len() as u64
    }

    /// What its journal belongs to.
    #[must_use]
    pub fn journal_of(&self) -> JournalOf {
        const OF_THE_QUESTION: [&str; 3] = ["accuracy_loss_max", "yield_target", "confidence"];
        let setting = serde_json::to_value(&self.setting).unwrap_or_default();
        let setting = setting.as_object().into_iter().flatten();
        let setting = setting.filter(|(key, _)| !OF_THE_QUESTION.contains(&key.as_str()));
        let text = |value: &serde_json::Value| {
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let voltages = self.own().points.iter().map(|point| point.cost.vdd_mv.to_string());
        let others = &self.candidates[1..];
        let names: Vec<&str> = others.iter().map(|candidate| candidate.name.as_str()).collect();
        let remedies = others.iter().map(|it| (format!("remedy {}", it.name), it.in_words()));
        let more = [
            (
                "images",
                format!("{}..{}", self.first_image, self.first_image + self.data.len() as u64),
            ),
            ("chips", self.chips.to_string()),
            ("vdd_mv", voltages.collect::<Vec<_>>().join(", ")),
            ("remedies", names.join(", ")),
        ];
        let more = more.into_iter().map(|(key, value)| (key.to_owned(), value));
        let setting = setting.map(|(key, value)| (key.clone(), text(value)));
        let keys = setting.chain(more).chain(remedies).collect();
        JournalOf { plan: self.digest.clone(), keys }
    }

    /// The first candidate, and its point, whose trials are those of this one.
    pub(crate) fn first_with(&self, index: usize, point: usize) -> (usize, usize) {
        let wanted = &self.candidates[index];
        let same = |candidate: &Candidate| {
            let mut points = candidate.points.iter();
            let point = points.position(|other| other.id == wanted.points[point].id);
            point.filter(|_| candidate.id == wanted.id)
        };
        let mut all = self.candidates[..=index].iter().enumerate();
        all.find_map(|(index, candidate)| Some((index, same(candidate)?))).unwrap_or((index, point))
    }

    /// The candidate, and its point, that differ from these in nothing but the exact map of each chip; none where the
    /// map is exact, or no such candidate is in the plan.
    pub(crate) fn with_exact_map(&self, index: usize, point: usize) -> Option<(usize, usize)> {
        let (id, points) = self.candidates[index].exact.as_ref()?;
        self.candidates.iter().enumerate().find_map(|(twin, candidate)| {
            let mut of_twin = candidate.points.iter();
            let point = of_twin.position(|other| other.id == points[point]);
            Some((twin, point.filter(|_| candidate.id == *id)?))
        })
    }

    /// Adds the counts of a candidate, on the trials of these numbers, to those of later ones with the same trials.
    pub(crate) fn share(
        &self,
        index: usize,
        numbers: &Range<u32>,
        counts: &[Counts],
        known: &mut Known,
    ) {
        for later in index + 1..self.candidates.len() {
            for point in 0..self.candidates[later].points.len() {
                let (first, first_point) = self.first_with(later, point);
                if first == index {
                    let of_point = &counts[first_point * numbers.len()..][..numbers.len()];
                    let of = |(number, counts): (u32, &Counts)| ((later, point, number), *counts);
                    known.extend(numbers.clone().zip(of_point).map(of));
                }
            }
        }
    }

    /// Inputs and version behind its results.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        Provenance {
            vmin_version: env!("CARGO_PKG_VERSION").to_owned(),
            plan_sha256: self.digest.clone(),
            inputs: self.inputs.clone(),
            sources: vmin_accel::energy::sources(&self.accelerator, &self.profile),
        }
    }

    /// The cost of the plan.
    #[must_use]
    pub fn cost(&self) -> PlanCost {
        let own = self.own();
        let images = self.data.len() as u64;
        let inferences_total = self.records_total().saturating_add(1).saturating_mul(images);
        PlanCost {
            points: self.points_total(),
            chips: self.chips,
            offsets: self.offset_bits.len(),
            images: self.data.len(),
            inferences_total,
            macs_per_image: own.graph.macs(),
            macs_total: inferences_total.saturating_mul(own.graph.macs()),
            weights: own.weights(),
            stored_bits: own.stored_bits(),
            activation_bits: own.placement.activation_bits(),
            accumulator_bits_read: own.placement.accumulator_bits_read(),
            rounding: own.graph.rounding.word(),
            pixels: own.graph.pixels_in_words(),
            banks: own.placement.weights.geometry().banks(),
            faulty_cells_max: own.faulty_cells_max(),
        }
    }
}
