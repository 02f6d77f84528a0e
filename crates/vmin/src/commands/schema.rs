//! `vmin schema`: JSON Schemas of the TOML files and of the commands' JSON, for editors, validators and scripts.
//!
//! Those of the TOML files are written by hand, those of the JSON follow from the types that are printed.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::chip::fit::Fitted;
use super::chip::import::Imported;
use super::{
    chip, compare, cycles, data, deploy, energy, eval, explore, model, monitor, noise, sweep,
    train, trials,
};
use crate::answer::Document;
use crate::args::SchemaKind;
use crate::{Failure, Problems};

/// The schema of a kind of file or document.
///
/// # Errors
/// It cannot be written as JSON.
pub fn text(kind: SchemaKind) -> Result<String, Failure> {
    let schema = match kind {
        SchemaKind::Experiment => {
            return by_hand(include_str!("../../../../schemas/experiment.schema.json"));
        }
        SchemaKind::Accelerator => {
            return by_hand(include_str!("../../../../schemas/accelerator.schema.json"));
        }
        SchemaKind::Profile => {
            return by_hand(include_str!("../../../../schemas/profile.schema.json"));
        }
        SchemaKind::Space => return by_hand(include_str!("../../../../schemas/space.schema.json")),
        SchemaKind::Recipe => {
            return by_hand(include_str!("../../../../schemas/recipe.schema.json"));
        }
        SchemaKind::Results => results(),
        SchemaKind::Vmin => document::<super::questions::vmin::Lowest>(),
        SchemaKind::Yield => document::<super::questions::yields::Yielded>(),
        SchemaKind::Sensitivity => document::<super::questions::sensitivity::Sensitivity>(),
        SchemaKind::Assign => document::<super::questions::assign::Assignment>(),
        SchemaKind::Plan => document::<super::plan::Planned>(),
        SchemaKind::Check => document::<super::check::Checked>(),
        SchemaKind::Eval => document::<eval::Evaluated>(),
        SchemaKind::Deploy => document::<deploy::Deployed>(),
        SchemaKind::Manifest => of::<deploy::Manifest>(),
        SchemaKind::Attack => document::<super::attack::Attack>(),
        SchemaKind::Flatness => document::<super::flatness::Flatness>(),
        SchemaKind::Monitor => document::<monitor::Monitored>(),
        SchemaKind::Noise => document::<noise::Noise>(),
        SchemaKind::Model => document::<model::Inspection>(),
        SchemaKind::Chip => document::<chip::inspect::Inspection>(),
        SchemaKind::ChipSample => document::<chip::sample::Sampled>(),
        SchemaKind::ChipImport => document::<Imported>(),
        SchemaKind::ChipFit => document::<Fitted>(),
        SchemaKind::Cycles => document::<cycles::CyclesAnswer>(),
        SchemaKind::Energy => document::<energy::Energy>(),
        SchemaKind::Explore => document::<explore::Explored>(),
        SchemaKind::Train => document::<train::Summary>(),
        SchemaKind::Compare => document::<compare::Comparison>(),
        SchemaKind::Trials => document::<trials::list::Listed>(),
        SchemaKind::TrialsShow => document::<trials::show::Shown>(),
        SchemaKind::TrialsGc => document::<trials::gc::Collected>(),
        SchemaKind::Data => document::<data::Names>(),
        SchemaKind::Errors => of::<Problems>(),
    };
    Ok(serde_json::to_string_pretty(&schema).map_err(std::io::Error::from)?)
}

fn by_hand(text: &str) -> Result<String, Failure> {
    Ok(text.trim_end().to_owned())
}

fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

fn document<T: JsonSchema + 'static>() -> Schema {
    of::<Document<'static, T>>()
}

/// What `vmin sweep` prints and, without the name of a command, writes to `results.json`.
fn results() -> Schema {
    let mut schema = document::<sweep::Swept>();
    if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
        required.retain(|key| key != "command" && key != "version");
    }
    schema
}
