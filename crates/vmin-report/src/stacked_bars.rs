//! Stacked horizontal bars: one bar per layer, one colour per part.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::html::escape;
use crate::plot::{BLUE, GREEN, GREY, ORANGE, VIOLET};

/// Colours of the parts, in order of use; distinct under common colour blindness.
pub(crate) const PALETTE: [RGBColor; 8] = [
    BLUE,
    ORANGE,
    GREEN,
    VIOLET,
    RGBColor(202, 138, 4),
    RGBColor(8, 145, 178),
    GREY,
    RGBColor(190, 24, 93),
];
const WIDTH: u32 = 1200;
const BAR: u32 = 20;
const TOP: u32 = 64;
const BOTTOM: u32 = 48;
const LEFT: u32 = 230;
const RIGHT: u32 = 90;
/// Most bars; a longer network is cut, with a note.
const BARS_MAX: usize = 200;
const NAME_MAX: usize = 30;
const FONT: &str = "system-ui, sans-serif";
const INK: RGBColor = RGBColor(51, 65, 85);
const LINE: RGBColor = RGBColor(226, 232, 240);

/// One part of every bar.
pub(crate) struct Part<'a> {
    /// Name for the legend.
    pub(crate) label: &'a str,
    /// One value per bar, in the unit of the axis.
    pub(crate) values: Vec<f64>,
}

/// Draws one bar per name. Each part has as many values as there are names.
pub(crate) fn stacked(title: &str, unit: &str, names: &[&str], parts: &[Part<'_>]) -> String {
    let count = names.len().min(BARS_MAX);
    let totals: Vec<f64> =
        (0..count).map(|bar| parts.iter().map(|part| part.values[bar]).sum()).collect();
    let longest = totals.iter().copied().fold(0.0, f64::max);
    let height = TOP + BOTTOM + BAR * u32::try_from(count).unwrap_or(u32::MAX / 64);
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area, title, unit, names, parts, &totals, longest)
            .and_then(|()| area.present().map_err(|error| error.to_string()))
    };
    drawn.expect("drawing into memory succeeds");
    svg.replacen(
        &format!("<svg width=\"{WIDTH}\" height=\"{height}\" "),
        &format!("<svg class=\"figure\" role=\"img\" aria-label=\"{}\" ", escape(title)),
        1,
    )
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(
    area: &Area<'_>,
    title: &str,
    unit: &str,
    names: &[&str],
    parts: &[Part<'_>],
    totals: &[f64],
    longest: f64,
) -> Result<(), String> {
    let say = |error: DrawingAreaErrorKind<_>| error.to_string();
    let style = |size: i32, horizontal, vertical| {
        (FONT, size).into_font().color(&INK).pos(Pos::new(horizontal, vertical))
    };
    let left = LEFT.cast_signed();
    let span = f64::from(WIDTH - LEFT - RIGHT);
    let x = |value: f64| left + if longest > 0.0 { (value / longest * span) as i32 } else { 0 };
    let y = |bar: usize| (TOP + BAR * u32::try_from(bar).unwrap_or(0)).cast_signed();
    let bottom = y(totals.len());
    area.draw_text(title, &style(17, HPos::Left, VPos::Top), (8, 6)).map_err(say)?;
    let mut legend_x = left;
    for (part, color) in parts.iter().zip(PALETTE.iter().cycle()) {
        area.draw(&Rectangle::new([(legend_x, 36), (legend_x + 12, 48)], color.filled()))
            .map_err(say)?;
        area.draw_text(part.label, &style(13, HPos::Left, VPos::Center), (legend_x + 17, 42))
            .map_err(say)?;
        legend_x += 34 + 8 * i32::try_from(part.label.len()).unwrap_or(0);
    }
    let step = tick(longest);
    let mut value = 0.0;
    while longest > 0.0 && value <= longest * 1.000_001 {
        let at = x(value);
        area.draw(&PathElement::new(vec![(at, y(0) - 4), (at, bottom + 4)], LINE)).map_err(say)?;
        let label = style(12, HPos::Center, VPos::Top);
        area.draw_text(&number(value), &label, (at, bottom + 8)).map_err(say)?;
        value += step;
    }
    let label = style(13, HPos::Center, VPos::Top);
    area.draw_text(unit, &label, (left + (span / 2.0) as i32, bottom + 26)).map_err(say)?;
    for (bar, total) in totals.iter().enumerate() {
        let name: String = if names[bar].chars().count() > NAME_MAX {
            names[bar].chars().take(NAME_MAX - 1).chain(['…']).collect()
        } else {
            names[bar].to_owned()
        };
        let middle = y(bar) + BAR.cast_signed() / 2;
        area.draw_text(&name, &style(12, HPos::Right, VPos::Center), (left - 8, middle))
            .map_err(say)?;
        let mut from = 0.0;
        for (part, color) in parts.iter().zip(PALETTE.iter().cycle()) {
            let to = from + part.values[bar];
            if x(to) > x(from) {
                let corners = [(x(from), y(bar) + 3), (x(to), y(bar + 1) - 3)];
                area.draw(&Rectangle::new(corners, color.filled())).map_err(say)?;
            }
            from = to;
        }
        let label = style(12, HPos::Left, VPos::Center);
        area.draw_text(&number(*total), &label, (x(*total) + 6, middle)).map_err(say)?;
    }
    Ok(())
}

/// A round step that gives four to ten ticks.
fn tick(longest: f64) -> f64 {
    if longest <= 0.0 {
        return 1.0;
    }
    let decade = 10_f64.powf((longest / 4.0).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * decade)
        .rfind(|step| longest / step >= 4.0)
        .unwrap_or(decade)
}

fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value >= 1e6 {
        format!("{:.3}M", value / 1e6)
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{}", (value * 100.0).round() / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for longest in [0.013, 1.0, 3.9, 42.0, 1e5, 123_456.0] {
            let count = longest / tick(longest);
            assert!((4.0..=10.0).contains(&count), "{longest}: {count}");
        }
    }

    #[test]
    fn hostile_names_stay_text_and_empty_bars_are_drawn() {
        let parts = [Part { label: "a", values: vec![0.0, 2.0] }];
        let svg = stacked("t", "nJ", &["<script>", "x"], &parts);
        assert!(!svg.contains("<script>"), "{svg}");
        assert!(
            stacked("t", "nJ", &["x"], &[Part { label: "a", values: vec![0.0] }]).contains("svg")
        );
    }
}
