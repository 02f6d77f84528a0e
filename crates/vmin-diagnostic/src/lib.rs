//! Diagnostics as values, and a TOML reader that reports every problem of a file at once.
//!
//! A TOML file becomes a [`Document`]. [`TableReader`] reads its tables, checks each value, records
//! every problem with its position, and continues. [`Document::finish`] returns the recorded problems
//! as one [`Diagnostics`] error, so that the user can correct all of them at once. The cost is linear
//! in the size of the file; [`render()`] prints the first 30 problems and the number of the others.
//!
//! ```
//! use vmin_diagnostic::{Document, Source};
//!
//! let source = Source::new("array.toml", "[array]\nrow = 16\ncolumns = 0\n");
//! let document = Document::parse(&source)?;
//! let root = document.root();
//! let array = root.table("array");
//! let rows = array.integer("rows", 1..=4096);
//! let columns = array.integer("columns", 1..=4096);
//! array.finish();
//! root.finish();
//! assert!(rows.is_none() && columns.is_none());
//! let problems = document.finish().unwrap_err();
//! assert_eq!(problems.len(), 3); // `rows` missing, `columns` out of range, `row` unknown
//! # Ok::<(), vmin_diagnostic::Diagnostics>(())
//! ```
//!
//! `cargo run -p vmin-diagnostic --example check_file FILE` prints the problems of a file.
//!
//! The meaning of the keys belongs to the crates that own the files; only [`FileKind`] knows which keys tell
//! one kind of file from another.

mod causes;
mod diagnostic;
mod document;
mod kind;
mod render;
mod source;
mod suggest;
mod table;

pub use causes::with_causes;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::Document;
pub use kind::FileKind;
pub use render::{LISTED_MAX, render, thousands, visible, wrapped};
pub use source::Source;
pub use suggest::{closest, in_volts, list_words};
pub use table::{Located, TableReader, Variant};
