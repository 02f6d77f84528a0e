//! Layers under the roof of array and DRAM, both axes logarithmic.

use super::Run;
use crate::axis::Axis;
use crate::colors::{BLUE, ORANGE};
use crate::plot::{self, Axes, Series};

/// The figure; none if no layer multiplies and moves data.
pub(super) fn draw(run: &Run<'_>) -> Option<String> {
    let points: Vec<(f64, f64)> = run
        .layers
        .iter()
        .filter_map(|layer| Some((layer.macs_per_byte?, layer.achieved_macs_per_cycle)))
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .collect();
    let (peak, slope) = (run.peak_macs_per_cycle, run.dram_bytes_per_cycle);
    let ridge = peak / slope;
    if points.is_empty() || !(peak > 0.0 && slope > 0.0 && ridge.is_finite()) {
        return None;
    }
    let least =
        |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).fold(f64::INFINITY, f64::min);
    let right = points.iter().map(|point| point.0).fold(ridge, f64::max) * 3.0;
    // With unlimited DRAM bandwidth, the ridge lies left of the figure.
    let left = least(|point| point.0).min(ridge.max(right * 1e-6)) / 3.0;
    let roof = |x: f64| peak.min(x * slope);
    let (bottom, top) = (least(|point| point.1).min(roof(left)) / 2.0, peak * 2.0);
    let mut corners = vec![left, right];
    if ridge > left && ridge < right {
        corners.insert(1, ridge);
    }
    let corners = corners.into_iter().map(|x| (x, roof(x))).collect();
    Some(plot::draw(
        &Axes {
            title: "",
            x_label: "operational intensity (MACs per byte from and to DRAM)",
            y_label: "MACs per cycle",
            x: Axis::logarithmic(left, right),
            y: Axis::logarithmic(bottom, top),
        },
        &[
            Series::Curve { label: "attainable", color: ORANGE, points: corners },
            Series::Points { label: "layer", color: BLUE, points },
        ],
    ))
}
