//! Pixels: from 8-bit pixels to the codes of a network's input.
//!
//! A rule gives each pixel a real value; the input's scale and zero point give that value a code, as QUANTIZE
//! does: `code = round(real / scale) + zero_point` in single precision, ties away from zero, saturated.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Graph, ModelError, Quantization, Tensor};

/// The offset of image networks whose codes are their pixels: `code = pixel - 128`.
const HALF: i32 = 128;

/// Share of a range by which an input may miss it and still be one of that range.
const TOLERANCE: f64 = 0.02;

/// The real value of an 8-bit pixel, or its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Pixels {
    /// No real value: `code = pixel - offset`, saturated.
    #[serde(rename = "codes")]
    Codes {
        /// Normally 128.
        offset: i32,
    },
    /// The pixel itself.
    #[serde(rename = "0..255")]
    Bytes,
    /// `pixel / 255`.
    #[serde(rename = "0..1")]
    Unit,
    /// `pixel / 127.5 - 1`.
    #[serde(rename = "-1..1")]
    Signed,
    /// `(pixel / 255 - mean) / std`, with one mean and deviation, or one per channel.
    #[serde(rename = "normalized")]
    Normalized {
        /// Means of `pixel / 255`.
        #[serde(with = "crate::import::native::decimals")]
        mean: Vec<f64>,
        /// Positive deviations, as many as means.
        #[serde(with = "crate::import::native::decimals")]
        std: Vec<f64>,
    },
}

impl Pixels {
    /// The rules without numbers, with their words.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("0..255", Self::Bytes),
        ("0..1", Self::Unit),
        ("-1..1", Self::Signed),
        ("codes", Self::Codes { offset: HALF }),
    ];

    /// All rules as users write them, for messages.
    pub const CHOICES: &'static str =
        "\"0..255\", \"0..1\", \"-1..1\", \"codes\" or { mean = [..], std = [..] }";

    /// The rule that an input's own range states, if it states one: its codes span 0..255, 0..1 or -1..1.
    ///
    /// Where no code then differs from `pixel - 128` by more than a step, pixels are codes: such a range holds
    /// 256 steps for 256 pixels, and its last step is a matter of convention (`2/255` or `1/128`).
    #[must_use]
    pub fn of_range(input: Quantization) -> Option<Self> {
        let [low, high] = span(input);
        let ranges =
            [(Self::Bytes, [0.0, 255.0]), (Self::Unit, [0.0, 1.0]), (Self::Signed, [-1.0, 1.0])];
        let spans = |[from, to]: [f64; 2]| {
            let room = (to - from) * TOLERANCE;
            (low - from).abs() <= room && (high - to).abs() <= room
        };
        let (rule, _) = ranges.into_iter().find(|(_, range)| spans(*range))?;
        let itself = Self::Codes { offset: HALF };
        let near = |pixel| {
            let [a, b] = [&rule, &itself].map(|rule| i32::from(rule.code(pixel, 0, input)));
            (a - b).abs() <= 1
        };
        Some(if (0..=u8::MAX).all(near) { itself } else { rule })
    }

    /// Checks the numbers of the rule against an input.
    ///
    /// # Errors
    /// As many means and deviations as channels, or one; deviations are positive; an offset is in -255..=255.
    pub fn check(&self, input: &Tensor) -> Result<(), ModelError> {
        match self {
            Self::Codes { offset } if !(-255..=255).contains(offset) => {
                Err(ModelError::graph("the pixel offset is in -255..=255", offset))
            }
            Self::Codes { .. } | Self::Bytes | Self::Unit | Self::Signed => Ok(()),
            Self::Normalized { mean, std } => {
                let channels = input.shape.last().copied().unwrap_or(1);
                if mean.len() != std.len() || ![1, channels].contains(&mean.len()) {
                    let rule = "pixels have one mean and one std, or one of each per channel";
                    let found = format!("{} and {} for {channels} channels", mean.len(), std.len());
                    return Err(ModelError::graph(rule, found));
                }
                let finite = mean.iter().chain(std).all(|x| x.is_finite());
                if finite && std.iter().all(|&x| x > 0.0) {
                    return Ok(());
                }
                let rule = "means are finite and deviations positive";
                Err(ModelError::graph(rule, format!("{mean:?} and {std:?}")))
            }
        }
    }

    /// The code of a pixel of `channel`.
    fn code(&self, pixel: u8, channel: usize, input: Quantization) -> i8 {
        let p = f64::from(pixel);
        let real = match self {
            Self::Codes { offset } => {
                return (i32::from(pixel) - offset).clamp(-128, 127) as i8;
            }
            Self::Bytes => p,
            Self::Unit => p / 255.0,
            Self::Signed => p / 127.5 - 1.0,
            Self::Normalized { mean, std } => {
                let channel = channel % mean.len();
                (p / 255.0 - mean[channel]) / std[channel]
            }
        };
        quantized(real as f32, input)
    }
}

/// The code of a real value, as QUANTIZE computes it.
fn quantized(real: f32, q: Quantization) -> i8 {
    // The cast saturates; a zero point is small.
    let steps = libm::roundf(real / q.scale) as i32;
    steps.saturating_add(q.zero_point).clamp(-128, 127) as i8
}

