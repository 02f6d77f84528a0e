//! The search for the levels of several memories that need the least energy and still pass.
//!
//! Level 0 of a memory is its highest supply; a combination has one level for each memory. Lowering a memory only adds
//! errors, so that a combination below one that fails is taken to fail too.

use std::collections::BTreeMap;

/// What is found about a combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Passes,
    /// It fails, and so do all below it.
    Fails,
    /// It cannot be asked for, which tells nothing about others.
    Impossible,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The combination of least energy that passed; none if none did.
    pub best: Option<Vec<usize>>,
    /// That of least energy among those with the same level in all memories (the last one where a memory has fewer).
    pub alike: Option<Vec<usize>>,
    /// That of the descent, before all other combinations were tested.
    pub greedy: Option<Vec<usize>>,
    /// Every combination that was tested, in that order.
    pub tested: Vec<(Vec<usize>, Verdict)>,
}

/// Combinations of memories with so many levels.
#[must_use]
pub fn combinations(levels: &[usize]) -> u64 {
    levels.iter().fold(1, |product: u64, &levels| product.saturating_mul(levels as u64))
}

/// Tests of a search that can pass or fail, at most.
#[must_use]
pub fn tests_max(levels: &[usize], all: bool) -> u64 {
    let total = combinations(levels);
    if all {
        return total;
    }
    let halvings = |path: usize| u64::from(path.next_power_of_two().trailing_zeros());
    let deepest = levels.iter().copied().max().unwrap_or(1);
    let steps: usize = levels.iter().map(|&levels| levels - 1).sum();
    let of_descents = 2 * levels.len() as u64 * halvings(steps + 1);
    (1 + halvings(deepest) + of_descents).min(total)
}

/// Searches the combination of least energy that `passes`, among memories with so many `levels`.
///
/// A descent lowers, level by level, the memory that saves most; one whose lowering fails stays as it is from then on. Its
/// path is bisected, not walked. One descent starts with all memories at level 0, another at the lowest passing
/// combination with the same level in all memories. With `all`, the other combinations of less energy are tested too, by
/// rising energy.
///
/// # Errors
/// The first of a test.
pub fn assign<E>(
    levels: &[usize],
    energy: impl Fn(&[usize]) -> f64,
    all: bool,
    passes: impl FnMut(&[usize]) -> Result<Verdict, E>,
) -> Result<Found, E> {
    let mut search = Search { levels, energy, passes, known: BTreeMap::new(), tested: Vec::new() };
    let deepest = levels.iter().copied().max().unwrap_or(1);
    let alike = |level: usize| levels.iter().map(|&of| level.min(of - 1)).collect::<Vec<_>>();
    let mut diagonal: Vec<Vec<usize>> = (0..deepest).map(alike).collect();
    // Where level 0 cannot be asked for, the next one is the start.
    while let Some(start) = diagonal.first() {
        match search.test(start)? {
            Verdict::Passes => break,
            Verdict::Fails => diagonal.clear(),
            Verdict::Impossible => drop(diagonal.remove(0)),
        }
    }
    if let Some(start) = diagonal.first().cloned() {
        let lowest = search.last_passing(&diagonal)?;
        search.descend(start)?;
        search.descend(diagonal[lowest].clone())?;
    }
    let greedy = search.least(|_| true);
    let alike = search.least(|combination| (0..deepest).any(|level| alike(level) == combination));
    if all {
        search.rest(greedy.as_deref())?;
    }
    Ok(Found { best: search.least(|_| true), alike, greedy, tested: search.tested })
}

struct Search<'l, F, P> {
    levels: &'l [usize],
    energy: F,
    passes: P,
    known: BTreeMap<Vec<usize>, Verdict>,
    tested: Vec<(Vec<usize>, Verdict)>,
}

