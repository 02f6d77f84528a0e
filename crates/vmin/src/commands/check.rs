//! `vmin check`: what an experiment would cost.

use crate::args::{CheckArgs, Format};
use crate::commands::sweep;
use crate::failure::Failure;
use crate::print;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let plan = sweep::plan(args.experiment.as_deref())?;
    let cost = plan.cost();
    match args.format.format {
        Format::Json => print::json(&cost),
        Format::Csv => print::csv(&[&cost]),
        Format::Table => {
            let value = serde_json::to_value(&cost).map_err(std::io::Error::from)?;
            let rows = value.as_object().into_iter().flatten().map(|(key, value)| {
                let text = match value.as_f64().filter(|_| value.is_f64()) {
                    Some(number) => format!("{number:.1}"),
                    None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                };
                vec![key.replace('_', " "), text]
            });
            let table = print::table(&["plan", ""], 1, rows);
            let notes: String = plan.notes.iter().map(|note| format!("\nnote: {note}")).collect();
            print::text_line(&format!("{}\n{table}{notes}", plan.name))
        }
    }
}