/// The real values of the lowest and the highest code.
fn span(q: Quantization) -> [f64; 2] {
    [-128, 127].map(|code| f64::from(code - q.zero_point) * f64::from(q.scale))
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codes { offset } => write!(f, "codes (pixel - {offset})"),
            Self::Bytes => f.write_str("0..255"),
            Self::Unit => f.write_str("0..1"),
            Self::Signed => f.write_str("-1..1"),
            Self::Normalized { mean, std } => write!(f, "mean {mean:?}, std {std:?}"),
        }
    }
}

/// The code of every pixel in every channel.
pub(crate) struct PixelCodes(Vec<[i8; 256]>);

impl PixelCodes {
    /// None where the graph has no rule.
    pub(crate) fn of(graph: &Graph) -> Option<Self> {
        let rule = graph.pixels.as_ref()?;
        let input = &graph.tensors[graph.input.0];
        let tables = match rule {
            Pixels::Normalized { mean, .. } => mean.len(),
            Pixels::Codes { .. } | Pixels::Bytes | Pixels::Unit | Pixels::Signed => 1,
        };
        let code = |channel| move |p: usize| rule.code(p as u8, channel, input.quantization);
        Some(Self((0..tables).map(|channel| std::array::from_fn(code(channel))).collect()))
    }

    /// Translates `[.., channels]` pixels.
    pub(crate) fn translate(&self, pixels: &[u8], codes: &mut [i8]) {
        if let [table] = self.0.as_slice() {
            for (code, &pixel) in codes.iter_mut().zip(pixels) {
                *code = table[usize::from(pixel)];
            }
            return;
        }
        let channels = self.0.len();
        for (codes, pixels) in codes.chunks_mut(channels).zip(pixels.chunks(channels)) {
            for ((code, &pixel), table) in codes.iter_mut().zip(pixels).zip(&self.0) {
                *code = table[usize::from(pixel)];
            }
        }
    }
}

impl Graph {
    /// The input codes of `[height, width, channels]` pixels, of any number of images.
    ///
    /// # Errors
    /// The graph has no rule for pixels.
    pub fn input_codes(&self, pixels: &[u8]) -> Result<Vec<i8>, ModelError> {
        let table = PixelCodes::of(self).ok_or_else(|| self.no_pixels())?;
        let mut codes = vec![0; pixels.len()];
        table.translate(pixels, &mut codes);
        Ok(codes)
    }

    /// The rule for pixels in words.
    #[must_use]
    pub fn pixels_in_words(&self) -> String {
        self.pixels.as_ref().map_or_else(|| "not said".to_owned(), Pixels::to_string)
    }

    /// The error of a graph without a rule for pixels.
    #[must_use]
    pub fn no_pixels(&self) -> ModelError {
        let Quantization { scale, zero_point } = self.tensors[self.input.0].quantization;
        let [low, high] = span(self.tensors[self.input.0].quantization);
        let found = format!("{low:.4} to {high:.4} (scale {scale}, zero point {zero_point})");
        ModelError::NoPixels { found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scale: f32, zero_point: i32) -> Quantization {
        Quantization { scale, zero_point }
    }

    #[test]
    fn ranges_that_say_how_pixels_enter() {
        let itself = Some(Pixels::Codes { offset: 128 });
        for input in [
            of(1.0, -128),
            of(1.0 / 255.0, -128),
            of(1.0 / 256.0, -128),
            of(1.0 / 128.0, 0),
            of(2.0 / 255.0, -1),
            of(2.0 / 255.0, 0),
        ] {
            assert_eq!(Pixels::of_range(input), itself, "{input:?}");
        }
        // Calibrated on images that do not reach white.
        assert_eq!(Pixels::of_range(of(0.986 / 255.0, -128)), Some(Pixels::Unit));
        for input in
            [of(0.05, -25), of(1.0, 0), of(1.0 / 255.0, -100), of(0.0186, -14), of(2.0, -128)]
        {
            assert_eq!(Pixels::of_range(input), None, "{input:?}");
        }
    }

    /// Values by hand.
    #[test]
    fn codes_of_every_rule() {
        let code =
            |rule: &Pixels, pixel, channel, scale, zero| rule.code(pixel, channel, of(scale, zero));
        for pixel in 0..=u8::MAX {
            let expected = (i32::from(pixel) - 128) as i8;
            assert_eq!(code(&Pixels::Codes { offset: 128 }, pixel, 0, 9.0, 7), expected);
            assert_eq!(code(&Pixels::Bytes, pixel, 0, 1.0, -128), expected);
            assert_eq!(code(&Pixels::Unit, pixel, 0, 1.0 / 255.0, -128), expected);
        }
        assert_eq!(code(&Pixels::Unit, 255, 0, 0.05, -25), -5);
        assert_eq!(code(&Pixels::Signed, 0, 0, 0.05, -25), -45);
        assert_eq!(code(&Pixels::Signed, 255, 0, 0.05, -25), -5);
        assert_eq!(code(&Pixels::Bytes, 255, 0, 0.05, -25), 127);
        // Ties: 3 / 2 and -3 / 2.
        let rule = Pixels::Normalized { mean: vec![0.0, 6.0], std: vec![1.0 / 255.0, 2.0 / 255.0] };
        assert_eq!(code(&rule, 3, 0, 2.0, 10), 12);
        let halves = Pixels::Normalized { mean: vec![1.0], std: vec![1.0 / 255.0] };
        assert_eq!(code(&halves, 252, 0, 2.0, 10), 8);
        assert_eq!(code(&rule, 255, 1, 1.0, 0), -128);
    }
}
