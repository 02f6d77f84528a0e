//! Arrays of numpy: the highest voltage at which each cell fails, or the probability of an error at one
//! voltage. Axes are `[rows, columns]` or `[banks, rows, columns]`, elements numbers or booleans of one byte to eight.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use npyz::{NpyFile, Order};

use super::source::{open, problem};
use super::voltage::{VddUnit, microvolts};
use super::{Format, ImportProblem, Importer, MapId, NpyValues, Shape};
use crate::geometry::CELLS_MAX;
use crate::measured_maps::{ErrorRates, Run};

pub(super) const FORMAT: Format = Format {
    name: "npy",
    about: "Arrays of numpy",
    options: &["--vdd-mv", "--rows-per-bank", "--npy-values", "--levels-mv", "--failure-kind"],
    recognizes: |head| head.bytes.starts_with(b"\x93NUMPY"),
    add: Importer::add_npy,
    finish: |importer| importer.matrix_geometry(),
};

/// Longest header. Those that numpy writes have 118 bytes.
const HEADER_BYTES_MAX: usize = 1024;

/// Axes of an array, and the order of its elements.
#[derive(Clone, Copy)]
struct Axes {
    banks: u64,
    rows: u64,
    columns: u64,
    matrix: bool,
    fortran: bool,
}

impl Axes {
    fn shape(self) -> Shape {
        let Self { banks, rows, columns, .. } = self;
        if self.matrix {
            Shape::Matrix { rows, columns }
        } else {
            Shape::Banks { banks, rows, columns }
        }
    }

    /// The linear bit address of an element in the order of the file.
    fn address(self, index: u64) -> u64 {
        if !self.fortran {
            return index;
        }
        let (bank, rest) = (index % self.banks, index / self.banks);
        let (row, column) = (rest % self.rows, rest / self.rows);
        (bank * self.rows + row) * self.columns + column
    }
}

impl Importer {
    fn add_npy(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), ImportProblem> {
        let values = match self.options.npy_values {
            Some(values) => values,
            None => values_of_name(name)?,
        };
        if values != NpyValues::FailureVoltage {
            self.no_effect("--levels-mv", "the array holds no voltages of failure")?;
            self.no_effect("--failure-kind", "the array's probabilities say what cells do")?;
        }
        let (map, one): (MapId, fn(f32) -> ErrorRates) = match values {
            NpyValues::FailureVoltage => return self.add_failure_voltages(index, name, bytes),
            NpyValues::P01 => (MapId::P01, ErrorRates::stuck_at_1),
            NpyValues::P10 => (MapId::P10, ErrorRates::stuck_at_0),
            NpyValues::Flip => (MapId::Flip, ErrorRates::flip),
        };
        let vdd_uv = self.voltage(index, name)?;
        self.claim(name, vdd_uv, map)?;
        let level = self.collector.level(vdd_uv)?;
        let limits = self.limits;
        let mut faults = 0;
        let axes = for_each(&mut open(bytes, &limits), |axes, index, value| {
            if !(0.0..=1.0).contains(&value) {
                let expected = "a probability from 0 to 1";
                return Err(ImportProblem::Element { index, value, expected });
            }
            // To the nearest single: probabilities are counts of few reads. Never rounded to nothing.
            let rate = value as f32;
            if value > 0.0 {
                faults += 1;
                let rates = one(rate.max(f32::MIN_POSITIVE));
                self.collector.push(level, axes.address(index), rates)?;
            }
            Ok(())
        })?;
        self.files[index].faults = faults;
        self.same_shape(name, axes.shape())
    }

    fn add_failure_voltages(
        &mut self,
        file: usize,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), ImportProblem> {
        self.no_effect("--vdd-mv", "the array holds a voltage of failure for every cell")?;
        if file > 0 {
            return Err(ImportProblem::Count {
                what: "array of voltages of failure",
                given: 1,
                files: 2,
            });
        }
        let limits = self.limits;
        let mut highest = f64::NEG_INFINITY;
        let mut voltages = BTreeSet::new();
        for level in &self.options.levels_mv {
            voltages.insert(microvolts(*level)?);
        }
        let cut = !voltages.is_empty();
        let unit = self.options.vdd_unit.unwrap_or(VddUnit::Millivolts);
        for_each(&mut open(bytes, &limits), |_, index, value| {
            if value == f64::INFINITY || value < 0.0 && value.is_finite() {
                let expected = "a voltage, or NaN, 0 or minus infinity for a cell that never fails";
                return Err(ImportProblem::Element { index, value, expected });
            }
            if value > 0.0 {
                highest = highest.max(value);
                if !cut {
                    voltages.insert(microvolts(unit.millivolts(value))?);
                }
                if voltages.len() as u64
                    > limits.levels_max.max(self.options.levels_mv.len() as u64)
                {
                    let max = limits.levels_max;
                    return Err(ImportProblem::Limit { what: "different voltages", max });
                }
            }
            Ok(())
        })?;
        if self.options.vdd_unit.is_none() && highest > 0.0 && highest < 10.0 {
            return Err(ImportProblem::FailureUnit { value: highest });
        }
        if voltages.is_empty() {
            return Err(ImportProblem::NeverFails);
        }
        // Falling, so that a level's index is its position.
        let levels: Vec<u32> = voltages.into_iter().rev().collect();
        for &vdd_uv in &levels {
            self.collector.level(vdd_uv)?;
        }
        // At most 2^16 - 1 levels passed.
        let last_level = levels.len().saturating_sub(1) as u16;
        let rates = self.options.failure_rates.unwrap_or(ErrorRates::flip(1.0));
        let mut faults = 0;
        let axes = for_each(&mut open(bytes, &limits), |axes, index, value| {
            if value > 0.0 {
                let vdd_uv = microvolts(unit.millivolts(value))?;
                let first = levels.partition_point(|&level| level > vdd_uv);
                if first < levels.len() {
                    faults += 1;
                    let address = axes.address(index);
                    let first_level = first as u16;
                    self.collector.push_run(Run { address, first_level, last_level, rates })?;
                }
            }
            Ok(())
        })?;
        if cut {
            self.notes.push(
                "a cell fails from the first level at or below its voltage of failure downwards"
                    .to_owned(),
            );
        }
        self.files[file].faults = faults;
        self.same_shape(name, axes.shape())
    }
}

