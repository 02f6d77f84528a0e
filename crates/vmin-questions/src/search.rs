//! The search for the lowest supply at which a chip keeps its budget.

/// What a search found among supplies that fall from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Index of the lowest passing supply: it passes, and all higher ones that were probed; none if the highest
    /// fails.
    pub(crate) lowest: Option<usize>,
    /// Every supply that was probed with what came out, by index.
    pub(crate) probes: Vec<(usize, bool)>,
}

impl Found {
    /// Whether a supply failed that is higher than one that passed.
    #[must_use]
    pub(crate) fn is_out_of_order(&self) -> bool {
        let passing = self.probes.iter().filter(|(_, passes)| *passes);
        let last = passing.map(|(index, _)| *index).max();
        self.probes.iter().any(|(index, passes)| !passes && Some(*index) < last)
    }
}

/// The share of a chip's error probability that its probe number `probe`, from 0, may use. All shares together are at
/// most 1; the probes of a chip whose accuracy falls with the supply have nearly all of it.
#[must_use]
pub(crate) fn share(supplies: usize, probe: usize) -> f64 {
    // A bisection and the check of the next higher supply.
    let usual = (supplies + 1).next_power_of_two().trailing_zeros() as usize + 1;
    match supplies.checked_sub(usual).filter(|more| *more > 0) {
        None => 1.0 / supplies.max(1) as f64,
        Some(_) if probe < usual => 0.9 / usual as f64,
        Some(more) => 0.1 / more as f64,
    }
}

/// Searches among `supplies`, which fall, by probes whether one passes.
///
/// Bisects, since the faults of a chip only grow as its supply falls; where a supply to `start` from is given, the
/// search first goes from there in steps that double. It then probes the next higher supply too, since accuracy need not
/// fall with the supply. Where that fails, the search goes on above it.
///
/// # Errors
/// The first of a probe.
pub(crate) fn search<E>(
    supplies: usize,
    start: Option<usize>,
    mut passes: impl FnMut(usize) -> Result<bool, E>,
) -> Result<Found, E> {
    let mut known: Vec<Option<bool>> = vec![None; supplies];
    let mut probe = |index: usize| -> Result<bool, E> {
        if known[index].is_none() {
            known[index] = Some(passes(index)?);
        }
        Ok(known[index] == Some(true))
    };
    // The supply before `low` passes, or there is none; that at `high` fails, or there is none.
    let (mut low, mut high) = (0, supplies);
    if let Some(start) = start.filter(|&start| start < supplies) {
        let mut step = 1;
        if probe(start)? {
            low = start + 1;
            while low < supplies {
                let at = (low + step - 1).min(supplies - 1);
                if !probe(at)? {
                    high = at;
                    break;
                }
                (low, step) = (at + 1, step * 2);
            }
        } else {
            high = start;
            while high > 0 {
                let at = high.saturating_sub(step);
                if probe(at)? {
                    low = at + 1;
                    break;
                }
                (high, step) = (at, step * 2);
            }
        }
    }
    let lowest = loop {
        while low < high {
            let at = low + (high - low) / 2;
            if probe(at)? { low = at + 1 } else { high = at }
        }
        match high.checked_sub(2) {
            Some(above) if !probe(above)? => (low, high) = (0, above),
            Some(_) | None => break high.checked_sub(1),
        }
    };
    let probes = known.into_iter().enumerate();
    let probes = probes.filter_map(|(index, passes)| Some((index, passes?))).collect();
    Ok(Found { lowest, probes })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn found(supplies: usize, start: Option<usize>, passes: impl Fn(usize) -> bool) -> Found {
        let found = search(supplies, start, |at| Ok::<_, Infallible>(passes(at)));
        found.expect("no probe fails")
    }

    #[test]
    fn the_lowest_passing_supply_is_found_and_its_neighbours_are_probed() {
        for supplies in [1, 2, 3, 7, 10, 41, 350] {
            for first_failing in 0..=supplies {
                for start in [None, Some(0), Some(supplies / 2), Some(supplies - 1), Some(supplies)]
                {
                    let found = found(supplies, start, |at| at < first_failing);
                    assert_eq!(found.lowest, first_failing.checked_sub(1), "{supplies}");
                    assert!(!found.is_out_of_order());
                    let probed = |at: usize| found.probes.iter().any(|(index, _)| *index == at);
                    assert!(first_failing == supplies || probed(first_failing));
                    assert!(first_failing < 1 || probed(first_failing - 1));
                    assert!(first_failing < 2 || probed(first_failing - 2));
                }
            }
        }
    }

    #[test]
    fn probes_are_few() {
        let most = |start: Option<usize>| {
            (0..=1000).map(|of| found(1000, start, |at| at < of).probes.len()).max()
        };
        assert_eq!(most(None), Some(11));
        assert!(most(Some(500)).is_some_and(|most| most <= 20), "{:?}", most(Some(500)));
        for beside in [499, 500, 501, 502] {
            assert!(found(1000, Some(500), |at| at < beside).probes.len() <= 4);
        }
    }

    #[test]
    fn shares_of_all_probes_add_up_to_one() {
        for supplies in [1, 2, 3, 5, 10, 300] {
            let sum: f64 = (0..supplies).map(|probe| share(supplies, probe)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{supplies}: {sum}");
        }
    }

    #[test]
    fn all_higher_probed_supplies_pass_whatever_the_order() {
        for mask in 0..1u32 << 10 {
            for start in [None, Some(4)] {
                let found = found(10, start, |at| mask >> at & 1 == 1);
                let is_above = |at: usize| found.lowest.is_some_and(|lowest| at <= lowest);
                let above: Vec<_> = found.probes.iter().filter(|(at, _)| is_above(*at)).collect();
                assert!(above.iter().all(|(_, passes)| *passes), "{mask:b}");
                if let Some(lowest) = found.lowest {
                    assert!(above.iter().any(|(at, _)| *at == lowest));
                    assert!(lowest == 0 || above.iter().any(|(at, _)| *at == lowest - 1));
                }
                assert!(found.lowest.is_some() || found.probes.contains(&(0, false)), "{mask:b}");
            }
        }
    }
}
