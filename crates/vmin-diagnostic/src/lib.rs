//! Diagnostics as values, and a TOML reader that reports every problem of a file at once.
//!
//! A file the user wrote becomes a [`Document`]; its tables are read through [`TableReader`], which
//! checks each value where it is read, notes what is wrong with its position, and goes on. Only at
//! the end, in [`Document::finish`], do the collected problems become one [`Diagnostics`] error, so
//! that nobody mends a file one message at a time.
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
//! Not here: what any key means. The crates that own the files know that.

mod causes;
mod diagnostic;
mod document;
mod render;
mod source;
mod suggest;
mod table;

pub use causes::with_causes;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::Document;
pub use render::render;
pub use source::Source;
pub use suggest::{closest, list_words};
pub use table::{Located, TableReader, Variant};
