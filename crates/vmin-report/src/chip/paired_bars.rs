//! Pairs of bars on a logarithmic scale: observed and expected counts.

use std::fmt::Write;

use super::{WIDTH, heading, picture, text};
use crate::colors::{BLUE, FAINT, GRID, INK, ORANGE, hex};

/// One group of bars.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) measured: f64,
    pub(super) chance: f64,
}

const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = 340.0;
/// Bars below this are not drawn.
const LEAST: f64 = 0.1;

/// A chart of groups; `x_label` below, `y_label` above the axis.
pub(super) fn chart(
    title: &str,
    below: &str,
    x_label: &str,
    y_label: &str,
    groups: &[Group],
) -> String {
    let most = groups.iter().map(|g| g.measured.max(g.chance)).fold(1.0, f64::max);
    let decades = most.log10().ceil().max(1.0);
    let y = |value: f64| {
        let share = (value.max(LEAST).log10() + 1.0) / (decades + 1.0);
        BOTTOM - share * (BOTTOM - TOP)
    };
    let mut body = heading(title, below);
    let grid = hex(GRID);
    let mut decade = -1.0;
    while decade <= decades {
        let value = 10.0_f64.powf(decade);
        let at = y(value);
        let _ = writeln!(
            body,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"{grid}\" fill=\"none\"/>",
            WIDTH - 24.0
        );
        body.push_str(&text(LEFT - 8.0, at + 4.0, 12, FAINT, "end", &format!("{value}")));
        decade += 1.0;
    }
    body.push_str(&text(24.0, TOP - 16.0, 13, INK, "start", y_label));
    let step = (WIDTH - 24.0 - LEFT) / groups.len().max(1) as f64;
    let bar = (step * 0.36).min(44.0);
    // Digits are about 0.6 of their size wide.
    let letters = groups.iter().map(|group| group.name.chars().count()).max().unwrap_or(1);
    let size = (step / (0.62 * letters as f64)).floor().clamp(8.0, 12.0) as u32;
    for (index, group) in groups.iter().enumerate() {
        let middle = LEFT + (index as f64 + 0.5) * step;
        let sides = [(group.measured, BLUE, middle - bar), (group.chance, ORANGE, middle)];
        for (value, color, x) in sides {
            if value > LEAST {
                let _ = writeln!(
                    body,
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                    y(value),
                    BOTTOM - y(value),
                    hex(color)
                );
            }
        }
        body.push_str(&text(middle, BOTTOM + 18.0, size, INK, "middle", &group.name));
        let count = group.measured;
        if count > 0.0 {
            let number = format!("{count}");
            // A number wider than its bar goes to the left, away from the other bar.
            let (x, anchor) = if number.len() as f64 * 7.0 < bar {
                (middle - bar / 2.0, "middle")
            } else {
                (middle - 1.0, "end")
            };
            body.push_str(&text(x, y(count) - 4.0, 11, INK, anchor, &number));
        }
    }
    body.push_str(&text((LEFT + WIDTH - 24.0) / 2.0, BOTTOM + 42.0, 13, INK, "middle", x_label));
    for (x, color, name) in [
        (WIDTH - 330.0, BLUE, "this chip"),
        (WIDTH - 220.0, ORANGE, "independent faults (Poisson)"),
    ] {
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>",
            TOP - 27.0,
            hex(color)
        );
        body.push_str(&text(x + 18.0, TOP - 16.0, 13, INK, "start", name));
    }
    picture(HEIGHT, &format!("{title}: {below}"), &body)
}
