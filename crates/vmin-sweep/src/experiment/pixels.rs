//! `pixels`: how pixels become the network's input.

use vmin_diagnostic::{Diagnostics, Document, Located, Source, TableReader};
use vmin_nn::Pixels;

/// Reads `pixels` of a table, a word or means and deviations.
pub(super) fn read(table: &TableReader<'_>) -> Option<Located<Pixels>> {
    if table.has_string("pixels") || !table.has("pixels") {
        return table.optional_choice("pixels", &Pixels::WORDS);
    }
    let normalized = table.optional_table("pixels")?;
    let span = normalized.span().unwrap_or(0..0);
    let mean = normalized.numbers("mean", -1e3..=1e3);
    let std = normalized.numbers("std", 1e-6..=1e3);
    normalized.finish();
    let values = |numbers: Located<Vec<Located<f64>>>| {
        numbers.value.into_iter().map(|number| number.value).collect()
    };
    Some(Located { value: Pixels::Normalized { mean: values(mean?), std: values(std?) }, span })
}

/// A rule that was typed: a word, or a TOML table.
///
/// # Errors
/// All problems of the text.
pub fn typed_pixels(text: &str) -> Result<Pixels, Diagnostics> {
    let value =
        if text.trim_start().starts_with('{') { text.to_owned() } else { format!("{text:?}") };
    let source = Source::new("--pixels", &format!("pixels = {value}"));
    let document = Document::parse(&source)?;
    let root = document.root();
    let pixels = read(&root);
    root.finish();
    document.finish()?;
    Ok(pixels.expect("a rule without a problem").value)
}
