//! Lists of faulty cells as Parquet, uncompressed or with Snappy or gzip pages. Properties stand in the
//! file's key-value metadata, as `vmin.geometry`.
//!
//! Columns may be of any whole or floating-point type that holds the value; `kind` is a string.

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::list::{OPTIONS, Value};
use super::source::whole;
use super::{Format, ImportProblem, Importer, foreign};

pub(super) const FORMAT: Format = Format {
    name: "parquet",
    about: "The same table as Parquet",
    options: OPTIONS,
    recognizes: |head| head.bytes.starts_with(b"PAR1"),
    add: Importer::add_list_parquet,
    finish: Importer::finish_list,
};

/// Largest file, and largest contents of all columns.
const CONTENTS_BYTES_MAX: u64 = 1 << 30;

impl Importer {
    fn add_list_parquet(
        &mut self,
        index: usize,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), ImportProblem> {
        let contents = whole(bytes, &self.limits, CONTENTS_BYTES_MAX)?;
        // Some checks of the reader panic on damaged files.
        foreign::guarded(|| self.add_contents(index, name, contents))
            .unwrap_or_else(|| Err(ImportProblem::Table("the Parquet file is damaged".to_owned())))
    }

    fn add_contents(
        &mut self,
        index: usize,
        name: &str,
        contents: Vec<u8>,
    ) -> Result<(), ImportProblem> {
        let room = (contents.len() as u64).saturating_mul(1 << 10).min(CONTENTS_BYTES_MAX);
        let reader = SerializedFileReader::new(Bytes::from(contents)).map_err(table)?;
        let metadata = reader.metadata();
        let mut size = 0_u64;
        for group in metadata.row_groups() {
            for column in group.columns() {
                let bytes = u64::try_from(column.uncompressed_size()).unwrap_or(u64::MAX);
                size = size.saturating_add(bytes);
            }
        }
        if size > room {
            return Err(ImportProblem::Limit { what: "bytes after decompression", max: room });
        }
        let properties = metadata.file_metadata().key_value_metadata();
        for property in properties.into_iter().flatten() {
            if let (Some(key), Some(value)) = (property.key.strip_prefix("vmin."), &property.value)
            {
                self.add_property(key, value)?;
            }
        }
        let columns = metadata.file_metadata().schema_descr().columns();
        let places = self.places(index, name, columns.iter().map(|column| column.name()))?;
        for (line, record) in (1..).zip(reader.get_row_iter(None).map_err(table)?) {
            let record = record.map_err(table)?;
            let fields: Vec<&Field> = record.get_column_iter().map(|(_, field)| field).collect();
            self.add_row(places.row(line, |place| fields.get(place).copied())?)?;
        }
        Ok(())
    }
}

impl Value for &Field {
    fn whole(&self) -> Option<u64> {
        whole_number(self)
    }

    fn number(&self) -> Option<f64> {
        number(self)
    }

    fn text(&self) -> String {
        if let Field::Str(text) = self { text.clone() } else { self.to_string() }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of many types")]
fn whole_number(field: &Field) -> Option<u64> {
    match *field {
        Field::Byte(value) => u64::try_from(value).ok(),
        Field::Short(value) => u64::try_from(value).ok(),
        Field::Int(value) => u64::try_from(value).ok(),
        Field::Long(value) => u64::try_from(value).ok(),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value.into()),
        Field::ULong(value) => Some(value),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of many types")]
fn number(field: &Field) -> Option<f64> {
    match *field {
        Field::Float(value) => Some(value.into()),
        Field::Double(value) => Some(value),
        _ => whole_number(field).map(|value| value as f64),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn table(error: parquet::errors::ParquetError) -> ImportProblem {
    let text: String = error.to_string().chars().take(200).collect();
    ImportProblem::Table(text)
}
