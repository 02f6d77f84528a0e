//! The Pareto front: points that no other point dominates.

use std::cmp::Ordering;

/// Indices, in rising order, of the points that are on the Pareto front: no other point is at most as
/// large in every objective and smaller in one. Points that are equal in all objectives are on it
/// together or not at all.
///
/// `points` holds one slice of objectives per point, all of one length and without NaN.
///
/// Sorted by objectives, a point can only be dominated by an earlier one, and a dominated point is
/// dominated by a member of the front found so far: `n log n` for the sort, then `n` times the length of
/// the front.
#[must_use]
pub fn front<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let order = |a: &usize, b: &usize| -> Ordering {
        let (a, b) = (points[*a].as_ref(), points[*b].as_ref());
        a.iter()
            .zip(b)
            .map(|(a, b)| a.total_cmp(b))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    let mut sorted: Vec<usize> = (0..points.len()).collect();
    sorted.sort_by(order);
    let mut front: Vec<usize> = Vec::new();
    for index in sorted {
        let point = points[index].as_ref();
        // The latest members are the closest, and the likeliest to dominate.
        if !front.iter().rev().any(|&member| beats(points[member].as_ref(), point)) {
            front.push(index);
        }
    }
    front.sort_unstable();
    front
}

/// At most as large everywhere, smaller somewhere.
fn beats(a: &[f64], b: &[f64]) -> bool {
    let mut smaller = false;
    for (a, b) in a.iter().zip(b) {
        if a > b {
            return false;
        }
        smaller |= a < b;
    }
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every point against every other.
    fn slow(points: &[Vec<f64>]) -> Vec<usize> {
        (0..points.len())
            .filter(|&index| !points.iter().any(|other| beats(other, &points[index])))
            .collect()
    }

    #[test]
    fn corners_stay_and_what_is_beaten_goes() {
        let points = [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [2.0, 3.0], [2.0, 2.0], [3.0, 3.0]];
        assert_eq!(front(&points), [0, 1, 2, 4]);
        assert_eq!(front::<[f64; 2]>(&[]), Vec::<usize>::new());
        assert_eq!(front(&[[f64::INFINITY, 1.0], [2.0, 1.0]]), [1]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_one(
            points in (1_usize..5).prop_flat_map(|width| {
                // Few values, so that ties and equal points are common.
                prop::collection::vec(prop::collection::vec((0_u8..6).prop_map(f64::from), width), 0..60)
            })
        ) {
            prop_assert_eq!(front(&points), slow(&points));
        }
    }
}
