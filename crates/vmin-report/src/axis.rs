//! The scales of a figure's axes and their ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{
    KeyPointHint, KeyPointWeight, NoDefaultFormatting, Ranged, ValueFormatter,
};

/// With as many ticks of one digit an axis needs none of two.
const TICKS_ENOUGH: usize = 4;

/// Room beyond the outermost values, as a share of an axis.
const PAD: f64 = 0.04;

/// How values become positions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    /// Linear, with ticks at whole numbers only.
    Whole,
    Logarithmic,
    /// Linear up to `near` from `center`, logarithmic beyond, on both sides.
    Around {
        center: f64,
        near: f64,
    },
}

impl Scale {
    fn position(self, value: f64) -> f64 {
        match self {
            Self::Linear | Self::Whole => value,
            Self::Logarithmic => value.max(f64::MIN_POSITIVE).ln(),
            Self::Around { center, near } => {
                let steps = (value - center) / near;
                if steps.abs() <= 1.0 { steps } else { steps.signum() * (1.0 + steps.abs().ln()) }
            }
        }
    }
}

/// One axis: a scale and its extent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    scale: Scale,
    /// Ends as values; positions of ticks lie between them.
    ends: (f64, f64),
    /// Ends as positions, with room beyond the values.
    from: f64,
    to: f64,
}

impl Axis {
    fn exact(scale: Scale, ends: (f64, f64)) -> Self {
        let (from, to) = (scale.position(ends.0), scale.position(ends.1));
        Self { scale, ends, from, to }
    }

    /// A linear axis between two values.
    pub(crate) fn linear(low: f64, high: f64) -> Self {
        Self::exact(Scale::Linear, (low, high))
    }

    /// A linear axis with ticks at whole numbers.
    pub(crate) fn whole(low: f64, high: f64) -> Self {
        Self::exact(Scale::Whole, (low, high))
    }

    /// A logarithmic axis between two values above 0.
    pub(crate) fn logarithmic(low: f64, high: f64) -> Self {
        Self::exact(Scale::Logarithmic, (low, high))
    }

