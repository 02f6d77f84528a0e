//! The voltage profile of a fit.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use toml::Value;
use vmin_accel::VoltageProfile;
use vmin_sram::fit::{Estimate, Fit, LevelFit};

use super::FitArgs;
use crate::failure::Failure;

/// Most files named in the provenance; more are counted.
const NAMED_MAX: usize = 16;

/// The text of the profile.
pub(super) fn text(
    args: &FitArgs,
    paths: &[PathBuf],
    name: &str,
    fit: &Fit,
    energy: Option<&VoltageProfile>,
) -> Result<String, Failure> {
    let vmin_mv = vmin_mv(&fit.goodness.levels, fit);
    let v_ref_mv = args.v_ref_mv.or(energy.map(VoltageProfile::v_ref_mv)).unwrap_or(vmin_mv);
    // The lowest voltage has a rate of 44 %: chips are drawn to one half.
    let lowest = (fit.mu_mv.value + 0.15 * fit.sigma_mv).ceil().max(1.0);
    let highest = (vmin_mv.max(v_ref_mv) * 1.1).ceil().clamp(lowest + 1.0, 20_000.0);
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("# Population fitted to {} with `vmin chip fit`.\n", chips(fit.chips)));
    line(format!("name = {}", quoted(name)));
    line(format!("title = {}", quoted(&format!("Fitted to {}", chips(fit.chips)))));
    line(format!("vmin_mv = {vmin_mv:?}"));
    line(format!("v_ref_mv = {v_ref_mv:?}"));
    line(format!("vdd_mv_range = [{lowest:?}, {highest:?}]\n"));
    line("[provenance]".to_owned());
    line(format!("source = {}", quoted(&sources(paths)?)));
    line(format!("measured = {}", quoted(&measured(fit))));
    line(format!("derived = {}", quoted(&derived(fit))));
    line(format!("assumed = {}", quoted(&assumed(args, fit, v_ref_mv))));
    line("units = \"mV, share of cells, energy relative to v_ref_mv\"".to_owned());
    line("licence = \"that of the chips' measurement\"\n".to_owned());
    line("[curve]\nkind = \"gaussian\"".to_owned());
    line(format!("mu_mv = {:?}", fit.mu_mv.value));
    line(format!("sigma_mv = {:?}\n", fit.sigma_mv));
    for (vdd_mv, rate) in points(&fit.goodness.levels) {
        line(format!("[[measured]]\nvdd_mv = {vdd_mv:?}\ncell_fault_rate = {rate:?}\n"));
    }
    let shares = fit.variance_shares().map_err(|error| Failure::input("fit", &error))?;
    line("[population]".to_owned());
    for (key, share) in [
        ("die", shares.die()),
        ("bank", shares.bank()),
        ("column", shares.column()),
        ("half_column", shares.half_column()),
        ("cell", shares.cell()),
        ("share_stuck_at_0", fit.share_stuck_at_0.value),
    ] {
        line(format!("{key} = {share:?}"));
    }
    line(format!("fault_kind = {:?}", fit.kind.word()));
    out.push('\n');
    out.push_str(&laws(energy)?);
    Ok(out)
}

fn chips(count: usize) -> String {
    if count == 1 { "one chip".to_owned() } else { format!("{count} chips") }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// The lowest measured voltage without a fault on any chip, or one step above the highest.
fn vmin_mv(levels: &[LevelFit], fit: &Fit) -> f64 {
    let faulty = levels.iter().filter(|level| level.faults > 0).map(|level| level.vdd_mv);
    let highest_faulty = faulty.fold(0.0, f64::max);
    let clean = levels.iter().map(|level| level.vdd_mv).filter(|&vdd| vdd > highest_faulty);
    let lowest_clean = clean.fold(f64::INFINITY, f64::min);
    if lowest_clean.is_finite() {
        return lowest_clean;
    }
    let step = levels
        .windows(2)
        .filter(|pair| pair[0].chip == pair[1].chip)
        .map(|pair| pair[0].vdd_mv - pair[1].vdd_mv)
        .fold(f64::INFINITY, f64::min);
    highest_faulty + if step.is_finite() { step } else { fit.sigma_mv }
}

/// Rates by rising voltage, over all chips measured there; only such as fall with the voltage.
fn points(levels: &[LevelFit]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<&LevelFit> = levels.iter().collect();
    sorted.sort_by(|a, b| a.vdd_mv.total_cmp(&b.vdd_mv));
    let mut points: Vec<(f64, f64)> = Vec::new();
    for same in sorted.chunk_by(|a, b| a.vdd_mv == b.vdd_mv) {
        let faults: u64 = same.iter().map(|level| level.faults).sum();
        let cells: u64 = same.iter().map(|level| level.cells).sum();
        let rate = faults as f64 / cells as f64;
        if points.last().is_none_or(|last| rate < last.1) {
            points.push((same[0].vdd_mv, rate));
        }
    }
    points
}

fn sources(paths: &[impl AsRef<Path>]) -> Result<String, Failure> {
    let mut text = String::new();
    for path in paths.iter().take(NAMED_MAX) {
        let path = path.as_ref();
        let bytes = vmin_files::bytes("chip", path).map_err(|error| error.diagnostic())?;
        let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy());
        let separator = if text.is_empty() { "" } else { "; " };
        let sha256 = vmin_files::sha256(&bytes);
        let _ = write!(text, "{separator}chip file {name}, sha256 {sha256}");
    }
    if paths.len() > NAMED_MAX {
        let _ = write!(text, "; and {} more", paths.len() - NAMED_MAX);
    }
    Ok(text)
}

