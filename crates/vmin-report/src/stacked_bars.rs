//! Stacked horizontal bars: one bar per layer, one colour per part.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use vmin_diagnostic::visible;

use crate::axis::round_step;
use crate::colors::{GRID, SERIES};
use crate::plot::{Legend, Swatch, font, responsive, short};

const WIDTH: u32 = 960;
const BAR: u32 = 20;
const TITLE: i32 = 32;
const BOTTOM: u32 = 48;
const LEFT: u32 = 220;
const RIGHT: u32 = 90;
/// Most bars; a longer network is cut, with a note.
const BARS_MAX: usize = 200;
const NAME_MAX: usize = 30;

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
    let labels: Vec<String> = parts.iter().map(|part| part.label.replace('_', " ")).collect();
    let entries =
        labels.iter().zip(SERIES).map(|(label, color)| (label.as_str(), color, Swatch::Area(1.0)));
    let legend = Legend::of(entries, WIDTH);
    let top = TITLE.cast_unsigned() + legend.height() + 14;
    let height = top + BOTTOM + BAR * u32::try_from(count).unwrap_or(u32::MAX / 64);
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area, top, title, unit, &legend, names, parts, &totals, longest)
            .and_then(|()| area.present().map_err(|error| error.to_string()))
    };
    drawn.expect("drawing into memory succeeds");
    responsive(&svg, WIDTH, &format!("{title}: {unit}"))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(
    area: &Area<'_>,
    top: u32,
    title: &str,
    unit: &str,
    legend: &Legend,
    names: &[&str],
    parts: &[Part<'_>],
    totals: &[f64],
    longest: f64,
) -> Result<(), String> {
    let say = |error: DrawingAreaErrorKind<_>| error.to_string();
    let style = |pixels, horizontal, vertical| font(pixels).pos(Pos::new(horizontal, vertical));
    let left = LEFT.cast_signed();
    let span = f64::from(WIDTH - LEFT - RIGHT);
    let x = |value: f64| left + if longest > 0.0 { (value / longest * span) as i32 } else { 0 };
    let y = |bar: usize| (top + BAR * u32::try_from(bar).unwrap_or(0)).cast_signed();
    let bottom = y(totals.len());
    area.draw_text(title, &style(15.0, HPos::Left, VPos::Top), (8, 6)).map_err(say)?;
    legend.draw(area, TITLE)?;
    let step = round_step(longest / 8.0);
    let mut value = 0.0;
    while longest > 0.0 && value <= longest * 1.000_001 {
        let at = x(value);
        area.draw(&PathElement::new(vec![(at, y(0) - 4), (at, bottom + 4)], GRID)).map_err(say)?;
        let label = style(12.0, HPos::Center, VPos::Top);
        area.draw_text(&number(value), &label, (at, bottom + 8)).map_err(say)?;
        value += step;
    }
    let label = style(13.0, HPos::Center, VPos::Top);
    area.draw_text(unit, &label, (left + (span / 2.0) as i32, bottom + 26)).map_err(say)?;
    for (bar, total) in totals.iter().enumerate() {
        let name = short(&visible(names[bar]), NAME_MAX);
        let middle = y(bar) + BAR.cast_signed() / 2;
        area.draw_text(&name, &style(12.0, HPos::Right, VPos::Center), (left - 8, middle))
            .map_err(say)?;
        let mut from = 0.0;
        for (part, color) in parts.iter().zip(SERIES.iter().cycle()) {
            let to = from + part.values[bar];
            if x(to) > x(from) {
                let corners = [(x(from), y(bar) + 3), (x(to), y(bar + 1) - 3)];
                area.draw(&Rectangle::new(corners, color.filled())).map_err(say)?;
            }
            from = to;
        }
        let label = style(12.0, HPos::Left, VPos::Center);
        area.draw_text(&number(*total), &label, (x(*total) + 6, middle)).map_err(say)?;
    }
    Ok(())
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
    fn hostile_names_stay_text_and_empty_bars_are_drawn() {
        let parts = [Part { label: "a", values: vec![0.0, 2.0] }];
        let svg = stacked("t", "nJ", &["<script>\u{1b}", "x"], &parts);
        assert!(!svg.contains("<script>") && !svg.contains('\u{1b}'), "{svg}");
        assert!(
            stacked("t", "nJ", &["x"], &[Part { label: "a", values: vec![0.0] }]).contains("svg")
        );
    }
}
