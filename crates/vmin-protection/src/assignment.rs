//! Which channel takes which place, so that all together cost least.

use pathfinding::kuhn_munkres::kuhn_munkres_min;
use pathfinding::matrix::Matrix;

/// The place of each channel, where `costs[channel][place]` is what a channel costs there: a permutation of
/// the least sum.
///
/// # Panics
/// If there are not as many places as channels.
pub(crate) fn least_cost(costs: &[Vec<u64>]) -> Vec<usize> {
    if costs.is_empty() {
        return Vec::new();
    }
    let rows = costs.iter().map(|row| row.iter().map(|&cost| i128::from(cost)).collect::<Vec<_>>());
    let costs = Matrix::from_rows(rows).expect("one cost per place");
    assert!(costs.is_square(), "as many places as channels");
    kuhn_munkres_min(&costs).1
}

#[cfg(test)]
mod tests {
    use vmin_testkit::Lcg;

    use super::*;

    /// The least sum of all permutations of the places from `channel` on.
    fn brute_force(costs: &[Vec<u64>], channel: usize, free: &mut Vec<usize>) -> u128 {
        if channel == costs.len() {
            return 0;
        }
        let one = |at| {
            let place = free.swap_remove(at);
            let cost = u128::from(costs[channel][place]) + brute_force(costs, channel + 1, free);
            free.push(place);
            let last = free.len() - 1;
            free.swap(at, last);
            cost
        };
        (0..costs.len() - channel).map(one).min().unwrap()
    }

    #[test]
    fn no_permutation_costs_less() {
        let mut rng = Lcg(5);
        for round in 0..300 {
            let channels = round % 7;
            let most = [3, 1000, usize::from(u16::MAX)][round % 3];
            let scale = [1, u64::MAX >> 16][round % 2];
            let mut row = || (0..channels).map(|_| rng.pick(0..=most) as u64 * scale).collect();
            let costs: Vec<Vec<u64>> = (0..channels).map(|_| row()).collect();
            let places = least_cost(&costs);
            let mut sorted = places.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..channels));
            let sum: u128 = costs.iter().zip(&places).map(|(row, &at)| u128::from(row[at])).sum();
            assert_eq!(sum, brute_force(&costs, 0, &mut (0..channels).collect()));
        }
    }
}
