//! What is known of a chip's faulty cells when mechanisms decide by them.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use vmin_accel::MemoryAt;
use vmin_diagnostic::{Diagnostic, TableReader};

use crate::rails::{Rail, Supplies, VDD_MV_MAX};

/// Reads of a test.
const READS: RangeInclusive<i64> = 1..=1000;

/// How a chip's fault map was found.
///
/// A cell is on the map if it erred at one of the test's reads. The map of a test at another voltage, with read
/// noise or before ageing misses cells, and shows some that do not err at the supply in question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Supply of the test in mV, if not that of the memory.
    pub vdd_mv: Option<f64>,
    /// The test's supply lies so much lower, in mV, that weak cells are found too.
    pub margin_mv: f64,
    /// Critical voltages of all cells have risen so much since the test, in mV: ageing, or another temperature.
    pub aged_mv: f64,
    /// Reads of the test.
    pub reads: u32,
    /// Standard deviation of critical voltages from read to read of the test, in mV, if not that of all reads.
    pub read_noise_mv: Option<f64>,
}

impl Default for Known {
    fn default() -> Self {
        Self { vdd_mv: None, margin_mv: 0.0, aged_mv: 0.0, reads: 0, read_noise_mv: None }
    }
}

/// The test that finds a chip's map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KnownAt {
    /// Its supplies.
    pub supplies: Supplies,
    /// Its reads.
    pub reads: u32,
}

/// The read noise of a supply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// As at every read.
    OfReads,
    /// Of a test, standard deviation in mV.
    OfTestMv(f64),
}

impl Known {
    /// True if the map is that of the supply in question: cells that err at half of all reads or more.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// The test for a memory at `vdd_mv`, if the map is not exact.
    ///
    /// # Errors
    /// The first that `at` gives.
    pub(crate) fn at<E>(
        &self,
        vdd_mv: f64,
        rails: &[Rail],
        at: impl Fn(f64, Noise) -> Result<MemoryAt, E>,
    ) -> Result<Option<KnownAt>, E> {
        if self.is_exact() {
            return Ok(None);
        }
        let tested_mv = self.vdd_mv.unwrap_or(vdd_mv) - self.margin_mv + self.aged_mv;
        let noise = self.read_noise_mv.map_or(Noise::OfReads, Noise::OfTestMv);
        let supplies = Supplies::new(tested_mv, rails, |mv| at(mv, noise))?;
        Ok(Some(KnownAt { supplies, reads: self.reads.max(1) }))
    }

    /// Reads `known = "exact"` or a table; exact if there is none. Problems are reported to the reader, and then
    /// there is no value.
    #[must_use]
    pub fn read(table: &TableReader<'_>, key: &str) -> Option<Self> {
        if !table.has(key) {
            return Some(Self::default());
        }
        if table.has_string(key) {
            let text = table.optional_string(key)?;
            if text.value == "exact" {
                return Some(Self::default());
            }
            let problem = Diagnostic::new("known", format!("unknown value `{}`", text.value));
            let allowed = "expected `\"exact\"` or a table with `vdd_mv`, `margin_mv`, `aged_mv`, `reads`, \
                           `read_noise_mv`";
            table.report_at(text.span, problem.allowed(allowed));
            return None;
        }
        let entry = table.optional_table(key)?;
        let mv = |key| entry.optional_number(key, 0.0..=VDD_MV_MAX).map(|mv| mv.value);
        let known = Self {
            vdd_mv: entry.optional_number("vdd_mv", 1.0..=VDD_MV_MAX).map(|mv| mv.value),
            margin_mv: mv("margin_mv").unwrap_or(0.0),
            aged_mv: mv("aged_mv").unwrap_or(0.0),
            // Within the range.
            reads: entry.optional_integer("reads", READS).map_or(1, |reads| reads.value as u32),
            read_noise_mv: mv("read_noise_mv"),
        };
        entry.finish();
        Some(known)
    }

    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.is_exact() {
            return "map exact".to_owned();
        }
        let mut words = vec![match self.vdd_mv {
            Some(mv) => format!("map of a test at {mv} mV"),
            None => "map of a test".to_owned(),
        }];
        if self.margin_mv > 0.0 {
            words.push(format!("{} mV lower", self.margin_mv));
        }
        if self.reads > 1 {
            words.push(format!("of {} reads", self.reads));
        }
        if let Some(mv) = self.read_noise_mv {
            words.push(format!("with read noise of {mv} mV"));
        }
        if self.aged_mv > 0.0 {
            words.push(format!("before ageing by {} mV", self.aged_mv));
        }
        words.join(", ")
    }
}
