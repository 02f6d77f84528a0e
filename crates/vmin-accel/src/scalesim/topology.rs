//! SCALE-Sim's tables of layers: convolutions (`-i conv`) and products (`-i gemm`).
//!
//! ```text
//!  name, ifmap height, ifmap width, filter height, filter width, channels, filters, stride, [N:M,]
//!  name, M, N, K, [N:M,]
//! ```
//!
//! The first line is a header. The tool drops any text after the last comma of a line, so the last field needs a
//! comma behind it, and a remark may follow. A convolution whose name contains `DP` is depthwise: one layer of one
//! channel for each of its channels.

use std::ops::Range;

use vmin_diagnostic::{Diagnostic, Diagnostics, Source};

use super::Window;
use crate::{GemmShape, Layer};

/// Most layers, after depthwise layers were taken apart.
const LAYERS_MAX: usize = 1 << 16;
/// Largest number in a table.
const NUMBER_MAX: u64 = 1 << 24;

/// Kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Convolutions.
    Topology,
    /// Plain products.
    Gemm,
}

impl TableKind {
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Topology => &[
                "name",
                "ifmap height",
                "ifmap width",
                "filter height",
                "filter width",
                "channels",
                "filters",
                "stride",
            ],
            Self::Gemm => &["name", "M", "N", "K"],
        }
    }
}

struct Field<'t> {
    text: &'t str,
    span: Range<usize>,
}

/// The text of a table, at most 16 MiB.
///
/// # Errors
/// The file cannot be read.
pub fn read_table(path: &str) -> Result<Source, Diagnostics> {
    vmin_files::shipped_or_path("table of layers", path, &[])
}

/// Reads a table.
///
/// # Errors
/// All problems of the text.
pub fn layers(source: &Source, kind: TableKind) -> Result<Vec<Layer>, Diagnostics> {
    let mut problems = Vec::new();
    let mut layers = Vec::new();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .quoting(false)
        .from_reader(source.text().as_bytes());
    for record in reader.records() {
        let record = record.map_err(|error| {
            Diagnostic::new("table-syntax", format!("not a table: {error}")).within(source)
        })?;
        let start = record.position().map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0));
        // The reader skips empty lines, their line ends count to the record after them.
        let skipped = source
            .text()
            .get(start..)
            .map_or(0, |rest| rest.len() - rest.trim_start_matches(['\r', '\n']).len());
        let fields = fields(&record, start + skipped);
        if fields.iter().all(|field| field.text.is_empty()) {
            continue;
        }
        if source.text().get(..start + skipped).is_some_and(|before| !before.contains('\n')) {
            refuse_header_with_numbers(source, &fields, &mut problems);
            continue;
        }
        row(source, kind, &fields, &mut layers, &mut problems);
        if layers.len() > LAYERS_MAX || problems.len() > 50 {
            break;
        }
    }
    if layers.len() > LAYERS_MAX {
        let problem = format!("more than {LAYERS_MAX} layers");
        problems.push(Diagnostic::new("table-size", problem).within(source));
    } else if layers.is_empty() && problems.is_empty() {
        problems.push(
            Diagnostic::new("table-empty", "the table has no layers")
                .within(source)
                .hint("the first line is a header"),
        );
    }
    Diagnostics::from_list(problems).map_or(Ok(layers), Err)
}

fn fields(record: &csv::StringRecord, start: usize) -> Vec<Field<'_>> {
    let mut at = start;
    record
        .iter()
        .map(|raw| {
            let text = raw.trim();
            let first = at + (raw.len() - raw.trim_start().len());
            at += raw.len() + 1;
            Field { text, span: first..first + text.len() }
        })
        .collect()
}

