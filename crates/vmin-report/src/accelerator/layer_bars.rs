//! One bar per layer: cycles of the array or the vector unit, then stalls.

use std::fmt::Write;

use vmin_accel::cycles::LayerReport;

use crate::html::{escape, thousands};

pub(super) fn stacked(layers: &[LayerReport]) -> String {
    let mut html = String::from(
        "<div class=\"key\"><span><i class=\"compute\"></i>array</span><span><i class=\"vector\"></i>\
         vector unit</span><span><i class=\"sram\"></i>waits for on-chip memory</span>\
         <span><i class=\"dram\"></i>waits for DRAM</span></div>\n<div class=\"bars\">\n",
    );
    let longest = layers.iter().map(|layer| layer.cycles).max().unwrap_or(0).max(1) as f64;
    for layer in layers {
        let name = escape(&layer.name);
        let _ =
            write!(html, "<span class=\"name\" title=\"{name}\">{name}</span><span class=\"bar\">");
        let work = if layer.macs > 0 { "compute" } else { "vector" };
        for (class, cycles) in [
            (work, layer.compute_cycles),
            ("sram", layer.sram_stall_cycles),
            ("dram", layer.stall_cycles),
        ] {
            if cycles > 0 {
                let percent = 100.0 * cycles as f64 / longest;
                let _ = write!(
                    html,
                    "<i class=\"{class}\" style=\"width:{percent:.3}%\" title=\"{}\"></i>",
                    thousands(cycles)
                );
            }
        }
        let _ = writeln!(html, "</span><span class=\"count\">{}</span>", thousands(layer.cycles));
    }
    html.push_str("</div>\n");
    html
}