    /// An axis of errors that shows losses of about `near` as well as large ones: linear up to `near` from
    /// `center`, logarithmic beyond. It covers these values, 0 included.
    pub(crate) fn around(center: f64, near: f64, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) =
            values.fold((center, center + near), |(low, high), v| (low.min(v), high.max(v)));
        let axis = Self::exact(Scale::Around { center, near }, (low, high));
        let pad = (axis.to - axis.from) * PAD;
        Self { from: axis.from - pad, to: axis.to + pad, ..axis }
    }

    /// The place of a value, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let span = self.to - self.from;
        if span > 0.0 { (self.scale.position(value) - self.from) / span } else { 0.5 }
    }

    /// At most about `most` round values, rising.
    fn ticks(&self, most: usize) -> Vec<f64> {
        let (low, high) = self.ends;
        let most = most.max(2) as f64;
        if !(low < high && high.is_finite()) {
            return vec![low];
        }
        match self.scale {
            Scale::Linear => multiples(low, high, round_step((high - low) / most)),
            Scale::Whole => multiples(low, high, round_step((high - low) / most).max(1.0)),
            Scale::Logarithmic | Scale::Around { .. } => {
                let gap = 0.9 / most;
                let mut ticks: Vec<f64> = Vec::new();
                for value in roundest_first(low, high) {
                    if ticks.len() >= TICKS_ENOUGH && has_two_digits(value) {
                        break;
                    }
                    let at = self.share(value);
                    if ticks.iter().all(|&tick| (self.share(tick) - at).abs() >= gap) {
                        ticks.push(value);
                    }
                }
                ticks.sort_by(f64::total_cmp);
                ticks
            }
        }
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`.
pub(crate) fn round_step(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * decade);
    steps.into_iter().find(|&step| step >= least * 0.999_999).unwrap_or(10.0 * decade)
}

/// Multiples of a step in a range.
fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let slack = 1e-9;
    let (first, last) = ((low / step - slack).ceil(), (high / step + slack).floor());
    (0..=(last - first).max(-1.0) as u32).map(|index| (first + f64::from(index)) * step).collect()
}

/// Whether a value is no digit times a power of ten.
fn has_two_digits(value: f64) -> bool {
    label(value).chars().filter(|digit| ('1'..='9').contains(digit)).count() > 1
}

/// Values of a range with one or two digits: 0 and powers of ten first, then 5, 2, the other digits, two digits.
fn roundest_first(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let smallest = if low > 0.0 { low } else { high * 1e-6 };
    let decades = smallest.log10().floor() as i32..=high.log10().ceil() as i32;
    let digits = [1, 5, 2, 3, 7, 4, 6, 8, 9].map(|digit| 10 * digit);
    let two = (11..100).filter(|mantissa| mantissa % 10 != 0);
    let (fives, rest): (Vec<i32>, Vec<i32>) = two.partition(|mantissa| mantissa % 5 == 0);
    let mantissas = digits.into_iter().chain(fives).chain(rest);
    std::iter::once(0.0)
        .chain(mantissas.flat_map(move |mantissa| {
            decades.clone().rev().map(move |decade| scaled(mantissa, decade - 1))
        }))
        .filter(move |value| (low..=high).contains(value))
}

/// `mantissa * 10^exponent`, rounded once where that is possible.
fn scaled(mantissa: i32, exponent: i32) -> f64 {
    let mantissa = f64::from(mantissa);
    if exponent < 0 { mantissa / 10_f64.powi(-exponent) } else { mantissa * 10_f64.powi(exponent) }
}

/// A tick in few letters.
fn label(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-4..1e7).contains(&size) => format!("{}", (value * 1e6).round() / 1e6),
        _ => format!("{value:.1e}").replace(".0e", "e"),
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = self.share(*value).clamp(0.0, 1.0);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight() {
            KeyPointWeight::Bold => self.ticks(hint.bold_points()),
            // No lines between the ticks.
            KeyPointWeight::Any => Vec::new(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        label(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The position as the sum of many small steps, each as wide as its value is far from the center.
    fn position_slowly(center: f64, near: f64, value: f64) -> f64 {
        let steps = 200_000;
        let step = (value - center) / f64::from(steps);
        (0..steps)
            .map(|index| (f64::from(index) + 0.5) * step)
            .map(|distance| step / distance.abs().max(near))
            .sum()
    }

    #[test]
    fn positions_around_a_center_are_the_sum_of_their_steps() {
        for (center, near) in [(0.0, 1.0), (0.1, 1.0), (10.3, 0.5), (50.0, 2.0)] {
            let scale = Scale::Around { center, near };
            for value in [0.0, 0.05, 0.1, 0.9, 1.1, 9.0, 10.3, 10.7, 11.0, 49.0, 53.0, 90.0, 100.0]
            {
                let (fast, slow) = (scale.position(value), position_slowly(center, near, value));
                assert!((fast - slow).abs() < 1e-6, "{value} around {center}: {fast}, {slow}");
            }
        }
    }

    #[test]
    fn zero_the_budget_and_the_worst_error_have_places_of_their_own() {
        for (clean, loss, worst) in
            [(0.1, 1.0, 88.0), (0.0, 1.0, 90.0), (10.3, 1.0, 90.0), (8.0, 0.1, 9.0)]
        {
            let values = [clean, clean + loss, worst, 0.0_f64.max(clean - loss)];
            let axis = Axis::around(clean, loss, values.into_iter());
            let shares = values.map(|value| axis.share(value));
            assert!(shares.iter().all(|share| (0.03..=0.97).contains(share)), "{shares:?}");
            // Of a height of 250 pixels, at least 15.
            assert!(shares[1] - shares[0] > 0.06, "{clean} + {loss}: {shares:?}");
        }
    }

    #[test]
    fn ticks_are_round_apart_and_inside() {
        let values = [0.0, 1.05, 88.0];
        let axes = [
            Axis::around(0.05, 1.0, values.into_iter()),
            Axis::around(10.3, 1.0, [9.9, 90.0].into_iter()),
            Axis::logarithmic(1e-8, 7.0),
            Axis::logarithmic(3.0, 60.0),
            Axis::logarithmic(800.0, 900.0),
        ];
        for axis in axes {
            for most in [4, 7, 9] {
                let ticks = axis.ticks(most);
                assert!((2..=most + 2).contains(&ticks.len()), "{axis:?} {most}: {ticks:?}");
                for pair in ticks.windows(2) {
                    assert!(axis.share(pair[1]) - axis.share(pair[0]) >= 0.9 / most as f64);
                }
                assert!(ticks.iter().all(|tick| (axis.ends.0..=axis.ends.1).contains(tick)));
                // Two digits at most.
                assert!(
                    ticks.iter().all(|tick| {
                        let digits = format!("{tick:e}");
                        digits.split('e').next().is_some_and(|mantissa| mantissa.len() <= 3)
                    }),
                    "{ticks:?}"
                );
            }
        }
        assert!(axes[0].ticks(7).contains(&0.0) && axes[0].ticks(7).contains(&1.0));
    }

    /// All multiples of all round steps, the finest that fits.
    fn ticks_slowly(low: i32, high: i32, most: i32) -> Vec<f64> {
        let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
        let step = steps.into_iter().find(|step| step * most >= high - low).expect("a step");
        (low..=high).filter(|value| value % step == 0).map(f64::from).collect()
    }

    #[test]
    fn linear_ticks_are_multiples_of_a_round_step() {
        for (low, high) in [(0, 10), (700, 1000), (3, 7), (0, 105), (-4, 9)] {
            for most in [4, 7, 9] {
                let axis = Axis::whole(f64::from(low), f64::from(high));
                assert_eq!(axis.ticks(most as usize), ticks_slowly(low, high, most));
            }
        }
        let labels: Vec<_> = Axis::linear(0.0, 1.0).ticks(5).into_iter().map(label).collect();
        assert_eq!(labels, ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }

    #[test]
    fn epochs_have_no_halves() {
        for epochs in 1..40 {
            let ticks = Axis::whole(0.5, f64::from(epochs) + 0.5).ticks(9);
            assert!(!ticks.is_empty() && ticks.iter().all(|tick| tick.fract() == 0.0), "{ticks:?}");
        }
    }

    #[test]
    fn labels_are_short() {
        let values = [0.0, 0.1 + 0.2, 1e-5, 2.5e-7, 1250.0, 2e9, -5.0];
        assert_eq!(values.map(label), ["0", "0.3", "1e-5", "2.5e-7", "1250", "2e9", "-5"]);
    }

    #[test]
    fn an_axis_of_one_value_has_one_tick() {
        assert_eq!(Axis::linear(5.0, 5.0).ticks(7), [5.0]);
        assert_eq!(Axis::linear(5.0, 5.0).share(5.0), 0.5);
    }
}
