//! The voltage of a file, from its name or from the options.

use super::{ImportProblem, Importer};

/// The unit of a voltage without a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VddUnit {
    /// Millivolts.
    Millivolts,
    /// Volts.
    Volts,
    /// Fractions of a voltage.
    OfVmin {
        /// That voltage, in mV.
        vmin_mv: f64,
    },
}

impl VddUnit {
    /// A value of this unit in mV.
    #[must_use]
    pub fn millivolts(self, value: f64) -> f64 {
        match self {
            Self::Millivolts => value,
            Self::Volts => value * 1000.0,
            Self::OfVmin { vmin_mv } => value * vmin_mv,
        }
    }
}

/// Nearest whole microvolt.
pub(super) fn microvolts(vdd_mv: f64) -> Result<u32, ImportProblem> {
    let uv = (vdd_mv * 1000.0).round();
    if !(1.0..=f64::from(u32::MAX)).contains(&uv) {
        return Err(ImportProblem::Voltage { vdd_mv });
    }
    // In range, and a float cast saturates.
    Ok(uv as u32)
}

impl Importer {
    /// The voltage of the file `index`, in microvolts.
    pub(super) fn voltage(&mut self, index: usize, name: &str) -> Result<u32, ImportProblem> {
        let given = &self.options.vdd_mv;
        let vdd_mv = match given.get(index) {
            Some(&vdd_mv) => vdd_mv,
            None if given.is_empty() => self.voltage_of_name(name)?,
            None => {
                let given = given.len();
                return Err(ImportProblem::Count { what: "voltages", given, files: index + 1 });
            }
        };
        let vdd_uv = microvolts(vdd_mv)?;
        self.files[index].vdd_mv = Some(f64::from(vdd_uv) / 1000.0);
        Ok(vdd_uv)
    }

    fn voltage_of_name(&mut self, name: &str) -> Result<f64, ImportProblem> {
        let (text, suffix) = number_of_name(name)?;
        let value: f64 = text.parse().map_err(|_| ImportProblem::NoVoltage)?;
        let unit = match (suffix, self.options.vdd_unit) {
            (Some(unit), _) | (None, Some(unit)) => unit,
            (None, None) if value >= 100.0 => VddUnit::Millivolts,
            (None, None) if value < 3.0 => {
                let note = "numbers below 3 in the files' names are taken for volts; for fractions of \
                            a voltage add `--vdd-unit vmin:MILLIVOLTS`";
                if !self.notes.iter().any(|known| known == note) {
                    self.notes.push(note.to_owned());
                }
                VddUnit::Volts
            }
            (None, None) => return Err(ImportProblem::VoltageUnit { value: text.to_owned() }),
        };
        // Decimal digits of volts do not survive a product: 0.57 V is 570 mV.
        Ok((unit.millivolts(value) * 1000.0).round() / 1000.0)
    }
}

/// The number in a file's name that is its voltage, and the unit behind it. A number counts if it does
/// not touch letters, but for a `v` before it (`_v_0.53`, `v0.53`) or a unit behind it (`530mV`, `0.53V`).
fn number_of_name(name: &str) -> Result<(&str, Option<VddUnit>), ImportProblem> {
    let mut found: Vec<(&str, Option<VddUnit>, bool)> = Vec::new();
    let bytes = name.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if !bytes[start].is_ascii_digit() {
            start += 1;
            continue;
        }
        let mut end = start;
        let mut point = false;
        while end < bytes.len() {
            let next_is_digit = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
            if bytes[end] == b'.' && !point && next_is_digit {
                point = true;
            } else if !bytes[end].is_ascii_digit() {
                break;
            }
            end += 1;
        }
        let before = name[..start].to_ascii_lowercase();
        let marked = before.ends_with("v_") || before.ends_with('v') || before.ends_with("v=");
        let free = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let after = name[end..].to_ascii_lowercase();
        let unit = if after.starts_with("mv") && free(bytes.get(end + 2)) {
            Some(VddUnit::Millivolts)
        } else if after.starts_with('v') && free(bytes.get(end + 1)) {
            Some(VddUnit::Volts)
        } else {
            None
        };
        let begins = marked || free(start.checked_sub(1).and_then(|at| bytes.get(at)));
        if begins && (unit.is_some() || free(bytes.get(end))) {
            found.push((&name[start..end], unit, marked || unit.is_some()));
        }
        start = end;
    }
    if found.iter().any(|(_, _, sure)| *sure) {
        found.retain(|(_, _, sure)| *sure);
    }
    match found[..] {
        [] => Err(ImportProblem::NoVoltage),
        [(number, unit, _)] => Ok((number, unit)),
        [(first, ..), (second, ..), ..] => {
            Err(ImportProblem::TwoVoltages { first: first.to_owned(), second: second.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_voltage_or_do_not() {
        let ok = [
            ("KC705B-0.53.bin.gz", "0.53", None),
            ("fmap_sa0_v_0.53.txt.gz", "0.53", None),
            ("fmap_sa1_v_1.txt", "1", None),
            ("chip3_530mV.npy", "530", Some(VddUnit::Millivolts)),
            ("p01_0.85V.npy", "0.85", Some(VddUnit::Volts)),
            ("run 7, v=0.6.csv", "0.6", None),
            ("850.txt", "850", None),
        ];
        for (name, number, unit) in ok {
            assert_eq!(number_of_name(name), Ok((number, unit)), "{name}");
        }
        assert_eq!(number_of_name("KC705B.bin"), Err(ImportProblem::NoVoltage));
        assert_eq!(number_of_name("größe.bin"), Err(ImportProblem::NoVoltage));
        let two = number_of_name("3-0.53.bin");
        assert!(matches!(two, Err(ImportProblem::TwoVoltages { .. })));
    }

    #[test]
    fn voltages_are_whole_microvolts() {
        assert_eq!(microvolts(530.0), Ok(530_000));
        assert_eq!(microvolts(VddUnit::OfVmin { vmin_mv: 720.0 }.millivolts(0.75)), Ok(540_000));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(microvolts(bad).is_err());
        }
    }
}