impl<E, F, P> Search<'_, F, P>
where
    F: Fn(&[usize]) -> f64,
    P: FnMut(&[usize]) -> Result<Verdict, E>,
{
    fn test(&mut self, combination: &[usize]) -> Result<Verdict, E> {
        if let Some(known) = self.known.get(combination) {
            return Ok(*known);
        }
        let below = |other: &[usize]| combination.iter().zip(other).all(|(of, other)| of >= other);
        let fails = self.known.iter().any(|(of, known)| *known == Verdict::Fails && below(of));
        if fails {
            return Ok(Verdict::Fails);
        }
        let found = (self.passes)(combination)?;
        self.known.insert(combination.to_vec(), found);
        self.tested.push((combination.to_vec(), found));
        Ok(found)
    }

    /// The last place of a falling path up to which it passes; its first combination does.
    fn last_passing(&mut self, path: &[Vec<usize>]) -> Result<usize, E> {
        let (mut low, mut high) = (0, path.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.test(&path[middle])? {
                Verdict::Passes => low = middle,
                Verdict::Fails | Verdict::Impossible => high = middle,
            }
        }
        Ok(low)
    }

    /// Lowers memories one after the other from a combination that passes.
    fn descend(&mut self, start: Vec<usize>) -> Result<(), E> {
        let mut frozen = vec![false; self.levels.len()];
        let mut at = start;
        loop {
            let mut path = vec![at];
            let mut lowered = Vec::new();
            while let Some((memory, next)) = self.cheapest(&path[path.len() - 1], &frozen) {
                lowered.push(memory);
                path.push(next);
            }
            let last = self.last_passing(&path)?;
            let Some(&memory) = lowered.get(last) else { return Ok(()) };
            frozen[memory] = true;
            at = path.swap_remove(last);
        }
    }

    /// The lowering of one memory by a level that saves most, with the number of that memory; none where none saves.
    fn cheapest(&self, from: &[usize], frozen: &[bool]) -> Option<(usize, Vec<usize>)> {
        let all = (0..from.len()).filter(|&memory| !frozen[memory]);
        let all = all.filter(|&memory| from[memory] + 1 < self.levels[memory]).map(|memory| {
            let mut next = from.to_vec();
            next[memory] += 1;
            ((self.energy)(&next), memory, next)
        });
        let (energy, memory, next) = all.min_by(|a, b| a.0.total_cmp(&b.0))?;
        (energy < (self.energy)(from)).then_some((memory, next))
    }

    /// The combination of least energy that passed and is `wanted`; of equal ones the first.
    fn least(&self, wanted: impl Fn(&[usize]) -> bool) -> Option<Vec<usize>> {
        let passed =
            self.known.iter().filter(|(of, known)| **known == Verdict::Passes && wanted(of));
        let least = passed.min_by(|(a, _), (b, _)| (self.energy)(a).total_cmp(&(self.energy)(b)));
        least.map(|(combination, _)| combination.clone())
    }

    /// Tests all combinations of less energy than that of `best`, by rising energy, until one passes.
    fn rest(&mut self, best: Option<&[usize]>) -> Result<(), E> {
        let most = best.map_or(f64::INFINITY, &self.energy);
        let mut all = vec![Vec::new()];
        for &levels in self.levels {
            let longer =
                |of: Vec<usize>| (0..levels).map(move |level| [&of[..], &[level]].concat());
            all = all.into_iter().flat_map(longer).collect();
        }
        let mut all: Vec<(f64, Vec<usize>)> = all
            .into_iter()
            .map(|of| ((self.energy)(&of), of))
            .filter(|(of, _)| *of < most)
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, combination) in all {
            if self.test(&combination)? == Verdict::Passes {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A memory's energy by level, falling.
    fn energies() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let of_memory = prop::collection::vec(0.01..1.0f64, 1..7).prop_map(|steps| {
            let sum = |sum: &mut f64, step: f64| {
                *sum -= step;
                Some(*sum)
            };
            std::iter::once(0.0).chain(steps.into_iter().scan(0.0, sum)).collect()
        });
        prop::collection::vec(of_memory, 1..4)
    }

    fn below(of: &[usize], other: &[usize]) -> bool {
        of.iter().zip(other).all(|(of, other)| of >= other)
    }

    proptest! {
        #[test]
        fn what_is_found_passes_and_all_combinations_tell_the_least_energy(
            energies in energies(),
            failing in prop::collection::vec(prop::collection::vec(0usize..8, 3), 0..5),
            impossible in prop::option::of(prop::collection::vec(0usize..8, 3)),
        ) {
            let levels: Vec<usize> = energies.iter().map(Vec::len).collect();
            let energy = |of: &[usize]| -> f64 {
                of.iter().zip(&energies).map(|(&level, of)| of[level]).sum()
            };
            let verdict = |of: &[usize]| {
                if impossible.as_ref().is_some_and(|other| other[..of.len()] == *of) {
                    Verdict::Impossible
                } else if failing.iter().any(|other| below(of, &other[..of.len()])) {
                    Verdict::Fails
                } else {
                    Verdict::Passes
                }
            };
            let passes = |of: &[usize]| verdict(of) == Verdict::Passes;
            let mut brute: Option<f64> = None;
            let mut start = vec![0; levels.len()];
            loop {
                if passes(&start) {
                    brute = Some(brute.map_or(energy(&start), |least| least.min(energy(&start))));
                }
                let Some(place) = (0..levels.len()).find(|&at| start[at] + 1 < levels[at]) else { break };
                start[..place].fill(0);
                start[place] += 1;
            }
            let nominal = verdict(&vec![0; levels.len()]);
            for all in [false, true] {
                let found = assign(&levels, energy, all, |of| Ok::<_, Infallible>(verdict(of)));
                let Ok(found) = found;
                let tests = found.tested.iter().filter(|(_, of)| *of != Verdict::Impossible).count();
                prop_assert!(tests as u64 <= tests_max(&levels, all), "{tests}");
                for some in [&found.best, &found.greedy, &found.alike].into_iter().flatten() {
                    prop_assert!(passes(some));
                }
                let of = |some: &Option<Vec<usize>>| some.as_ref().map(|some| energy(some));
                if let Some(alike) = of(&found.alike) {
                    prop_assert!(of(&found.greedy).is_some_and(|greedy| greedy <= alike));
                }
                prop_assert_eq!(found.greedy.is_some() || nominal == Verdict::Impossible, nominal != Verdict::Fails);
                match all {
                    true => prop_assert_eq!(of(&found.best), brute),
                    false => prop_assert_eq!(&found.best, &found.greedy),
                }
                if impossible.is_none() {
                    // No single memory can be lowered any further.
                    for memory in 0..levels.len() {
                        let Some(mut next) = found.best.clone() else { break };
                        next[memory] += 1;
                        prop_assert!(next[memory] == levels[memory] || !passes(&next));
                    }
                }
            }
        }
    }

    #[test]
    fn the_path_of_a_walk_level_by_level_is_kept_with_few_tests() {
        // Each level of the first memory saves more than any of the second, but the sum is limited.
        let energy = |of: &[usize]| -(3.0 * of[0] as f64 + of[1] as f64 + 2.0 * of[2] as f64);
        let passes = |of: &[usize]| match of.iter().sum::<usize>() {
            0..=20 => Verdict::Passes,
            _ => Verdict::Fails,
        };
        let Ok(found) = assign(&[17; 3], energy, false, |of| Ok::<_, Infallible>(passes(of)));
        assert_eq!(found.best, Some(vec![16, 0, 4]));
        assert!(found.tested.len() < 30, "{}", found.tested.len());
        assert_eq!(found.alike, Some(vec![6; 3]));
    }

    #[test]
    fn a_descent_may_miss_what_all_combinations_find() {
        // Lowering the first memory at all costs every level of the second.
        let energy = |of: &[usize]| -(2.0 * of[0] as f64 + 1.5 * of[1] as f64);
        let passes = |of: &[usize]| {
            let within = of[0] == 0 || of[0] == 1 && of[1] == 0;
            if within { Verdict::Passes } else { Verdict::Fails }
        };
        let Ok(found) = assign(&[3, 5], energy, true, |of| Ok::<_, Infallible>(passes(of)));
        assert_eq!((found.greedy, found.best), (Some(vec![1, 0]), Some(vec![0, 4])));
    }
}
