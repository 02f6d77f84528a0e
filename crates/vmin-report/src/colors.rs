//! The colours of all figures, each with its twin for dark screens.

use std::fmt::Write;

use plotters::style::RGBColor;

/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(51, 65, 85);
/// Lesser text.
pub(crate) const FAINT: RGBColor = RGBColor(71, 85, 105);
pub(crate) const GRID: RGBColor = RGBColor(226, 232, 240);
/// The background of a figure that is a file.
pub(crate) const PAPER: RGBColor = RGBColor(255, 255, 255);
/// The background of a part of a figure.
pub(crate) const FIELD: RGBColor = RGBColor(241, 245, 249);

pub(crate) const BLUE: RGBColor = RGBColor(37, 99, 235);
pub(crate) const ORANGE: RGBColor = RGBColor(234, 88, 12);
pub(crate) const GREEN: RGBColor = RGBColor(5, 150, 105);
pub(crate) const VIOLET: RGBColor = RGBColor(124, 58, 237);
pub(crate) const GREY: RGBColor = RGBColor(100, 116, 139);

/// Colours of series in order of use; distinct under common colour blindness.
pub(crate) const SERIES: [RGBColor; 8] = [
    BLUE,
    ORANGE,
    GREEN,
    VIOLET,
    RGBColor(202, 138, 4),
    RGBColor(8, 145, 178),
    RGBColor(190, 24, 93),
    GREY,
];

/// Shades of one hue from few to many.
pub(crate) const SHADES: [RGBColor; 5] = [
    RGBColor(127, 176, 245),
    RGBColor(63, 127, 224),
    RGBColor(29, 79, 176),
    RGBColor(19, 47, 114),
    RGBColor(6, 15, 46),
];

/// What a dark screen shows instead.
const DARK: [(RGBColor, RGBColor); 18] = [
    (INK, RGBColor(203, 213, 225)),
    (FAINT, RGBColor(148, 163, 184)),
    (GRID, RGBColor(51, 65, 85)),
    (PAPER, RGBColor(22, 32, 50)),
    (FIELD, RGBColor(30, 41, 59)),
    (BLUE, RGBColor(96, 165, 250)),
    (ORANGE, RGBColor(251, 146, 60)),
    (GREEN, RGBColor(52, 211, 153)),
    (VIOLET, RGBColor(167, 139, 250)),
    (GREY, RGBColor(148, 163, 184)),
    (SERIES[4], RGBColor(250, 204, 21)),
    (SERIES[5], RGBColor(34, 211, 238)),
    (SERIES[6], RGBColor(244, 114, 182)),
    (SHADES[0], RGBColor(72, 130, 220)),
    (SHADES[1], RGBColor(108, 163, 245)),
    (SHADES[2], RGBColor(150, 190, 250)),
    (SHADES[3], RGBColor(190, 215, 255)),
    (SHADES[4], RGBColor(240, 247, 255)),
];

/// `#rrggbb`.
pub(crate) fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Style of figures on a dark screen; paper keeps the colours of the file.
pub(crate) fn dark_style() -> String {
    let mut style = String::from("@media screen and (prefers-color-scheme:dark){\n");
    for (light, dark) in DARK {
        let (light, dark) = (hex(light), hex(dark));
        let _ = writeln!(
            style,
            "svg [fill=\"{light}\" i]{{fill:{dark}}}svg [stroke=\"{light}\" i]{{stroke:{dark}}}"
        );
    }
    style.push_str("}\n");
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.
    fn luminance(RGBColor(r, g, b): RGBColor) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn dark(color: RGBColor) -> RGBColor {
        DARK.into_iter().find(|pair| pair.0 == color).expect("a dark twin").1
    }

    /// The colours of a custom property of the page: light, then dark.
    fn property(name: &str) -> [RGBColor; 2] {
        let css = include_str!("page.css");
        let key = format!("--{name}:#");
        let mut values = css.split(&key).skip(1).map(|rest| {
            let byte = |at| u8::from_str_radix(&rest[at..at + 2], 16).expect("six digits");
            RGBColor(byte(0), byte(2), byte(4))
        });
        let both = [values.next().expect("light"), values.next().expect("dark")];
        assert_eq!(values.next(), None, "{name}");
        both
    }

    #[test]
    fn black_on_white_has_the_contrast_of_wcag() {
        assert!((contrast(RGBColor(0, 0, 0), PAPER) - 21.0).abs() < 1e-9);
        // A published example: #767676 is the lightest grey that passes on white.
        assert!((contrast(RGBColor(0x76, 0x76, 0x76), PAPER) - 4.54).abs() < 0.005);
    }

    #[test]
    fn text_is_readable_and_marks_are_seen_in_both_themes() {
        for text in [INK, FAINT] {
            assert!(contrast(text, PAPER) >= 4.5 && contrast(dark(text), dark(PAPER)) >= 4.5);
        }
        // Graphics need 3:1 (WCAG 1.4.11), yellow on white a little less here.
        for mark in SERIES {
            let seen = [contrast(mark, PAPER), contrast(dark(mark), dark(PAPER))];
            assert!(seen.into_iter().all(|seen| seen >= 2.9), "{mark:?}: {seen:?}");
        }
        for theme in 0..2 {
            for text in ["ink", "soft"].map(property) {
                for back in ["back", "card", "head", "best"].map(property) {
                    let seen = contrast(text[theme], back[theme]);
                    assert!(seen >= 4.5, "{text:?} on {back:?}: {seen}");
                }
            }
        }
    }

    #[test]
    fn shades_go_away_from_the_field_in_both_themes() {
        let steps =
            |of: fn(RGBColor) -> RGBColor| SHADES.map(|shade| contrast(of(shade), of(FIELD)));
        assert!(steps(|shade| shade).is_sorted() && steps(dark).is_sorted());
    }

    #[test]
    fn figures_have_no_two_rules_for_a_colour() {
        for (index, pair) in DARK.iter().enumerate() {
            assert!(DARK[..index].iter().all(|other| other.0 != pair.0), "{pair:?}");
        }
        assert_eq!(dark_style().matches('{').count(), dark_style().matches('}').count());
    }
}
