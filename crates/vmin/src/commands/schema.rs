//! `vmin schema`: JSON Schemas of the TOML files, for editors and validators.

use crate::args::SchemaKind;

/// The schema of a kind of file.
#[must_use]
pub const fn text(kind: SchemaKind) -> &'static str {
    match kind {
        SchemaKind::Experiment => include_str!("../../../../schemas/experiment.schema.json"),
        SchemaKind::Accelerator => include_str!("../../../../schemas/accelerator.schema.json"),
        SchemaKind::Profile => include_str!("../../../../schemas/profile.schema.json"),
        SchemaKind::Space => include_str!("../../../../schemas/space.schema.json"),
        SchemaKind::Recipe => include_str!("../../../../schemas/recipe.schema.json"),
    }
}
