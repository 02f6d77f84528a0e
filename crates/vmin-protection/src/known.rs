//! What is known of a chip's faulty cells when mechanisms decide by them.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use vmin_accel::MemoryAt;
use vmin_diagnostic::{Diagnostic, Located, TableReader};

use crate::rails::{Rail, Supplies, VDD_MV_MAX};

/// Reads of a test.
const READS: RangeInclusive<i64> = 1..=1000;

/// How a chip's fault map was found.
///
/// A cell is on the map if it erred at one of the test's reads. The map of a test at another voltage, with read
/// noise or before ageing misses cells, and shows some that do not err at the supply in question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// Supply of the test in mV, if not that of the memory.
    pub vdd_mv: Option<f64>,
    /// The test's supply lies so much lower, in mV, that weak cells are found too.
    pub margin_mv: f64,
    /// Critical voltages of all cells have risen so much since the test, in mV: ageing, or another temperature.
    pub aged_mv: f64,
    /// Reads of the test, if not one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<u32>,
    /// Standard deviation of critical voltages from read to read of the test, in mV, if not that of all reads.
    pub read_noise_mv: Option<f64>,
}

/// The test that finds a chip's map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KnownAt {
    /// Its supplies.
    pub supplies: Supplies,
    /// Its reads.
    pub reads: u32,
}

/// The reads for which a supply is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// Those of the network.
    OfReads,
    /// Those of the test that finds the fault map, with a noise of its own: standard deviation in mV.
    OfTest(Option<f64>),
}

impl Noise {
    /// The standard deviation in mV where that of all reads is `of_reads`; none without noise.
    #[must_use]
    pub fn mv(self, of_reads: Option<f64>) -> Option<f64> {
        match self {
            Self::OfReads | Self::OfTest(None) => of_reads,
            Self::OfTest(own) => own.filter(|mv| *mv > 0.0),
        }
    }
}

/// How the reads of a source of cells differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadsOf {
    /// By a noise in millivolts, if there is any.
    Population {
        /// Whether there is.
        noisy: bool,
    },
    /// Cells have no voltages, so that there is no noise in millivolts.
    Rates,
    /// As was measured, the noise of the measurement included.
    Measured {
        /// Whether some cells err at some reads only.
        varying: bool,
    },
}

impl Known {
    /// True if the map is that of the supply in question: cells that err at half of all reads or more.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }

    /// Reads of the test.
    #[must_use]
    pub fn reads(&self) -> u32 {
        self.reads.unwrap_or(1)
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
        let noise = Noise::OfTest(self.read_noise_mv);
        let supplies = Supplies::new(tested_mv, rails, |mv| at(mv, noise))?;
        Ok(Some(KnownAt { supplies, reads: self.reads() }))
    }

    /// Why a source whose reads differ so does not go with it, if so.
    #[must_use]
    pub fn refused(&self, reads: ReadsOf) -> Option<Diagnostic> {
        let own = self.read_noise_mv;
        let (message, hint) = match reads {
            ReadsOf::Measured { .. } if own.is_some() => (
                "`known.read_noise_mv` has no effect: measured maps include the noise of their measurement",
                "leave it away",
            ),
            ReadsOf::Rates if own.is_some() => (
                "`known.read_noise_mv` does not go with rates: noise is told in millivolts",
                "leave it away, or name voltages in place of rates",
            ),
            ReadsOf::Population { noisy: false } if own == Some(0.0) => (
                "`known.read_noise_mv = 0` has no effect: reads have no noise here",
                "leave it away",
            ),
            ReadsOf::Population { noisy: false }
            | ReadsOf::Rates
            | ReadsOf::Measured { varying: false }
                if self.reads.is_some() && own.is_none() =>
            {
                (
                    "`known.reads` has no effect: without read noise every read finds the same cells",
                    "leave it away, or tell the noise: `read_noise_mv`",
                )
            }
            ReadsOf::Population { .. } | ReadsOf::Rates | ReadsOf::Measured { .. } => return None,
        };
        Some(Diagnostic::new("known", message).hint(hint))
    }

