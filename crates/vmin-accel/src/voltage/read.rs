//! A profile file as a checked [`VoltageProfile`].

use vmin_diagnostic::{Diagnostic, Diagnostics, Document, FileKind, Located, Source, TableReader};
use vmin_sram::{FaultKind, Population, VarianceShares};

use super::curve::{Curve, Gaussian};
use super::points::{Inlined, scale};
use super::scale::{ClockLaw, LeakageLaw, Scale};
use super::{MeasuredPoint, VoltageProfile};

pub(super) const VDD_MV_MIN: f64 = 1.0;
pub(super) const VDD_MV_MAX: f64 = 20_000.0;
/// A sampled chip answers down to a rate of one half.
const RATE_MAX: f64 = 0.5;

pub(super) fn profile(source: &Source) -> Result<VoltageProfile, Diagnostics> {
    let document = Document::parse_kind(source, FileKind::Profile)?;
    let root = document.root();
    let name = root.string("name");
    let title = root.string("title");
    let vmin_mv = root.number("vmin_mv", VDD_MV_MIN..=VDD_MV_MAX);
    let relative = root.optional_boolean("relative_to_vmin");
    let v_ref_mv = root.number("v_ref_mv", VDD_MV_MIN..=VDD_MV_MAX);
    let range = range(&root);
    let node_nm = root.optional_number("node_nm", 1.0..=1000.0);
    let cited = provenance(&root);
    let measured = measured(&root);
    let curve = curve(&root, measured.as_deref(), vmin_mv.as_ref());
    let population = population(&root, name.as_ref());
    let inlined = Inlined::default();
    let energy = energy(&root, &inlined);
    let leakage = leakage(&root, &inlined);
    let clock = clock(&root, v_ref_mv.as_ref(), &inlined);
    root.finish();
    if let (Some((low, high)), Some(curve), true) = (&range, &curve, document.is_clean()) {
        check_range(&document, low, high, curve);
    }
    document.finish()?;

    let read = || {
        let (low, high) = range?;
        let (population, kind_told) = population?;
        Some(VoltageProfile {
            name: name?.value,
            title: title?.value,
            node_nm: node_nm.map(|node_nm| node_nm.value),
            source: cited?,
            text: inlined.apply(source.text()),
            vmin_mv: vmin_mv?.value,
            relative: relative.as_ref().is_some_and(|relative| relative.value),
            follows_vmin: relative.is_some_and(|relative| relative.value),
            v_ref_mv: v_ref_mv?.value,
            vdd_mv_range: (low.value, high.value),
            curve: curve?,
            measured: measured?.into_iter().map(|(point, _)| point).collect(),
            population,
            kind_told,
            share_on_scaled_rail: energy.share?,
            energy_exponent: energy.exponent,
            has_logic_law: energy.has_logic_law,
            access_energy: energy.points,
            leakage: leakage?,
            clock: clock?,
        })
    };
    // Every getter that gives nothing has reported why, so a clean document is complete.
    read().ok_or_else(|| {
        Diagnostic::new("incomplete", "the voltage profile is incomplete").within(source).into()
    })
}

/// The source; the other sentences are for readers of the file.
fn provenance(root: &TableReader<'_>) -> Option<String> {
    let table = root.table("provenance");
    let source = table.string("source");
    for key in ["measured", "derived", "assumed", "units", "licence"] {
        let _ = table.string(key);
    }
    table.finish();
    Some(source?.value)
}

fn range(root: &TableReader<'_>) -> Option<(Located<f64>, Located<f64>)> {
    let list = root.numbers("vdd_mv_range", VDD_MV_MIN..=VDD_MV_MAX)?;
    match <[Located<f64>; 2]>::try_from(list.value) {
        Ok([low, high]) if low.value < high.value => Some((low, high)),
        _ => {
            root.report_at(
                list.span,
                Diagnostic::new("bad-range", "`vdd_mv_range` is not a range")
                    .allowed("expected two rising voltages, `[lowest, highest]`"),
            );
            None
        }
    }
}

