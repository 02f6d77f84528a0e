//! `vmin chip fit`: from measured chips to a voltage profile.

mod profile;
mod show;

use std::path::{Path, PathBuf};

use clap::Args;
pub use show::Fitted;
use vmin_accel::VoltageProfile;
use vmin_diagnostic::{Diagnostic, Source};
use vmin_sram::Chip;
use vmin_sram::fit::{Fit, FitError, FitOptions, fit};
use vmin_sweep::names::Names;

use crate::args::FormatArgs;
use crate::failure::{say, with_causes};
use crate::{Failure, files};

/// Longest name of a fitted profile in bytes.
const NAME_BYTES_MAX: usize = 100;

/// Options of `vmin chip fit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin chip fit board.chip --out board.toml --v-ref-mv 1000
  vmin chip fit lot/*.chip --out lot.toml --energy-from sram14 --draw lot.svg")]
pub struct FitArgs {
    /// Chip files or patterns; the variation between dies needs two or more
    #[arg(required = true, value_name = "CHIP")]
    pub chips: Vec<PathBuf>,
    /// Write the population as a voltage profile
    #[arg(long, value_name = "PROFILE.toml")]
    pub out: Option<PathBuf>,
    /// Draw the rate over the voltage with the fitted curve
    #[arg(long, value_name = "FIT.svg")]
    pub draw: Option<PathBuf>,
    /// Name of the profile; the default is its file name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Nominal voltage in mV, the reference of energies
    ///
    /// The default is that of `--energy-from`, or the lowest voltage without a fault.
    #[arg(long, value_name = "V")]
    pub v_ref_mv: Option<f64>,
    /// Copy energy, leakage and clock from this profile
    ///
    /// Without it, energy is proportional to the square of the supply.
    #[arg(long, value_name = "PROFILE")]
    pub energy_from: Option<String>,
    /// Die-to-die sigma in mV, if another source gives it
    #[arg(long, value_name = "MV")]
    pub die_sigma_mv: Option<f64>,
    /// Number of simulated sets of chips for the intervals, 20 to 100000
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub replicates: u32,
    /// Seed of the simulation
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = crate::args::whole)]
    pub seed: u64,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Fits a population to chips; writes its profile and its picture where they are asked for.
///
/// # Errors
/// A chip cannot be read, nothing can be fitted to them, or a file cannot be written.
pub fn run(args: &FitArgs) -> Result<Fitted, Failure> {
    if let Some(v_ref_mv) = args.v_ref_mv.filter(|v| !(1.0..=20_000.0).contains(v)) {
        return Err(Diagnostic::new("v-ref", format!("{v_ref_mv} mV is no nominal voltage"))
            .allowed("expected 1 to 20000 mV")
            .into());
    }
    for (path, like) in
        [(&args.out, files::FITTED), (&args.draw, files::Output::picture("chip fit"))]
    {
        path.as_deref().map_or(Ok(()), |path| files::check(path, like))?;
    }
    let name = name(args)?;
    let energy =
        args.energy_from.as_deref().map(|name| Names::typed().profile(name)).transpose()?;
    let paths = files::expanded(&args.chips)?;
    let chips: Result<Vec<Chip>, Failure> = paths.iter().map(|path| super::read(path)).collect();
    let chips = chips?;
    let options = FitOptions {
        replicates: args.replicates,
        seed: args.seed,
        die_sigma_mv: args.die_sigma_mv,
    };
    let fitted = fit(&chips, &options).map_err(|error| explain(&error, &paths))?;
    if let Some(out) = &args.out {
        let text = profile::text(args, &paths, &name, &fitted, energy.as_ref())?;
        // The profile must parse.
        VoltageProfile::parse(&Source::new(&out.display().to_string(), &text))?;
        files::write(out, text.as_bytes(), files::FITTED)?;
    }
    if let Some(path) = &args.draw {
        let svg = vmin_report::chip::probit(&fitted);
        files::write_picture(path, &svg, "chip fit")?;
    }
    notes(&fitted);
    Ok(Fitted::new(&fitted, &paths))
}

/// Notes on the figures.
fn notes(fit: &Fit) {
    if fit.levels_left_out > 0 {
        say(&format!(
            "note: {} voltages were left out because more than 45 % of the cells fail there",
            fit.levels_left_out
        ));
    }
    if fit.die_sigma_mv.is_none() {
        say(
            "note: one chip says nothing about other dies; `--die-sigma-mv` adds a known variation",
        );
    }
    let odd = fit.goodness.figures.iter().filter(|figure| figure.deviation().abs() > 3.0).count();
    if fit.goodness.pearson_p < 0.01 || odd > 0 {
        say(
            "note: the chips differ from simulated chips of the fit by more than chance; look at the figures",
        );
    }
}

fn name(args: &FitArgs) -> Result<String, Failure> {
    let stem = args.out.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy());
    let name = args.name.clone().or(stem.map(Into::into)).unwrap_or_else(|| "fitted".to_owned());
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Diagnostic::new("name", "the profile's name cannot be used")
            .allowed("expected 1 to 100 bytes without control characters")
            .hint("`--name NAME` gives one")
            .into());
    }
    Ok(name)
}

fn explain(error: &FitError, paths: &[PathBuf]) -> Failure {
    let place = error
        .chip()
        .and_then(|chip| paths.get(chip))
        .map_or_else(String::new, |path| format!("`{}`: ", path.display()));
    let diagnostic = Diagnostic::new("fit", format!("{place}{}", with_causes(error)));
    match error {
        FitError::NoFaults { .. } => {
            diagnostic.hint("measure it at lower voltages, or fit the other chips without it")
        }
        FitError::OneVoltage => diagnostic.hint(
            "measure at two voltages or more, a few tens of millivolts apart, that show faults",
        ),
        FitError::Levels { .. } => diagnostic.hint("measure at higher voltages too"),
        FitError::TooFewFaults { .. } => {
            diagnostic.hint("measure at a lower voltage, or more chips")
        }
        FitError::Chips { .. }
        | FitError::Replicates { .. }
        | FitError::DieSigma { .. }
        | FitError::Population(_)
        | FitError::Sample(_) => diagnostic,
    }
    .into()
}
