//! Chip files in a plan: the voltages of their measurements, and the faulty cells at each.

use std::collections::BTreeMap;

use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source};
use vmin_emulator::source::{Measured, MeasuredChip};
use vmin_sram::{FaultKind, STORED_CELLS_MAX};

use super::Candidate;
use crate::chip_file::{self, ChipFile};
use crate::experiment::{Experiment, POINTS_MAX, ReadErrors};

/// The voltages of the experiment, or all at which every chip was measured; falling.
pub(super) fn voltages(
    experiment: &Experiment,
    files: &[ChipFile],
    source: &Source,
) -> Result<Vec<Located<f64>>, Vec<Diagnostic>> {
    let problem = |vdd_mv: &Located<f64>| {
        Some(not_measured(vdd_mv.value, files)?.at(source, vdd_mv.span.clone()))
    };
    for voltages in [experiment.memories.fixed().collect(), experiment.vdd_mv.iter().collect()] {
        let voltages: Vec<&Located<f64>> = voltages;
        let problems: Vec<Diagnostic> = voltages.into_iter().filter_map(problem).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
    }
    if !experiment.vdd_mv.is_empty() {
        return Ok(experiment.vdd_mv.clone());
    }
    let named = &experiment.chip_files;
    let span = match (named.first(), named.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => 0..0,
    };
    let common: Vec<Located<f64>> = files
        .first()
        .into_iter()
        .flat_map(|file| chip_file::levels_mv(&file.chip))
        .filter(|&vdd_mv| {
            files.iter().all(|file| chip_file::level_at(&file.chip, vdd_mv).is_some())
        })
        .map(|value| Located { value, span: span.clone() })
        .collect();
    let problem = match common.len() {
        0 => Diagnostic::new("no-voltage", "the chips share no voltage at which all were measured")
            .hint("`vmin chip inspect` shows the voltages of a chip"),
        1..=POINTS_MAX => return Ok(common),
        count => {
            Diagnostic::new("too-many", format!("the chips were measured at {count} voltages"))
                .allowed(format!("expected at most {POINTS_MAX}"))
                .hint("choose some with `[memory] vdd_mv`")
        }
    };
    Err(vec![problem.at(source, span)])
}

/// The problem of a voltage at which a chip was not measured.
pub(super) fn not_measured(vdd_mv: f64, files: &[ChipFile]) -> Option<Diagnostic> {
    let file = files.iter().find(|file| chip_file::level_at(&file.chip, vdd_mv).is_none())?;
    let message = format!("chip `{}` was not measured at {vdd_mv} mV", file.name);
    Some(
        Diagnostic::new("out-of-range", message)
            .hint(format!("its voltages are {}", chip_file::levels_words(&file.chip))),
    )
}

/// The chips as a source of cells, known at the supplies of these candidates.
pub(super) fn source(
    files: &[ChipFile],
    candidates: &[Candidate],
    seed: u64,
    kind: Option<FaultKind>,
) -> Measured {
    let points = || candidates.iter().flat_map(|candidate| &candidate.points);
    let supplies: BTreeMap<u32, f64> = points()
        .flat_map(|point| point.supplies.present())
        .flat_map(|(_, at)| at.levels().map(|level| (level.vdd_uv(), level.vdd_mv)))
        .collect();
    let of = |file: &ChipFile| {
        let errors = |(&vdd_uv, &vdd_mv): (&u32, &f64)| {
            let level = chip_file::level_at(&file.chip, vdd_mv)?;
            Some((vdd_uv, chip_file::errors_at(&file.chip, &level).ok()?))
        };
        MeasuredChip {
            sha256: file.sha256.clone(),
            cells: file.chip.geometry().cells(),
            errors: supplies.iter().filter_map(errors).collect(),
        }
    };
    Measured { chips: files.iter().map(of).collect(), seed, kind }
}

