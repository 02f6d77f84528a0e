//! What one more faulty cell costs, by layer, bit, bank and memory: each part of a chip's errors acts alone.
//!
//! Every chip is read once at the supply. For a part of the weights, the wrong bits of that part stay and all others
//! are set right; for a memory, the others keep the nominal supply. What is lost so, over the faulty cells of the part,
//! is the cost of one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use vmin_accel::{Memory, PerMemory};
use vmin_emulator::{Deployment, Emulator, FaultSite, LOAD, OpenChip, Supplies, TrialSpec};
use vmin_kernels::GemmKernel;
use vmin_sweep::store::Store;
use vmin_sweep::{Candidate, Counts, Journal, Log, Plan, Progress, Record, RunError, TrialId};

use crate::records::Records;

/// A part of the memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The weights of a tensor.
    Layer(usize),
    /// A bit of all weight codes, 0 the least significant.
    Bit(u8),
    /// A bank of the weight memory.
    Bank(u64),
    /// A whole memory.
    Memory(Memory),
}

impl Part {
    /// As records name it.
    fn id(self) -> String {
        match self {
            Self::Layer(tensor) => format!("layer {tensor}"),
            Self::Bit(bit) => format!("bit {bit}"),
            Self::Bank(bank) => format!("bank {bank}"),
            Self::Memory(memory) => format!("memory {}", memory.word()),
        }
    }
}

/// A part on one chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnChip {
    /// Faulty cells under the codes of a part of the weights; in another memory, faulty cells met over all images.
    pub faulty_cells: u64,
    /// Bits that they changed.
    pub wrong_bits: u64,
    /// Images right.
    pub correct: u64,
    /// Images right with and without its errors.
    pub correct_union: u64,
}

/// A part over all chips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPart {
    /// The part.
    pub part: Part,
    /// One entry per trial number.
    pub chips: Vec<OnChip>,
}

/// A candidate on all chips at one supply, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Images right without bit errors.
    pub clean_correct: u64,
    /// Every part: layers, bits, banks, memories.
    pub parts: Vec<OfPart>,
    /// Images that were classified.
    pub classified: u64,
}

/// Measures every part of the experiment's own network at its point number `point`, on all chips.
///
/// The results are the same for any thread pool, kernel and set of records done before.
///
/// # Errors
/// See [`RunError`]; all finished trials are then in the journal.
pub fn sensitivity<L: Log>(
    plan: &Plan,
    point: usize,
    journal: &mut Journal<L>,
    records: &Records<'_>,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Parts, RunError> {
    let candidate = plan.own();
    let emulator = Emulator::new(&candidate.graph, plan.images(), kernel)?;
    let clean = emulator.predict_clean(stop)?;
    let deployment = plan.deployment(candidate, kernel, stop)?;
    let parts = parts(candidate, &candidate.points[point].supplies);
    let trials = plan.trials();
    progress.begin(u64::from(trials), 0);
    let measured = Measuring {
        plan,
        candidate,
        point,
        emulator,
        clean,
        deployment,
        parts,
        records,
        journal: Mutex::new(journal),
        stop,
    };
    let chips: Result<Vec<Vec<OnChip>>, RunError> = (0..trials)
        .into_par_iter()
        .map(|number| {
            let of_chip = measured.chip(number)?;
            progress.advance();
            Ok(of_chip)
        })
        .collect();
    let Measuring { parts, journal, emulator, clean, .. } = measured;
    let synced = journal.into_inner().unwrap_or_else(PoisonError::into_inner).sync();
    let stored = records.store().map_or(Ok(()), Store::sync);
    let chips = chips?;
    synced?;
    stored?;
    let images = plan.labels().len() as u64;
    let classified = chips.iter().flatten().filter(|on_chip| on_chip.wrong_bits > 0).count() as u64;
    let of_part = |(index, part): (usize, Part)| OfPart {
        part,
        chips: chips.iter().map(|of_chip| of_chip[index]).collect(),
    };
    Ok(Parts {
        clean_correct: emulator.score(&clean, &clean).correct,
        parts: parts.into_iter().enumerate().map(of_part).collect(),
        classified: (classified + 1) * images,
    })
}

