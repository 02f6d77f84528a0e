//! Requantization of int32 accumulators.

/// A positive real factor as `multiplier * 2^(shift - 31)`, `multiplier` in `[2^30, 2^31)` or zero:
/// the form in which int8 deployments hold `input_scale * weight_scale / output_scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedMultiplier {
    /// Significand, Q31.
    pub multiplier: i32,
    /// Power of two; positive shifts left.
    pub shift: i32,
}
