//! The wavefront as text and as a picture.

use std::fmt::Write;

use super::{Activity, Simulation};

/// Most cycles that are drawn.
pub const CYCLES_MAX: u64 = 240;

/// One line of text per row of the array, one block per cycle, several blocks side by side:
/// `.` idle, `w` loads, `#` multiplies, `v` hands a sum down. Cycles beyond [`CYCLES_MAX`] are left out.
#[must_use]
pub fn text(simulation: &Simulation) -> String {
    let (frames, [rows, columns], left_out) = frames(simulation);
    let width = columns.max(4) + 2;
    let per_line = (96 / width).max(1);
    let mut text = String::new();
    for line in frames.chunks(per_line) {
        for (cycle, _) in line {
            let _ = write!(text, "{:<width$}", format!("{cycle}"));
        }
        trim(&mut text);
        for row in 0..rows {
            for (_, activity) in line {
                let cells: String = activity[row * columns..][..columns]
                    .iter()
                    .map(|activity| match activity {
                        Activity::Idle => '.',
                        Activity::Load => 'w',
                        Activity::Mac => '#',
                        Activity::Drain => 'v',
                    })
                    .collect();
                let _ = write!(text, "{cells:<width$}");
            }
            trim(&mut text);
        }
        text.push('\n');
    }
    if left_out > 0 {
        let _ = writeln!(text, "({left_out} more cycles)");
    }
    text
}

fn trim(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

/// The same as SVG: small pictures of the array in the order of the cycles.
#[must_use]
pub fn svg(simulation: &Simulation, title: &str) -> String {
    const CELL: usize = 10;
    const PER_LINE_WIDTH: usize = 1000;
    let (frames, [rows, columns], left_out) = frames(simulation);
    let (width, height) = (columns.max(3) * CELL + 14, rows * CELL + 26);
    let per_line = (PER_LINE_WIDTH / width).max(1);
    let full = (per_line * width + 20, frames.len().div_ceil(per_line) * height + 90);
    let title: String = title
        .chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            other => other.to_string(),
        })
        .collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" \
         font-family=\"system-ui, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\" fill=\"#0f172a\">{title}</text>\n",
        full.0, full.1
    );
    let mut x = 10;
    for (activity, word) in [
        (Activity::Load, "loads its next value"),
        (Activity::Mac, "multiplies and adds"),
        (Activity::Drain, "hands a sum down"),
        (Activity::Idle, "idle"),
    ] {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"36\" width=\"11\" height=\"11\" fill=\"{}\"/><text x=\"{}\" y=\"46\" \
             font-size=\"12\" fill=\"#334155\">{word}</text>",
            color(activity),
            x + 16
        );
        x += 34 + word.len() * 7;
    }
    for (index, (cycle, activity)) in frames.iter().enumerate() {
        let (left, top) = (10 + index % per_line * width, 62 + index / per_line * height);
        let _ = writeln!(
            svg,
            "<g transform=\"translate({left} {top})\"><text y=\"9\" font-size=\"10\" \
             fill=\"#64748b\">{cycle}</text>"
        );
        for (at, activity) in activity.iter().enumerate() {
            let _ = write!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{size}\" height=\"{size}\" fill=\"{}\"/>",
                at % columns * CELL,
                14 + at / columns * CELL,
                color(*activity),
                size = CELL - 1,
            );
        }
        svg.push_str("</g>\n");
    }
    if left_out > 0 {
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{}\" font-size=\"12\" fill=\"#64748b\">{left_out} more cycles</text>",
            full.1 - 10
        );
    }
    svg.push_str("</svg>\n");
    svg
}

const fn color(activity: Activity) -> &'static str {
    match activity {
        Activity::Idle => "#e2e8f0",
        Activity::Load => "#f59e0b",
        Activity::Mac => "#2563eb",
        Activity::Drain => "#059669",
    }
}

type Frame = (u64, Vec<Activity>);

/// Activity of every PE in every cycle, from a copy of the simulation.
fn frames(simulation: &Simulation) -> (Vec<Frame>, [usize; 2], u64) {
    let mut simulation = simulation.clone();
    let mut frames = Vec::new();
    while (frames.len() as u64) < CYCLES_MAX && simulation.step() {
        let activity = simulation.pes().iter().map(|pe| pe.activity).collect();
        frames.push((simulation.cycle() - 1, activity));
    }
    let drawn = simulation.cycle();
    simulation.run();
    (frames, simulation.size(), simulation.cycle() - drawn)
}
