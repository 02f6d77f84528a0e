//! Errors of the quantizers.

/// A tensor or a setting that cannot be quantized.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// With one bit there is no step on either side of zero; codes have at most eight.
    #[error("a quantizer of {bits} bits does not exist; allowed are 2..=8")]
    Bits {
        /// The bits asked for.
        bits: u8,
    },
    /// A value is NaN or infinite.
    #[error("value {index} is {value}; only finite numbers can be quantized")]
    NotFinite {
        /// The index in the tensor.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A tensor without values has no range.
    #[error("a tensor without values has no range")]
    Empty,
    /// The ends are in the wrong order, or not finite.
    #[error("{min}..={max} is not a range of finite numbers")]
    Range {
        /// Lower end.
        min: f32,
        /// Upper end.
        max: f32,
    },
    /// The values do not divide into channels.
    #[error("{values} values do not divide into {channels} channels")]
    Channels {
        /// Values of the tensor.
        values: usize,
        /// Channels asked for.
        channels: usize,
    },
    /// Scales or zero points do not match the channels.
    #[error("{scales} scales and {zero_points} zero points for {channels} channels")]
    Parameters {
        /// Number of scales.
        scales: usize,
        /// Number of zero points.
        zero_points: usize,
        /// Number of channels.
        channels: usize,
    },
}