/// All parts of a candidate whose memories have these supplies.
fn parts(candidate: &Candidate, supplies: &Supplies) -> Vec<Part> {
    let mut parts = Vec::new();
    if supplies.weight.is_some() {
        parts.extend((0..candidate.graph.weights.len()).map(Part::Layer));
        parts.extend((0..candidate.weight_bits()).map(Part::Bit));
        let banks = u64::from(candidate.placement.weights.geometry().banks());
        parts.extend((0..banks).map(Part::Bank));
    }
    parts.extend(supplies.present().map(|(memory, _)| Part::Memory(memory)));
    parts
}

struct Measuring<'p, L: Log> {
    plan: &'p Plan,
    candidate: &'p Candidate,
    point: usize,
    emulator: Emulator<'p>,
    clean: Vec<usize>,
    deployment: Deployment<'p>,
    parts: Vec<Part>,
    records: &'p Records<'p>,
    journal: Mutex<&'p mut Journal<L>>,
    stop: &'p AtomicBool,
}

impl<L: Log> Measuring<'_, L> {
    fn trial(&self, part: Part, number: u32) -> TrialId {
        let mut trial = self.plan.trial(self.candidate, &self.candidate.points[self.point], number);
        trial.candidate = format!("{}~{}", trial.candidate, part.id());
        trial
    }

    /// Every part on one chip.
    fn chip(&self, number: u32) -> Result<Vec<OnChip>, RunError> {
        let supplies = &self.candidate.points[self.point].supplies;
        // Read when the first part is not known.
        let mut read: Option<(OpenChip<'_>, Wrong)> = None;
        let mut all = Vec::with_capacity(self.parts.len());
        for &part in &self.parts {
            if self.stop.load(Ordering::Relaxed) {
                return Err(RunError::Stopped);
            }
            let trial = self.trial(part, number);
            let known = self.records.all(&trial);
            // A store names the same trial over all images.
            let stored = || self.records.store().and_then(|store| store.get(&trial));
            let known = match known {
                None => stored().map(|counts| (counts, true)),
                Some(counts) => Some((counts, false)),
            };
            if let Some((counts, is_new)) = known {
                if is_new {
                    let record = Record { trial, counts };
                    self.journal.lock().unwrap_or_else(PoisonError::into_inner).append(&record)?;
                }
                all.push(on_chip(&counts));
                continue;
            }
            let (chip, wrong) = match &mut read {
                Some(read) => read,
                none => {
                    let chip = self.deployment.open(
                        self.plan.source.as_ref(),
                        self.plan.chip(number),
                        &[supplies],
                        self.candidate.lowest(),
                    )?;
                    let wrong = Wrong::of(self.candidate, &chip, supplies);
                    none.insert((chip, wrong))
                }
            };
            let counts = match part {
                Part::Memory(memory) => self.memory(chip, supplies, memory)?,
                Part::Layer(_) | Part::Bit(_) | Part::Bank(_) => self.weights(wrong, part)?,
            };
            let record = Record { trial, counts };
            self.journal.lock().unwrap_or_else(PoisonError::into_inner).append(&record)?;
            self.records.store().map(|store| store.append(&record)).transpose()?;
            all.push(on_chip(&counts));
        }
        Ok(all)
    }

    /// One memory at its supply, the others at the nominal one.
    fn memory(
        &self,
        chip: &OpenChip<'_>,
        supplies: &Supplies,
        memory: Memory,
    ) -> Result<Counts, RunError> {
        let alone =
            PerMemory::from_fn(|other| supplies.get(other).clone().filter(|_| other == memory));
        let trial = TrialSpec {
            supplies: &alone,
            reads: self.plan.reads,
            first_image: self.plan.first_image,
        };
        let outcome = chip.run(trial, &self.emulator, &self.clean, self.stop)?;
        let applied = *outcome.applied.get(memory);
        Ok(Counts {
            correct: outcome.score.correct,
            correct_union: outcome.score.correct_union,
            weight: [applied.cells_hit, applied.bits_flipped],
            ..Counts::default()
        })
    }

    /// The wrong bits of a part of the weights alone.
    fn weights(&self, wrong: &Wrong, part: Part) -> Result<Counts, RunError> {
        let bits: Vec<&WrongBit> = wrong.bits.iter().filter(|bit| bit.is_in(part)).collect();
        let faulty = wrong.sites.iter().filter(|bit| bit.is_in(part)).count() as u64;
        let of_predictions = if bits.is_empty() {
            self.emulator.score(&self.clean, &self.clean)
        } else {
            let weights = self.candidate.graph.weights.iter();
            let mut codes: Vec<Vec<u8>> = weights.map(|weights| weights.codes.clone()).collect();
            for bit in &bits {
                codes[bit.tensor][bit.code] ^= 1 << bit.bit;
            }
            let predictions = self.emulator.predict(&codes, self.stop)?;
            self.emulator.score(&predictions, &self.clean)
        };
        Ok(Counts {
            correct: of_predictions.correct,
            correct_union: of_predictions.correct_union,
            weight: [faulty, bits.len() as u64],
            ..Counts::default()
        })
    }
}

