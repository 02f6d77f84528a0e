//! Softmax and cross-entropy.

use crate::real::Real;

/// Cross-entropy of some images.
pub struct Loss<T> {
    /// Sum of `-ln softmax(logits)[label]` over the images in their order, in f64 so that it does not
    /// depend on its own size.
    pub sum: f64,
    /// Images whose largest logit is not their label (the first of equals counts).
    pub wrong: usize,
    /// Derivative of the sum by each logit, times the factor of the loss.
    pub dlogits: Vec<T>,
}

/// Loss, errors and gradient for `labels.len()` images with `classes` logits each.
pub(crate) fn cross_entropy<T: Real>(
    logits: &[T],
    labels: &[u8],
    classes: usize,
    scale: T,
) -> Loss<T> {
    let mut loss = Loss { sum: 0.0, wrong: 0, dlogits: Vec::with_capacity(logits.len()) };
    for (logits, &label) in logits.chunks_exact(classes).zip(labels) {
        let label = usize::from(label);
        let most = logits[argmax(logits)];
        loss.wrong += usize::from(argmax(logits) != label);
        let powers: Vec<T> = logits.iter().map(|&logit| (logit - most).portable_exp()).collect();
        let total = powers.iter().fold(T::zero(), |sum, &power| sum + power);
        loss.sum += (total.portable_ln() - (logits[label] - most)).wide();
        loss.dlogits.extend(powers.iter().enumerate().map(|(class, &power)| {
            let target = if class == label { T::one() } else { T::zero() };
            (power / total - target) * scale
        }));
    }
    loss
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