type Placed = (MeasuredPoint, std::ops::Range<usize>);

fn measured(root: &TableReader<'_>) -> Option<Vec<Placed>> {
    let mut complete = true;
    let mut points: Vec<Placed> = Vec::new();
    for table in root.tables("measured") {
        let vdd_mv = table.number("vdd_mv", VDD_MV_MIN..=VDD_MV_MAX);
        let rate = table.number("cell_fault_rate", 0.0..=RATE_MAX);
        let access_energy = table.optional_number("access_energy", 0.0..=100.0);
        table.finish();
        let (Some(vdd_mv), Some(rate)) = (vdd_mv, rate) else {
            complete = false;
            continue;
        };
        let point = MeasuredPoint {
            vdd_mv: vdd_mv.value,
            cell_fault_rate: rate.value,
            access_energy: access_energy.map(|energy| energy.value),
        };
        if let Some((before, _)) = points.last() {
            if point.vdd_mv <= before.vdd_mv {
                let problem = Diagnostic::new("not-rising", "measured voltages do not rise")
                    .allowed(format!("expected more than {} mV", before.vdd_mv));
                table_report(root, vdd_mv.span, problem, &mut complete);
            }
            let falls = point.cell_fault_rate < before.cell_fault_rate
                || (point.cell_fault_rate == 0.0 && before.cell_fault_rate == 0.0);
            if !falls {
                let problem = Diagnostic::new(
                    "not-falling",
                    "the cell-fault rate does not fall with voltage",
                )
                .allowed(format!("expected less than {}", before.cell_fault_rate));
                table_report(root, rate.span.clone(), problem, &mut complete);
            }
        }
        points.push((point, rate.span));
    }
    complete.then_some(points)
}

fn table_report(
    root: &TableReader<'_>,
    span: std::ops::Range<usize>,
    problem: Diagnostic,
    complete: &mut bool,
) {
    root.report_at(span, problem);
    *complete = false;
}

fn curve(
    root: &TableReader<'_>,
    measured: Option<&[Placed]>,
    vmin_mv: Option<&Located<f64>>,
) -> Option<Curve> {
    #[derive(Clone, Copy)]
    enum Kind {
        Gaussian,
        Points,
    }
    let table = root.table("curve");
    let kind = table.choice("kind", &[("gaussian", Kind::Gaussian), ("points", Kind::Points)]);
    let mu_mv = table.number("mu_mv", -VDD_MV_MAX..=VDD_MV_MAX);
    let sigma_mv = table.number("sigma_mv", 0.01..=VDD_MV_MAX);
    table.finish();
    let fit = Gaussian { mu_mv: mu_mv?.value, sigma_mv: sigma_mv?.value };
    let kind = kind?;
    match kind.value {
        Kind::Gaussian => Some(Curve::Gaussian(fit)),
        Kind::Points => {
            let rates: Vec<(f64, f64)> = measured?
                .iter()
                .map(|(point, _)| (point.vdd_mv, point.cell_fault_rate))
                .filter(|(_, rate)| *rate > 0.0)
                .collect();
            if rates.is_empty() {
                root.report_at(
                    kind.span,
                    Diagnostic::new("no-points", "the curve has no points to go through")
                        .hint("add `[[measured]]` tables, or choose `gaussian`"),
                );
                return None;
            }
            Some(Curve::points(fit, &rates, vmin_mv?.value))
        }
    }
}