fn values_of_name(name: &str) -> Result<NpyValues, ImportProblem> {
    let name = name.to_ascii_lowercase();
    let found = [
        (NpyValues::P01, name.contains("p01")),
        (NpyValues::P10, name.contains("p10")),
        (NpyValues::Flip, name.contains("flip")),
        (NpyValues::FailureVoltage, name.contains("vfail") || name.contains("v_fail")),
    ];
    let mut found = found.iter().filter(|(_, named)| *named);
    match (found.next(), found.next()) {
        (Some((values, _)), None) => Ok(*values),
        _ => Err(ImportProblem::Role { what: "what its array holds" }),
    }
}

/// Hands every element and its index in the file's order to `take`.
fn for_each(
    reader: &mut dyn BufRead,
    mut take: impl FnMut(Axes, u64, f64) -> Result<(), ImportProblem>,
) -> Result<Axes, ImportProblem> {
    let head = header(reader)?;
    let file = NpyFile::new(head.chain(reader)).map_err(npy)?;
    let axes = axes(file.shape(), file.order())?;
    let mut index = 0;
    let mut each = |value: f64| {
        index += 1;
        take(axes, index - 1, value)
    };
    // The type of the elements and their value as a number; larger whole numbers than 2^53 are no voltages.
    macro_rules! elements {
        ($file:expr, $($type:ty => $number:expr),+) => {{
            let file = $file;
            $(let file = match file.try_data::<$type>() {
                Ok(values) => {
                    for value in values {
                        each($number(value.map_err(problem_in_data)?))?;
                    }
                    return Ok(axes);
                }
                Err(file) => file,
            };)+
            file
        }};
    }
    let file = elements!(file, f64 => f64::from, f32 => f64::from, bool => f64::from, u8 => f64::from,
        i8 => f64::from, u16 => f64::from, i16 => f64::from, u32 => f64::from, i32 => f64::from,
        u64 => |value| value as f64, i64 => |value| value as f64);
    let what = file.dtype().descr().chars().take(80).collect::<String>();
    Err(ImportProblem::Npy(format!("its elements are {what}, not numbers or booleans")))
}

/// The bytes up to the end of the header, of a checked length.
fn header(reader: &mut dyn BufRead) -> Result<std::io::Cursor<Vec<u8>>, ImportProblem> {
    let cut = || ImportProblem::Npy("it ends within its header".to_owned());
    let mut head = vec![0; 10];
    reader.read_exact(&mut head).map_err(|_| cut())?;
    let mut length = usize::from(u16::from_le_bytes([head[8], head[9]]));
    if head[6] >= 2 {
        head.resize(12, 0);
        reader.read_exact(&mut head[10..]).map_err(|_| cut())?;
        let bytes = [head[8], head[9], head[10], head[11]];
        length = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    }
    if length > HEADER_BYTES_MAX {
        return Err(ImportProblem::Npy(format!(
            "its header has {length} bytes, more than {HEADER_BYTES_MAX}"
        )));
    }
    let start = head.len();
    head.resize(start + length, 0);
    reader.read_exact(&mut head[start..]).map_err(|_| cut())?;
    Ok(std::io::Cursor::new(head))
}

fn axes(shape: &[u64], order: Order) -> Result<Axes, ImportProblem> {
    let (banks, rows, columns) = match *shape {
        [rows, columns] => (1, rows, columns),
        [banks, rows, columns] => (banks, rows, columns),
        _ => {
            return Err(ImportProblem::Npy(format!(
                "it has {} axes, not [rows, columns] or [banks, rows, columns]",
                shape.len()
            )));
        }
    };
    let cells = banks.checked_mul(rows).and_then(|cells| cells.checked_mul(columns));
    match cells {
        Some(1..=CELLS_MAX) => {
            let fortran = matches!(order, Order::Fortran);
            Ok(Axes { banks, rows, columns, matrix: shape.len() == 2, fortran })
        }
        _ => Err(ImportProblem::Npy(format!(
            "{banks} x {rows} x {columns} cells are none, or too many"
        ))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn npy(error: std::io::Error) -> ImportProblem {
    ImportProblem::Npy(error.to_string())
}

fn problem_in_data(error: std::io::Error) -> ImportProblem {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return ImportProblem::Npy("it ends before its last element".to_owned());
    }
    problem(error)
}
