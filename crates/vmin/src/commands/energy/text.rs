//! Energies as text: one voltage by layer and component, or a curve.

use vmin_accel::energy::{Components, Rail, clock_caveat, clock_word};
use vmin_sweep::Verdict;
use vmin_sweep::statistics::rate_words;

use super::{Energy, Point, SuppliesMv};
use crate::answer;

/// Columns that a narrow table lacks. What is left adds up to the total.
const SPARE: [&str; 3] = ["us", "faulty cells", "RErr"];

/// What a column means, and where the others are.
const ARRAY: &str =
    "array: multipliers, registers and vector unit; each alone with `--format csv` or `json`";

/// Energies that add up to the total, of an accelerator with or without DRAM.
fn parts(of: &Components, dram: bool) -> Vec<(&'static str, f64)> {
    let Components { mac_nj, vector_nj, registers_nj, .. } = *of;
    let mut parts = vec![("array", mac_nj + vector_nj + registers_nj)];
    parts.extend([
        ("weight memory", of.weight_memory_nj),
        ("activation memory", of.activation_memory_nj),
        ("accumulator memory", of.accumulator_memory_nj),
    ]);
    if dram {
        parts.push(("dram", of.dram_nj));
    }
    parts.push(("leakage", of.leakage_nj));
    parts
}

/// [`parts`] with the three memories as one.
fn coarse_parts(of: &Components, dram: bool) -> Vec<(&'static str, f64)> {
    let mut parts = parts(of, dram);
    parts.splice(1..4, [("memories", of.memory_access_nj())]);
    parts
}

/// The voltage of each supply over all points: those that leave the nominal one, then the others.
pub(super) fn supplies(points: &[Point], nominal_mv: f64) -> String {
    let of = |supplies: &SuppliesMv| {
        let SuppliesMv { logic, weight, activation, accumulator, io } = *supplies;
        [logic, weight, activation, accumulator, io]
    };
    let mut words = Vec::new();
    for (index, (rail, _)) in Rail::ALL.iter().enumerate() {
        let all = || points.iter().map(|point| of(&point.supplies_mv)[index]);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        if low == high && low != nominal_mv {
            words.push(format!("{rail} {low} mV"));
        } else if low != high {
            words.push(format!("{rail} {high} to {low} mV"));
        }
    }
    if words.is_empty() {
        return format!("all supplies {nominal_mv} mV nominal");
    }
    format!("{}, others {nominal_mv} mV nominal", words.join(", "))
}

fn title(energy: &Energy) -> String {
    answer::wrapped(&format!(
        "{} on {}, weights {}; supplies by {}: {}",
        energy.model,
        energy.accelerator,
        energy.placement.word(),
        energy.profile,
        supplies(&energy.points, energy.vdd_nominal_mv)
    ))
}

/// The notes, and where the accuracy comes from, a line each.
fn notes(energy: &Energy) -> String {
    let notes = energy.report.notes.iter().map(|note| format!("note: {note}"));
    let lines = notes.chain([energy.accuracy_source.clone()]);
    lines.map(|line| answer::wrapped(&line) + "\n").collect()
}

