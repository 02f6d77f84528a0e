use super::{Learned, Seen, clip, narrow};
use crate::network::{Gradients, Network};
use crate::random::{Purpose, Stream};
use crate::{ClipScope, LayerSpec, LearnedClip, Sgd};

const BITS: u8 = 3;
const BOUND: f32 = 0.4;

fn network() -> Network {
    Network::build(&[LayerSpec::FullyConnected { features: 12 }], [1, 1, 10], 1).expect("builds")
}

/// Weights beyond the bound at both ends, at one end, or at none.
fn drawn(only_above: bool, size: f32) -> Vec<f32> {
    let mut stream = Stream::new(4, Purpose::Initialization, 1);
    let draw = |_| {
        let w = size * narrow(stream.normal());
        if only_above { w.max(-0.9 * BOUND) } else { w }
    };
    (0..120).map(draw).collect()
}

fn step_of(weights: &[f32], bound: f32) -> f64 {
    let low = weights.iter().fold(0.0_f32, |low, &w| low.min(w)).max(-bound);
    let high = weights.iter().fold(0.0_f32, |high, &w| high.max(w)).min(bound);
    f64::from(high - low) / f64::from((1 << BITS) - 1)
}

/// The bound's derivative is that of the loss whose weights are clamped by the bound and whose roundings and errors
/// are constants in units of the step.
#[test]
fn the_gradient_of_a_bound_is_that_of_the_loss() {
    let network = network();
    for (only_above, size) in [(false, 0.4), (true, 0.4), (false, 0.05)] {
        let weights = drawn(only_above, size);
        let step = step_of(&weights, BOUND);
        let mut stream = Stream::new(8, Purpose::Initialization, 2);
        // What rounding and errors add, in steps.
        let added: Vec<f64> =
            weights.iter().map(|_| stream.unit() - 0.5 + (stream.below(8) as f64)).collect();
        let targets: Vec<f64> = weights.iter().map(|_| stream.normal()).collect();
        let seen = |bound: f32| -> Vec<f64> {
            let step = step_of(&weights, bound);
            let pairs = weights.iter().zip(&added);
            pairs.map(|(&w, added)| f64::from(w.clamp(-bound, bound)) + step * added).collect()
        };
        let loss = |bound: f32| -> f64 {
            seen(bound).iter().zip(&targets).map(|(w, t)| (w - t) * (w - t) / 2.0).sum()
        };
        let at = seen(BOUND);
        let gradients: Gradients<f32> =
            vec![at.iter().zip(&targets).map(|(w, t)| narrow(w - t)).collect(), vec![0.0; 12]];
        let mut masters = vec![weights.clone(), vec![0.0; 12]];
        clip(&[BOUND, f32::INFINITY], &mut masters);
        let parameters = vec![at.iter().map(|&w| narrow(w)).collect(), vec![0.0; 12]];
        let learned = Learned { bounds: vec![BOUND], velocities: vec![0.0] };
        let seen = Seen { parameters: &parameters, steps: &[narrow(step)], bits: BITS };
        let told = f64::from(learned.gradient(&network, &masters, seen, &gradients)[0]);
        let numeric =
            (loss(BOUND + 1e-3) - loss(BOUND - 1e-3)) / f64::from((BOUND + 1e-3) - (BOUND - 1e-3));
        let near = (told - numeric).abs() < 2e-2 * numeric.abs() + 1e-6;
        assert!(near, "{only_above} {size}: {told} {numeric}");
        assert!(size < 0.1 || numeric.abs() > 0.5, "the bound is felt: {numeric}");
        // Without codes only the weights at the bound follow.
        let seen = Seen { parameters: &masters, steps: &[], bits: BITS };
        let told = learned.gradient(&network, &masters, seen, &gradients)[0];
        let pinned: f32 = masters[0]
            .iter()
            .zip(&gradients[0])
            .filter(|(w, _)| w.abs() >= BOUND)
            .map(|(w, g)| w.signum() * g)
            .sum();
        assert!((told - pinned).abs() < 1e-4, "{told} {pinned}");
    }
}

#[test]
fn bounds_move_by_hand_and_stay_positive() {
    let network = network();
    let sgd = Sgd { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.5 };
    let mut learned = Learned { bounds: vec![0.5], velocities: vec![0.0] };
    learned.step(&network, &sgd, LearnedClip { decay: 0.2 }, 0.1, &[1.0]);
    // 0.1 * (1 / sqrt(120) + 0.2 * 0.5)
    let expected = 0.5 - 0.1 * (1.0 / 120.0_f32.sqrt() + 0.1);
    assert!((learned.bounds[0] - expected).abs() < 1e-6, "{:?}", learned.bounds);
    learned.step(&network, &sgd, LearnedClip { decay: 0.0 }, 0.1, &[1e6]);
    assert!((learned.bounds[0] - expected / 2.0).abs() < 1e-6, "at most halved");
    assert_eq!(learned.of_parameters(&network, ClipScope::Weights)[1], f32::INFINITY);
    assert_eq!(learned.of_parameters(&network, ClipScope::All), [learned.bounds[0]; 2]);
}
