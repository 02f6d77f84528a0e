//! The page of an energy estimate: energy per layer, and energy over the voltage.

use std::fmt::Write;

use vmin_accel::area::ComponentArea;
use vmin_accel::energy::{EnergyReport, OperatingPoint, Sourced, clock_caveat, clock_word};
use vmin_sweep::statistics::share_words;
use vmin_sweep::{Kept, Verdict};

use crate::axis::Axis;
use crate::colors::{BLUE, FAINT, GREEN, GREY, INK, ORANGE, VIOLET};
use crate::html::{
    self, END_TABLE, begin, begin_table, end, energy, escape, figure, percent, tiles,
};
use crate::plot::{Axes, Series, draw};
use crate::stacked_bars::{Part, stacked};

/// One voltage of a curve.
#[derive(Clone, Debug)]
pub struct EnergyAtVoltage {
    /// The swept supply, in mV.
    pub vdd_mv: f64,
    /// The voltage of each supply.
    pub point: OperatingPoint,
    /// Energy and time there.
    pub report: EnergyReport,
    /// What is known of the accuracy there.
    pub verdict: Verdict,
    /// Whether the clock is too fast for the cycle time of a memory there.
    pub clock_too_fast: bool,
}

impl EnergyAtVoltage {
    /// What must be said wherever the point is named the best; starts with a comma.
    #[must_use]
    pub const fn caveat(&self) -> &'static str {
        clock_caveat(self.clock_too_fast)
    }
}

/// Content of the page.
#[derive(Clone, Debug)]
pub struct EnergyPage<'a> {
    /// Network.
    pub model: &'a str,
    /// Accelerator.
    pub accelerator: &'a str,
    /// Voltage profile.
    pub profile: &'a str,
    /// The voltage of each supply, in words.
    pub supplies: &'a str,
    /// The placement of the weights that is priced.
    pub placement: &'a str,
    /// The voltages in the requested order; at least one.
    pub points: &'a [EnergyAtVoltage],
    /// Index of the point with the least energy among those that keep the accuracy, as far as it is shown.
    pub least: Option<usize>,
    /// Index of the point with less energy where the sampled chips only reach the target, if there is one.
    pub least_reached: Option<usize>,
    /// Index of the point with the least energy, whatever its accuracy.
    pub least_of_all: usize,
    /// Where the accuracy comes from, in words.
    pub accuracy: &'a str,
    /// All numbers with their sources.
    pub sources: &'a [Sourced],
    /// Area per component, with sources.
    pub area: &'a [ComponentArea],
    /// The numbers as JSON.
    pub json: &'a str,
}

impl EnergyPage<'_> {
    /// The point that the page is about.
    fn shown(&self) -> &EnergyAtVoltage {
        &self.points[self.least.unwrap_or(self.least_of_all)]
    }
}

