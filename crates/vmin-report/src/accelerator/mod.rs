//! The page of `vmin cycles --report`: cycles per layer.

mod layer_bars;
mod roofline;
mod strip;

use std::fmt::Write;

use vmin_accel::cycles::{Bound, LayerReport, totals};

use crate::html::{END_TABLE, begin_styled, begin_table, end, escape, figure, thousands, tiles};

/// Content of the page.
#[derive(Clone, Copy, Debug)]
pub struct Run<'r> {
    /// The network or table of layers.
    pub model: &'r str,
    /// The accelerator.
    pub accelerator: &'r str,
    /// Dataflow, cycle model and batch, in words.
    pub setting: &'r str,
    /// Clock, in MHz.
    pub clock_mhz: f64,
    /// Processing elements: multiply-accumulates per cycle at most.
    pub peak_macs_per_cycle: f64,
    /// Bytes that DRAM moves per cycle.
    pub dram_bytes_per_cycle: f64,
    /// The layers.
    pub layers: &'r [LayerReport],
    /// The same as JSON, for the page.
    pub json: &'r str,
}

/// One HTML document that opens offline; the same run gives the same bytes.
#[must_use]
pub fn page(run: &Run<'_>) -> String {
    let title = format!("{} on {}", run.model, run.accelerator);
    let mut page = begin_styled(&title, "cycles", include_str!("cycles.css"));
    let _ = writeln!(page, "<p class=\"lead\">{}</p>", escape(run.setting));
    facts(&mut page, run);
    page.push_str("<h2>Where the cycles go</h2>\n<div class=\"card\">\n");
    page.push_str(&layer_bars::stacked(run.layers));
    page.push_str("</div>\n<h2>Utilization of the array</h2>\n<div class=\"card\">\n");
    page.push_str(&strip::utilization(run.layers));
    page.push_str("</div>\n<h2>Roofline</h2>\n");
    match roofline::draw(run) {
        Some(svg) => figure(&mut page, false, &svg),
        None => page.push_str("<p class=\"lead\">No layer multiplies and moves data.</p>\n"),
    }
    table(&mut page, run.layers);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-cycles", run.json);
    page
}

fn facts(page: &mut String, run: &Run<'_>) {
    let sum = totals(run.layers);
    let cycles = sum.cycles.max(1) as f64;
    let share = |part: u64| format!("{:.1} %", 100.0 * part as f64 / cycles);
    let reached = sum.macs as f64 / cycles;
    let answers = [
        (format!("{:.1} µs", sum.cycles as f64 / run.clock_mhz), "per run".to_owned()),
        (thousands(sum.cycles), format!("cycles at {} MHz", run.clock_mhz)),
        (
            format!("{:.1} %", 100.0 * reached / run.peak_macs_per_cycle),
            format!("of the array's {} MACs per cycle", run.peak_macs_per_cycle),
        ),
        (share(sum.stall_cycles), "of the cycles wait for DRAM".to_owned()),
        (share(sum.sram_stall_cycles), "wait for on-chip memories".to_owned()),
        match sum.dram_bytes {
            few @ ..10_240 => (format!("{} bytes", thousands(few)), "from and to DRAM".to_owned()),
            bytes => (format!("{} KiB", thousands(bytes / 1024)), "from and to DRAM".to_owned()),
        },
    ];
    tiles(page, &answers);
}

fn table(page: &mut String, layers: &[LayerReport]) {
    page.push_str("<h2>Layers</h2>\n");
    begin_table(
        page,
        "Sizes, cycles, traffic and bound of each layer",
        &[
            "layer",
            "m",
            "n",
            "k",
            "groups",
            "MACs",
            "folds",
            "cycles",
            "DRAM stalls",
            "SRAM stalls",
            "utili&shy;zation",
            "mapping",
            "MACs per DRAM byte",
            "MACs per cycle",
            "attain&shy;able",
            "bound by",
        ],
    );
    for layer in layers {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escape(&layer.name));
        for count in [
            layer.m,
            layer.n,
            layer.k,
            layer.groups,
            layer.macs,
            layer.folds,
            layer.cycles,
            layer.stall_cycles,
            layer.sram_stall_cycles,
        ] {
            let _ = write!(page, "<td>{}</td>", thousands(count));
        }
        let intensity = layer.macs_per_byte.map_or("–".to_owned(), |value| format!("{value:.1}"));
        let _ = writeln!(
            page,
            "<td>{:.1} %</td><td>{:.1} %</td><td>{intensity}</td><td>{:.1}</td><td>{:.1}</td>\
             <td>{}</td></tr>",
            layer.utilization_pct,
            layer.mapping_efficiency_pct,
            layer.achieved_macs_per_cycle,
            layer.attainable_macs_per_cycle,
            bound(layer.bound_by),
        );
    }
    page.push_str(END_TABLE);
}

const fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::Compute => "array",
        Bound::Vector => "vector unit",
        Bound::Sram => "on-chip memory",
        Bound::Dram => "DRAM",
    }
}

#[cfg(test)]
mod tests {
    use vmin_accel::cycles::{self, Schedule};
    use vmin_accel::{Accelerator, GemmShape, Layer};

    use super::*;

    #[test]
    fn hostile_names_stay_text_and_the_page_is_reproducible() {
        let accelerator = Accelerator::load("gemmini-16").expect("shipped");
        let layers = [
            Layer::gemm("</script><b>", GemmShape::new(100, 20, 30).expect("sane")),
            Layer::vector("pool", 100, 10),
        ];
        let reports = cycles::run(&accelerator, Schedule::of(&accelerator), &layers).expect("fits");
        let run = Run {
            model: "<i>",
            accelerator: "a&b",
            setting: "\"x\"",
            clock_mhz: 1000.0,
            peak_macs_per_cycle: 256.0,
            dram_bytes_per_cycle: 16.0,
            layers: &reports,
            json: "{\"a\": \"</script>\"}",
        };
        let html = page(&run);
        assert_eq!(html, page(&run));
        assert!(!html.contains("<b></td>") && !html.contains("<i>"));
        assert_eq!(html.matches("</script>").count(), 1);
        assert!(html.contains("&lt;/script&gt;&lt;b&gt;"));
    }

    #[test]
    fn a_run_without_layers_is_a_page() {
        let run = Run {
            model: "m",
            accelerator: "a",
            setting: "",
            clock_mhz: 1.0,
            peak_macs_per_cycle: 1.0,
            dram_bytes_per_cycle: 1.0,
            layers: &[],
            json: "{}",
        };
        assert!(page(&run).contains("vmin-cycles"));
    }
}
