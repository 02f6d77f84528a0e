//! `vmin check`: whether a file is right, and what an experiment would cost.

pub(crate) mod seconds;

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::{Accelerator, VoltageProfile};
use vmin_diagnostic::{FileKind, thousands};
use vmin_protection::ProtectionCosts;
use vmin_sweep::statistics::{chips_to_show, share_words};
use vmin_sweep::{Plan, PlanCost};
use vmin_train::Recipe;

pub use self::seconds::Seconds;
use crate::args::CheckArgs;
use crate::progress::clock;
use crate::{Answer, Failure, answer, compute, overrides};

/// A file without mistakes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Checked {
    /// An experiment, with its cost.
    Experiment(Box<Cost>),
    /// A file of another kind.
    Other(Described),
}

/// What an experiment would cost.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cost {
    /// Its records, operations and sizes.
    #[serde(flatten)]
    pub cost: PlanCost,
    /// The time it would take here; absent if that cannot be measured.
    #[serde(flatten)]
    pub seconds: Option<Seconds>,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    notes: Vec<String>,
}

/// What a file describes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Described {
    /// Kind of the file.
    kind: &'static str,
    /// Its `name`.
    name: String,
    /// Keys of an accelerator that are not given, and as in `gemmini-16`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    defaults: Vec<String>,
}

/// Checks a file; plans an experiment and measures a few of its trials.
///
/// # Errors
/// All problems of the file.
pub fn run(args: &CheckArgs, stop: &AtomicBool) -> Result<Checked, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &CheckArgs, stop: &AtomicBool) -> Result<Checked, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let (source, base) = overrides::source("file", args.file.as_deref(), &args.set)?;
    let kind = FileKind::of(&source).unwrap_or(FileKind::Experiment);
    let with_defaults = |name: &str, defaults: &[String]| {
        let (name, defaults) = (name.to_owned(), defaults.to_owned());
        Ok(Checked::Other(Described { kind: kind.word(), name, defaults }))
    };
    let described = |name: &str| with_defaults(name, &[]);
    match kind {
        FileKind::Experiment => {
            let plan = compute::timed("plan", || Plan::read(&source, base))?;
            let seconds = compute::timed("trials", || seconds::measure(&plan, kernel, stop));
            let too_few = too_few_chips(&plan);
            let notes = plan.notes.iter().cloned().chain(too_few).collect();
            let cost = Cost { cost: plan.cost(), seconds, name: plan.name, notes };
            Ok(Checked::Experiment(Box::new(cost)))
        }
        FileKind::Accelerator => {
            let accelerator = Accelerator::parse(&source)?;
            with_defaults(accelerator.name(), &accelerator.defaults)
        }
        FileKind::Profile => described(VoltageProfile::parse(&source)?.name()),
        FileKind::Space => described(&vmin_explore::Plan::read(&source, base)?.space.name),
        FileKind::Recipe => described(&Recipe::parse(&source)?.name),
        FileKind::Costs => described(ProtectionCosts::parse(&source)?.name()),
    }
}

/// That the chips cannot show the target of yield, however good they are.
fn too_few_chips(plan: &Plan) -> Option<String> {
    let (target, confidence) = (plan.setting.yield_target, plan.setting.confidence);
    let wanted = chips_to_show(target, confidence);
    if wanted.is_some_and(|wanted| wanted <= u64::from(plan.chips)) {
        return None;
    }
    let needed = wanted.map_or("no number of chips can".to_owned(), |wanted| {
        format!("{wanted} can, if all of them are")
    });
    Some(format!(
        "{} chips cannot show at {} confidence that {} of all chips are within the budget: {needed}",
        plan.chips,
        share_words(confidence, 0),
        share_words(target, 0),
    ))
}

impl Answer for Checked {
    fn csv(&self) -> Result<String, Failure> {
        match self {
            Self::Experiment(cost) => {
                let value = serde_json::to_value(cost).map_err(std::io::Error::from)?;
                let (keys, values): (Vec<_>, Vec<_>) = value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(k, v)| (k.clone(), text(v)))
                    .unzip();
                answer::csv(&[keys, values])
            }
            Self::Other(Described { kind, name, defaults }) => {
                let header = ["kind", "name", "defaults"].map(str::to_owned);
                answer::csv(&[header, [(*kind).to_owned(), name.clone(), defaults.join(", ")]])
            }
        }
    }

    fn table(&self) -> String {
        let Cost { cost, seconds, name, notes } = match self {
            Self::Experiment(cost) => &**cost,
            Self::Other(Described { kind, name, defaults }) => {
                let as_reference = match &defaults[..] {
                    [] => String::new(),
                    keys => {
                        format!(
                            "\nnot given, so as `{}`: {}",
                            Accelerator::REFERENCE,
                            keys.join(", ")
                        )
                    }
                };
                return answer::wrapped(&format!("{kind} `{name}`: no mistakes{as_reference}"));
            }
        };
        let value = serde_json::to_value(cost).unwrap_or_default();
        let rows = value.as_object().into_iter().flatten().map(|(key, value)| {
            let text = match (value.as_u64(), value.as_f64()) {
                (Some(count), _) => thousands(count),
                // A tenth more or less, in front of which whole numbers are grouped.
                (None, Some(number)) => {
                    let tenths = (number * 10.0).round() as u64;
                    format!("{}.{}", thousands(tenths / 10), tenths % 10)
                }
                (None, None) => text(value),
            };
            vec![key.replace('_', " "), text]
        });
        let table = answer::table(&["plan", ""], 1, rows);
        let notes: String = notes
            .iter()
            .map(|note| format!("\n{}", answer::wrapped(&format!("note: {note}"))))
            .collect();
        let seconds = seconds.as_ref().map_or_else(String::new, |seconds| {
            let (low, high) = (clock(seconds.seconds_low), clock(seconds.seconds_high));
            let text = format!("about {low} to {high}, {}", seconds.seconds_basis);
            format!("\n{}", answer::wrapped(&text))
        });
        format!("{name}\n{table}{seconds}{notes}")
    }
}

/// A value as a cell of a table.
fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
