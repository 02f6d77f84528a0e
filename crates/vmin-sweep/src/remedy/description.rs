//! `[[remedy]]` in the experiment file, with no name resolved.

use std::ops::Range;

use vmin_diagnostic::{Diagnostic, Located, TableReader};
use vmin_protection::{Known, Listed};

use crate::experiment::voltages;

/// Most remedies of one experiment.
pub const REMEDIES_MAX: usize = 100;

/// One remedy; names are not resolved.
#[derive(Clone, Debug)]
pub struct Remedy {
    /// `name`.
    pub name: Located<String>,
    /// `protection`, from the cells outwards.
    pub protection: Listed,
    /// Place of the protection, or else of the remedy.
    pub protection_span: Range<usize>,
    /// `model`: another network; that of the experiment if absent.
    pub model: Option<Located<String>>,
    /// `bits`: re-quantize the weights to this number of bits.
    pub bits: Option<Located<u8>>,
    /// `vdd_mv`, falling; those of the experiment if absent.
    pub vdd_mv: Option<Vec<Located<f64>>>,
}

/// Parses all `[[remedy]]` tables; none if one of them has a problem.
pub(crate) fn read(root: &TableReader<'_>) -> Option<Vec<Remedy>> {
    let mut remedies: Vec<Option<Remedy>> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for table in root.tables("remedy") {
        let name = table.string("name");
        let protection = Listed::read(&table, "protection");
        let known = Known::read(&table, "known");
        let protection =
            protection.zip(known).and_then(|(listed, known)| match listed.knowing(known) {
                Ok(listed) => Some(listed),
                Err(problem) => {
                    table.report(*problem);
                    None
                }
            });
        let model = table.optional_string("model");
        let bits = table.optional_integer("bits", 2..=8);
        let own_voltages = table.has("vdd_mv");
        let vdd_mv = if own_voltages { voltages(&table) } else { None };
        let span = table.span().unwrap_or(0..0);
        table.finish();
        if let Some(name) = &name {
            if names.contains(&name.value) {
                root.report_at(
                    name.span.clone(),
                    Diagnostic::new(
                        "repeated",
                        format!("two remedies are called `{}`", name.value),
                    )
                    .hint("give each remedy a name of its own"),
                );
            }
            names.push(name.value.clone());
        }
        remedies.push((|| {
            let bits = match bits {
                Some(bits) => {
                    Some(Located { value: u8::try_from(bits.value).ok()?, span: bits.span })
                }
                None => None,
            };
            let vdd_mv = if own_voltages { Some(vdd_mv?) } else { None };
            let name = name?;
            Some(Remedy {
                protection: protection?,
                protection_span: if span.is_empty() { name.span.clone() } else { span },
                name,
                model,
                bits,
                vdd_mv,
            })
        })());
    }
    if remedies.len() > REMEDIES_MAX {
        root.report(
            Diagnostic::new("too-many", format!("the experiment has {} remedies", remedies.len()))
                .within(root.source())
                .allowed(format!("expected at most {REMEDIES_MAX}")),
        );
        return None;
    }
    remedies.into_iter().collect()
}
