//! A timeline of the run, darker for a higher utilization of the array.

use std::fmt::Write;

use vmin_accel::cycles::LayerReport;

use crate::html::escape;

pub(super) fn utilization(layers: &[LayerReport]) -> String {
    let all = layers.iter().map(|layer| layer.cycles).fold(0, u64::saturating_add).max(1) as f64;
    let mut html = String::from(
        "<div class=\"key\"><span>time from left to right, one field per layer</span>\
         <span>0 % <i class=\"ramp\"></i> 100 %</span></div>\n<div class=\"strip\">",
    );
    for layer in layers.iter().filter(|layer| layer.cycles > 0) {
        let share = (layer.utilization_pct / 100.0).clamp(0.0, 1.0);
        let _ = write!(
            html,
            "<i style=\"width:{:.3}%;opacity:{share:.3}\" title=\"{}: {:.1} %\"></i>",
            100.0 * layer.cycles as f64 / all,
            escape(&layer.name),
            layer.utilization_pct,
        );
    }
    html.push_str("</div>\n");
    html
}
