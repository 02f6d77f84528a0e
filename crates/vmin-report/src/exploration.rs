//! The page of a design space: the clouds of designs, their Pareto front, its table.

use std::collections::BTreeSet;
use std::fmt::Write;

use vmin_accel::energy::clock_word;
use vmin_explore::{Exploration, Objective, Point};
use vmin_sweep::statistics::rate_words;

use crate::axis::Axis;
use crate::colors::{GREY, ORANGE};
use crate::html::{
    END_TABLE, begin, begin_table, end, energy, escape, figure, percent, thousands, tiles,
};
use crate::plot::{Axes, Series, draw};

/// Rows of the front's table; all points are in the files.
const ROWS_MAX: usize = 200;
/// Dots closer than this share of an axis share a pixel; one of them is drawn.
const GRID: f64 = 1.0 / 500.0;

/// The report of a design space: one HTML document that opens offline.
#[must_use]
pub fn exploration_page(exploration: &Exploration) -> String {
    let mut page = begin(&exploration.name, "explore");
    let front: Vec<&Point> = exploration.front().collect();
    let words: Vec<String> =
        exploration.objectives.iter().map(|o| format!("<code>{}</code>", o.name())).collect();
    let _ = writeln!(
        page,
        "<p class=\"lead\">{} designs around {} at {} points · {} · {} · minimized: {} · {} points on \
         the Pareto front</p>",
        thousands(exploration.designs as u64),
        escape(&exploration.base),
        thousands(exploration.points.len() as u64),
        escape(&exploration.model),
        escape(&exploration.profile),
        words.join(", "),
        thousands(front.len() as u64),
    );
    crate::html::reference(&mut page, exploration.vdd_reference);
    tiles(&mut page, &answers(exploration, &front));
    for (words, least) in exploration.least() {
        let _ = writeln!(
            page,
            "<p class=\"lead\">{words}: {} with {} x {}, {}, weights {}, at {} mV, accuracy {}{}.</p>",
            energy(least.energy_nj),
            least.rows,
            least.columns,
            least.dataflow.name(),
            least.placement.word(),
            least.vdd_mv,
            least.accuracy.word(),
            least.caveat(),
        );
    }
    let _ = writeln!(
        page,
        "<p class=\"lead\">{}; {}.</p>",
        escape(&exploration.accuracy.replace('`', "")),
        exploration.candidates.replace('`', ""),
    );
    page.push_str("<h2>Designs and their front</h2>\n<div class=\"figures\">\n");
    for svg in figures(exploration) {
        figure(&mut page, false, &svg);
    }
    page.push_str("</div>\n");
    table(&mut page, &front);
    crate::html::notes(&mut page, &exploration.notes);
    crate::html::sources(&mut page, &exploration.sources);
    let json = serde_json::to_string(&front).expect("finite numbers and words");
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-pareto-front", &json);
    page
}

/// The size of the front, and the least of the first objectives on it.
fn answers(exploration: &Exploration, front: &[&Point]) -> Vec<(String, String)> {
    let count = thousands(front.len() as u64);
    let mut answers = vec![(count, "points on the Pareto front".to_owned())];
    if exploration.objectives.contains(&Objective::EnergyNj) {
        let at = exploration.least_energy.map(|index| &exploration.points[index]);
        answers.push(match at {
            Some(point) => (
                energy(point.energy_nj),
                format!(
                    "least that keeps the accuracy ({}): {} x {}, {}, {} mV{}",
                    point.accuracy.word(),
                    point.rows,
                    point.columns,
                    point.dataflow.name(),
                    point.vdd_mv,
                    point.caveat()
                ),
            ),
            None => ("none".to_owned(), "of the points is known to keep the accuracy".to_owned()),
        });
    }
    let others = exploration.objectives.iter().filter(|&&it| it != Objective::EnergyNj);
    for &objective in others.take(2) {
        let least = front.iter().min_by(|a, b| objective.of(a).total_cmp(&objective.of(b)));
        if let Some(point) = least {
            let words = format!(
                "least {}: {} x {}, {}, {} mV{}",
                words(objective),
                point.rows,
                point.columns,
                point.dataflow.name(),
                point.vdd_mv,
                point.caveat()
            );
            answers.push((short_number(objective.of(point)), words));
        }
    }
    answers
}

/// Four digits of a number.
fn short_number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => thousands(size.round() as u64),
        size if size >= 0.01 => {
            let decimals = (3.0 - size.log10().floor()).clamp(0.0, 4.0) as usize;
            let text = format!("{value:.decimals$}");
            let kept =
                if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            kept.to_owned()
        }
        _ => format!("{value:.2e}"),
    }
}

