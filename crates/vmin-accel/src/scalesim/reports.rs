//! SCALE-Sim's three report files.
//!
//! Bytes and columns are the tool's, numbers printed as Python prints them. Every column is modelled.

use std::fmt::Write;

use crate::cycles::LayerReport;

/// The reports, each a file name and its text. Layers without a product do not appear; a grouped layer
/// appears once per group, as a depthwise layer does in SCALE-Sim. A layer whose buffers the tool cannot
/// simulate (see [`super::spans`]) has empty fields.
#[must_use]
pub fn files(layers: &[LayerReport]) -> [(&'static str, String); 3] {
    let mut compute = "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, \
                       Overall Util %, Mapping Efficiency %, Compute Util %,\n"
        .to_owned();
    let mut bandwidth = "LayerID, Avg IFMAP SRAM BW, Avg FILTER SRAM BW, Avg OFMAP SRAM BW, \
                         Avg IFMAP DRAM BW, Avg FILTER DRAM BW, Avg OFMAP DRAM BW,\n"
        .to_owned();
    let mut detail = "LayerID, ".to_owned();
    for (side, count) in [("SRAM", "Reads"), ("DRAM", "Reads")] {
        for operand in ["IFMAP", "Filter", "OFMAP"] {
            let count = if operand == "OFMAP" { "Writes" } else { count };
            let _ = write!(
                detail,
                "{side} {operand} Start Cycle, {side} {operand} Stop Cycle, {side} {operand} {count}, "
            );
        }
    }
    detail.truncate(detail.trim_end().len());
    detail.push('\n');

    let rows = layers.iter().filter(|layer| layer.groups > 0);
    let rows = rows.flat_map(|layer| (0..layer.groups).map(move |_| layer));
    for (id, layer) in rows.enumerate() {
        let percent =
            [layer.utilization_pct, layer.mapping_efficiency_pct, layer.compute_utilization_pct]
                .map(python_float);
        let cycles = layer.cycles / layer.groups;
        let prefetched =
            layer.spans.map_or_else(String::new, |spans| spans.cycles_with_prefetch().to_string());
        let _ = writeln!(
            compute,
            "{id}, {prefetched}, {cycles}, {}, {},",
            layer.stall_cycles,
            percent.join(", ")
        );

        let sram = layer.sram_bandwidth().map(python_float).join(", ");
        let dram = layer.spans.map_or([const { String::new() }; 3], |spans| {
            spans.dram.map(|span| python_float(span.bandwidth()))
        });
        let _ = writeln!(bandwidth, "{id}, {sram}, {},", dram.join(", "));

        let _ = write!(detail, "{id}, ");
        let spans: Vec<String> = match layer.spans {
            Some(spans) => spans
                .sram
                .iter()
                .chain(&spans.dram)
                .map(|span| format!("{}.0, {}.0, {}", span.start, span.stop, span.words))
                .collect(),
            None => vec![", , ".to_owned(); 6],
        };
        let _ = writeln!(detail, "{},", spans.join(", "));
    }
    [
        ("COMPUTE_REPORT.csv", compute),
        ("BANDWIDTH_REPORT.csv", bandwidth),
        ("DETAILED_ACCESS_REPORT.csv", detail),
    ]
}

/// A number as Python's `repr` writes it: the shortest digits that mean it, an exponent of at least two
/// digits below 10^-4 and from 10^16 on.
fn python_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::python_float;

    #[test]
    fn numbers_look_like_python() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (100.0 / 3.0, "33.333333333333336"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e16, "1e+16"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (0.0, "0.0"),
        ] {
            assert_eq!(python_float(value), text);
        }
    }
}
