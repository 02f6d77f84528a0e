//! Sharpness-aware steps (SAM): the gradient at the worst nearby weights in place of that at the weights.
//!
//! `ascent = rho g / |g|`, with the Euclidean norm over all parameters together; the step follows the gradient
//! at `weights + ascent`. P. Foret, A. Kleiner, H. Mobahi, B. Neyshabur, "Sharpness-Aware Minimization for
//! Efficiently Improving Generalization", ICLR 2021, equation 2. The ascent starts at the weights of the forward
//! pass, quantized and with their bit errors, and is not quantized itself.

use crate::network::{Gradients, Network, Parameter, ParameterKind};

/// The ascent along `gradients`; none where they are all 0 or not finite.
pub(super) fn ascent(gradients: &Gradients<f32>, rho: f32) -> Gradients<f32> {
    let squares = gradients.iter().flatten().map(|&g| f64::from(g) * f64::from(g));
    let norm = libm::sqrt(squares.sum());
    let factor = f64::from(rho) / norm;
    let factor = if factor.is_finite() { factor } else { 0.0 };
    let scaled = |&g: &f32| narrow(factor * f64::from(g));
    gradients.iter().map(|values| values.iter().map(scaled).collect()).collect()
}

/// The ascent of each weight tensor by `gamma` times its own length, along the gradient of the tensor; biases, scales
/// and shifts stay (adversarial weight perturbation, one step).
///
/// D. Wu, S.-T. Xia, Y. Wang, "Adversarial Weight Perturbation Helps Robust Generalization", NeurIPS 2020.
pub(super) fn relative_ascent(
    (network, parameters): (&Network, &[Vec<f32>]),
    gradients: &Gradients<f32>,
    gamma: f64,
) -> Gradients<f32> {
    let length = |values: &[f32]| {
        let squares = values.iter().map(|&value| f64::from(value) * f64::from(value));
        libm::sqrt(squares.sum())
    };
    let tensors = network.parameters.iter().zip(parameters).zip(gradients);
    let of = |((parameter, values), gradient): ((&Parameter, &Vec<f32>), &Vec<f32>)| {
        let factor = match parameter.kind {
            ParameterKind::Weight => gamma * length(values) / length(gradient),
            ParameterKind::Bias | ParameterKind::Scale => 0.0,
        };
        let factor = if factor.is_finite() { factor } else { 0.0 };
        gradient.iter().map(|&g| narrow(factor * f64::from(g))).collect()
    };
    tensors.map(of).collect()
}

/// Parameters moved by an ascent.
pub(super) fn ascended(
    mut parameters: Vec<Vec<f32>>,
    by: Option<&Gradients<f32>>,
) -> Vec<Vec<f32>> {
    for (values, by) in parameters.iter_mut().zip(by.into_iter().flatten()) {
        values.iter_mut().zip(by).for_each(|(value, by)| *value += by);
    }
    parameters
}

#[expect(clippy::cast_possible_truncation, reason = "rounds")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::{ascended, ascent, relative_ascent};
    use crate::{LayerSpec, Network};

    #[test]
    fn each_weight_tensor_ascends_by_its_own_length() {
        let layers = [
            LayerSpec::Conv2d { channels: 2, kernel: 3, stride: 1, bias: true },
            LayerSpec::FullyConnected { features: 3 },
        ];
        let network = Network::build(&layers, [4, 4, 1], 1).expect("builds");
        let parameters = network.parameter_values();
        let gradients: Vec<Vec<f32>> = parameters
            .iter()
            .map(|values| (0..values.len()).map(|i| (i as f32 - 2.0) * 1e-3).collect())
            .collect();
        let by = relative_ascent((&network, &parameters), &gradients, 0.25);
        let length = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>().sqrt();
        for (index, parameter) in network.parameters.iter().enumerate() {
            let expected = if crate::weights::is_weight(parameter) { 0.25 } else { 0.0 };
            let told = length(&by[index]);
            assert!((told - expected * length(&parameters[index])).abs() < 1e-5, "{index}");
            let along = by[index].iter().zip(&gradients[index]).all(|(by, g)| by * g >= 0.0);
            assert!(along, "{index}");
        }
        let none = gradients.iter().map(|values| vec![0.0; values.len()]).collect();
        let by = relative_ascent((&network, &parameters), &none, 0.25);
        assert!(by.iter().flatten().all(|&by| by == 0.0));
    }

    /// `3 x^2 + y^2 / 2 + x y`, whose ascent and gradient there follow by hand.
    fn gradient(x: f32, y: f32) -> Vec<Vec<f32>> {
        vec![vec![6.0 * x + y], vec![y + x]]
    }

    #[test]
    fn the_gradient_of_a_quadratic_is_taken_where_the_ascent_ends() {
        let at = vec![vec![0.5], vec![1.0]];
        // g = (4, 1.5), |g| = sqrt(18.25).
        let by = ascent(&gradient(0.5, 1.0), 0.1);
        let norm = 18.25_f32.sqrt();
        assert!((by[0][0] - 0.4 / norm).abs() < 1e-7 && (by[1][0] - 0.15 / norm).abs() < 1e-7);
        let there = ascended(at, Some(&by));
        let there = gradient(there[0][0], there[1][0]);
        let expected = [4.0 + 6.0 * 0.4 / norm + 0.15 / norm, 1.5 + 0.55 / norm];
        assert!((there[0][0] - expected[0]).abs() < 1e-6, "{there:?} {expected:?}");
        assert!((there[1][0] - expected[1]).abs() < 1e-6, "{there:?} {expected:?}");
    }

    #[test]
    fn no_point_of_the_sphere_is_worse_to_first_order() {
        // L(w + e) on the sphere |e| = rho of a quadratic: the ascent is the worst up to rho^2 times the curvature.
        let loss = |x: f64, y: f64| 3.0 * x * x + y * y / 2.0 + x * y;
        let by = ascent(&gradient(0.5, 1.0), 0.01);
        let found = loss(0.5 + f64::from(by[0][0]), 1.0 + f64::from(by[1][0]));
        let worst = (0..3600).map(|i| f64::from(i) * std::f64::consts::PI / 1800.0);
        let worst = worst.map(|a| loss(0.5 + 0.01 * libm::cos(a), 1.0 + 0.01 * libm::sin(a)));
        let worst = worst.fold(f64::MIN, f64::max);
        assert!(worst - found < 3.5 * 1e-4 && found > loss(0.5, 1.0) + 0.04, "{found} {worst}");
    }

    #[test]
    fn nothing_ascends_without_a_gradient() {
        for g in [0.0, f32::NAN, f32::INFINITY] {
            let by = ascent(&vec![vec![g, 0.0]], 0.1);
            assert!(by[0][1] == 0.0, "{by:?}");
        }
        assert_eq!(ascent(&vec![vec![0.0, 0.0]], 0.1), [vec![0.0, 0.0]]);
    }
}
