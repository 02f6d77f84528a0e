//! Weight codes of one tensor: asymmetric, unsigned (offset binary), rounded to nearest: RQuant of
//! "Bit Error Robustness for Energy-Efficient DNN Accelerators" with an integer zero point.
//!
//! `real = scale * (code - 2^(m-1) - zero_point)`. The range holds zero, so that zero weights stay
//! zero; code 0 stays unused by clean weights.

/// Codes and what they mean.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightCodes {
    /// Bits per code.
    pub bits: u8,
    /// One code per byte.
    pub codes: Vec<u8>,
    /// Size of one step.
    pub scale: f32,
    /// The decoded integer that means zero.
    pub zero_point: i32,
}

/// Why a tensor has no codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodesError {
    /// A value is infinite or no number.
    #[error("a weight is not finite")]
    NotFinite,
    /// Fewer than 2 or more than 8 bits.
    #[error("codes have 2..=8 bits, not {0}")]
    Bits(u8),
}

impl WeightCodes {
    /// Quantizes one tensor.
    ///
    /// # Errors
    ///
    /// [`CodesError`] for values that are not finite or another width than 2..=8.
    pub fn quantize(values: &[f32], bits: u8) -> Result<Self, CodesError> {
        if !(2..=8).contains(&bits) {
            return Err(CodesError::Bits(bits));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(CodesError::NotFinite);
        }
        let half = 1_i32 << (bits - 1);
        let (low, high) = values
            .iter()
            .fold((0.0_f32, 0.0_f32), |(low, high), &value| (low.min(value), high.max(value)));
        let steps = f64::from(2 * half - 2);
        let range = f64::from(high) - f64::from(low);
        let scale = if range > 0.0 { narrow(range / steps).max(f32::MIN_POSITIVE) } else { 1.0 };
        let wide = f64::from(scale);
        let zero_point = round(f64::from(1 - half) - f64::from(low) / wide);
        let codes = values
            .iter()
            .map(|&value| {
                let code = round(f64::from(value) / wide) + zero_point + half;
                u8::try_from(code.clamp(1, 2 * half - 1)).expect("at most 255")
            })
            .collect();
        Ok(Self { bits, codes, scale, zero_point })
    }

    /// What the codes mean.
    #[must_use]
    pub fn dequantize(&self) -> Vec<f32> {
        let zero = (1_i32 << (self.bits - 1)) + self.zero_point;
        self.codes.iter().map(|&code| self.scale * (i32::from(code) - zero) as f32).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
fn narrow(x: f64) -> f32 {
    x as f32
}

/// Nearest integer, halves away from zero; far values saturate.
#[expect(clippy::cast_possible_truncation, reason = "float to integer casts saturate")]
fn round(x: f64) -> i32 {
    libm::round(x) as i32
}

#[cfg(test)]
mod tests {
    use super::{CodesError, WeightCodes};

    #[test]
    fn every_value_returns_within_one_step() {
        for bits in 2..=8 {
            for values in [vec![-0.3, 0.0, 0.1, 0.7], vec![0.2, 0.9], vec![-1.0, -0.5], vec![0.0]] {
                let codes = WeightCodes::quantize(&values, bits).expect("finite");
                for (value, back) in values.iter().zip(codes.dequantize()) {
                    assert!((value - back).abs() <= 1.01 * codes.scale, "{bits} {value} {back}");
                    assert!(*value != 0.0 || back == 0.0, "zero stays zero");
                }
            }
        }
    }

    #[test]
    fn unfit_input_is_refused() {
        assert_eq!(WeightCodes::quantize(&[f32::NAN], 8), Err(CodesError::NotFinite));
        assert_eq!(WeightCodes::quantize(&[0.0], 1), Err(CodesError::Bits(1)));
        assert_eq!(WeightCodes::quantize(&[0.0], 9), Err(CodesError::Bits(9)));
    }
}