/// The population, and whether the profile says what its faulty cells do.
fn population(
    root: &TableReader<'_>,
    name: Option<&Located<String>>,
) -> Option<(Population, bool)> {
    let table = root.table("population");
    let span = table.span();
    let keys = ["die", "bank", "column", "half_column", "cell", "share_stuck_at_0"];
    let values = keys.map(|key| table.number(key, 0.0..=1.0).map(|value| value.value));
    let kind = table.optional_choice("fault_kind", &FaultKind::WORDS);
    table.finish();
    let [Some(die), Some(bank), Some(column), Some(half), Some(cell), Some(stuck)] = values else {
        return None;
    };
    let population = VarianceShares::new(die, bank, column, half, cell)
        .and_then(|shares| Population::new(name.map_or("unnamed", |n| &n.value), shares, stuck));
    match population {
        Ok(population) => {
            let told = kind.is_some();
            let kind = kind.map_or(FaultKind::Flip, |kind| kind.value);
            Some((population.with_kind(kind), told))
        }
        Err(error) => {
            let problem = Diagnostic::new("population", error.to_string());
            root.report(match span {
                Some(span) => problem.at(root.source(), span),
                None => problem.within(root.source()),
            });
            None
        }
    }
}

struct Energy {
    share: Option<f64>,
    exponent: f64,
    has_logic_law: bool,
    points: Option<Scale>,
}

/// Part of the access energy on the scaled rail, and how that part follows the voltage.
fn energy(root: &TableReader<'_>, inlined: &Inlined) -> Energy {
    let table = root.table("energy");
    let share = table.number("share_on_scaled_rail", 0.0..=1.0);
    let exponent = table.optional_number("exponent", 0.5..=4.0);
    let points = scale(&table, inlined);
    let has_points = table.has("points");
    table.finish();
    Energy {
        share: share.map(|value| value.value),
        exponent: exponent.as_ref().map_or(2.0, |value| value.value),
        has_logic_law: exponent.is_some() || !has_points,
        points,
    }
}

fn leakage(root: &TableReader<'_>, inlined: &Inlined) -> Option<LeakageLaw> {
    let Some(table) = root.optional_table("leakage") else { return Some(LeakageLaw::Linear) };
    let law = if table.has("points") {
        scale(&table, inlined).map(LeakageLaw::Points)
    } else {
        table
            .number("mv_per_decade", 1.0..=1e6)
            .map(|decade| LeakageLaw::Exponential { mv_per_decade: decade.value })
    };
    table.finish();
    law
}

fn clock(
    root: &TableReader<'_>,
    v_ref_mv: Option<&Located<f64>>,
    inlined: &Inlined,
) -> Option<ClockLaw> {
    let Some(table) = root.optional_table("clock") else { return Some(ClockLaw::Constant) };
    if table.has("points") {
        let law = scale(&table, inlined).map(ClockLaw::Points);
        table.finish();
        return law;
    }
    let threshold_mv = table.number("threshold_mv", 0.0..=VDD_MV_MAX);
    let alpha = table.number("alpha", 1.0..=2.0);
    table.finish();
    let (threshold_mv, alpha, v_ref_mv) = (threshold_mv?, alpha?, v_ref_mv?);
    if threshold_mv.value >= v_ref_mv.value {
        root.report_at(
            threshold_mv.span,
            Diagnostic::new("clock-threshold", "the transistors do not conduct at `v_ref_mv`")
                .allowed(format!("expected less than {} mV", v_ref_mv.value)),
        );
        return None;
    }
    Some(ClockLaw::AlphaPower { threshold_mv: threshold_mv.value, alpha: alpha.value })
}

fn check_range(document: &Document<'_>, low: &Located<f64>, high: &Located<f64>, curve: &Curve) {
    let rate = curve.rate(low.value);
    if rate > RATE_MAX {
        document.report(
            Diagnostic::new(
                "range-too-low",
                format!("at {} mV a share of {rate:.3} of the cells is faulty", low.value),
            )
            .at(document.source(), low.span.clone())
            .allowed(format!("expected a voltage with a rate of at most {RATE_MAX}")),
        );
    }
    if curve.rate(high.value) > rate {
        document.report(
            Diagnostic::new("not-falling", "the cell-fault rate does not fall with voltage")
                .at(document.source(), high.span.clone()),
        );
    }
}
