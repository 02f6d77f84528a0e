//! Arguments of `vmin energy`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use vmin_accel::energy::Rails;
use vmin_diagnostic::{closest, in_volts, list_words};
use vmin_sweep::VDD_MV_MAX;

use super::{FormatArgs, PlacementArg, WorkArgs};

/// Options of `vmin energy`.
#[derive(Debug, Args)]
#[command(override_usage = "\
vmin energy [OPTIONS] --accelerator <ACCELERATOR> --profile <PROFILE>
         --vdd-mv <V> <--model <MODEL>|--topology <T.csv>|--gemm <T.csv>|
          --attention <S,D,H[,KV[,CACHED]]>>")]
#[command(after_help = "\
Examples:
  vmin energy --accelerator gemmini-16 --profile sram14 --vdd-mv 850 --model net.tflite
  vmin energy --accelerator edge-14nm --profile sram14 --vdd-mv 979,958,938,917,896 \\
    --rails memories --model builtin:shapes-normal-8bit --accuracy vmin-out
                                              the least energy at the accuracy of `vmin sweep`
  vmin energy --accelerator gemmini-16 --profile sram14 --vdd-mv 900 --attention 128,768,12

Accuracy:
  clean             fewer than one faulty cell is expected under the weights and in the
                    other lowered memories, which is not none
  shown, reached    the sweep of --accuracy keeps its budget here and at all swept
                    voltages above: for the population of chips, or in the sample
  missed            it misses its budget here or at a swept voltage above
  nominal           no memory is lowered; errors of the logic are not modelled
  unknown           none of these")]
pub struct EnergyArgs {
    /// Accelerator: a name (see `vmin data list`) or a file
    #[arg(long, value_name = "ACCELERATOR")]
    pub accelerator: String,
    /// Voltage profile: a name or a file
    #[arg(long, value_name = "PROFILE")]
    pub profile: String,
    /// V_min of your memory, for a profile relative to it
    #[arg(long, value_name = "MV", value_parser = parse_vmin)]
    pub vmin_mv: Option<f64>,
    /// Supply voltage of the lowered rails, in mV: one, a list `900,850`, or `1000..700:25`
    #[arg(long, value_name = "V", value_parser = parse_voltages)]
    pub vdd_mv: Voltages,
    /// Lowered supplies; all others stay nominal
    #[arg(long, default_value = "weight", value_name = "RAILS", value_parser = rails())]
    pub rails: Rails,
    /// Set one rail in mV: `logic`, `weight`, `activation`, `accumulator` or `io`
    #[arg(long, value_name = "RAIL=MV", value_parser = parse_rail)]
    pub rail: Vec<(vmin_accel::energy::Rail, f64)>,
    /// Clock at lower voltages
    #[arg(long, value_enum, default_value_t, value_name = "CLOCK")]
    pub clock: ClockArg,
    /// Placement of the weights that is priced; that of the accelerator file if absent
    #[arg(long, value_enum, value_name = "PLACEMENT")]
    pub placement: Option<PlacementArg>,
    /// Mark the least energy at the accuracy of this sweep: its folder or `results.json`
    #[arg(long, value_name = "DIR")]
    pub accuracy: Option<PathBuf>,
    /// Take energies from an energy reference table of Accelergy (YAML)
    #[arg(long, value_name = "FILE")]
    pub ert: Option<PathBuf>,
    /// Map a component of that table to `mac`, `vector_unit`, `pe_register_bit`, `weight_memory`,
    /// `activation_memory`, `accumulator_memory`, `dram`, `dram:BITS` (of an access) or `ignore`
    #[arg(long, value_name = "NAME=COMPONENT", value_parser = parse_pair, requires = "ert")]
    pub ert_map: Vec<(String, String)>,
    /// Write the accelerator's energies as an energy reference table
    #[arg(long, value_name = "FILE")]
    pub export_ert: Option<PathBuf>,
    /// Write the accelerator's area as an area reference table
    #[arg(long, value_name = "FILE")]
    pub export_art: Option<PathBuf>,
    /// Write the table to this Parquet file: the columns of `--format csv`, with types
    #[arg(long, value_name = "FILE")]
    pub parquet: Option<PathBuf>,
    /// Write a page with figures to this HTML file
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// The layers to run.
    #[command(flatten)]
    pub work: WorkArgs,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

fn rails() -> impl TypedValueParser<Value = Rails> {
    let words = Rails::ALL.map(|(word, rails)| PossibleValue::new(word).help(rails.title()));
    PossibleValuesParser::new(words).try_map(|word| {
        Rails::ALL
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, rails)| *rails)
            .ok_or("unknown")
    })
}

