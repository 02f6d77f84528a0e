//! Which supply each memory gets, and under which candidate: the search of [`crate::assign`] over the plans of an
//! experiment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vmin_accel::Memory;
use vmin_diagnostic::{Diagnostics, Located};
use vmin_kernels::GemmKernel;
use vmin_sweep::statistics::reaches;
use vmin_sweep::{Experiment, Journal, Log, Plan, PointCost, Progress, RunError, Supply};

use crate::assign::{self, Found, Verdict, tests_max};
use crate::records::Records;
use crate::run::{Certainty, Decided, Networks, Wanted, enough};

/// The supplies from which each memory gets one.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// Memories that the experiment lowers; those on one rail of the accelerator together.
    pub memories: Vec<Vec<Memory>>,
    /// Supplies in mV, falling. The first is the nominal one, where a memory makes no errors.
    pub vdd_mv: Vec<f64>,
}

impl Choices {
    /// Those of an experiment and its plan: the nominal supply, and those of `vdd_mv` below it.
    #[must_use]
    pub fn of(experiment: &Experiment, plan: &Plan) -> Self {
        let rail = |memory| plan.accelerator.memories.get(memory).rail;
        let mut memories: Vec<Vec<Memory>> = Vec::new();
        for (memory, supply) in experiment.memories.supplies.iter() {
            match supply {
                Supply::Nominal => {}
                Supply::Swept | Supply::Fixed(_) => {
                    match memories.iter_mut().find(|others| rail(others[0]) == rail(memory)) {
                        Some(others) => others.push(memory),
                        None => memories.push(vec![memory]),
                    }
                }
            }
        }
        let nominal = plan.nominal.vdd_mv;
        let lower = plan.own().points.iter().map(|point| point.cost.vdd_mv);
        let lower = lower.filter(|vdd_mv| *vdd_mv < nominal);
        Self { memories, vdd_mv: std::iter::once(nominal).chain(lower).collect() }
    }

    /// Levels of each choice; level 0 is the nominal supply.
    #[must_use]
    pub fn levels(&self) -> Vec<usize> {
        vec![self.vdd_mv.len(); self.memories.len()]
    }

    /// The supply of a memory in a combination, in mV; none where the experiment does not lower it.
    #[must_use]
    pub fn vdd_mv(&self, memory: Memory, combination: &[usize]) -> Option<f64> {
        let place = self.memories.iter().position(|group| group.contains(&memory))?;
        Some(self.vdd_mv[*combination.get(place)?])
    }

    /// The place of the choice that follows the swept voltage in the file of a combination: the first that is lowered.
    #[must_use]
    pub fn swept(&self, combination: &[usize]) -> Option<usize> {
        combination.iter().position(|&level| level > 0)
    }

    /// The experiment with these supplies, and one remedy or none.
    fn experiment(
        &self,
        of: &Experiment,
        remedy: Option<usize>,
        combination: &[usize],
    ) -> Experiment {
        let mut experiment = of.clone();
        let at = |level: usize| Located { value: self.vdd_mv[level], span: 0..0 };
        let swept = self.swept(combination);
        for (place, (group, &level)) in self.memories.iter().zip(combination).enumerate() {
            for &memory in group {
                *experiment.memories.supplies.get_mut(memory) = match level {
                    0 => Supply::Nominal,
                    _ if Some(place) == swept => Supply::Swept,
                    level => Supply::Fixed(at(level)),
                };
            }
        }
        // Where all are nominal the voltage is no memory's.
        let vdd_mv = swept.map_or(self.vdd_mv.len() - 1, |place| combination[place]);
        experiment.vdd_mv = vec![at(vdd_mv)];
        experiment.remedies = remedy.map(|index| of.remedies[index].clone()).into_iter().collect();
        for remedy in &mut experiment.remedies {
            remedy.vdd_mv = None;
        }
        let mut protections = experiment.remedies.iter().map(|of| &of.protection.protection);
        if protections.all(|of| of.calibration_images().is_none()) {
            experiment.calibration = None;
        }
        experiment
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Assign<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The folder at which its relative paths start.
    pub base: &'a Path,
    /// Its plan.
    pub plan: &'a Plan,
    /// The supplies.
    pub choices: &'a Choices,
    /// Whether all combinations of less energy than the descent's are tested.
    pub all: bool,
    /// When a decision is certain enough.
    pub certainty: Certainty,
    /// The kernel.
    pub kernel: &'static dyn GemmKernel,
    /// Ends the run early.
    pub stop: &'a AtomicBool,
}

/// One combination that was tested.
#[derive(Clone, Debug)]
pub struct Combination {
    /// The level of each choice.
    pub levels: Vec<usize>,
    /// What was found.
    pub verdict: Verdict,
    /// Its costs and its chips; none where it is impossible.
    pub run: Option<(PointCost, Decided)>,
}

/// One candidate.
#[derive(Clone, Debug)]
pub struct OfAssign {
    /// What the search found.
    pub found: Found,
    /// Combinations in the order of their tests. Of the best one, and of the best with one supply for all memories,
    /// every chip is decided.
    pub combinations: Vec<Combination>,
}

/// All candidates.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// In the order of the plan.
    pub candidates: Vec<OfAssign>,
    /// Images that were classified without bit errors.
    pub clean_classified: u64,
}