fn interval(estimate: &Estimate, digits: usize) -> String {
    let Estimate { value, low, high } = estimate;
    format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
}

fn measured(fit: &Fit) -> String {
    let lowest = fit.goodness.levels.iter().map(|level| level.vdd_mv).fold(f64::INFINITY, f64::min);
    let highest = fit.goodness.levels.iter().map(|level| level.vdd_mv).fold(0.0, f64::max);
    let faults = fit
        .goodness
        .figures
        .iter()
        .find(|figure| figure.name == "faults")
        .map_or(0.0, |f| f.measured);
    format!(
        "{}, {lowest} to {highest} mV, {faults} faulty cells at the lowest voltages",
        chips(fit.chips)
    )
}

fn derived(fit: &Fit) -> String {
    let shares = &fit.shares;
    let mut text = format!(
        "95 % intervals from {} simulated sets of chips, fitted again: mu{} {} mV, sigma within a die {} mV; \
         shares within a die: bank {}, column {}, half-column {}, cell {}; share stuck at 0 {}",
        fit.replicates,
        if fit.die_sigma_mv.is_some() { "" } else { " of this die" },
        interval(&fit.mu_mv, 1),
        interval(&fit.sigma_within_mv, 2),
        interval(&shares.bank, 3),
        interval(&shares.column, 3),
        interval(&shares.half_column, 3),
        interval(&shares.cell, 3),
        interval(&fit.share_stuck_at_0, 3),
    );
    if let Some(noise) = &fit.read_noise_mv {
        let _ = write!(
            text,
            "; read noise {} mV (`read_noise_mv` of an experiment, `--read-noise-mv` of `vmin chip sample`)",
            interval(noise, 2)
        );
    }
    if let Some(die) = &fit.die_sigma_mv {
        let _ = write!(text, "; sigma from die to die {} mV", interval(die, 2));
    }
    let _ = write!(
        text,
        "; Pearson's sum {:.2}, reached by a share of {:.3} of simulated chips",
        fit.goodness.pearson, fit.goodness.pearson_p
    );
    text
}

fn assumed(args: &FitArgs, fit: &Fit, v_ref_mv: f64) -> String {
    let mut text =
        String::from("critical voltages are Gaussian, also beyond the measured voltages");
    match (fit.die_sigma_mv, args.die_sigma_mv) {
        (None, _) => text.push_str("; one die was measured, so the die's own share is 0"),
        (Some(_), Some(told)) => {
            let _ = write!(text, "; sigma from die to die of {told} mV was given, not measured");
        }
        _ => {}
    }
    match &args.energy_from {
        Some(name) => {
            let _ = write!(text, "; energy, leakage and clock are those of profile {name}");
        }
        None => text.push_str(
            "; all of the access energy scales with the supply squared, leakage is proportional to V, the \
             clock is constant",
        ),
    }
    if args.v_ref_mv.is_none() && args.energy_from.is_none() {
        let _ = write!(text, "; no nominal voltage was given, {v_ref_mv} mV is used");
    }
    text
}

/// Energy, leakage and clock: those of another profile, or the supply squared.
fn laws(energy: Option<&VoltageProfile>) -> Result<String, Failure> {
    let Some(profile) = energy else {
        return Ok("[energy]\nshare_on_scaled_rail = 1.0\n".to_owned());
    };
    let whole: toml::Table =
        toml::from_str(profile.text()).map_err(|error| Failure::input("energy-from", &error))?;
    let laws: toml::Table = whole
        .into_iter()
        .filter(|(key, _)| matches!(key.as_str(), "energy" | "leakage" | "clock"))
        .collect();
    toml::to_string(&laws).map_err(|error| Failure::input("energy-from", &error))
}
