//! The page of a sweep, and the parts that all pages share.

use std::fmt::Write;

use vmin_sram::Chip;
use vmin_sweep::{Point, Results};

use crate::figures;

/// The report of a sweep: one HTML document that opens offline, with pictures of its first chip, if it is
/// given.
#[must_use]
pub fn page(results: &Results, first_chip: Option<&Chip>) -> String {
    let mut page = begin(&results.name);
    lead(&mut page, results);
    facts(&mut page, results);
    page.push_str("<h2>What happens as the voltage falls</h2>\n<div class=\"figures\">\n");
    for figure in figures::all(results) {
        let _ = writeln!(page, "<div class=\"card\">{figure}</div>");
    }
    page.push_str("</div>\n");
    operating_points(&mut page, results);
    crate::memories::section(&mut page, results);
    crate::remedies::section(&mut page, results);
    if let Some(chip) = first_chip {
        crate::first_chip::section(&mut page, chip);
    }
    words(&mut page, results);
    provenance(&mut page, results);
    end(&mut page, &results.provenance.vmin_version, "vmin-results", &results.to_json());
    page
}

/// The head of a page and its title.
pub(crate) fn begin(name: &str) -> String {
    let name = escape(name);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} · vmin</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n",
        include_str!("page.css")
    )
}

/// The end of a page, with its numbers as JSON in the element `id`.
pub(crate) fn end(page: &mut String, version: &str, id: &str, json: &str) {
    // `<` never appears inside the JSON block, so no text can end it.
    let data = json.replace('<', "\\u003c");
    let _ = write!(
        page,
        "<footer>Made by vmin {}. The numbers are inside this file as JSON \
         (element <code>{id}</code>).</footer>\n\
         <script type=\"application/json\" id=\"{id}\">\n{data}</script>\n\
         </main>\n</body>\n</html>\n",
        escape(version)
    );
}

fn lead(page: &mut String, results: &Results) {
    let setting = &results.setting;
    let placement = match setting.layout.as_str() {
        "" | "linear" => setting.placement.clone(),
        layout => format!("{}, {layout}", setting.placement),
    };
    let _ = writeln!(
        page,
        "<p class=\"lead\">{} ({} weights, {} bit) on {} · {} · {} images of {} · {} {} · \
         fault kind <code>{}</code>{}</p>",
        escape(&setting.model),
        thousands(setting.weights),
        setting.weight_bits,
        escape(&setting.accelerator),
        escape(&placement),
        thousands(results.clean.images),
        escape(&setting.data),
        thousands(results.chips.len() as u64),
        if measured(results) {
            format!("measured chips, energies of {}", escape(&setting.profile))
        } else {
            format!("chips of {}", escape(&setting.profile))
        },
        escape(&setting.fault_kind),
        match setting.memories.as_str() {
            "" => String::new(),
            memories => format!(" · {}", escape(memories)),
        },
    );
}

/// True if the chips were measured, not sampled.
fn measured(results: &Results) -> bool {
    results.provenance.inputs.iter().any(|input| input.role == "chip")
}

/// The lowest voltage at which, and at all voltages above which, a share of chips passes.
fn lowest_with_yield(results: &Results, share: f64) -> Option<&Point> {
    results.points.iter().take_while(|point| point.yield_fraction >= share).last()
}

fn facts(page: &mut String, results: &Results) {
    page.push_str("<div class=\"facts\">\n");
    let mut fact = |value: String, words: String| {
        let _ = writeln!(page, "<div class=\"fact\"><b>{value}</b><span>{words}</span></div>");
    };
    fact(
        percent(results.clean.err, 2),
        format!(
            "clean test error ({} of {} right)",
            thousands(results.clean.correct),
            thousands(results.clean.images)
        ),
    );
    let budget = percent(results.setting.accuracy_loss_max, 2);
    match lowest_with_yield(results, 1.0) {
        Some(point) => {
            fact(
                format!("{} mV", point.vdd_mv),
                format!("lowest swept voltage at which every chip loses at most {budget}"),
            );
            fact(
                percent(point.memory_energy_saving, 1),
                format!(
                    "of {} access energy saved there, {} of the whole inference",
                    if results.setting.memories.is_empty() {
                        "the weight memory's"
                    } else {
                        "the memories'"
                    },
                    percent(point.energy_saving, 1)
                ),
            );
        }
        None => fact(
            "none".into(),
            format!("of the swept voltages keeps every chip within a loss of {budget}"),
        ),
    }
    fact(
        energy(results.clean.energy_per_inference_nj),
        format!("per inference at {} mV", results.setting.vdd_nominal_mv),
    );
    fact(
        format!("{:.1} µs", results.clean.latency_us),
        format!("per inference, {} MACs", thousands(results.setting.macs_per_image)),
    );
    page.push_str("</div>\n");
}

