//! The search for the lowest supply at which a chip keeps its budget.

/// Cost of finding a trial within the budget, in units of finding one out of it: the second takes few images where
/// many are lost.
const COST_WITHIN: f64 = 6.0;

/// Numbers of outcomes up to which the cheapest probe is computed; more are split as the largest of these is.
const PLANNED_MAX: usize = 200;

/// What a search found among supplies that fall from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Index of the lowest passing supply: it passes, and all higher ones that were probed; none if the highest
    /// fails.
    pub lowest: Option<usize>,
    /// Every supply that was probed with what came out, by index.
    pub probes: Vec<(usize, bool)>,
}

impl Found {
    /// Whether a supply failed that is higher than one that passed.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        let last_pass =
            self.probes.iter().filter(|(_, passes)| *passes).map(|(index, _)| index).max();
        self.probes.iter().any(|(index, passes)| !passes && Some(index) < last_pass)
    }
}

/// The cheapest supply to probe first, by the number of outcomes that are left.
#[derive(Clone, Debug)]
pub struct Strategy {
    /// For so many outcomes, how many of them are those in which the probe fails.
    failing: Vec<usize>,
}

impl Strategy {
    /// For searches among at most so many supplies.
    #[must_use]
    pub fn new(supplies: usize) -> Self {
        let planned = (supplies + 1).min(PLANNED_MAX);
        let (mut cost, mut failing) = (vec![0.0; planned + 1], vec![0; planned + 1]);
        for outcomes in 2..=planned {
            // All outcomes are as likely.
            let of = |fails: usize| {
                let share = fails as f64 / outcomes as f64;
                share * (1.0 + cost[fails]) + (1.0 - share) * (COST_WITHIN + cost[outcomes - fails])
            };
            let best = (1..outcomes).min_by(|&a, &b| of(a).total_cmp(&of(b))).unwrap_or(1);
            (cost[outcomes], failing[outcomes]) = (of(best), best);
        }
        Self { failing }
    }

    fn failing(&self, outcomes: usize) -> usize {
        let planned = self.failing.len() - 1;
        match self.failing.get(outcomes) {
            Some(&fails) => fails.max(1),
            None => {
                let share = self.failing[planned] as f64 / planned as f64;
                ((outcomes as f64 * share) as usize).clamp(1, outcomes - 1)
            }
        }
    }

    /// Searches among `supplies`, which fall, by probes whether one passes.
    ///
    /// Bisects, since the faults of a chip only grow as its supply falls; then probes the next higher supply too,
    /// since accuracy need not. Where that fails, the search goes on above it.
    ///
    /// # Errors
    /// The first of a probe.
    pub fn search<E>(
        &self,
        supplies: usize,
        mut passes: impl FnMut(usize) -> Result<bool, E>,
    ) -> Result<Found, E> {
        let mut known: Vec<Option<bool>> = vec![None; supplies];
        let mut probe = |index: usize| -> Result<bool, E> {
            if known[index].is_none() {
                known[index] = Some(passes(index)?);
            }
            Ok(known[index] == Some(true))
        };
        // Those before `low` pass, or all higher ones were not probed; `high` fails, or is beyond the last.
        let mut high = supplies;
        let lowest = loop {
            let mut low = 0;
            while low < high {
                // Outcomes: the lowest passing one is none, `low`, ..., `high - 1`.
                let outcomes = high - low + 1;
                // If the probe at `at` fails, outcomes "before low", low..at are left.
                let at = low + self.failing(outcomes) - 1;
                if probe(at)? { low = at + 1 } else { high = at }
            }
            match high.checked_sub(2) {
                Some(above) if !probe(above)? => high = above,
                Some(_) | None => break high.checked_sub(1),
            }
        };
        let probes = known.into_iter().enumerate();
        let probes = probes.filter_map(|(index, passes)| Some((index, passes?))).collect();
        Ok(Found { lowest, probes })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn search(supplies: usize, passes: impl Fn(usize) -> bool) -> Found {
        let found = Strategy::new(supplies).search(supplies, |at| Ok::<_, Infallible>(passes(at)));
        found.expect("no probe fails")
    }

    #[test]
    fn the_lowest_passing_supply_is_found_and_its_neighbours_are_probed() {
        for supplies in [1, 2, 3, 7, 10, 41, 350] {
            for first_failing in 0..=supplies {
                let found = search(supplies, |at| at < first_failing);
                assert_eq!(found.lowest, first_failing.checked_sub(1), "{supplies}");
                assert!(!found.is_out_of_order());
                let probed = |at: usize| found.probes.iter().any(|(index, _)| *index == at);
                assert!(first_failing == supplies || probed(first_failing));
                assert!(first_failing < 1 || probed(first_failing - 1));
                assert!(first_failing < 2 || probed(first_failing - 2));
            }
        }
    }

    #[test]
    fn probes_are_few() {
        let most = (0..=1000).map(|of| search(1000, |at| at < of).probes.len()).max();
        assert!(most.is_some_and(|most| most <= 28), "{most:?}");
    }

    #[test]
    fn all_higher_probed_supplies_pass_whatever_the_order() {
        for mask in 0..1u32 << 10 {
            let found = search(10, |at| mask >> at & 1 == 1);
            let above =
                found.probes.iter().filter(|(at, _)| found.lowest.is_some_and(|of| *at <= of));
            assert!(above.clone().all(|(_, passes)| *passes), "{mask:b}");
            if let Some(lowest) = found.lowest {
                assert!(above.clone().any(|(at, _)| *at == lowest));
                assert!(lowest == 0 || above.clone().any(|(at, _)| *at == lowest - 1));
            }
            assert!(found.lowest.is_some() || found.probes.contains(&(0, false)), "{mask:b}");
        }
    }
}
