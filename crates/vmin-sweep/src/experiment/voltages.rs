//! `vdd_mv`: supply voltages as a list or a range.

use std::ops::Range;

use vmin_diagnostic::{Diagnostic, Located, TableReader};

use super::{POINTS_MAX, VDD_MV_MAX};

/// The supply voltages of a table, in mV: `vdd_mv = [...]` or `vdd_mv = { from, to, step }`. Falling and
/// without repeats; problems are reported.
pub fn voltages(memory: &TableReader<'_>) -> Option<Vec<Located<f64>>> {
    let range = 1.0..=VDD_MV_MAX;
    let (mut list, span) = if memory.has_table("vdd_mv") {
        let table = memory.table("vdd_mv");
        let from = table.number("from", range.clone());
        let to = table.number("to", range.clone());
        let step = table.number("step", 0.001..=VDD_MV_MAX);
        let span = table.span()?;
        table.finish();
        (steps(memory, &span, from?.value, to?.value, step?.value)?, span)
    } else {
        let list = memory.numbers("vdd_mv", range)?;
        (list.value, list.span)
    };
    if list.len() > POINTS_MAX {
        memory.report_at(
            span,
            Diagnostic::new("too-many", format!("`memory.vdd_mv` names {} voltages", list.len()))
                .allowed(format!("expected at most {POINTS_MAX}")),
        );
        return None;
    }
    list.sort_by(|a, b| b.value.total_cmp(&a.value));
    let mut repeated = false;
    for pair in list.windows(2) {
        if pair[0].value == pair[1].value {
            repeated = true;
            memory.report_at(
                pair[1].span.clone(),
                Diagnostic::new("repeated", format!("voltage {} mV is named twice", pair[1].value))
                    .hint("name each voltage once"),
            );
        }
    }
    (!repeated).then_some(list)
}

fn steps(
    memory: &TableReader<'_>,
    span: &Range<usize>,
    from: f64,
    to: f64,
    step: f64,
) -> Option<Vec<Located<f64>>> {
    let (high, low) = (from.max(to), from.min(to));
    let intervals = ((high - low) / step).round();
    if intervals >= POINTS_MAX as f64 {
        memory.report_at(
            span.clone(),
            Diagnostic::new("too-many", "`memory.vdd_mv` names too many voltages")
                .allowed(format!("expected at most {POINTS_MAX}")),
        );
        return None;
    }
    if (high - low - intervals * step).abs() > 1e-6 * step {
        memory.report_at(
            span.clone(),
            Diagnostic::new(
                "not-divisible",
                format!("steps of {step} mV do not lead from {from} to {to} mV"),
            )
            .hint("choose a step that divides the range, or list the voltages"),
        );
        return None;
    }
    // `intervals` is a whole number below POINTS_MAX here.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by POINTS_MAX just above"
    )]
    let count = intervals as usize;
    Some(
        (0..=count)
            .map(|index| {
                // Whole microvolts, so that 900 - 3 * 0.1 reads 899.7.
                let value = ((high - index as f64 * step) * 1000.0).round() / 1000.0;
                Located { value, span: span.clone() }
            })
            .collect(),
    )
}
