//! Projections against slow and obvious ones.

use proptest::prelude::*;

use super::Norm;
use crate::random::Stream;

const NORMS: [Norm; 4] = [Norm::Linf, Norm::L2, Norm::L1, Norm::L0];

/// A change of four pixels of two channels, its image, and a radius.
fn cases() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, f64)> {
    let changes = prop::collection::vec(-1.5_f32..1.5, 8);
    let image = prop::collection::vec(prop_oneof![Just(0.0_f32), Just(1.0), 0.0_f32..1.0], 8);
    (changes, image, 0.0_f64..3.5)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum()
}

fn within(norm: Norm, change: &[f32], image: &[f32], epsilon: f64) -> bool {
    let in_box = change.iter().zip(image).all(|(by, x)| (-x..=1.0 - x).contains(by));
    in_box && norm.size(change, 2) <= epsilon * (1.0 + 1e-6)
}

proptest! {
    /// A projection onto a convex set sees no other point of the set before it.
    #[test]
    fn no_point_of_the_ball_is_nearer((change, image, epsilon) in cases(), seed: u64) {
        let mut stream = Stream::new(seed, &[]);
        for norm in NORMS {
            let mut near = change.clone();
            norm.project(&mut near, &image, epsilon, 2);
            prop_assert!(within(norm, &near, &image, epsilon), "{norm:?} {near:?}");
            let best = distance(&change, &near);
            for _ in 0..50 {
                let other = norm.random(&image, epsilon, 2, &mut stream);
                prop_assert!(within(norm, &other, &image, epsilon), "{norm:?} {other:?}");
                prop_assert!(distance(&change, &other) >= best - 1e-6, "{norm:?} {near:?} {other:?}");
                // Points between the two lie in convex balls too, and much nearer.
                if norm == Norm::L0 {
                    continue;
                }
                let between: Vec<f32> =
                    near.iter().zip(&other).map(|(a, b)| a + (b - a) / 64.0).collect();
                prop_assert!(distance(&change, &between) >= best - 1e-6, "{norm:?} {between:?}");
            }
            let mut again = near.clone();
            norm.project(&mut again, &image, epsilon, 2);
            prop_assert!(distance(&again, &near) < 1e-12, "{norm:?}");
        }
    }

    /// The twin sorts: J. Duchi et al., "Efficient Projections onto the l1-Ball", ICML 2008.
    #[test]
    fn magnitudes_shrink_alike_in_the_l1_ball(change in prop::collection::vec(-0.5_f32..0.5, 1..12), epsilon in 0.01_f64..2.0) {
        let mut near = change.clone();
        Norm::L1.project(&mut near, &vec![0.5; change.len()], epsilon, 1);
        let mut sorted: Vec<f64> = change.iter().map(|&by| f64::from(by.abs())).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let less = if sorted.iter().sum::<f64>() <= epsilon { 0.0 } else {
            let mut sum = 0.0;
            let thresholds = sorted.iter().enumerate().map(|(n, by)| {
                sum += by;
                ((sum - epsilon) / (n + 1) as f64, *by)
            });
            thresholds.filter(|(less, by)| by > less).last().expect("the largest").0
        };
        for (near, by) in near.iter().zip(&change) {
            let expected = (f64::from(by.abs()) - less).max(0.0) * f64::from(by.signum());
            prop_assert!((f64::from(*near) - expected).abs() < 1e-6, "{near} {expected}");
        }
    }

    /// The twin tries every set of pixels.
    #[test]
    fn the_best_pixels_stay_in_the_l0_ball((change, image, epsilon) in cases()) {
        let mut near = change.clone();
        Norm::L0.project(&mut near, &image, epsilon, 2);
        let best = (0_u32..16).filter(|set| f64::from(set.count_ones()) <= epsilon).map(|set| {
            let kept = (0..8).map(|value| {
                let by = if set >> (value / 2) & 1 == 1 { change[value] } else { 0.0 };
                by.clamp(-image[value], 1.0 - image[value])
            });
            distance(&change, &kept.collect::<Vec<_>>())
        });
        let best = best.fold(f64::MAX, f64::min);
        prop_assert!((distance(&change, &near) - best).abs() < 1e-6);
    }

    /// Of the directions of size 1, none rises faster; L1 and L0 steps move some values of this one.
    #[test]
    fn directions_have_the_size_of_a_step(gradient in prop::collection::vec(-2.0_f32..2.0, 8), epsilon in 1.0_f64..4.0) {
        for norm in NORMS {
            let mut direction = gradient.clone();
            norm.direction(&mut direction, epsilon, 2);
            let along = |other: &[f32]| -> f64 {
                other.iter().zip(&gradient).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let size = norm.size(&direction, 2);
            match norm {
                Norm::Linf | Norm::L2 | Norm::L1 => prop_assert!((size - 1.0).abs() < 1e-5),
                Norm::L0 => {
                    prop_assert!(size <= epsilon.ceil());
                    prop_assert!((Norm::Linf.size(&direction, 2) - 1.0).abs() < 1e-6);
                }
            }
            let largest = gradient.iter().fold(0.0_f32, |most, by| most.max(by.abs()));
            let steepest = match norm {
                Norm::Linf => Norm::L1.size(&gradient, 2),
                Norm::L2 => Norm::L2.size(&gradient, 2),
                Norm::L1 => f64::from(largest),
                Norm::L0 => continue,
            };
            prop_assert!((along(&direction) - steepest).abs() < 1e-4, "{norm:?}");
        }
    }
}

#[test]
fn sizes_by_hand() {
    let change = [0.5, 0.0, 0.0, 0.0, -0.25, 0.25];
    let sizes = NORMS.map(|norm| norm.size(&change, 2));
    assert_eq!(sizes, [0.5, f64::sqrt(0.375), 1.0, 2.0]);
    assert_eq!(Norm::L0.size(&change, 1), 3.0);
}

#[test]
fn nothing_moves_without_a_gradient_or_a_radius() {
    let mut stream = Stream::new(1, &[]);
    for norm in NORMS {
        let mut direction = vec![0.0; 4];
        norm.direction(&mut direction, 2.0, 2);
        assert_eq!(direction, [0.0; 4]);
        assert_eq!(norm.random(&[0.5; 4], 0.0, 2, &mut stream), [0.0; 4]);
        let mut change = vec![0.25, -0.5, 0.125, 0.0];
        norm.project(&mut change, &[0.5; 4], 0.0, 2);
        assert_eq!(change, [0.0; 4]);
    }
}