/// One HTML document that opens offline.
#[must_use]
pub fn energy_page(view: &EnergyPage<'_>) -> String {
    let at = view.shown();
    let mut page = begin(&format!("Energy of {} on {}", view.model, view.accelerator), "energy");
    let choice = match (view.least, view.points.len()) {
        (_, 1) => "one voltage",
        (Some(_), _) => "the least energy of the voltages below that keep the accuracy",
        (None, _) => {
            "the least energy of the voltages below, none of which is known to keep the accuracy"
        }
    };
    let _ = writeln!(
        page,
        "<p class=\"lead\">{} and {:.1} µs per inference{}, accuracy {}{} · {choice} · weights {} · supplies by {}: {}</p>\n\
         <p class=\"lead\">{}.</p>",
        energy(at.report.total_nj),
        at.report.latency_us,
        match view.points.len() {
            1 => String::new(),
            _ => format!(" at {} mV", at.vdd_mv),
        },
        at.verdict.accuracy.word(),
        at.caveat(),
        escape(view.placement),
        escape(view.profile),
        escape(view.supplies),
        escape(&view.accuracy.replace('`', "")),
    );
    if let Some(reached) = view.least_reached.map(|index| &view.points[index]) {
        let _ = writeln!(
            page,
            "<p class=\"lead\">Where the sampled chips only reach the target: {} at {} mV{}.</p>",
            energy(reached.report.total_nj),
            reached.vdd_mv,
            reached.caveat()
        );
    }
    tiles(&mut page, &answers(at));
    if view.points.len() > 1 {
        page.push_str("<h2>Energy as the voltage falls</h2>\n<div class=\"figures\">\n");
        figure(&mut page, false, &energy_curve(view));
        figure(&mut page, false, &latency_curve(view));
        page.push_str("</div>\n");
        voltages(&mut page, view);
    }
    let layers = &at.report.layers;
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    let components = at.report.by_component.list();
    let parts: Vec<Part<'_>> = components
        .iter()
        .enumerate()
        .map(|(index, (label, _))| Part {
            label,
            values: layers.iter().map(|layer| layer.by_component.list()[index].1).collect(),
        })
        .collect();
    let place = match view.points.len() {
        1 => String::new(),
        _ => format!(" at {} mV", at.vdd_mv),
    };
    let _ = writeln!(page, "<h2>Where it goes{place}</h2>");
    let bars =
        stacked("Energy by layer and component", "energy per inference (nJ)", &names, &parts);
    figure(&mut page, true, &bars);
    table(&mut page, view);
    sources(&mut page, view);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-energy", view.json);
    page
}

/// Energy and time at a voltage, and the component that takes most.
fn answers(at: &EnergyAtVoltage) -> Vec<(String, String)> {
    let total = at.report.total_nj;
    let mut answers = vec![
        (energy(total), "per inference".to_owned()),
        (format!("{} mV", at.vdd_mv), "supply of the lowered rails".to_owned()),
        (format!("{:.1} µs", at.report.latency_us), "per inference".to_owned()),
    ];
    let components = at.report.by_component.list();
    if let Some((name, nj)) = components.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))
        && total > 0.0
    {
        let words = format!("of the energy goes to: {}", name.replace('_', " "));
        answers.push((percent(nj / total, 1), words));
    }
    answers
}

fn voltage_axis(view: &EnergyPage<'_>) -> Axis {
    let fold = |start: f64, pick: fn(f64, f64) -> f64| {
        view.points.iter().map(|point| point.vdd_mv).fold(start, pick)
    };
    let (low, high) = (fold(f64::INFINITY, f64::min), fold(0.0, f64::max));
    let pad = ((high - low) * 0.03).max(1.0);
    Axis::linear(low - pad, high + pad)
}

fn energy_curve(view: &EnergyPage<'_>) -> String {
    let top = view.points.iter().map(|point| point.report.total_nj).fold(0.0, f64::max) * 1.08;
    let least = view.shown();
    let place = |point: &EnergyAtVoltage| (point.vdd_mv, point.report.total_nj);
    let is_reached = |point: &&EnergyAtVoltage| point.verdict.accuracy == Kept::Reached;
    let kept = |point: &&EnergyAtVoltage| point.verdict.accuracy.keeps() && !is_reached(point);
    let line = |label, color, of: fn(&EnergyReport) -> f64| Series::Line {
        label,
        color,
        points: view.points.iter().map(|point| (point.vdd_mv, of(&point.report))).collect(),
    };
    let mut series = vec![
        line("all", INK, |report| report.total_nj),
        line("array and vector unit", BLUE, |report| {
            let parts = &report.by_component;
            parts.mac_nj + parts.registers_nj + parts.vector_nj
        }),
        line("memories", ORANGE, |report| report.by_component.memory_access_nj()),
        line("DRAM", GREY, |report| report.by_component.dram_nj),
        line("leakage", VIOLET, |report| report.by_component.leakage_nj),
        Series::Points {
            label: "accuracy kept",
            color: GREEN,
            points: view.points.iter().filter(kept).map(place).collect(),
        },
        Series::Level { label: "least", color: GREY, y: least.report.total_nj },
    ];
    if view.points.iter().any(|point| is_reached(&point)) {
        series.push(Series::Points {
            label: "only reached by the sampled chips",
            color: FAINT,
            points: view.points.iter().filter(is_reached).map(place).collect(),
        });
    }
    draw(
        &Axes {
            title: "Energy per inference",
            x_label: "supply (mV)",
            y_label: "energy (nJ)",
            x: voltage_axis(view),
            y: Axis::linear(0.0, top.max(1e-9)),
        },
        &series,
    )
}

