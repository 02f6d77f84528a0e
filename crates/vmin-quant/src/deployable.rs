//! The quantizer of integer hardware: `real = scale * (integer - zero_point)`.
//!
//! [`Quantizer`](crate::Quantizer) maps the middle of a range to an integer, but real zero need not have
//! one; integer hardware needs an integer zero point. Here the range is widened to hold zero and the
//! zero point is rounded to an integer, as in TensorFlow Lite (its scheme: B. Jacob et al.,
//! "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
//! CVPR 2018, section 3).

use crate::{Encoding, QuantizeError, quantizer::Range};

/// 1.5 * 2^52. Near it, f64 has no fractions, and neighbouring integers differ in their low bits alone.
const INTEGERS: f64 = 6_755_399_441_055_744.0;

/// A rule by which a float tensor becomes integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deployable {
    /// Bits per code, 2..=8.
    pub bits: u8,
    /// The encoding of the integers, which also limits their range.
    pub encoding: Encoding,
    /// The values that share a scale and a zero point.
    pub granularity: Granularity,
    /// The position of the zero point.
    pub symmetry: Symmetry,
    /// The rounding of halves.
    pub rounding: Rounding,
}

/// The values that share a scale and a zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// All values of the tensor.
    PerTensor,
    /// The values of one output channel.
    PerChannel,
}

/// The position of the zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symmetry {
    /// At 0. Integers are `-(2^(m-1)-1) ..= 2^(m-1)-1`, never `-2^(m-1)`.
    Symmetric,
    /// Anywhere in the range. Integers are all that the encoding holds.
    Asymmetric,
}

/// The rounding of halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// 0.5 becomes 0, 1.5 becomes 2: as in the papers' training code.
    HalfEven,
    /// 0.5 becomes 1, -0.5 becomes -1: as in TensorFlow Lite.
    HalfAway,
}

/// A tensor of codes with their scales and zero points.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// One code per value, in the order of the values.
    pub codes: Vec<u8>,
    /// One scale per channel, or a single one; positive.
    pub scales: Vec<f32>,
    /// One zero point per scale, as a decoded integer.
    pub zero_points: Vec<i32>,
    /// The encoding of the codes.
    pub encoding: Encoding,
    /// Bits per code.
    pub bits: u8,
}

impl Deployable {
    /// Quantizes `weights`, `channels` rows of equal length, one row after the other.
    ///
    /// A row of zeros gets scale 1; scales below the smallest normal `f32` are raised to that.
    ///
    /// # Errors
    /// If the bits are not 2..=8, `weights` is empty, does not divide into `channels` rows, or holds
    /// a NaN or an infinity.
    pub fn quantize(&self, weights: &[f32], channels: usize) -> Result<Deployed, QuantizeError> {
        if !(2..=8).contains(&self.bits) {
            return Err(QuantizeError::Bits { bits: self.bits });
        }
        Range::of(weights)?;
        let row = row_len(weights.len(), channels)?;
        let shared = match self.granularity {
            Granularity::PerTensor => weights.len(),
            Granularity::PerChannel => row,
        };
        let mut deployed = Deployed {
            codes: Vec::with_capacity(weights.len()),
            scales: Vec::new(),
            zero_points: Vec::new(),
            encoding: self.encoding,
            bits: self.bits,
        };
        for row in weights.chunks_exact(shared) {
            let (scale, zero_point) = self.parameters(Range::of(row)?);
            self.append(row, scale, zero_point, &mut deployed.codes);
            deployed.scales.push(scale);
            deployed.zero_points.push(zero_point);
        }
        Ok(deployed)
    }

    /// The integers in use, from the smallest to the largest.
    fn integers(&self) -> (i32, i32) {
        let (min, max) = (self.encoding.min(self.bits), self.encoding.max(self.bits));
        match self.symmetry {
            Symmetry::Symmetric => (-max, max),
            Symmetry::Asymmetric => (min, max),
        }
    }

    fn parameters(&self, range: Range) -> (f32, i32) {
        let (low, high) = (f64::from(range.min()).min(0.0), f64::from(range.max()).max(0.0));
        if low == 0.0 && high == 0.0 {
            return (1.0, 0);
        }
        let (min, max) = self.integers();
        #[expect(clippy::cast_possible_truncation, reason = "scales are f32")]
        let scale = |width| ((width / f64::from(max - min)) as f32).max(f32::MIN_POSITIVE);
        let scale = match self.symmetry {
            Symmetry::Symmetric => return (scale(2.0 * high.max(-low)), 0),
            Symmetry::Asymmetric => scale(high - low),
        };
        // The end of the range whose terms are smaller gives the zero point with the smaller error.
        let (from_low, from_high) =
            (f64::from(min) - low / f64::from(scale), f64::from(max) - high / f64::from(scale));
        let error_low = f64::from(min.abs()) + (low / f64::from(scale)).abs();
        let error_high = f64::from(max.abs()) + (high / f64::from(scale)).abs();
        let zero_point = if error_low < error_high { from_low } else { from_high };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to at most 8 bits")]
        let zero_point = libm::round(zero_point).clamp(min.into(), max.into()) as i32;
        (scale, zero_point)
    }

