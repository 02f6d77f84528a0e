//! Softmax and cross-entropy.

use std::ops::Range;

use crate::real::Real;

/// What a pass takes as the loss of its logits.
#[derive(Clone, Copy, Debug, Default)]
pub enum Goal<'a, T> {
    /// The cross-entropy of the label.
    #[default]
    Label,
    /// The cross-entropy of a soft target: this share of each image belongs to its label, the rest to all classes
    /// alike.
    Shares(&'a [T]),
    /// The logarithm of the confidence of the most confident class but the label, which attacks raise.
    OtherClass,
}

impl<T> Goal<'_, T> {
    /// The same for some of the images.
    pub(crate) fn part(&self, images: Range<usize>) -> Goal<'_, T> {
        match self {
            Self::Label => Goal::Label,
            Self::Shares(shares) => Goal::Shares(&shares[images]),
            Self::OtherClass => Goal::OtherClass,
        }
    }
}

/// Loss of some images.
pub struct Loss<T> {
    /// Sum over the images in their order, in f64 so that it does not depend on its own size.
    pub sum: f64,
    /// Images whose largest logit is not their label (the first of equals counts).
    pub wrong: usize,
    /// Derivative of the sum by each logit, times the factor of the loss.
    pub dlogits: Vec<T>,
}

/// Cross-entropy of the labels, errors and gradient for `labels.len()` images with `classes` logits each.
pub(crate) fn cross_entropy<T: Real>(
    logits: &[T],
    labels: &[u8],
    classes: usize,
    scale: T,
) -> Loss<T> {
    loss(Goal::Label, logits, labels, classes, scale)
}

/// Loss, errors and gradient for `labels.len()` images with `classes` logits each.
pub(crate) fn loss<T: Real>(
    goal: Goal<'_, T>,
    logits: &[T],
    labels: &[u8],
    classes: usize,
    scale: T,
) -> Loss<T> {
    let mut loss = Loss { sum: 0.0, wrong: 0, dlogits: Vec::with_capacity(logits.len()) };
    for (image, (logits, &label)) in logits.chunks_exact(classes).zip(labels).enumerate() {
        let label = usize::from(label);
        let most = logits[argmax(logits)];
        loss.wrong += usize::from(argmax(logits) != label);
        let powers: Vec<T> = logits.iter().map(|&logit| (logit - most).portable_exp()).collect();
        let total = powers.iter().fold(T::zero(), |sum, &power| sum + power);
        let of = |class: usize| total.portable_ln() - (logits[class] - most);
        let mut derive = |target: &dyn Fn(usize) -> T, scale: T| {
            let derivatives = powers.iter().enumerate();
            let derivatives = derivatives.map(|(k, &power)| (power / total - target(k)) * scale);
            loss.dlogits.extend(derivatives);
        };
        let only =
            |wanted: usize| move |class: usize| if class == wanted { T::one() } else { T::zero() };
        match goal {
            Goal::Label => {
                loss.sum += of(label).wide();
                derive(&only(label), scale);
            }
            Goal::Shares(shares) => {
                let share = shares[image];
                let rest = (T::one() - share) / T::of(classes as f64);
                let others = (0..classes).fold(0.0, |sum, class| sum + of(class).wide());
                loss.sum += share.wide() * of(label).wide() + rest.wide() * others;
                let label = only(label);
                derive(&|class| share * label(class) + rest, scale);
            }
            Goal::OtherClass => {
                let other = other_class(logits, label);
                loss.sum -= of(other).wide();
                derive(&only(other), -scale);
            }
        }
    }
    loss
}

/// The class of the largest logit but the label's, the first of equals; the label if it is the only class.
pub(crate) fn other_class<T: PartialOrd>(logits: &[T], label: usize) -> usize {
    let others = (0..logits.len()).filter(|&class| class != label);
    others
        .reduce(|best, other| if logits[other] > logits[best] { other } else { best })
        .unwrap_or(label)
}

/// Index of the largest element, the first of equals.
pub(crate) fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Goal, Loss, cross_entropy, loss};

    const LOGITS: [f64; 6] = [0.2, -1.0, 0.7, 3.0, 2.5, -4.0];
    const LABELS: [u8; 2] = [0, 1];

    fn of(goal: Goal<'_, f64>) -> Loss<f64> {
        loss(goal, &LOGITS, &LABELS, 3, 0.5)
    }

    #[test]
    fn a_whole_share_is_the_label_and_none_is_uniform() {
        let whole = of(Goal::Shares(&[1.0, 1.0]));
        let label = cross_entropy(&LOGITS, &LABELS, 3, 0.5);
        assert!((whole.sum - label.sum).abs() < 1e-12 && whole.wrong == label.wrong);
        assert_eq!(whole.dlogits, label.dlogits);
        // Uniform: the mean cross-entropy of all labels.
        let uniform = of(Goal::Shares(&[0.0, 0.0]));
        let all = (0..3).map(|label| cross_entropy(&LOGITS, &[label, label], 3, 0.5).sum / 3.0);
        assert!((uniform.sum - all.sum::<f64>()).abs() < 1e-12);
        let other = of(Goal::OtherClass);
        let (first, second) = (LOGITS.split_at(3).0, LOGITS.split_at(3).1);
        let logs = cross_entropy(first, &[2], 3, 1.0).sum + cross_entropy(second, &[0], 3, 1.0).sum;
        assert!((other.sum + logs).abs() < 1e-12);
    }

    /// Derivatives of the whole network are checked in `network/gradient_tests.rs`.
    #[test]
    fn derivatives_by_logits_are_differences() {
        for goal in [Goal::Label, Goal::Shares(&[0.3, 0.9]), Goal::OtherClass] {
            let told = of(goal).dlogits;
            for (logit, told) in told.into_iter().enumerate() {
                let at = |by: f64| {
                    let mut logits = LOGITS;
                    logits[logit] += by;
                    loss(goal, &logits, &LABELS, 3, 1.0).sum
                };
                let seen = 0.5 * (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((told - seen).abs() < 1e-9, "{goal:?} {logit}: {told} {seen}");
            }
        }
    }
}
