//! Statistics over chips, in a fixed order so that every run gives the same bits.

/// Mean, spread and range of a value over chips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); 0 for a single value.
    pub std: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, or `None` if there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let (first, rest) = values.split_first()?;
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        let std = if rest.is_empty() { 0.0 } else { (squares / (count - 1.0)).sqrt() };
        let (min, max) =
            rest.iter().fold((*first, *first), |(min, max), &v| (min.min(v), max.max(v)));
        Some(Self { mean, std, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_of_known_values() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).expect("values");
        assert!((spread.mean - 5.0).abs() < 1e-15);
        assert!((spread.std - (32.0f64 / 7.0).sqrt()).abs() < 1e-15);
        assert_eq!((spread.min, spread.max), (2.0, 9.0));
        assert_eq!(Spread::of(&[3.0]).map(|spread| spread.std), Some(0.0));
        assert_eq!(Spread::of(&[]), None);
    }
}
