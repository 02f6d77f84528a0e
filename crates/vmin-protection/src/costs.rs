//! The table of what mechanisms cost, each number with its source.

use std::path::Path;

use serde::Serialize;
use vmin_diagnostic::{Diagnostic, Diagnostics, Document, FileKind, Source};
use vmin_files::shipped_or_path;

/// What a number speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CostKey {
    /// Energy of a two-input gate over that of a multiply-accumulate.
    GatePerMac,
    /// Cycles per fold for words that may be corrected.
    CorrectCycles,
    /// Cycles per fold for words that are only checked.
    DetectCycles,
    /// Extra energy of a detecting read, as a share of the access.
    DetectingReadShare,
    /// Energy of the booster, as a share of the boosted array's.
    BoosterShare,
    /// Extra energy of an access over several rails, as a share of it.
    SecondRailShare,
    /// Extra energy of comparing addresses with replaced lines, as a share of an access.
    SpareCompareShare,
    /// Area of a bit cell.
    CellAreaUm2,
    /// Area of a two-input gate.
    GateAreaUm2,
}

impl CostKey {
    /// Every key with its word.
    pub const ALL: [(&'static str, Self); 9] = [
        ("gate_per_mac", Self::GatePerMac),
        ("correct_cycles", Self::CorrectCycles),
        ("detect_cycles", Self::DetectCycles),
        ("detecting_read_share", Self::DetectingReadShare),
        ("booster_share", Self::BoosterShare),
        ("second_rail_share", Self::SecondRailShare),
        ("spare_compare_share", Self::SpareCompareShare),
        ("cell_area_um2", Self::CellAreaUm2),
        ("gate_area_um2", Self::GateAreaUm2),
    ];
}

/// How good a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It stands in the source.
    Published,
    /// Arithmetic on published figures.
    Derived,
    /// A round figure of this project.
    Estimated,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// What it speaks of.
    pub key: CostKey,
    /// The number.
    pub value: f64,
    /// Its unit in words.
    pub unit: String,
    /// How good it is.
    pub basis: Basis,
    /// Where it comes from.
    pub source: String,
}

/// A checked table: every key once.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtectionCosts {
    name: String,
    text: String,
    costs: Vec<Cost>,
}

const SHIPPED: [(&str, &str); 1] =
    [("estimates", include_str!("../../../protection-costs/estimates.toml"))];

impl ProtectionCosts {
    /// Loads a shipped table by name, or a TOML file by path.
    ///
    /// # Errors
    /// No such name or file, or all problems of the file.
    pub fn load(name_or_path: impl AsRef<Path>) -> Result<Self, Diagnostics> {
        Self::parse(&shipped_or_path("table of protection costs", name_or_path, &SHIPPED)?)
    }

    /// Reads and checks a table.
    ///
    /// # Errors
    /// All problems of the text.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let document = Document::parse_kind(source, FileKind::Costs)?;
        let root = document.root();
        let name = root.string("name");
        let _title = root.string("title");
        let mut costs: Vec<Cost> = Vec::new();
        for table in root.tables("cost") {
            let key = table.choice("key", &CostKey::ALL);
            // Shares of area are taken of it.
            let is_whole = key.as_ref().is_some_and(|key| key.value == CostKey::CellAreaUm2);
            let value = table.number("value", if is_whole { 1e-6 } else { 0.0 }..=1e6);
            let unit = table.string("unit");
            let basis = table.choice(
                "basis",
                &[
                    ("published", Basis::Published),
                    ("derived", Basis::Derived),
                    ("estimated", Basis::Estimated),
                ],
            );
            let origin = table.string("source");
            table.finish();
            if let (Some(key), Some(value), Some(unit), Some(basis), Some(origin)) =
                (key, value, unit, basis, origin)
            {
                if costs.iter().any(|cost| cost.key == key.value) {
                    root.report_at(key.span, Diagnostic::new("repeated", "the key is named twice"));
                }
                costs.push(Cost {
                    key: key.value,
                    value: value.value,
                    unit: unit.value,
                    basis: basis.value,
                    source: origin.value,
                });
            }
        }
        for (word, key) in CostKey::ALL {
            if !costs.iter().any(|cost| cost.key == key) {
                root.report(
                    Diagnostic::new("missing-key", format!("no `[[cost]]` has the key `{word}`"))
                        .within(source),
                );
            }
        }
        root.finish();
        document.finish()?;
        let name = name.map(|name| name.value).unwrap_or_default();
        Ok(Self { name, text: source.text().to_owned(), costs })
    }

    /// Names of the shipped tables.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        SHIPPED.iter().map(|(name, _)| *name).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of a key.
    #[must_use]
    pub fn value(&self, key: CostKey) -> f64 {
        self.costs.iter().find(|cost| cost.key == key).map_or(0.0, |cost| cost.value)
    }

    /// All numbers with their sources.
    #[must_use]
    pub fn entries(&self) -> &[Cost] {
        &self.costs
    }
}
