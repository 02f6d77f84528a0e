//! Pairs of comma-separated 0/1 files, `fmap_sa0_v_<V>.txt` and `fmap_sa1_v_<V>.txt`: the form in which
//! IBM's low-voltage studies keep their maps (a line per row of the array, a value per column).

use std::io::BufRead;

use super::source::{open, problem};
use super::{Format, ImportProblem, Importer, MapId, Shape};
use crate::measured_maps::ErrorRates;

pub(super) const FORMAT: Format = Format {
    name: "ibm",
    about: "Pairs of comma-separated 0/1 files",
    options: &["--vdd-mv", "--rows-per-bank"],
    recognizes: |head| {
        head.line.contains(',') && head.line.chars().all(|c| "01,.e+- \t\r".contains(c))
    },
    add: Importer::add_ibm,
    finish: |importer| importer.matrix_geometry(),
};

/// Longest value, as `1.000000000000000000e+00`.
const VALUE_BYTES_MAX: usize = 32;

impl Importer {
    fn add_ibm(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), ImportProblem> {
        let lower = name.to_ascii_lowercase();
        let (map, rates) = match (lower.contains("sa0"), lower.contains("sa1")) {
            (true, false) => (MapId::StuckAt0, ErrorRates::stuck_at_0(1.0)),
            (false, true) => (MapId::StuckAt1, ErrorRates::stuck_at_1(1.0)),
            _ => {
                return Err(ImportProblem::Role {
                    what: "whether its cells are stuck at 0 or at 1",
                });
            }
        };
        let vdd_uv = self.voltage(index, name)?;
        self.claim(name, vdd_uv, map)?;
        let level = self.collector.level(vdd_uv)?;
        let limits = self.limits;
        let mut matrix = Matrix::default();
        let mut reader = open(bytes, &limits);
        loop {
            let buffer = reader.fill_buf().map_err(problem)?;
            if buffer.is_empty() {
                break;
            }
            for &byte in buffer {
                if let Some(address) = matrix.byte(byte)? {
                    self.collector.push(level, address, rates)?;
                }
            }
            let used = buffer.len();
            reader.consume(used);
        }
        if let Some(address) = matrix.byte(b'\n')? {
            self.collector.push(level, address, rates)?;
        }
        if matrix.rows == 0 {
            return Err(ImportProblem::Empty);
        }
        self.files[index].faults = matrix.faults;
        let columns = matrix.columns.unwrap_or(0);
        self.same_shape(name, Shape::Matrix { rows: matrix.rows, columns })
    }
}

/// A matrix of zeros and ones, byte by byte.
#[derive(Default)]
struct Matrix {
    rows: u64,
    /// Of the first line.
    columns: Option<u64>,
    column: u64,
    value: Vec<u8>,
    /// Lines so far, blank ones too.
    lines: u64,
    cells: u64,
    faults: u64,
}

impl Matrix {
    /// Takes a byte; returns the address of a faulty cell that ends there.
    fn byte(&mut self, byte: u8) -> Result<Option<u64>, ImportProblem> {
        match byte {
            b',' => self.end_value(),
            b'\n' => self.end_line(),
            b' ' | b'\t' | b'\r' => Ok(None),
            _ if self.value.len() < VALUE_BYTES_MAX => {
                self.value.push(byte);
                Ok(None)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn end_value(&mut self) -> Result<Option<u64>, ImportProblem> {
        let fault = match self.value[..] {
            [b'0'] => false,
            [b'1'] => true,
            _ => {
                let text = core::str::from_utf8(&self.value).ok();
                match text.and_then(|text| text.parse::<f64>().ok()) {
                    Some(0.0) => false,
                    Some(1.0) => true,
                    _ => return Err(self.unexpected()),
                }
            }
        };
        self.value.clear();
        self.column += 1;
        self.cells += 1;
        self.faults += u64::from(fault);
        Ok(fault.then_some(self.cells - 1))
    }

    fn end_line(&mut self) -> Result<Option<u64>, ImportProblem> {
        if self.value.is_empty() && self.column == 0 {
            self.lines += 1;
            return Ok(None);
        }
        let fault = self.end_value()?;
        self.lines += 1;
        let expected = *self.columns.get_or_insert(self.column);
        if self.column != expected {
            return Err(ImportProblem::Width { line: self.lines, found: self.column, expected });
        }
        self.column = 0;
        self.rows += 1;
        Ok(fault)
    }

    fn unexpected(&self) -> ImportProblem {
        let found = match self.value[..] {
            [] => "nothing".to_owned(),
            _ => format!("`{}`", String::from_utf8_lossy(&self.value).escape_default()),
        };
        ImportProblem::Text { line: self.lines + 1, found, expected: "0 or 1" }
    }
}