fn refuse_header_with_numbers(
    source: &Source,
    fields: &[Field<'_>],
    problems: &mut Vec<Diagnostic>,
) {
    if let Some(field) = fields.get(1)
        && field.text.parse::<u64>().is_ok()
    {
        problems.push(
            Diagnostic::new("table-header", "the first line is a layer, not a header")
                .at(source, field.span.clone())
                .allowed("SCALE-Sim skips the first line, this layer would be lost")
                .hint("put a header line above it"),
        );
    }
}

fn row(
    source: &Source,
    kind: TableKind,
    fields: &[Field<'_>],
    layers: &mut Vec<Layer>,
    problems: &mut Vec<Diagnostic>,
) {
    let columns = kind.columns();
    let report = |span: &Range<usize>, diagnostic: Diagnostic, problems: &mut Vec<Diagnostic>| {
        problems.push(diagnostic.at(source, span.clone()));
    };
    let Some((last, given)) = fields.split_last() else { return };
    let line = fields[0].span.start..last.span.end.max(fields[0].span.start);
    // With all fields before it, the last one is a remark, unless it is a sparsity.
    let meant = fields.len() == columns.len() || ratio(last.text).is_some();
    if !last.text.is_empty() && fields.len() >= columns.len() && meant {
        report(
            &last.span,
            Diagnostic::new("table-comma", "no comma after the last field")
                .allowed("SCALE-Sim drops what follows the last comma")
                .hint("end every line in a comma"),
            problems,
        );
        return;
    }
    if given.len() < columns.len() || given.len() > columns.len() + 1 {
        report(
            &line,
            Diagnostic::new("table-columns", format!("{} fields", given.len())).allowed(format!(
                "expected {}, each followed by a comma, and perhaps a sparsity `N:M`",
                columns.join(", ")
            )),
            problems,
        );
        return;
    }
    if let Some(sparsity) = given.get(columns.len())
        && ratio(sparsity.text).is_none_or(|[n, m]| n != m)
    {
        report(
            &sparsity.span,
            Diagnostic::new("table-sparsity", format!("sparsity `{}`", sparsity.text))
                .allowed("expected `1:1`: N:M sparse weights are not modelled"),
            problems,
        );
    }
    let mut numbers = Vec::with_capacity(columns.len());
    for (field, column) in given.iter().zip(columns).skip(1) {
        match field.text.parse::<u64>() {
            Ok(number) if (1..=NUMBER_MAX).contains(&number) => numbers.push(number),
            _ => report(
                &field.span,
                Diagnostic::new("table-number", format!("{column} is `{}`", field.text))
                    .allowed(format!("expected an integer from 1 to {NUMBER_MAX}")),
                problems,
            ),
        }
    }
    let name = given[0].text;
    let made = match numbers[..] {
        [ih, iw, fh, fw, channels, filters, stride] => {
            if fh > ih || fw > iw {
                report(
                    &line,
                    Diagnostic::new(
                        "table-window",
                        format!("layer `{name}` is smaller than its filter"),
                    )
                    .allowed(format!("a filter of {fh} x {fw} on an input of {ih} x {iw}"))
                    .hint("SCALE-Sim has no padding; put it into the input's size"),
                    problems,
                );
                return;
            }
            convolutions(name, [ih, iw], [fh, fw], channels, filters, stride)
        }
        [m, n, k] => GemmShape::new(m, n, k).ok().map(|shape| vec![Layer::gemm(name, shape)]),
        // Some number was wrong, and reported.
        _ => return,
    };
    match made {
        Some(made) if made.len() <= LAYERS_MAX => layers.extend(made),
        _ => report(
            &line,
            Diagnostic::new("table-size", format!("layer `{name}` is too large"))
                .allowed("at most 2^48 multiply-accumulates and 65536 depthwise channels"),
            problems,
        ),
    }
}

/// The numbers of `N:M`.
fn ratio(text: &str) -> Option<[u64; 2]> {
    let (n, m) = text.split_once(':')?;
    Some([n.trim().parse().ok()?, m.trim().parse().ok()?])
}

fn convolutions(
    name: &str,
    input: [u64; 2],
    kernel: [u64; 2],
    channels: u64,
    filters: u64,
    stride: u64,
) -> Option<Vec<Layer>> {
    let layer = |name: String, channels: u64| {
        let window = Window::scalesim(input, kernel, channels, [stride, stride])?;
        let shape = GemmShape::new(window.count(), filters, window.length()).ok()?;
        Some(Layer {
            inputs: input[0] * input[1] * channels,
            window: Some(window),
            ..Layer::gemm(name, shape)
        })
    };
    if !name.contains("DP") {
        return Some(vec![layer(name.to_owned(), channels)?]);
    }
    if channels > LAYERS_MAX as u64 {
        return None;
    }
    (0..channels).map(|channel| layer(format!("{name}Channel_{channel}"), 1)).collect()
}
