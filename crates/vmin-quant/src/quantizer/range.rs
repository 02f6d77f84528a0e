//! The range of real numbers that the codes of a tensor cover.

use super::QuantizeError;

/// A closed interval of finite real numbers. It is stored beside the codes and has no bit errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    min: f32,
    max: f32,
}

impl Range {
    /// `[min, max]`, which may be a single point.
    ///
    /// # Errors
    /// If an end is not finite, or `min > max`.
    pub fn new(min: f32, max: f32) -> Result<Self, QuantizeError> {
        if min.is_finite() && max.is_finite() && min <= max {
            Ok(Self { min, max })
        } else {
            Err(QuantizeError::Range { min, max })
        }
    }

    /// `[-max, max]`.
    ///
    /// # Errors
    /// If `max` is negative or not finite.
    pub fn symmetric(max: f32) -> Result<Self, QuantizeError> {
        Self::new(-max, max)
    }

    /// From the smallest to the largest of `weights`.
    ///
    /// # Errors
    /// If `weights` is empty or holds a NaN or an infinity.
    pub fn of(weights: &[f32]) -> Result<Self, QuantizeError> {
        let (&first, rest) = weights.split_first().ok_or(QuantizeError::Empty)?;
        if let Some((index, &value)) = weights.iter().enumerate().find(|(_, w)| !w.is_finite()) {
            return Err(QuantizeError::NotFinite { index, value });
        }
        let (min, max) =
            rest.iter().fold((first, first), |(min, max), &w| (min.min(w), max.max(w)));
        // `min` and `max` may return either of two zeros; adding 0 makes both ends a positive zero.
        Ok(Self { min: min + 0.0, max: max + 0.0 })
    }

    /// The part of this range within `[-limit, limit]`, for weights clipped to that limit.
    ///
    /// # Errors
    /// If `limit` is negative or not finite.
    pub fn clipped(self, limit: f32) -> Result<Self, QuantizeError> {
        let limits = Self::symmetric(limit)?;
        Self::new(self.min.clamp(limits.min, limits.max), self.max.clamp(limits.min, limits.max))
    }

    /// The lower end, `qmin`.
    #[must_use]
    pub fn min(&self) -> f32 {
        self.min
    }

    /// The upper end, `qmax`.
    #[must_use]
    pub fn max(&self) -> f32 {
        self.max
    }

    /// The middle.
    pub(super) fn centre(&self) -> f64 {
        f64::midpoint(self.min.into(), self.max.into())
    }
}