    /// Reads `known = "exact"` or a table; exact if there is none. Problems are reported to the reader, and then
    /// there is no value.
    #[must_use]
    pub fn read(table: &TableReader<'_>, key: &str) -> Option<Located<Self>> {
        let exact = |span| Some(Located { value: Self::default(), span });
        if !table.has(key) {
            return exact(0..0);
        }
        if table.has_string(key) {
            let text = table.optional_string(key)?;
            if text.value == "exact" {
                return exact(text.span);
            }
            let problem = Diagnostic::new("known", format!("unknown value `{}`", text.value));
            let allowed = "expected `\"exact\"` or a table with `vdd_mv`, `margin_mv`, `aged_mv`, `reads`, \
                           `read_noise_mv`";
            table.report_at(text.span, problem.allowed(allowed));
            return None;
        }
        let entry = table.optional_table(key)?;
        let number = |key, least| entry.optional_number(key, least..=VDD_MV_MAX).map(|mv| mv.value);
        let (vdd_mv, read_noise_mv) = (number("vdd_mv", 1.0), number("read_noise_mv", 0.0));
        let (margin_mv, aged_mv) = (number("margin_mv", 0.0), number("aged_mv", 0.0));
        // Within the range.
        let reads = entry.optional_integer("reads", READS).map(|reads| reads.value as u32);
        let decides = vdd_mv.is_some() || read_noise_mv.is_some() || reads.is_some();
        let known = Self {
            vdd_mv,
            margin_mv: margin_mv.unwrap_or(0.0),
            aged_mv: aged_mv.unwrap_or(0.0),
            reads,
            read_noise_mv,
        };
        let span = entry.span().unwrap_or(0..0);
        // What cannot be read is reported as such.
        let zeros = [margin_mv, aged_mv].contains(&Some(0.0));
        let other = [("margin_mv", margin_mv), ("aged_mv", aged_mv)];
        let other = other.iter().any(|(key, mv)| entry.has(key) && *mv != Some(0.0));
        let is_table = entry.span().is_some();
        if is_table && (entry.is_empty() || zeros && !decides && !other) {
            let message = "`known` has no effect: it names nothing in which the test differs";
            let hint = "write `known = \"exact\"`, or for instance `{ margin_mv = 10 }`";
            table.report_at(span.clone(), Diagnostic::new("known", message).hint(hint));
        }
        entry.finish();
        Some(Located { value: known, span })
    }

    /// As files and `--known` name it: `exact`, or a table.
    #[must_use]
    pub fn text(&self) -> String {
        if self.is_exact() {
            return "exact".to_owned();
        }
        let above_zero = |mv: f64| Some(mv).filter(|mv| *mv > 0.0);
        let keys = [
            ("vdd_mv", self.vdd_mv),
            ("margin_mv", above_zero(self.margin_mv)),
            ("aged_mv", above_zero(self.aged_mv)),
            ("reads", self.reads.map(f64::from)),
            ("read_noise_mv", self.read_noise_mv),
        ];
        let named = keys.iter().filter_map(|(key, value)| Some(format!("{key} = {}", (*value)?)));
        format!("{{ {} }}", named.collect::<Vec<_>>().join(", "))
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
        words.extend(self.reads.map(|reads| match reads {
            1 => "of one read".to_owned(),
            reads => format!("of {reads} reads"),
        }));
        if let Some(mv) = self.read_noise_mv {
            words.push(format!("with read noise of {mv} mV"));
        }
        if self.aged_mv > 0.0 {
            words.push(format!("before ageing by {} mV", self.aged_mv));
        }
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use vmin_diagnostic::{Document, Source};

    use super::*;

    fn read(known: &str) -> Option<Known> {
        let source = Source::new("known", &format!("known = {known}"));
        let document = Document::parse_inline(&source).or_else(|_| Document::parse(&source));
        let document = document.expect("TOML");
        let root = document.root();
        let known = Known::read(&root, "known");
        root.finish();
        document.finish().ok()?;
        known.map(|known| known.value)
    }

    #[test]
    fn the_text_of_a_map_reads_as_the_same_map() {
        let all = Known {
            vdd_mv: Some(830.5),
            margin_mv: 10.0,
            aged_mv: 2.0,
            reads: Some(5),
            read_noise_mv: Some(0.0),
        };
        let noisy = Known { reads: Some(1), ..Known::default() };
        for known in [all, noisy] {
            assert_eq!(read(&known.text()), Some(known));
        }
        assert_eq!(read("\"exact\""), Some(Known::default()));
        assert_eq!(Known::default().text(), "exact");
    }

    #[test]
    fn a_map_that_differs_in_nothing_is_refused() {
        for nothing in ["{}", "{ margin_mv = 0 }", "{ margin_mv = 0, aged_mv = 0.0 }"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        assert!(read("{ margin_mv = 0, reads = 1 }").is_some());
        assert_eq!(read("{ margin = 10 }"), None, "no such key");
    }

    #[test]
    fn a_source_refuses_what_has_no_effect_on_its_reads() {
        let of = |text: &str| read(text).expect("a map");
        let (reads, noise, none) =
            (of("{ reads = 5 }"), of("{ read_noise_mv = 3 }"), of("{ read_noise_mv = 0 }"));
        let refused = |known: &Known, reads| known.refused(reads).is_some();
        let quiet = ReadsOf::Population { noisy: false };
        let (noisy, rates) = (ReadsOf::Population { noisy: true }, ReadsOf::Rates);
        let (steady, varying) =
            (ReadsOf::Measured { varying: false }, ReadsOf::Measured { varying: true });
        let expected = [
            (quiet, [true, false, true]),
            (noisy, [false, false, false]),
            (rates, [true, true, true]),
            (steady, [true, true, true]),
            (varying, [false, true, true]),
        ];
        for (source, expected) in expected {
            let found = [&reads, &noise, &none].map(|known| refused(known, source));
            assert_eq!(found, expected, "{source:?}");
        }
    }
}