const fn on_chip(counts: &Counts) -> OnChip {
    let [faulty_cells, wrong_bits] = counts.weight;
    let Counts { correct, correct_union, .. } = *counts;
    OnChip { faulty_cells, wrong_bits, correct, correct_union }
}

/// A bit of a weight code.
#[derive(Clone, Copy, Debug)]
struct WrongBit {
    tensor: usize,
    code: usize,
    bit: u8,
    /// The bank of its cell; none where no faulty cell lies under it: a decoder changed it.
    bank: Option<u64>,
}

impl WrongBit {
    fn is_in(&self, part: Part) -> bool {
        match part {
            Part::Layer(tensor) => self.tensor == tensor,
            Part::Bit(bit) => self.bit == bit,
            Part::Bank(bank) => self.bank == Some(bank),
            Part::Memory(_) => false,
        }
    }
}

/// The weights of a chip at one read.
struct Wrong {
    /// Bits above faulty cells, wrong or not.
    sites: Vec<WrongBit>,
    /// Wrong bits.
    bits: Vec<WrongBit>,
}

impl Wrong {
    fn of(candidate: &Candidate, chip: &OpenChip<'_>, supplies: &Supplies) -> Self {
        let geometry = candidate.placement.weights.geometry();
        let rows = geometry.cells() / u64::from(geometry.columns()) / u64::from(geometry.banks());
        let mut bank_of: BTreeMap<(usize, usize, u8), u64> = BTreeMap::new();
        for FaultSite { tensor, code, bit, row, .. } in chip.sites(supplies, LOAD) {
            bank_of.insert((tensor, code, bit), row / rows);
        }
        let site = |(&(tensor, code, bit), &bank): (&(usize, usize, u8), &u64)| WrongBit {
            tensor,
            code,
            bit,
            bank: Some(bank),
        };
        let sites = bank_of.iter().map(site).collect();
        let read = chip.weights(supplies, LOAD).codes;
        let mut bits = Vec::new();
        for (tensor, (weights, read)) in candidate.graph.weights.iter().zip(&read).enumerate() {
            for (code, (&written, &read)) in weights.codes.iter().zip(read).enumerate() {
                let changed = (written ^ read) & (u8::MAX >> (8 - weights.bits));
                let of_code = (0..weights.bits).filter(|bit| changed >> bit & 1 == 1);
                bits.extend(of_code.map(|bit| {
                    let bank = bank_of.get(&(tensor, code, bit)).copied();
                    WrongBit { tensor, code, bit, bank }
                }));
            }
        }
        Self { sites, bits }
    }
}
