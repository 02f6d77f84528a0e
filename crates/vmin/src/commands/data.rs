//! `vmin data`: names that need no file.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::{Accelerator, VoltageProfile};

use crate::{Answer, Failure, answer};

/// Everything that can be named without a file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Names {
    /// One entry a name.
    pub rows: Vec<Entry>,
}

/// One name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// `model`, `data`, `accelerator` or `profile`.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// One line about it.
    pub about: String,
}

/// Image sets from files, with the expected files.
const FORMS: [(&str, &str); 4] = [
    ("cifar10:DIR", "CIFAR-10: folder with test_batch.bin and data_batch_1.bin .. 5.bin"),
    ("mnist:DIR", "MNIST: folder with t10k-images-idx3-ubyte and labels, plain or .gz"),
    ("fashion-mnist:DIR", "Fashion-MNIST: the same four files"),
    ("npz:FILE", "numpy archive with uint8 images [n, h, w, c] and labels [n]"),
];

/// Lists the shipped networks, image sets, accelerators and profiles.
///
/// # Errors
/// A shipped file is damaged.
pub fn run() -> Result<Names, Failure> {
    let entry = |kind, name: String, about: &str| Entry { kind, name, about: about.to_owned() };
    let mut entries = Vec::new();
    for (name, _) in vmin_nn::builtin::BUILTIN_MODELS {
        let model = format!("builtin:{name}");
        let graph =
            vmin_nn::model::load(&model).map_err(|error| Failure::input("model", &error))?;
        let about = format!(
            "{} layers, {} MACs, {} weights",
            graph.nodes.len(),
            graph.macs(),
            graph.weights.iter().map(|w| w.codes.len()).sum::<usize>()
        );
        entries.push(entry("model", model, &about));
    }
    let shapes = format!("builtin:{}", vmin_nn::data::shapes::NAME);
    entries.push(entry("data", shapes, "generated: ten kinds of small shapes"));
    entries.extend(FORMS.map(|(form, about)| entry("data", form.to_owned(), about)));
    for name in Accelerator::names() {
        entries.push(entry("accelerator", name.to_owned(), &Accelerator::load(name)?.title));
    }
    for name in VoltageProfile::names() {
        entries.push(entry("profile", name.to_owned(), VoltageProfile::load(name)?.title()));
    }
    Ok(Names { rows: entries })
}

impl Answer for Names {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        let rows = self.rows.iter();
        let rows = rows.map(|row| vec![row.kind.to_owned(), row.name.clone(), row.about.clone()]);
        answer::table(&["kind", "name", "about"], 3, rows)
    }
}