/// Clouds over pairs of objectives.
fn figures(exploration: &Exploration) -> Vec<String> {
    let Some((&first, others)) = exploration.objectives.split_first() else { return Vec::new() };
    // Against the first, and the second against the third, where there are as many.
    let pairs = others.iter().map(|&other| (other, first));
    let more = others.first().zip(others.get(1)).map(|(&y, &x)| (x, y));
    pairs.chain(more).take(6).filter_map(|(x, y)| cloud(exploration, x, y)).collect()
}

fn words(objective: Objective) -> &'static str {
    match objective {
        Objective::LatencyUs => "latency (us)",
        Objective::EnergyNj => "energy per inference (nJ)",
        Objective::EnergyDelayNjUs => "energy x delay (nJ us)",
        Objective::OnChipKib => "on-chip memory (KiB)",
        Objective::AreaMm2 => "area (mm2)",
        Objective::ProcessingElements => "processing elements",
        Objective::DramBytes => "DRAM bytes per inference",
        Objective::CellFaultRate => "share of faulty cells",
        Objective::Rerr => "test error under bit errors",
    }
}

fn cloud(exploration: &Exploration, x: Objective, y: Objective) -> Option<String> {
    let at = |point: &Point| (x.of(point), y.of(point));
    let drawable = |point: &&Point| at(point).0.is_finite() && at(point).1.is_finite();
    let points: Vec<&Point> = exploration.points.iter().filter(drawable).collect();
    let horizontal = Span::of(points.iter().map(|point| at(point).0))?;
    let vertical = Span::of(points.iter().map(|point| at(point).1))?;
    let mut seen = BTreeSet::new();
    let mut dots = |list: &mut dyn Iterator<Item = &&Point>| -> Vec<(f64, f64)> {
        list.map(|point| at(point))
            .filter(|&(x, y)| seen.insert((horizontal.cell(x), vertical.cell(y))))
            .collect()
    };
    let front = dots(&mut points.iter().filter(|point| point.pareto));
    let rest = dots(&mut points.iter().filter(|point| !point.pareto));
    Some(draw(
        &Axes {
            title: "",
            x_label: words(x),
            y_label: words(y),
            x: horizontal.axis(),
            y: vertical.axis(),
        },
        &[
            Series::Dots { label: "beaten", color: GREY, points: rest },
            Series::Points { label: "Pareto front", color: ORANGE, points: front },
        ],
    ))
}

/// The extent of one axis.
struct Span {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Span {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (low <= high).then_some(Self { low, high, logarithmic: low > 0.0 && high > 30.0 * low })
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.logarithmic { value.ln() } else { value }
    }

    /// The index of a value on a fine grid.
    fn cell(&self, value: f64) -> u32 {
        let (low, high) = (self.scaled(self.low), self.scaled(self.high));
        let step = ((high - low) * GRID).max(f64::MIN_POSITIVE);
        ((self.scaled(value) - low) / step) as u32
    }

    fn axis(&self) -> Axis {
        if self.logarithmic {
            let pad = (self.high / self.low).powf(0.05);
            Axis::logarithmic(self.low / pad, self.high * pad)
        } else {
            let pad = ((self.high - self.low) * 0.05).max(self.high.abs() * 0.02).max(1e-9);
            Axis::linear(self.low - pad, self.high + pad)
        }
    }
}

fn table(page: &mut String, front: &[&Point]) {
    let heading = if front.len() > ROWS_MAX {
        format!("The front (the first {ROWS_MAX} of {} points)", thousands(front.len() as u64))
    } else {
        "The front".to_owned()
    };
    let _ = writeln!(page, "<h2>{heading}</h2>");
    begin_table(
        page,
        "Designs that no other design beats in all objectives",
        &[
            "array",
            "dataflow",
            "weight (KiB)",
            "activation (KiB)",
            "accumu&shy;lator (KiB)",
            "V<sub>DD</sub> (mV)",
            "faulty cells",
            "latency (µs)",
            "utili&shy;zation",
            "energy per inference",
            "on chip (KiB)",
            "area (mm²)",
            "DRAM (bytes)",
            "weights fit",
            "weights",
            "accuracy",
            "RErr",
            "clock",
        ],
    );
    for point in front.iter().take(ROWS_MAX) {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{} x {}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{:.1}</td><td>{:.1} %</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            point.rows,
            point.columns,
            point.dataflow.name(),
            point.weight_kib,
            point.activation_kib,
            point.accumulator_kib,
            point.vdd_mv,
            rate_words(point.cell_fault_rate),
            point.latency_us,
            point.utilization_pct,
            energy(point.energy_nj),
            point.on_chip_kib,
            point.area_mm2,
            thousands(point.dram_bytes),
            if point.weights_fit { "yes" } else { "no" },
            point.placement.word(),
            point.accuracy.word(),
            point.rerr_mean.map_or_else(|| "–".to_owned(), |rerr| percent(rerr, 2)),
            clock_word(point.clock_too_fast),
        );
    }
    page.push_str(END_TABLE);
}