/// Rule for the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClockArg {
    /// As fast as the profile allows
    #[default]
    Follows,
    /// Nominal at every voltage, as in the papers
    Fixed,
}

/// One or more voltages, in mV.
#[derive(Clone, Debug, PartialEq)]
pub struct Voltages(pub Vec<f64>);

/// Most voltages of one call.
const VOLTAGES_MAX: usize = 10_000;

pub(super) fn parse_voltages(text: &str) -> Result<Voltages, String> {
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value > 0.0)
            .ok_or_else(|| format!("`{text}` is not a voltage in mV"))
    };
    let Some((ends, step)) = text.split_once(':') else {
        if text.contains("..") {
            return Err("a range needs a step, as in `1000..700:25`".to_owned());
        }
        return Ok(Voltages(text.split(',').map(number).collect::<Result<_, _>>()?));
    };
    let (from, to) =
        ends.split_once("..").ok_or("expected `FROM..TO:STEP`, as in `1000..700:25`")?;
    let (from, to, step) = (number(from)?, number(to)?, number(step)?);
    let intervals = (from - to).abs() / step;
    if intervals >= VOLTAGES_MAX as f64 {
        return Err(format!("more than {VOLTAGES_MAX} voltages"));
    }
    if (intervals - intervals.round()).abs() > 1e-6 {
        return Err(format!("steps of {step} mV do not lead from {from} to {to} mV"));
    }
    let direction = if from <= to { step } else { -step };
    let count = intervals.round() as usize;
    // Whole microvolts, so that 900 - 3 * 0.1 reads 899.7.
    let at = |index: usize| ((from + direction * index as f64) * 1000.0).round() / 1000.0;
    Ok(Voltages((0..=count).map(at).collect()))
}

fn parse_vmin(text: &str) -> Result<f64, String> {
    let is_allowed = |vmin_mv: f64| (1.0..=VDD_MV_MAX).contains(&vmin_mv);
    let vmin_mv = text.trim().parse::<f64>().ok();
    vmin_mv.filter(|&vmin_mv| is_allowed(vmin_mv)).ok_or_else(|| {
        let hint = vmin_mv.and_then(|vmin_mv| in_volts(vmin_mv, is_allowed));
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        format!("expected 1 to {VDD_MV_MAX} mV{hint}")
    })
}

fn parse_rail(text: &str) -> Result<(vmin_accel::energy::Rail, f64), String> {
    let (name, voltage) = parse_pair(text)?;
    let rails = vmin_accel::energy::Rail::ALL;
    let rail =
        rails.iter().find(|(word, _)| *word == name).map(|(_, rail)| *rail).ok_or_else(|| {
            let words = || rails.iter().map(|(word, _)| *word);
            let meant = closest(&name, words());
            let hint = meant.map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
            format!("no rail is called `{name}`, expected {}{hint}", list_words(words()))
        })?;
    match parse_voltages(&voltage)?.0[..] {
        [voltage] => Ok((rail, voltage)),
        _ => Err("a rail of its own has one voltage".to_owned()),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("expected `NAME=VALUE`".to_owned()),
    }
}