/// Why a search ended.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    /// The run ended early.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The experiment cannot be priced at these supplies.
    #[error("the experiment cannot be asked for at these supplies")]
    Plan(Diagnostics),
}

impl Assign<'_> {
    /// Decisions about a chip, at most: candidates x combinations x chips.
    fn decisions_max(&self) -> f64 {
        let tests = tests_max(&self.choices.levels(), self.all);
        self.plan.candidates.len() as f64 * tests as f64 * f64::from(self.plan.trials())
    }

    /// Chips that must pass.
    fn needed(&self) -> u32 {
        let chips = self.plan.trials();
        let enough = |&passing: &u32| {
            reaches(f64::from(passing) / f64::from(chips), self.plan.setting.yield_target)
        };
        (0..=chips).find(enough).unwrap_or(chips)
    }

    /// Searches every candidate.
    ///
    /// # Errors
    /// See [`AssignError`]; all finished decisions are then in the journal.
    pub fn run<L: Log>(
        &self,
        journal: &mut Journal<L>,
        records: &mut Records<'_>,
        progress: &dyn Progress,
    ) -> Result<Assigned, AssignError> {
        let mut networks = Networks::default();
        let tests = tests_max(&self.choices.levels(), self.all);
        let all = self.plan.candidates.len();
        progress.begin(tests.saturating_mul(all as u64), 0);
        let candidates = (0..all).map(|index| {
            self.candidate(
                index.checked_sub(1),
                &mut networks,
                (&mut *journal, &mut *records),
                progress,
            )
        });
        let candidates = candidates.collect::<Result<Vec<_>, _>>()?;
        Ok(Assigned { candidates, clean_classified: networks.classified })
    }

    fn candidate<L: Log>(
        &self,
        remedy: Option<usize>,
        networks: &mut Networks,
        (journal, records): (&mut Journal<L>, &mut Records<'_>),
        progress: &dyn Progress,
    ) -> Result<OfAssign, AssignError> {
        let (prices, priced) = self.prices(remedy)?;
        let energy = |levels: &[usize]| -> f64 {
            prices.iter().zip(levels).map(|(of, &level)| of[level]).sum()
        };
        let chance_of_chip = match self.certainty {
            Certainty::Exact => 0.0,
            Certainty::But(chance) => chance / self.decisions_max().max(1.0),
        };
        let needed = self.needed();
        let mut decide = |levels: &[usize], all: bool| {
            let Ok(plan) = self.resolved(remedy, levels) else { return Ok(None) };
            let wanted = Wanted { needed, all, chance_of_chip };
            let store = (&mut *journal, &mut *records);
            let decided = enough(&plan, wanted, networks, store, self.kernel, self.stop)?;
            let cost = plan.candidates[plan.candidates.len() - 1].points[0].cost.clone();
            Ok::<_, RunError>(Some((cost, decided)))
        };
        let mut combinations: Vec<Combination> = Vec::new();
        // Prices tell energies but for a constant.
        let mut constant = None;
        let found = assign::assign(&self.choices.levels(), energy, self.all, |levels| {
            let run = decide(levels, false)?;
            let verdict = match &run {
                None => Verdict::Impossible,
                Some((_, decided)) if decided.passing >= needed => Verdict::Passes,
                Some(_) => Verdict::Fails,
            };
            if let Some((cost, _)) = run.as_ref().filter(|_| priced) {
                let beyond = cost.energy_per_inference_nj - energy(levels);
                let first = *constant.get_or_insert(beyond);
                let most = 1e-9 * cost.energy_per_inference_nj;
                debug_assert!((beyond - first).abs() <= most, "energies of memories do not add up");
            }
            combinations.push(Combination { levels: levels.to_vec(), verdict, run });
            progress.advance();
            Ok::<_, RunError>(verdict)
        })?;
        for chosen in [&found.best, &found.alike].into_iter().flatten() {
            let place = combinations.iter_mut().find(|of| of.levels == *chosen);
            if let Some(combination) = place {
                combination.run = decide(chosen, true)?;
            }
        }
        Ok(OfAssign { found, combinations })
    }

    /// The plan of a combination; networks are those of the whole plan, which do not depend on supplies.
    fn resolved(&self, remedy: Option<usize>, levels: &[usize]) -> Result<Plan, Diagnostics> {
        let experiment = self.choices.experiment(self.experiment, remedy, levels);
        let mut plan = Plan::resolve(experiment, self.base)?;
        plan.candidates[0].graph = Arc::clone(&self.plan.own().graph);
        if let (Some(remedy), Some(of)) = (remedy, plan.candidates.get_mut(1)) {
            of.graph = Arc::clone(&self.plan.candidates[remedy + 1].graph);
        }
        Ok(plan)
    }

    /// The energy of an inference by the level of each choice, the others at their lowest supply. Energies of memories
    /// on rails of their own add up, so that differences tell the energy of every combination but for a constant.
    /// Also tells whether all were priced.
    fn prices(&self, remedy: Option<usize>) -> Result<(Vec<Vec<f64>>, bool), AssignError> {
        let mut priced = true;
        let lowest = self.choices.vdd_mv.len() - 1;
        let price = |place: usize, level: usize| -> Result<Vec<f64>, Diagnostics> {
            let mut levels = vec![lowest; self.choices.memories.len()];
            levels[place] = level;
            let mut experiment = self.choices.experiment(self.experiment, remedy, &levels);
            if level > 0 {
                // All its supplies at once, the others fixed.
                let at = |value: f64| Located { value, span: 0..0 };
                for (other, group) in self.choices.memories.iter().enumerate() {
                    for &memory in group {
                        *experiment.memories.supplies.get_mut(memory) = if other == place {
                            Supply::Swept
                        } else {
                            Supply::Fixed(at(self.choices.vdd_mv[lowest]))
                        };
                    }
                }
                experiment.vdd_mv = self.choices.vdd_mv[1..].iter().map(|&mv| at(mv)).collect();
            }
            let plan = Plan::resolve(experiment, self.base)?;
            let of = &plan.candidates[plan.candidates.len() - 1];
            Ok(of.points.iter().map(|point| point.cost.energy_per_inference_nj).collect())
        };
        let all = (0..self.choices.memories.len()).map(|place| {
            let lowered = match lowest {
                0 => Vec::new(),
                _ => price(place, 1).map_err(AssignError::Plan)?,
            };
            // A remedy that cannot be had with this memory nominal is not asked for there.
            let nominal = price(place, 0).ok().and_then(|of| of.first().copied());
            priced &= nominal.is_some();
            let nominal = nominal.or(lowered.first().copied()).unwrap_or_default();
            Ok(std::iter::once(nominal).chain(lowered).collect())
        });
        let prices = all.collect::<Result<_, AssignError>>()?;
        Ok((prices, priced))
    }
}