    /// Appends the codes of `row`. They equal those of [`Self::code`], in a fifth of the time: training
    /// encodes every weight at every step.
    ///
    /// A number that is added to [`INTEGERS`] is rounded to an integer, halves to even, which is then in the
    /// low bits of the sum. Numbers too large for that are clamped correctly, too.
    fn append(&self, row: &[f32], scale: f32, zero_point: i32, codes: &mut Vec<u8>) {
        match self.rounding {
            Rounding::HalfEven => {}
            Rounding::HalfAway => {
                codes.extend(row.iter().map(|&w| self.code(w, scale, zero_point)));
                return;
            }
        }
        let (min, max) = self.integers();
        let code = |byte: u8| {
            let integer = i32::from(byte.cast_signed()).clamp(min, max);
            self.encoding.encode(integer, self.bits).expect("clamped to what the encoding holds")
        };
        let table: [u8; 256] = std::array::from_fn(|byte| code(byte.to_le_bytes()[0]));
        let (scale, zero_point) = (f64::from(scale), f64::from(zero_point));
        let (min, max) = (f64::from(min), f64::from(max));
        codes.extend(row.iter().map(|&weight| {
            let rounded = (f64::from(weight) / scale + INTEGERS) - INTEGERS;
            let integer = (rounded + zero_point).clamp(min, max);
            table[usize::from((integer + INTEGERS).to_bits().to_le_bytes()[0])]
        }));
    }

    fn code(&self, weight: f32, scale: f32, zero_point: i32) -> u8 {
        let steps = f64::from(weight) / f64::from(scale);
        let rounded = match self.rounding {
            Rounding::HalfEven => steps.round_ties_even(),
            Rounding::HalfAway => libm::round(steps),
        };
        let (min, max) = self.integers();
        let integer = (rounded + f64::from(zero_point)).clamp(min.into(), max.into());
        #[expect(clippy::cast_possible_truncation, reason = "clamped to at most 8 bits")]
        let integer = integer as i32;
        self.encoding.encode(integer, self.bits).expect("clamped to what the encoding holds")
    }
}

impl Deployed {
    /// The decoded integers, before zero points are subtracted.
    #[must_use]
    pub fn integers(&self) -> Vec<i8> {
        self.codes.iter().map(|&code| self.encoding.decode(code, self.bits)).collect()
    }

    /// The real numbers that the codes stand for.
    ///
    /// # Errors
    /// If there are not as many zero points as scales, or the codes do not divide into that many
    /// rows.
    pub fn dequantize(&self) -> Result<Vec<f32>, QuantizeError> {
        let channels = self.scales.len();
        if self.zero_points.len() != channels {
            return Err(QuantizeError::Parameters {
                scales: channels,
                zero_points: self.zero_points.len(),
                channels,
            });
        }
        let row = row_len(self.codes.len(), channels)?;
        let mut reals = Vec::with_capacity(self.codes.len());
        let parameters = self.scales.iter().zip(&self.zero_points);
        for (codes, (&scale, &zero_point)) in self.codes.chunks_exact(row).zip(parameters) {
            reals.extend(codes.iter().map(|&code| {
                let integer = i32::from(self.encoding.decode(code, self.bits));
                let steps = f64::from(integer) - f64::from(zero_point);
                #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
                let real = (f64::from(scale) * steps) as f32;
                real
            }));
        }
        Ok(reals)
    }
}

/// The number of values per channel, at least one.
fn row_len(values: usize, channels: usize) -> Result<usize, QuantizeError> {
    if channels == 0 || values == 0 || !values.is_multiple_of(channels) {
        return Err(QuantizeError::Channels { values, channels });
    }
    Ok(values / channels)
}

#[cfg(test)]
mod tests {
    use super::{Deployable, Granularity, Rounding, Symmetry};
    use crate::Encoding;

    #[test]
    fn rows_get_the_codes_of_their_weights() {
        let step = if cfg!(miri) { 1000 } else { 1 };
        let fine = (-5_000..=5_000).step_by(step).map(|i| i as f32 * 0.037);
        let halves = (-600..=600).step_by(step).map(|i| i as f32 * 0.5);
        let mut weights: Vec<f32> = fine.chain(halves).collect();
        weights.extend([f32::MAX, f32::MIN, f32::MIN_POSITIVE, -1e-40, -0.0, 4.5e15, -4.6e15]);
        for bits in (2..=8).step_by(if cfg!(miri) { 6 } else { 1 }) {
            for encoding in
                [Encoding::TwosComplement, Encoding::OffsetBinary, Encoding::SignMagnitude]
            {
                for symmetry in [Symmetry::Symmetric, Symmetry::Asymmetric] {
                    for rounding in [Rounding::HalfEven, Rounding::HalfAway] {
                        let granularity = Granularity::PerTensor;
                        let deployable =
                            Deployable { bits, encoding, granularity, symmetry, rounding };
                        let (min, max) = deployable.integers();
                        for (scale, zero_point) in
                            [(1.0, 0), (0.5, min), (0.037, max), (1.7, -1), (f32::MIN_POSITIVE, 1)]
                        {
                            let zero_point = zero_point.clamp(min, max);
                            let mut codes = Vec::new();
                            deployable.append(&weights, scale, zero_point, &mut codes);
                            for (&weight, code) in weights.iter().zip(codes) {
                                let expected = deployable.code(weight, scale, zero_point);
                                assert_eq!(
                                    code, expected,
                                    "{deployable:?} {scale} {zero_point} {weight}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
