//! `vmin check`: what an experiment would cost.

use serde::Serialize;
use vmin_sweep::PlanCost;

use crate::args::CheckArgs;
use crate::commands::sweep;
use crate::{Answer, Failure, answer};

/// What an experiment would cost.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Checked {
    /// Its records, operations and sizes.
    pub cost: PlanCost,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    notes: Vec<String>,
}

/// Plans an experiment and runs nothing.
///
/// # Errors
/// All problems of the experiment.
pub fn run(args: &CheckArgs) -> Result<Checked, Failure> {
    let plan = sweep::plan(args.experiment.as_deref())?;
    Ok(Checked { cost: plan.cost(), name: plan.name, notes: plan.notes })
}

impl Answer for Checked {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&[self])
    }

    fn table(&self) -> String {
        let value = serde_json::to_value(&self.cost).unwrap_or_default();
        let rows = value.as_object().into_iter().flatten().map(|(key, value)| {
            let text = match value.as_f64().filter(|_| value.is_f64()) {
                Some(number) => format!("{number:.1}"),
                None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            };
            vec![key.replace('_', " "), text]
        });
        let table = answer::table(&["plan", ""], 1, rows);
        let notes: String = self.notes.iter().map(|note| format!("\nnote: {note}")).collect();
        format!("{}\n{table}{notes}", self.name)
    }
}
