//! Arguments of the questions: `vmin vmin`, `vmin yield`, `vmin sensitivity`, `vmin assign`.

use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, FormatArgs};

/// Options of `vmin ask`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin ask experiment.toml                      what `question` of the file asks; a sweep if absent

Questions are the commands sweep, vmin, yield, sensitivity and assign: each with its usual
options. A sweep always decides by all images.")]
pub struct AskArgs {
    /// The experiment and where its answers go.
    #[command(flatten)]
    pub asked: AskedArgs,
}

/// Options of `vmin vmin`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin vmin                                     the embedded demo
  vmin vmin experiment.toml --out answers       writes answers/vmin.json and a journal
  vmin vmin experiment.toml --exact             every decision by all images

The supplies are those of `vdd_mv`. Each chip is searched by bisection, and each trial ends
as soon as it is certain enough whether it is within the budget. The same command goes on
after Ctrl-C, a crash or a full disk; `vmin yield` with the same folder reuses the trials.")]
pub struct VminArgs {
    /// The experiment and where its answers go.
    #[command(flatten)]
    pub asked: AskedArgs,
}

/// Options of `vmin yield`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin yield experiment.toml
  vmin yield experiment.toml --margin 1% --confidence 99%

With a margin, the number of chips is planned before the run: so many that the yield found
at a supply is within the margin of that of the population, where it is the target or more.
The band over all supplies at once is wider.")]
pub struct YieldArgs {
    /// The experiment and where its answers go.
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Plan the number of chips for this margin of the yield
    #[arg(long, value_name = "P%", value_parser = share)]
    pub margin: Option<f64>,
    /// Confidence in place of `confidence_pct` of the file
    #[arg(long, value_name = "P%", value_parser = confidence)]
    pub confidence: Option<f64>,
}

/// Options of `vmin sensitivity`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin sensitivity experiment.toml
  vmin sensitivity experiment.toml --vdd-mv 850

Each layer, bit and bank of the weights, and each memory, errs alone on every chip. What that
costs is divided by its faulty cells. Without --vdd-mv, the supply is the highest at which
fewer than half of the chips are within the budget.")]
pub struct SensitivityArgs {
    /// The experiment and where its answers go.
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Supply, one of the experiment's
    #[arg(long, value_name = "MV")]
    pub vdd_mv: Option<f64>,
}

/// Options of `vmin assign`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin assign experiment.toml
  vmin assign experiment.toml --set memory.rails=memories --all-combinations

Each memory that the experiment lowers gets the nominal supply or one of `vdd_mv`, and one remedy
or none is chosen: what needs the least energy while the share of chips within the budget reaches
the target. `assigned.toml` beside the answer is that experiment, for `vmin sweep`.")]
pub struct AssignArgs {
    /// The experiment and where its answers go.
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Test every combination that would need less energy
    #[arg(long)]
    pub all_combinations: bool,
}

/// An experiment and where its answers go.
#[derive(Clone, Debug, Args)]
pub struct AskedArgs {
    /// Experiment file; the embedded demo if absent
    pub experiment: Option<PathBuf>,
    /// Another value for a key of the file, as in `vmin sweep`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder for answer and journal; created if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-answers")]
    pub out: PathBuf,
    /// Reuse the trials in this folder, and add new ones to it
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Decide by all images, not by as many as needed
    #[arg(long)]
    pub exact: bool,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// A share from `1%`, `1 %` or `0.01`.
fn fraction(text: &str) -> Option<f64> {
    match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.trim().parse().ok(),
    }
}

fn share(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|share| *share > 0.0 && *share < 0.5)
        .ok_or_else(|| "expected more than 0 % and less than 50 %, such as 1%".to_owned())
}

fn confidence(text: &str) -> Result<f64, String> {
    fraction(text)
        .filter(|share| (0.5..=0.9999).contains(share))
        .ok_or_else(|| "expected 50 % to 99.99 %, such as 99%".to_owned())
}
