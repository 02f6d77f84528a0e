//! The page of a sweep, and the parts that all pages share.

use std::fmt::Write;

use vmin_accel::VddReference;
use vmin_accel::energy::Sourced;
pub(crate) use vmin_diagnostic::thousands;
use vmin_diagnostic::visible;
use vmin_sram::Chip;
use vmin_sweep::Results;
use vmin_sweep::statistics::{interval_words, rate_words, share_words, yield_words};

use crate::colors::dark_style;
use crate::figures::{self, SYMLOG};

/// The report of a sweep: one HTML document that opens offline, with pictures of its first chip, if it is
/// given.
#[must_use]
pub fn page(results: &Results, first_chip: Option<&Chip>) -> String {
    let mut page = begin(&results.name, "sweep");
    lead(&mut page, results);
    facts(&mut page, results);
    page.push_str("<h2>What happens as the voltage falls</h2>\n<div class=\"figures\">\n");
    for svg in figures::all(results) {
        figure(&mut page, false, &svg);
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

/// The head of a page and its title; `by` is the command that makes it.
pub(crate) fn begin(name: &str, by: &str) -> String {
    begin_styled(name, by, "")
}

/// The head of a page with style of its own.
pub(crate) fn begin_styled(name: &str, by: &str, style: &str) -> String {
    let name = escape(name);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"generator\" content=\"vmin {by}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} · vmin</title>\n<style>\n{}{style}{}</style>\n</head>\n<body>\n<main>\n\
         <h1>{name}</h1>\n",
        include_str!("page.css"),
        dark_style(),
    )
}

/// The answers of a page: a value and what it is, each in a tile.
pub(crate) fn tiles(page: &mut String, answers: &[(String, String)]) {
    page.push_str("<div class=\"facts\">\n");
    for (value, words) in answers {
        let (value, words) = (escape(value), prose(words));
        let _ = writeln!(page, "<div class=\"fact\"><b>{value}</b><span>{words}</span></div>");
    }
    page.push_str("</div>\n");
}

/// A figure that goes over the width of the page if it is `wide`.
pub(crate) fn figure(page: &mut String, wide: bool, svg: &str) {
    let class = if wide { "card wide" } else { "card" };
    let _ = writeln!(page, "<figure class=\"{class}\">{svg}</figure>");
}

/// The start of a table, up to its first row. Captions are text, columns HTML; the first cell of each row
/// shall be `<th scope="row">`.
pub(crate) fn begin_table(page: &mut String, caption: &str, columns: &[&str]) {
    let caption = escape(caption);
    // More do not fit on paper but broken into lines.
    let many = if columns.len() > 16 { " many" } else { "" };
    // These are wider than a phone, which is told.
    let wide = if columns.len() > 5 { " wide" } else { "" };
    let _ = write!(
        page,
        "<div class=\"scroll{wide}{many}\" tabindex=\"0\"><table>\n<caption><span>{caption}</span></caption>\n<thead><tr>"
    );
    for column in columns {
        let _ = write!(page, "<th scope=\"col\">{column}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

/// A number and its unit on one line.
pub(crate) fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// The end of a table.
pub(crate) const END_TABLE: &str = "</tbody></table></div>\n";

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
            format!("chips of files, energies of {}", escape(&setting.profile))
        } else {
            format!("chips of {}", escape(&setting.profile))
        },
        escape(&setting.fault_kind),
        match setting.memories.as_str() {
            "" => String::new(),
            memories => format!(" · {}", escape(memories)),
        },
    );
    reference(page, setting.vdd_reference);
}

/// A line about relative voltages, if they are.
pub(crate) fn reference(page: &mut String, reference: VddReference) {
    if let Some(note) = reference.note() {
        let _ = writeln!(page, "<p class=\"lead\">Note: {note}.</p>");
    }
}

/// True if the chips were measured, not sampled.
fn measured(results: &Results) -> bool {
    results.provenance.inputs.iter().any(|input| input.role == "chip")
}

fn facts(page: &mut String, results: &Results) {
    let Results { setting, vmin, clean, .. } = results;
    let mut facts: Vec<(String, String)> = results
        .vmin_words()
        .into_iter()
        // `896 mV (89.6 % of V_min)`: what it stands for is no headline.
        .map(|(value, words)| match value.split_once(" (") {
            Some((value, of)) => (value.to_owned(), format!("({of}: {words}")),
            None => (value, words),
        })
        .collect();
    if let Some(point) = results.points.iter().find(|point| Some(point.vdd_mv) == vmin.reached_mv) {
        facts.push((
            percent(point.energy_saving, 1),
            format!(
                "of the energy of an inference saved at {} mV; {} of {} access energy",
                point.vdd_mv,
                percent(point.memory_energy_saving, 1),
                if setting.memories.is_empty() { "the weight memory's" } else { "the memories'" },
            ),
        ));
    }
    facts.push((
        percent(clean.err, 2),
        format!(
            "clean test error ({} of {} right)",
            thousands(clean.correct),
            thousands(clean.images)
        ),
    ));
    facts.push((
        energy(clean.energy_per_inference_nj),
        format!(
            "and {:.1} µs per inference of {} MACs, at {} mV",
            clean.latency_us,
            thousands(setting.macs_per_image),
            setting.vdd_nominal_mv
        ),
    ));
    tiles(page, &facts);
}

/// A mean with its standard deviation, in percent; one chip has none.
pub(crate) fn mean_std(mean: f64, std: f64, chips: u32) -> String {
    match chips {
        1 => format!("{:.2}", mean * 100.0),
        _ => format!("{:.2} ± {:.2}", mean * 100.0, std * 100.0),
    }
}

fn operating_points(page: &mut String, results: &Results) {
    let by = if measured(results) { "in the files" } else { "by profile" };
    let confidence = unbroken(&share_words(results.setting.confidence, 0));
    page.push_str("<h2>Operating points</h2>\n");
    let by = format!("faulty cells {by}");
    let (mean, shown) = (format!("mean at {confidence} (%)"), format!("yield at {confidence}"));
    begin_table(
        page,
        "Errors, yield, energy and time at each swept voltage; highlighted is the lowest voltage reached",
        &[
            "V<sub>DD</sub><br>(mV)",
            &by,
            "flipped bits",
            "RErr (%)<br>mean ± std",
            &mean,
            "worst chip (%)",
            "papers' bound (%)",
            "union RErr (%)<br>mean ± std",
            "chips within budget",
            &shown,
            "energy per inference",
            "saved, inference",
            "saved, accesses",
            "latency (µs)",
        ],
    );
    for point in &results.points {
        let is_best = results.vmin.reached_mv == Some(point.vdd_mv);
        let class = if is_best { " class=\"best\"" } else { "" };
        let interval = match point.rerr_low.zip(point.rerr_high) {
            Some((low, high)) => format!("{:.2}–{:.2}", low * 100.0, high * 100.0),
            None if point.chips == 1 => "one chip".to_owned(),
            None => "few equal chips".to_owned(),
        };
        let bound = match point.rerr_bound {
            1.0 => "–".to_owned(),
            bound => format!("{:.1}", bound * 100.0),
        };
        let _ = writeln!(
            page,
            "<tr{class}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{interval}</td>\
             <td>{:.2}</td><td>{bound}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{:.1}</td></tr>",
            point.vdd_mv,
            rate_words(point.cell_fault_rate),
            rate_words(point.flip_rate),
            mean_std(point.rerr_mean, point.rerr_std, point.chips),
            point.rerr_max * 100.0,
            mean_std(point.rerr_union_mean, point.rerr_union_std, point.chips),
            yield_words(point.chips_within_budget, point.chips),
            interval_words(point.yield_low, point.yield_high),
            energy(point.energy_per_inference_nj),
            percent(point.energy_saving, 1),
            percent(point.memory_energy_saving, 1),
            point.latency_us,
        );
    }
    page.push_str(END_TABLE);
}

fn words(page: &mut String, results: &Results) {
    let setting = &results.setting;
    let place = match setting.memories.as_str() {
        "" => " in the weight memory",
        _ => "",
    };
    let at = results.points.iter().find(|point| Some(point.vdd_mv) == results.vmin.reached_mv);
    let images = at.map_or_else(String::new, |point| {
        format!(
            " At {} mV they alone make {:.2} points of standard error of the mean, and {:.2} of one chip's \
             loss.",
            point.vdd_mv,
            point.rerr_se_images * 100.0,
            point.loss_se_images * 100.0
        )
    });
    let _ = writeln!(
        page,
        "<h2>How to read this</h2>\n<ul>\n\
         <li><b>RErr</b> is the test error with the chip's faulty cells{place}; \
         <b>union RErr</b> also counts an image as wrong if the network without bit errors gets it \
         wrong.</li>\n\
         <li>{SYMLOG}</li>\n\
         <li><b>Faulty cells</b> are cells that fail at that voltage; a faulty cell of kind \
         <code>flip</code> always inverts its bit, one of kind <code>stuck_at</code> only where the \
         stored bit differs, so <b>flipped bits</b> are then about half as many.</li>\n\
         <li><b>Yield</b> is the share of chips whose loss of accuracy on these images stays within the \
         budget; its interval (two-sided, Clopper and Pearson) is for other chips of the population.</li>\n\
         <li>The <b>operating voltage</b> is that of all chips: <b>reached</b> where enough of the sampled chips \
         are within the budget, <b>shown</b> where they show it for the population. The <b>lowest passing \
         voltage</b> of one chip is the lowest swept voltage from which on upwards it is within the budget; a lower voltage at which it happens to be so again does not count.</li>\n\
         <li><b>Mean at {confidence}</b> is the interval of the mean error for other chips and other images: \
         the images are a sample too, and all chips see the same ones; a few chips that are all equal give \
         none.{images}</li>\n\
         <li>The <b>papers' bound</b> (Stutz et al., MLSys 2021, proposition 1) is exceeded by the error over \
         all chips and images with a chance of at most {delta}; – where it says nothing.</li>\n\
         <li><b>Saved, inference</b>: share of the energy of an inference, DRAM and leakage included, against \
         the network at {nominal} mV. <b>Saved, accesses</b>: the same of {accesses} alone.</li>",
        confidence = share_words(setting.confidence, 0),
        delta = share_words(1.0 - setting.confidence, 0),
        nominal = setting.vdd_nominal_mv,
        accesses = match setting.memories.as_str() {
            "" => "the accesses of the weight memory",
            _ => "the accesses of the memories that are lowered",
        },
    );
    for note in &results.notes {
        let _ = writeln!(page, "<li>{}</li>", prose(note));
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
    sources(page, &results.provenance.sources);
}

/// Remarks that a reader must know; nothing where there are none.
pub(crate) fn notes(page: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    page.push_str("<ul>\n");
    for note in notes {
        let _ = writeln!(page, "<li>{}</li>", prose(note));
    }
    page.push_str("</ul>\n");
}

/// Numbers with their sources; nothing where there are none.
pub(crate) fn sources(page: &mut String, sources: &[Sourced]) {
    if sources.is_empty() {
        return;
    }
    page.push_str("<h2>Sources</h2>\n<dl>\n");
    for Sourced { what, value, source, .. } in sources {
        let _ = writeln!(
            page,
            "<dt>{} {}</dt><dd>{}</dd>",
            escape(what),
            escape(value),
            escape(source)
        );
    }
    page.push_str("</dl>\n");
}

pub(crate) fn percent(fraction: f64, digits: usize) -> String {
    format!("{:.digits$} %", fraction * 100.0)
}

pub(crate) fn energy(nanojoules: f64) -> String {
    if nanojoules >= 1000.0 {
        format!("{:.2} µJ", nanojoules / 1000.0)
    } else {
        format!("{nanojoules:.1} nJ")
    }
}

/// A sentence for HTML elements: what stands between backticks is code.
pub(crate) fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    let one = |(index, part): (usize, &&str)| match index % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.iter().enumerate().map(one).collect()
}

/// Text escaped for HTML elements and quoted attributes; control characters are shown as on a terminal.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
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
        assert_eq!(energy(1500.0), "1.50 µJ");
    }

    #[test]
    fn code_in_sentences() {
        assert_eq!(prose("saved by `a<b`, most"), "saved by <code>a&lt;b</code>, most");
        assert_eq!(prose("one ` alone"), "one ` alone");
    }

    #[test]
    fn hostile_names_stay_text() {
        assert_eq!(
            escape("<img src=x onerror='a&b'>"),
            "&lt;img src=x onerror=&#39;a&amp;b&#39;&gt;"
        );
        let page = begin("a\u{1b}[31mb\u{7}\u{202e}c", "vmin sweep");
        let name = "a\\x1b[31mb\\x07\\u{202e}c";
        assert!(page.contains(&format!("<title>{name} · vmin</title>")), "{page}");
        assert!(page.contains(&format!("<h1>{name}</h1>")));
        assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
    }
}
