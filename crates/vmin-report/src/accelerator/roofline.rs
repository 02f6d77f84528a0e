//! Layers under the roof of array and DRAM, both axes logarithmic.

use plotters::prelude::*;

use super::Run;
use crate::plot::{BLUE, FONT, GREY, GRID, INK, ORANGE, SIZE, responsive};

pub(super) fn draw(run: &Run<'_>) -> String {
    let points: Vec<(f64, f64)> = run
        .layers
        .iter()
        .filter_map(|layer| Some((layer.macs_per_byte?, layer.achieved_macs_per_cycle)))
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .collect();
    let (peak, slope) = (run.peak_macs_per_cycle, run.dram_bytes_per_cycle);
    let ridge = peak / slope;
    if points.is_empty() || !(peak > 0.0 && slope > 0.0 && ridge.is_finite()) {
        return "<p class=\"lead\">No layer multiplies and moves data.</p>\n".to_owned();
    }
    let least =
        |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).fold(f64::INFINITY, f64::min);
    let right = points.iter().map(|point| point.0).fold(ridge, f64::max) * 3.0;
    // With unlimited DRAM bandwidth, the ridge lies left of the figure.
    let left = least(|point| point.0).min(ridge.max(right * 1e-6)) / 3.0;
    let roof = |x: f64| peak.min(x * slope);
    let (bottom, top) = (least(|point| point.1).min(roof(left)) / 2.0, peak * 2.0);
    let mut svg = String::new();
    let drawn = figure(&mut svg, [left, right], [bottom, top], &points, &roof, ridge);
    if drawn.is_err() {
        return String::new();
    }
    responsive(&svg)
}

fn figure(
    svg: &mut String,
    [left, right]: [f64; 2],
    [bottom, top]: [f64; 2],
    points: &[(f64, f64)],
    roof: &dyn Fn(f64) -> f64,
    ridge: f64,
) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let text = |size: u32, color: RGBColor| (FONT, size).into_font().color(&color);
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())
        .map_err(|e| say(&e))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(GREY)
        .x_desc("operational intensity (MACs per byte from and to DRAM)")
        .y_desc("MACs per cycle")
        .label_style(text(12, INK))
        .axis_desc_style(text(13, INK))
        .draw()
        .map_err(|e| say(&e))?;
    let mut corners = vec![left, right];
    if ridge > left && ridge < right {
        corners.insert(1, ridge);
    }
    let line = corners.into_iter().map(|x| (x, roof(x)));
    chart
        .draw_series(LineSeries::new(line, ORANGE.stroke_width(2)))
        .map_err(|e| say(&e))?
        .label("attainable")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], ORANGE.stroke_width(2)));
    let dots = points.iter().map(|point| Circle::new(*point, 4, BLUE.mix(0.6).filled()));
    chart
        .draw_series(dots)
        .map_err(|e| say(&e))?
        .label("layer")
        .legend(|(x, y)| Circle::new((x + 7, y), 4, BLUE.mix(0.6).filled()));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(text(12, INK))
        .draw()
        .map_err(|e| say(&e))?;
    area.present().map_err(|e| say(&e))
}
