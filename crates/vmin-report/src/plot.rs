//! Figures of lines, bands and dots over a voltage, a rate or an epoch.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use vmin_diagnostic::visible;

use crate::axis::Axis;
use crate::colors::{GREY, GRID, INK, PAPER, dark_style, hex};
use crate::html::escape;

const FONT: &str = "system-ui, sans-serif";
/// Width of a figure in SVG units; the page scales it.
const WIDTH: u32 = 560;
/// Height without title and legend.
const HEIGHT: u32 = 320;
/// Height of a title, of a row of the legend, of the label of a level.
const TITLE: u32 = 28;
const ROW: i32 = 19;
const LABEL: i32 = 14;
/// Most letters of a name in the legend.
const NAME_MAX: usize = 60;
/// Lines with a mark each; the next ones are dashed.
const SOLID: usize = 9;

/// One series of a figure.
pub(crate) enum Series<'a> {
    /// A line with a mark at each point.
    Line { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// A line without marks.
    Curve { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// The area between two curves, given as (x, low, high).
    Band { label: &'a str, color: RGBColor, opacity: f64, points: Vec<(f64, f64, f64)> },
    /// Faint dots, one per observation.
    Dots { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// Full dots.
    Points { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// Bars from 0, of a width in units of the horizontal axis.
    Bars { label: &'a str, color: RGBColor, width: f64, points: Vec<(f64, f64)> },
    /// A thin horizontal line with its label beside the plot.
    Level { label: &'a str, color: RGBColor, y: f64 },
}

/// Axes of a figure.
pub(crate) struct Axes {
    /// Title above the figure.
    pub(crate) title: &'static str,
    /// Name and unit of the horizontal axis.
    pub(crate) x_label: &'static str,
    /// Name and unit of the vertical axis.
    pub(crate) y_label: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), String>;

/// Draws a figure as SVG text; its legend lies above the plot, the names of levels on its right.
pub(crate) fn draw(axes: &Axes, series: &[Series]) -> String {
    let mut lines = 0;
    let entries = series.iter().filter_map(|series| {
        let (label, Some((color, swatch))) = look(series) else { return None };
        let swatch = match swatch {
            Swatch::Line(_) => {
                lines += 1;
                Swatch::Line(lines - 1)
            }
            Swatch::Curve | Swatch::Area(_) | Swatch::Dot(_) => swatch,
        };
        (!label.is_empty()).then_some((label, color, swatch))
    });
    let legend = Legend::of(entries, WIDTH);
    let title = if axes.title.is_empty() { 4 } else { TITLE };
    let top = title + legend.height();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT + top)).into_drawing_area();
        words(&area, axes.title, (10, 7), 15.0, HPos::Left, VPos::Top)
            .and_then(|()| legend.draw(&area, title.cast_signed()))
            .and_then(|()| draw_on(&area, axes, series, top))
            .and_then(|()| area.present().map_err(|error| error.to_string()))
            .expect("drawing into memory succeeds");
    }
    let names: Vec<_> = series.iter().map(|s| look(s).0).filter(|name| !name.is_empty()).collect();
    let subject = format!("{} over {}", axes.y_label, axes.x_label);
    let parts = [axes.title.to_owned(), subject, names.join(", ")];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    responsive(&svg, WIDTH, &parts.join(": "))
}

fn draw_on(area: &Area<'_>, axes: &Axes, series: &[Series], top: u32) -> Drawn {
    let say = |error: DrawingAreaErrorKind<_>| error.to_string();
    let levels = series.iter().filter_map(|series| match series {
        Series::Level { label, y, .. } if !label.is_empty() => Some((*label, *y)),
        Series::Level { .. }
        | Series::Line { .. }
        | Series::Curve { .. }
        | Series::Band { .. }
        | Series::Dots { .. }
        | Series::Points { .. }
        | Series::Bars { .. } => None,
    });
    let levels: Vec<(&str, f64)> = levels.collect();
    let right = levels.iter().map(|(label, _)| width(label, 12.0) + 6).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(top)
        .margin_right(18.max(right + 4))
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(axes.x, axes.y)
        .map_err(say)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .axis_style(GREY)
        .x_desc(axes.x_label)
        .y_desc(axes.y_label)
        .x_labels(8)
        .y_labels(8)
        .label_style(font(12.0))
        .axis_desc_style(font(13.0))
        .draw()
        .map_err(say)?;
    let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
    let path = |points: &[(f64, f64)]| points.iter().map(|&(x, y)| at(x, y)).collect::<Vec<_>>();
    let edges = chart.plotting_area().get_pixel_range();
    let mut lines = 0;
    for series in series {
        match series {
            Series::Line { color, points, .. } => {
                let points = path(points);
                line(area, &points, *color, lines >= SOLID)?;
                points.iter().try_for_each(|&point| mark(area, point, *color, lines))?;
                lines += 1;
            }
            Series::Curve { color, points, .. } => line(area, &path(points), *color, false)?,
            Series::Band { color, opacity, points, .. } => {
                let low = points.iter().map(|&(x, low, _)| at(x, low));
                let high = points.iter().rev().map(|&(x, _, high)| at(x, high));
                let outline: Vec<_> = low.chain(high).collect();
                area.draw(&Polygon::new(outline, color.mix(*opacity).filled())).map_err(say)?;
            }
            Series::Dots { color, points, .. } => {
                let mut places = path(points);
                places.sort_unstable();
                places.dedup();
                let dot = |&place: &_| area.draw(&Circle::new(place, 2, color.mix(0.45).filled()));
                places.iter().try_for_each(dot).map_err(say)?;
            }
            Series::Points { color, points, .. } => {
                let dot = |&place: &_| area.draw(&Circle::new(place, 3, color.filled()));
                path(points).iter().try_for_each(dot).map_err(say)?;
            }
            Series::Bars { color, width, points, .. } => {
                for &(x, y) in points.iter().filter(|point| point.1 > 0.0) {
                    let corners = [at(x - 0.5 * width, 0.0), at(x + 0.5 * width, y)];
                    area.draw(&Rectangle::new(corners, color.filled())).map_err(say)?;
                }
            }
            Series::Level { color, y, .. } => {
                let height = at(0.0, *y).1;
                let ends = vec![(edges.0.start, height), (edges.0.end, height)];
                area.draw(&PathElement::new(ends, color.stroke_width(1))).map_err(say)?;
            }
        }
    }
    let mut names: Vec<_> = levels.iter().map(|&(label, y)| (at(0.0, y).1, label)).collect();
    names.sort_unstable();
    let mut free = i32::MIN;
    for (height, label) in names {
        let place = height.max(free);
        words(area, label, (edges.0.end + 6, place), 12.0, HPos::Left, VPos::Center)?;
        free = place + LABEL;
    }
    Ok(())
}

fn line(area: &Area<'_>, points: &[(i32, i32)], color: RGBColor, dashed: bool) -> Drawn {
    let style = color.stroke_width(2);
    let points = points.to_vec();
    let drawn = if dashed {
        area.draw(&DashedPathElement::new(points, 5, 3, style))
    } else {
        area.draw(&PathElement::new(points, style))
    };
    drawn.map_err(|error| error.to_string())
}

/// The mark of the n-th line; shapes tell lines apart in grey.
fn mark(area: &Area<'_>, (x, y): (i32, i32), color: RGBColor, index: usize) -> Drawn {
    let drawn = match index % 4 {
        0 => area.draw(&Circle::new((x, y), 3, color.filled())),
        1 => area.draw(&Rectangle::new([(x - 3, y - 3), (x + 3, y + 3)], color.filled())),
        2 => area.draw(&TriangleMarker::new((x, y), 5, color.filled())),
        _ => area.draw(&Cross::new((x, y), 3, color.stroke_width(2))),
    };
    drawn.map_err(|error| error.to_string())
}

pub(crate) fn font(pixels: f64) -> TextStyle<'static> {
    // The SVG backend divides sizes by this.
    (FONT, pixels * 1.24).into_font().color(&INK)
}

fn words(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    pixels: f64,
    horizontal: HPos,
    vertical: VPos,
) -> Drawn {
    let style = font(pixels).pos(Pos::new(horizontal, vertical));
    area.draw_text(&visible(text), &style, at).map_err(|error| error.to_string())
}

/// The width of a text in pixels, a little too much rather than too little.
fn width(text: &str, pixels: f64) -> i32 {
    (visible(text).chars().count() as f64 * pixels * 0.6).ceil() as i32
}

/// How the legend shows a series.
#[derive(Clone, Copy)]
pub(crate) enum Swatch {
    /// With the mark of the n-th line.
    Line(usize),
    Curve,
    /// A field of this opacity.
    Area(f64),
    Dot(f64),
}

/// Name, colour and swatch; a level is named beside the plot.
fn look<'a>(series: &Series<'a>) -> (&'a str, Option<(RGBColor, Swatch)>) {
    match *series {
        Series::Line { label, color, .. } => (label, Some((color, Swatch::Line(0)))),
        Series::Curve { label, color, .. } => (label, Some((color, Swatch::Curve))),
        Series::Band { label, color, opacity, .. } => (label, Some((color, Swatch::Area(opacity)))),
        Series::Dots { label, color, .. } => (label, Some((color, Swatch::Dot(0.45)))),
        Series::Points { label, color, .. } => (label, Some((color, Swatch::Dot(1.0)))),
        Series::Bars { label, color, .. } => (label, Some((color, Swatch::Area(1.0)))),
        Series::Level { label, .. } => (label, None),
    }
}

/// Names of series in rows, each with its place.
pub(crate) struct Legend {
    entries: Vec<(i32, i32, String, RGBColor, Swatch)>,
    rows: u32,
}

impl Legend {
    /// Rows of these names in a figure of this width.
    pub(crate) fn of<'a>(
        names: impl Iterator<Item = (&'a str, RGBColor, Swatch)>,
        figure_width: u32,
    ) -> Self {
        let (left, right) = (14, figure_width.cast_signed() - 10);
        let (mut x, mut row) = (left, 0_i32);
        let mut entries = Vec::new();
        for (label, color, swatch) in names {
            let name = short(&visible(label), NAME_MAX);
            let wide = 28 + width(&name, 12.0);
            if x > left && x + wide > right {
                (x, row) = (left, row + 1);
            }
            entries.push((x, row, name, color, swatch));
            x += wide + 14;
        }
        let rows = if entries.is_empty() { 0 } else { row.cast_unsigned() + 1 };
        Self { entries, rows }
    }

    pub(crate) fn height(&self) -> u32 {
        // The highest label of an axis needs some room, too.
        self.rows * ROW.cast_unsigned() + 4
    }

    /// Draws the rows below this height.
    pub(crate) fn draw(&self, area: &Area<'_>, top: i32) -> Drawn {
        let say = |error: DrawingAreaErrorKind<_>| error.to_string();
        for (x, row, name, color, swatch) in &self.entries {
            let (x, y) = (*x, top + row * ROW + ROW / 2);
            match *swatch {
                Swatch::Line(index) => {
                    line(area, &[(x, y), (x + 20, y)], *color, index >= SOLID)?;
                    mark(area, (x + 10, y), *color, index)?;
                }
                Swatch::Curve => line(area, &[(x, y), (x + 20, y)], *color, false)?,
                Swatch::Area(opacity) => {
                    let style = color.mix(opacity).filled();
                    area.draw(&Rectangle::new([(x, y - 5), (x + 20, y + 5)], style))
                        .map_err(say)?;
                }
                Swatch::Dot(opacity) => {
                    let style = color.mix(opacity).filled();
                    area.draw(&Circle::new((x + 10, y), 3, style)).map_err(say)?;
                }
            }
            words(area, name, (x + 26, y), 12.0, HPos::Left, VPos::Center)?;
        }
        Ok(())
    }
}

/// A text of at most so many letters.
pub(crate) fn short(text: &str, most: usize) -> String {
    if text.chars().count() > most {
        text.chars().take(most - 1).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

/// A figure that the page scales, with a description for those who do not see it.
pub(crate) fn responsive(svg: &str, width: u32, description: &str) -> String {
    // Smaller than this, its text is no more read: the page scrolls the figure.
    let least = f64::from(width) * 0.6;
    let start = format!(
        "<svg class=\"figure\" style=\"min-width:{least}px\" role=\"img\" aria-label=\"{}\" ",
        escape(description)
    );
    svg.replacen("<svg ", &start, 1)
}

/// The same figure as an SVG file.
pub(crate) fn standalone(svg: &str) -> String {
    let paper = format!(
        ">\n<style>{}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
        dark_style(),
        hex(PAPER)
    );
    svg.replacen('>', &paper, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(labels: &[&str]) -> String {
        let series: Vec<_> = labels
            .iter()
            .map(|label| Series::Line { label, color: INK, points: vec![(1.0, 1.0), (2.0, 3.0)] })
            .collect();
        let (x, y) = (Axis::linear(0.0, 3.0), Axis::linear(0.0, 4.0));
        draw(&Axes { title: "t", x_label: "x", y_label: "y", x, y }, &series)
    }

    /// The number of an attribute.
    fn attribute(element: &str, name: &str) -> i32 {
        let value =
            element.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.expect("the attribute").parse().expect("a number")
    }

    #[test]
    fn legends_lie_above_the_plot_and_name_every_curve() {
        let names: Vec<String> =
            (0..14).map(|index| format!("a remedy with number {index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let svg = figure(&names);
        let grid = format!("stroke=\"{}\"", hex(GRID).to_uppercase());
        let lines = svg.lines().filter(|line| line.contains(&grid));
        let top = lines.map(|line| attribute(line, "y1")).min();
        for name in names {
            let (before, _) = svg.split_once(&format!("\n{name}\n")).expect("named once");
            let text = before.rsplit("<text").next().expect("its element");
            assert!(Some(attribute(text, "y") + 6) < top, "{name}: {text}, {top:?}");
            let end = attribute(text, "x") + width(name, 12.0);
            assert!(end <= WIDTH.cast_signed(), "{name} ends at {end}");
        }
    }

    #[test]
    fn levels_have_their_names_apart_and_outside() {
        let level = |label, y| Series::Level { label, color: INK, y };
        let (x, y) = (Axis::linear(0.0, 3.0), Axis::linear(0.0, 100.0));
        let axes = Axes { title: "t", x_label: "x", y_label: "y", x, y };
        let svg = draw(&axes, &[level("clean 1 %", 1.0), level("budget 2 %", 2.0)]);
        let place = |name: &str| {
            let (before, _) = svg.split_once(&format!("\n{name}\n")).expect("named once");
            let text = before.rsplit("<text").next().expect("its element");
            (attribute(text, "x"), attribute(text, "y"))
        };
        let (clean, budget) = (place("clean 1 %"), place("budget 2 %"));
        assert!(clean.1 - budget.1 >= 12, "{clean:?} {budget:?}");
        assert!(clean.0 > 400 && clean.0 + width("budget 2 %", 12.0) <= WIDTH.cast_signed());
    }

    #[test]
    fn hostile_names_stay_visible_text() {
        let svg = figure(&["<script>\u{1b}[31m"]);
        assert!(svg.contains("&lt;script&gt;\\x1b[31m"), "{svg}");
        assert!(!svg.contains("<script>") && !svg.contains('\u{1b}'));
    }

    #[test]
    fn a_file_has_its_size_a_ground_and_a_dark_theme() {
        let file = standalone(&figure(&["a"]));
        assert!(file.contains("width=\"560\"") && file.contains("prefers-color-scheme:dark"));
        assert!(file.contains("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"));
    }
}