fn operating_points(page: &mut String, results: &Results) {
    let by = if measured(results) { "measured" } else { "by profile" };
    let _ = writeln!(
        page,
        "<h2>Operating points</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>V<sub>DD</sub> \
         (mV)</th><th>faulty cells<br>{by}</th><th>faulty cells<br>realised</th>\
         <th>flipped bits</th><th>RErr (%)<br>mean ± std</th><th>best chip<br>(%)</th>\
         <th>worst chip<br>(%)</th><th>union RErr (%)<br>mean ± std</th><th>yield</th>\
         <th>energy per<br>inference</th><th>saved,<br>inference</th><th>saved,<br>memory</th>\
         <th>latency<br>(µs)</th></tr></thead>\n<tbody>",
    );
    let best = lowest_with_yield(results, 1.0).map(|point| point.vdd_mv);
    for point in &results.points {
        let class = if best == Some(point.vdd_mv) { " class=\"best\"" } else { "" };
        let _ = writeln!(
            page,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2} ± {:.2}</td>\
             <td>{:.2}</td><td>{:.2}</td><td>{:.2} ± {:.2}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{:.1}</td></tr>",
            point.vdd_mv,
            rate(point.cell_fault_rate),
            rate(point.cell_fault_rate_realised),
            rate(point.flip_rate),
            point.rerr_mean * 100.0,
            point.rerr_std * 100.0,
            point.rerr_min * 100.0,
            point.rerr_max * 100.0,
            point.rerr_union_mean * 100.0,
            point.rerr_union_std * 100.0,
            percent(point.yield_fraction, 0),
            energy(point.energy_per_inference_nj),
            percent(point.energy_saving, 1),
            percent(point.memory_energy_saving, 1),
            point.latency_us,
        );
    }
    page.push_str("</tbody></table></div>\n");
}

fn words(page: &mut String, results: &Results) {
    let place = match results.setting.memories.as_str() {
        "" => " in the weight memory",
        _ => "",
    };
    let _ = writeln!(
        page,
        "<h2>How to read this</h2>\n<ul>\n\
         <li><b>RErr</b> is the test error with the chip's faulty cells{place}; \
         <b>union RErr</b> also counts an image as wrong if the network without bit errors gets it \
         wrong.</li>\n\
         <li><b>Faulty cells</b> are cells that fail at that voltage; a faulty cell of kind \
         <code>flip</code> always inverts its bit, one of kind <code>stuck_at</code> only where the \
         stored bit differs, so <b>flipped bits</b> are then about half as many.</li>\n\
         <li><b>Yield</b> is the share of chips whose accuracy loss stays within the budget.</li>",
    );
    for note in &results.notes {
        let _ = writeln!(page, "<li>{}</li>", escape(note));
    }
    page.push_str("</ul>\n");
}

fn provenance(page: &mut String, results: &Results) {
    let setting = &results.setting;
    page.push_str("<h2>Manifest</h2>\n<dl>\n");
    let mut entry = |key: &str, value: &str| {
        let _ = writeln!(page, "<dt>{}</dt><dd>{}</dd>", escape(key), escape(value));
    };
    entry("vmin", &results.provenance.vmin_version);
    entry("seed of the chips", &setting.seed);
    entry("stored bits", &thousands(setting.stored_bits));
    entry("nominal voltage", &format!("{} mV", setting.vdd_nominal_mv));
    entry("plan, SHA-256", &results.provenance.plan_sha256);
    for input in &results.provenance.inputs {
        entry(&input.role, &format!("{} · SHA-256 {}", input.name, input.sha256));
    }
    page.push_str("</dl>\n");
}

pub(crate) fn percent(fraction: f64, digits: usize) -> String {
    format!("{:.digits$} %", fraction * 100.0)
}

pub(crate) fn rate(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent == 0.0 {
        "0".to_owned()
    } else if percent >= 0.01 {
        format!("{percent:.3} %")
    } else {
        format!("{percent:.1e} %")
    }
}

pub(crate) fn energy(nanojoules: f64) -> String {
    if nanojoules >= 1000.0 {
        format!("{:.2} µJ", nanojoules / 1000.0)
    } else {
        format!("{nanojoules:.1} nJ")
    }
}

pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text escaped for HTML elements and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(rate(0.01), "1.000 %");
        assert_eq!(rate(1e-7), "1.0e-5 %");
        assert_eq!(energy(1500.0), "1.50 µJ");
    }

    #[test]
    fn hostile_names_stay_text() {
        assert_eq!(
            escape("<img src=x onerror='a&b'>"),
            "&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;"
        );
    }
}
