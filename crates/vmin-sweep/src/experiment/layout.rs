//! `[placement]`: the layout of weights in their memory.

use std::ops::Range;

use vmin_accel::placement::{Alignment, Interleaving};
use vmin_diagnostic::{Diagnostic, TableReader};

/// Most offsets of one experiment.
const OFFSETS_MAX: usize = 10_000;

/// The layout of weights: `[placement]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `interleave`: rows over the banks, columns behind multiplexers.
    pub interleaving: Interleaving,
    /// `align`: where tensors may begin.
    pub alignment: Alignment,
    /// `layer_first_bits`: first bit of each layer; each follows the one before it if empty.
    pub layer_first_bits: Vec<u64>,
    /// `offset_bits`: first bit of the network; every chip is used once per offset.
    pub offset_bits: Vec<u64>,
    /// `bit_assignment = "msb_to_reliable_columns"`: columns chosen from each chip's own faults at the lowest
    /// voltage.
    pub reliable_columns: Option<Range<usize>>,
    /// Place of the table, for messages.
    pub span: Range<usize>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            interleaving: Interleaving::default(),
            alignment: Alignment::Code,
            layer_first_bits: Vec::new(),
            offset_bits: vec![0],
            reliable_columns: None,
            span: 0..0,
        }
    }
}

impl Layout {
    /// In words, for tables.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = vec![match (self.interleaving.rows, self.interleaving.columns) {
            (false, false) => "linear".to_owned(),
            (true, false) => "rows interleaved".to_owned(),
            (false, true) => "columns interleaved".to_owned(),
            (true, true) => "rows and columns interleaved".to_owned(),
        }];
        match self.alignment {
            Alignment::Code => {}
            Alignment::Row => words.push("tensors aligned to rows".to_owned()),
            Alignment::Bank => words.push("tensors aligned to banks".to_owned()),
        }
        if !self.layer_first_bits.is_empty() {
            words.push("every layer at its own place".to_owned());
        }
        if self.reliable_columns.is_some() {
            words.push("most significant bits in reliable columns".to_owned());
        }
        match self.offset_bits[..] {
            [0] => {}
            [offset] => words.push(format!("offset of {offset} bits")),
            _ => words.push(format!("{} offsets", self.offset_bits.len())),
        }
        words.join(", ")
    }
}

/// Parses `[placement]`.
pub(super) fn read(table: TableReader<'_>) -> Option<Layout> {
    #[derive(Clone, Copy, PartialEq)]
    enum Interleave {
        Rows,
        Columns,
    }
    let interleave = table.optional_choices(
        "interleave",
        &[("rows", Interleave::Rows), ("columns", Interleave::Columns)],
    );
    let align = table.optional_choice("align", &Alignment::ALL);
    let offsets = table.optional_integers("offset_bits", 0..=i64::MAX);
    let assignment = table.optional_choice(
        "bit_assignment",
        &[("as_stored", false), ("msb_to_reliable_columns", true)],
    );
    let layers = table.optional_integers("layer_first_bits", 0..=i64::MAX);
    let written = ["interleave", "align", "offset_bits", "bit_assignment", "layer_first_bits"]
        .map(|key| table.has(key));
    if let (Some(layers), Some(align)) = (&layers, &align)
        && align.value != Alignment::Code
    {
        table.report_at(
            layers.span.clone(),
            Diagnostic::new("both", "`placement` names places of layers and an alignment")
                .hint("leave `align` away, or `layer_first_bits`"),
        );
    }
    let span = table.span().unwrap_or(0..0);
    let mut offset_bits: Vec<u64> = Vec::new();
    for offset in offsets.iter().flat_map(|list| &list.value) {
        let bits = offset.value.unsigned_abs();
        if offset_bits.contains(&bits) {
            table.report_at(
                offset.span.clone(),
                Diagnostic::new("repeated", format!("offset {bits} is named twice"))
                    .hint("name each offset once"),
            );
        }
        offset_bits.push(bits);
    }
    if offset_bits.len() > OFFSETS_MAX {
        table.report_at(
            span.clone(),
            Diagnostic::new("too-many", format!("{} offsets are named", offset_bits.len()))
                .allowed(format!("expected at most {OFFSETS_MAX}")),
        );
    }
    if offset_bits.is_empty() {
        offset_bits.push(0);
    }
    let read = [
        interleave.is_some(),
        align.is_some(),
        offsets.is_some(),
        assignment.is_some(),
        layers.is_some(),
    ];
    table.finish();
    let has =
        |which| interleave.iter().flat_map(|list| &list.value).any(|item| item.value == which);
    (written == read).then(|| Layout {
        interleaving: Interleaving {
            rows: has(Interleave::Rows),
            columns: has(Interleave::Columns),
        },
        alignment: align.map_or(Alignment::Code, |align| align.value),
        layer_first_bits: layers
            .iter()
            .flat_map(|list| &list.value)
            .map(|first| first.value.unsigned_abs())
            .collect(),
        offset_bits,
        reliable_columns: assignment.filter(|chosen| chosen.value).map(|chosen| chosen.span),
        span,
    })
}