/// Checks sizes and offsets against the chips; `memory_cells` are those of the largest memory.
pub(super) fn check(
    experiment: &Experiment,
    files: &[ChipFile],
    memory_cells: u64,
    source: &Source,
) -> Result<(), Diagnostics> {
    let mut stored = 0_u64;
    for (file, named) in files.iter().zip(&experiment.chip_files) {
        let map_cells = file.chip.geometry().cells();
        let faults = file.chip.cells().len() as u64;
        stored = stored.saturating_add(faults);
        let tiled = faults.saturating_mul(memory_cells.div_ceil(map_cells.max(1)));
        if stored > STORED_CELLS_MAX || tiled > STORED_CELLS_MAX {
            let message = format!(
                "chip `{}` brings more faulty cells than the {STORED_CELLS_MAX} that can be held",
                file.name
            );
            return Err(Diagnostic::new("too-large", message)
                .at(source, named.span.clone())
                .into());
        }
        let beyond = experiment.layout.offset_bits.iter().find(|&&offset| offset >= map_cells);
        if let Some(offset) = beyond {
            let message = format!(
                "an offset of {offset} bits lies beyond chip `{}` of {map_cells} cells",
                file.name
            );
            let span = experiment.layout.span.clone();
            return Err(Diagnostic::new("placement", message).at(source, span).into());
        }
    }
    Ok(())
}

/// Share of cells that are expected to err at a read at a voltage, mean over the chips.
pub(super) fn cell_fault_rate(files: &[ChipFile], vdd_mv: f64) -> f64 {
    let share = |file: &ChipFile| {
        let level = chip_file::level_at(&file.chip, vdd_mv)?;
        let errors = chip_file::errors_at(&file.chip, &level).ok()?;
        Some(chip_file::expected_rate(&errors, file.chip.geometry().cells()))
    };
    files.iter().filter_map(share).sum::<f64>() / files.len() as f64
}

/// A remark on the chips for readers of the results.
pub(super) fn note(
    experiment: &Experiment,
    files: &[ChipFile],
    placement: &vmin_emulator::Placement,
) -> String {
    let smallest = files.iter().map(|file| file.chip.geometry().cells()).min();
    let mut note = format!(
        "chips of files, in the order in which the experiment names them; the profile `{}` gives energies only",
        experiment.profile.value
    );
    if let Some(repeated) = smallest.and_then(|cells| chip_file::repeated_note(cells, placement)) {
        note.push_str(&format!("; {repeated}"));
    }
    if !experiment.memories.weights_alone() {
        note.push_str(
            "; in a map the memories lie one behind the other: weights, activations, partial sums",
        );
    }
    note
}

/// A remark on the errors for readers of the results; `weight_reads` tells how often an array reads a weight for one
/// image.
pub(super) fn errors_note(
    experiment: &Experiment,
    errors: ReadErrors,
    weight_reads: &dyn Fn() -> u64,
) -> Option<String> {
    let by_file = !experiment.chip_files.is_empty();
    let noisy = experiment.read_noise_mv.is_some();
    let what = match errors {
        ReadErrors::Alike(_) if noisy => {
            return Some(
                "noisy cells are drawn once per chip, offset and voltage, as weights are loaded once"
                    .to_owned(),
            );
        }
        ReadErrors::Alike(_) => return None,
        ReadErrors::Measured => {
            return Some(
                "measured errors: cells that err with a probability are drawn once per chip, offset and voltage"
                    .to_owned(),
            );
        }
        ReadErrors::Transient if by_file => "cells err as measured",
        ReadErrors::Transient if noisy => "cells near their critical voltage err or not",
        ReadErrors::Transient if experiment.memories.weights_alone() => {
            "every stored bit is inverted with the cell-fault rate for its probability"
        }
        ReadErrors::Transient => {
            "every bit is inverted with the cell-fault rate of its memory for its probability, of partial sums at \
             every read"
        }
    };
    let mut note = format!("transient errors: {what}, drawn anew for every image and layer");
    match weight_reads() {
        1 => note.push_str(", in which a weight is read once"),
        reads => note.push_str(&format!(
            ", in which energies count up to {reads} reads of a weight: drawn at each, a layer's outputs would err as \
             often, but less alike (docs/results/transient-reads.md)"
        )),
    }
    if !by_file && !noisy {
        note.push_str("; chips differ in the draws alone, and the layout does not matter");
    }
    Some(note)
}