pub(super) fn show_curve(energy: &Energy) -> String {
    let dram = energy.points.iter().any(|point| point.by_component.dram_nj > 0.0);
    let mut header = vec!["mV", "faulty cells", "us"];
    header.extend(coarse_parts(&energy.report.by_component, dram).iter().map(|(name, _)| *name));
    header.extend(["total (nJ)", "saved", "RErr", "accuracy"]);
    let some_too_fast = energy.points.iter().any(|point| point.clock_too_fast);
    header.extend(some_too_fast.then_some("clock"));
    header.push("");
    let rows = energy.points.iter().enumerate().map(|(index, point)| {
        let mut row = vec![
            point.vdd_mv.map_or_else(String::new, |mv| mv.to_string()),
            rate_words(point.cell_fault_rate),
            format!("{:.1}", point.latency_us),
        ];
        let parts = coarse_parts(&point.by_component, dram);
        row.extend(parts.iter().map(|(_, nj)| format!("{nj:.1}")));
        row.push(format!("{:.1}", point.total_nj));
        row.push(answer::percent(point.saving.total, 2));
        let rerr = point.verdict.rerr_mean;
        row.push(rerr.map_or_else(|| "-".to_owned(), |rerr| answer::percent(rerr, 2)));
        row.push(point.verdict.accuracy.word().to_owned());
        row.extend(some_too_fast.then(|| clock_word(point.clock_too_fast).to_owned()));
        let mark = match Some(index) {
            index if index == energy.least => "<- least",
            index if index == energy.least_reached => "<- reached",
            Some(_) | None => "",
        };
        row.push(mark.to_owned());
        row
    });
    let table = answer::fitted(&header, 0, &SPARE, rows) + "\n" + &answer::wrapped(ARRAY);
    let at = |index: usize| {
        let point = &energy.points[index];
        let vdd_mv = point.vdd_mv.unwrap_or(energy.vdd_nominal_mv);
        let accuracy = point.verdict.accuracy.word();
        let caveat = clock_caveat(point.clock_too_fast);
        format!(
            "{:.2} nJ per inference at {vdd_mv} mV, accuracy {accuracy}{caveat}",
            point.total_nj
        )
    };
    let mut sentence = match energy.least {
        Some(least) => format!("least energy {}", at(least)),
        None => "no voltage of these is known to keep the accuracy".to_owned(),
    };
    if let Some(reached) = energy.least_reached {
        sentence += &format!("; where the sampled chips only reach the target: {}", at(reached));
    }
    if [energy.least, energy.least_reached].contains(&Some(energy.least_of_all)) {
        let least = energy.least_of_all;
        if least == 0 || least + 1 == energy.points.len() {
            sentence += "; it is an end of the range, the true minimum may lie beyond";
        }
    } else {
        sentence += &format!("; least of all, whatever the accuracy: {}", at(energy.least_of_all));
    }
    // A terminal shows the end.
    format!("{}\n{}\n{table}\n{}", title(energy), notes(energy), answer::wrapped(&sentence))
}

pub(super) fn show(energy: &Energy) -> String {
    let report = &energy.report;
    let dram = report.by_component.dram_nj > 0.0;
    let mut header = vec!["layer"];
    header.extend(parts(&report.by_component, dram).iter().map(|(name, _)| *name));
    header.push("total (nJ)");
    let row = |name: &str, list: &[(&str, f64)], total: f64| {
        let mut row = vec![name.to_owned()];
        row.extend(list.iter().map(|(_, nj)| format!("{nj:.1}")));
        row.push(format!("{total:.1}"));
        row
    };
    let mut rows: Vec<_> = report
        .layers
        .iter()
        .map(|layer| row(&layer.name, &parts(&layer.by_component, dram), layer.total_nj))
        .collect();
    rows.push(row("all", &parts(&report.by_component, dram), report.total_nj));
    let table = answer::fitted(&header, 1, &[], rows) + "\n" + &answer::wrapped(ARRAY);
    let sources = answer::table(
        &["number", "source", "value"],
        2,
        energy.sources.iter().map(|sourced| {
            vec![sourced.what.clone(), sourced.source.clone(), sourced.value.clone()]
        }),
    );
    let area = answer::table(
        &["area", "source", "mm2"],
        2,
        energy.area.iter().map(|component| {
            vec![
                component.component.to_owned(),
                component.source.clone(),
                format!("{:.4}", component.area_mm2),
            ]
        }),
    );
    let by_rail: Vec<String> =
        report.by_rail.list().iter().map(|(rail, nj)| format!("{rail} {nj:.2}")).collect();
    let sentences = [
        format!(
            "{:.2} nJ per inference, {} less than at the nominal voltage; weight memory accesses {} less; {:.1} us",
            report.total_nj,
            answer::percent(energy.saving.total, 2),
            answer::percent(energy.saving.weight_memory, 2),
            report.latency_us,
        ),
        format!(
            "accuracy {}{}{}",
            energy.verdict.accuracy.word(),
            faults(&energy.verdict),
            clock_caveat(energy.clock_too_fast)
        ),
        format!("by supply (nJ): {}", by_rail.join(", ")),
    ];
    let sentences = sentences.map(|sentence| answer::wrapped(&sentence)).join("\n");
    // A terminal shows the end.
    format!(
        "{}\n{sources}\n\n{area}\n{:.3} mm2 in all, without wires, control and pads\n{}\n{table}\n{sentences}",
        title(energy),
        energy.area_mm2,
        notes(energy),
    )
}

/// The error and the faulty cells behind a verdict.
fn faults(verdict: &Verdict) -> String {
    let rerr = verdict.rerr_mean.map(|rerr| format!("RErr {}", answer::percent(rerr, 2)));
    let cells = verdict.faulty_cells_expected;
    let cells = cells.map(|cells| {
        format!(
            "{cells:.3} faulty cells expected under the weights and in the other lowered memories"
        )
    });
    let words: Vec<String> = rerr.into_iter().chain(cells).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
