//! Figures of lines, bands and dots over a voltage, a rate or an epoch.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// Size of a figure in SVG units; the page scales it.
pub(crate) const SIZE: (u32, u32) = (640, 360);
pub(crate) const FONT: &str = "system-ui, sans-serif";
pub(crate) const INK: RGBColor = RGBColor(51, 65, 85);
pub(crate) const GRID: RGBColor = RGBColor(226, 232, 240);

/// Colours of the series, in order of use.
pub(crate) const BLUE: RGBColor = RGBColor(37, 99, 235);
/// Second colour.
pub(crate) const ORANGE: RGBColor = RGBColor(234, 88, 12);
/// Third colour.
pub(crate) const GREEN: RGBColor = RGBColor(5, 150, 105);
/// Fourth colour.
pub(crate) const VIOLET: RGBColor = RGBColor(124, 58, 237);
/// For reference lines.
pub(crate) const GREY: RGBColor = RGBColor(100, 116, 139);

/// One series of a figure.
pub(crate) enum Series<'a> {
    /// A line with dots.
    Line { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// The area between two curves, given as (x, low, high).
    Band { label: &'a str, color: RGBColor, opacity: f64, points: Vec<(f64, f64, f64)> },
    /// Faint dots, one per observation.
    Dots { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// Full dots.
    Points { label: &'a str, color: RGBColor, points: Vec<(f64, f64)> },
    /// Bars from 0, of a width in units of the horizontal axis.
    Bars { label: &'a str, color: RGBColor, width: f64, points: Vec<(f64, f64)> },
    /// A thin horizontal line.
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
    /// Horizontal range; logarithmic if `x_logarithmic`.
    pub(crate) x: (f64, f64),
    /// Vertical range.
    pub(crate) y: (f64, f64),
    /// Logarithmic horizontal axis.
    pub(crate) x_logarithmic: bool,
    /// Logarithmic vertical axis.
    pub(crate) y_logarithmic: bool,
    /// Position of the legend.
    pub(crate) legend: SeriesLabelPosition,
}

/// Draws a figure as SVG text.
pub(crate) fn draw(axes: &Axes, series: &[Series]) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let (x, y) = (axes.x.0..axes.x.1, axes.y.0..axes.y.1);
        let drawn = match (axes.x_logarithmic, axes.y_logarithmic) {
            (false, false) => draw_on(&area, axes, x, y, series),
            (true, false) => draw_on(&area, axes, x.log_scale(), y, series),
            (false, true) => draw_on(&area, axes, x, y.log_scale(), series),
            (true, true) => draw_on(&area, axes, x.log_scale(), y.log_scale(), series),
        };
        drawn
            .and_then(|()| area.present().map_err(|error| error.to_string()))
            .expect("drawing into memory succeeds");
    }
    responsive(&svg)
}

fn plain_label(value: &f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    format!("{rounded}")
}

fn rate_label(value: &f64) -> String {
    if *value >= 1e-4 { format!("{}", (value * 1e6).round() / 1e6) } else { format!("{value:.0e}") }
}

fn draw_on<'a, X, Y>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    axes: &Axes,
    x: X,
    y: Y,
    series: &[Series],
) -> Result<(), String>
where
    X: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let label = |logarithmic: bool| if logarithmic { rate_label } else { plain_label };
    let text = |size: i32, color: RGBColor| (FONT, size).into_font().color(&color);
    let say = |error: DrawingAreaErrorKind<_>| error.to_string();
    let mut chart = ChartBuilder::on(area)
        .caption(axes.title, text(17, INK))
        .margin(8)
        .margin_right(20)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(x, y)
        .map_err(say)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GREY)
        .x_desc(axes.x_label)
        .y_desc(axes.y_label)
        .x_labels(9)
        .y_labels(7)
        .x_label_formatter(&label(axes.x_logarithmic))
        .y_label_formatter(&label(axes.y_logarithmic))
        .label_style(text(12, INK))
        .axis_desc_style(text(13, INK))
        .draw()
        .map_err(say)?;
    let mut labels = false;
    for series in series {
        let (label, color) = match series {
            Series::Line { label, color, points } => {
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))
                    .map_err(say)?;
                chart
                    .draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))
                    .map_err(say)?;
                (label, color.to_rgba())
            }
            Series::Band { label, color, opacity, points } => {
                let low = points.iter().map(|&(x, low, _)| (x, low));
                let high = points.iter().rev().map(|&(x, _, high)| (x, high));
                let outline: Vec<_> = low.chain(high).collect();
                let fill = color.mix(*opacity);
                chart
                    .draw_series(std::iter::once(Polygon::new(outline, fill.filled())))
                    .map_err(say)?;
                (label, color.mix((opacity * 2.0).min(1.0)))
            }
            Series::Dots { label, color, points } => {
                let fill = color.mix(0.35);
                chart
                    .draw_series(points.iter().map(|&point| Circle::new(point, 2, fill.filled())))
                    .map_err(say)?;
                (label, fill)
            }
            Series::Points { label, color, points } => {
                chart
                    .draw_series(points.iter().map(|&point| Circle::new(point, 3, color.filled())))
                    .map_err(say)?;
                (label, color.to_rgba())
            }
            Series::Bars { label, color, width, points } => {
                let bar = |&(x, y): &(f64, f64)| {
                    let corners = [(x - 0.5 * width, 0.0), (x + 0.5 * width, y)];
                    Rectangle::new(corners, color.mix(0.75).filled())
                };
                chart.draw_series(points.iter().map(bar)).map_err(say)?;
                (label, color.to_rgba())
            }
            Series::Level { label, color, y } => {
                let ends = [(axes.x.0, *y), (axes.x.1, *y)];
                chart
                    .draw_series(DashedLineSeries::new(ends, 5, 4, color.stroke_width(1)))
                    .map_err(say)?;
                (label, color.to_rgba())
            }
        };
        if !label.is_empty() {
            labels = true;
            chart
                .draw_series(std::iter::empty::<Circle<(f64, f64), i32>>())
                .map_err(say)?
                .label(*label)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 4), (x + 14, y + 4)], color.filled())
                });
        }
    }
    if !labels {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(axes.legend.clone())
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(text(12, INK))
        .draw()
        .map_err(say)?;
    Ok(())
}

/// Removes the width of a figure, so that the page sets it.
pub(crate) fn responsive(svg: &str) -> String {
    let (width, height) = SIZE;
    svg.replacen(
        &format!("<svg width=\"{width}\" height=\"{height}\" "),
        "<svg class=\"figure\" role=\"img\" ",
        1,
    )
}

/// The same figure as an SVG file.
pub(crate) fn standalone(svg: &str) -> String {
    let (width, height) = SIZE;
    svg.replacen(
        "<svg class=\"figure\" role=\"img\" ",
        &format!("<svg width=\"{width}\" height=\"{height}\" style=\"background:#fff\" "),
        1,
    )
}