fn latency_curve(view: &EnergyPage<'_>) -> String {
    let top = view.points.iter().map(|point| point.report.latency_us).fold(0.0, f64::max) * 1.08;
    draw(
        &Axes {
            title: "Time per inference",
            x_label: "supply (mV)",
            y_label: "latency (us)",
            x: voltage_axis(view),
            y: Axis::linear(0.0, top.max(1e-9)),
        },
        &[Series::Line {
            label: "",
            color: BLUE,
            points: view.points.iter().map(|p| (p.vdd_mv, p.report.latency_us)).collect(),
        }],
    )
}

/// The voltages with their accuracy.
fn voltages(page: &mut String, view: &EnergyPage<'_>) {
    page.push_str("<h2>Voltages</h2>\n");
    begin_table(
        page,
        "Energy, time and what is known of the accuracy at each voltage",
        &[
            "V<sub>DD</sub> (mV)",
            "energy per inference",
            "latency (µs)",
            "accuracy",
            "RErr",
            "yield",
            "faulty cells expected",
            "clock",
        ],
    );
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |it| percent(it, 2));
    for (index, point) in view.points.iter().enumerate() {
        let verdict = &point.verdict;
        let _ = writeln!(
            page,
            "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if Some(index) == view.least { " class=\"best\"" } else { "" },
            point.vdd_mv,
            energy(point.report.total_nj),
            point.report.latency_us,
            verdict.accuracy.word(),
            share(verdict.rerr_mean),
            verdict.yield_fraction.map_or_else(|| "–".to_owned(), |it| share_words(it, 0)),
            verdict
                .faulty_cells_expected
                .map_or_else(|| "–".to_owned(), |cells| format!("{cells:.3}")),
            clock_word(point.clock_too_fast),
        );
    }
    page.push_str(END_TABLE);
    page.push('\n');
}

fn table(page: &mut String, view: &EnergyPage<'_>) {
    let at = &view.shown().report;
    page.push_str("<h2>Layers</h2>\n");
    let names = at.by_component.list().map(|(name, _)| format!("{} (nJ)", name.replace('_', " ")));
    let names = names.iter().map(String::as_str);
    let columns: Vec<&str> = std::iter::once("layer").chain(names).chain(["total (nJ)"]).collect();
    begin_table(page, "Energy of each layer by component, per inference", &columns);
    for layer in &at.layers {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escape(&layer.name));
        for (_, nj) in layer.by_component.list() {
            let _ = write!(page, "<td>{nj:.2}</td>");
        }
        let _ = writeln!(page, "<td>{:.2}</td></tr>", layer.total_nj);
    }
    page.push_str("<tr class=\"best\"><th scope=\"row\">all</th>");
    for (_, nj) in at.by_component.list() {
        let _ = write!(page, "<td>{nj:.2}</td>");
    }
    let _ = writeln!(page, "<td>{:.2}</td></tr>\n{END_TABLE}", at.total_nj);
}

fn sources(page: &mut String, view: &EnergyPage<'_>) {
    html::sources(page, view.sources);
    page.push_str("<h2>Area</h2>\n<dl>\n");
    for component in view.area {
        let _ = writeln!(
            page,
            "<dt>{} {:.4} mm²</dt><dd>{}</dd>",
            component.component.replace('_', " "),
            component.area_mm2,
            escape(&component.source)
        );
    }
    page.push_str("</dl>\n");
    html::notes(page, &view.shown().report.notes);
}
