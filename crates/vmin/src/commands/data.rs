//! `vmin data`: names that need no file.

use serde::Serialize;
use vmin_accel::{Accelerator, VoltageProfile};

use crate::args::{DataCommand, Format};
use crate::failure::Failure;
use crate::print;

#[derive(Serialize)]
struct Entry {
    kind: &'static str,
    name: String,
    about: String,
}

/// Image sets from files, with the expected files.
const FORMS: [(&str, &str); 4] = [
    ("cifar10:DIR", "CIFAR-10: folder with test_batch.bin and data_batch_1.bin .. 5.bin"),
    ("mnist:DIR", "MNIST: folder with t10k-images-idx3-ubyte and labels, plain or .gz"),
    ("fashion-mnist:DIR", "Fashion-MNIST: the same four files"),
    ("npz:FILE", "numpy archive with uint8 images [n, h, w, c] and labels [n]"),
];

pub(crate) fn run(command: &DataCommand) -> Result<(), Failure> {
    let DataCommand::List { format } = command;
    let entry = |kind, name: String, about: &str| Entry { kind, name, about: about.to_owned() };
    let mut entries = Vec::new();
    for (name, _) in vmin_nn::builtin::BUILTIN_MODELS {
        let model = format!("builtin:{name}");
        let graph = crate::lookup::model(&model, None)?;
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
    match format.format {
        Format::Json => print::json(&entries),
        Format::Csv => print::csv(&entries),
        Format::Table => {
            let rows = entries
                .into_iter()
                .map(|entry| vec![entry.kind.to_owned(), entry.name, entry.about]);
            print::text_line(&print::table(&["kind", "name", "about"], 3, rows).to_string())
        }
    }
}
