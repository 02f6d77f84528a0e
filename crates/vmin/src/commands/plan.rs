//! `vmin plan`: the shards of a sweep with their costs and commands, for engines that run lists of commands.

mod memory;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::thousands;
use vmin_sweep::Shard;

use super::check::seconds;
use super::sweep::shard::{check, command, experiment_options};
use super::sweep::{plan, quoted_path};
use crate::args::{DealtArgs, Format, PlanArgs, PlanFormat};
use crate::progress::clock;
use crate::{Answer, Failure, answer, compute};

/// A sweep dealt to shards.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Planned {
    /// `name` of the experiment.
    pub(crate) experiment: String,
    /// Number of shards.
    pub(crate) shards: u32,
    /// Threads of a shard, to which seconds and memory belong.
    pub(crate) threads: usize,
    /// What seconds were estimated from; absent if no trial could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_basis: Option<String>,
    /// One entry per shard.
    pub(crate) units: Vec<Unit>,
    /// Command that writes the results once all shards are done.
    pub(crate) merge: String,
}

/// One shard.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unit {
    /// Its number and the number of shards, such as `3/16`.
    shard: String,
    /// Its first chip, from 0.
    first_chip: u32,
    /// Its last chip.
    last_chip: u32,
    /// Trials: networks with their protection, times supplies, chips and offsets.
    trials: u64,
    /// Inferences, those without bit errors included.
    inferences: u64,
    /// Multiply-accumulates.
    macs: u64,
    /// Seconds, at least; absent if no trial could be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_low: Option<f64>,
    /// Seconds, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_high: Option<f64>,
    /// Memory in MiB, a quarter of it to spare; absent where the system does not tell what a trial took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_mib: Option<u64>,
    /// Its folder.
    out: String,
    /// Command that runs it, or goes on with it.
    command: String,
}

/// Plans an experiment and measures a few of its trials.
///
/// # Errors
/// All problems of the experiment, or more shards than chips.
pub fn run(args: &PlanArgs, stop: &AtomicBool) -> Result<Planned, Failure> {
    compute::on_threads(args.dealt.compute.jobs, || planned(&args.dealt, stop))
}

/// The shards of an experiment, measured with the threads of the present pool.
pub(crate) fn planned(args: &DealtArgs, stop: &AtomicBool) -> Result<Planned, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let experiment = args.experiment.as_deref();
    let plan = compute::timed("plan", || plan(experiment, &args.set))?;
    for shard in Shard::all(args.shards).take(1) {
        check(&plan, shard)?;
    }
    let threads = rayon::current_num_threads();
    let (seconds, memory_mib) = compute::timed("trials", || {
        memory::of_chips(threads, || seconds::measure(&plan, kernel, stop))
    });
    let jobs = args.compute.jobs.map_or_else(String::new, |jobs| format!(" --jobs {jobs}"));
    let unit = |shard: Shard| {
        let (chips, trials) = (shard.chips(plan.chips), plan.records_of(&plan.trials_of(shard)));
        let share = trials as f64 / plan.records_total() as f64;
        let of_shard = |of_all: f64, clean: f64| of_all * share + clean;
        let inferences = (trials + 1).saturating_mul(plan.labels().len() as u64);
        let out = args.out.join("shards").join(shard.number().to_string());
        Unit {
            shard: shard.to_string(),
            first_chip: chips.start,
            last_chip: chips.end - 1,
            trials,
            inferences,
            macs: inferences.saturating_mul(plan.own().graph.macs()),
            seconds_low: seconds.as_ref().map(|it| of_shard(it.seconds_low, it.clean)),
            seconds_high: seconds.as_ref().map(|it| of_shard(it.seconds_high, it.clean)),
            memory_mib,
            command: command(experiment, &args.set, shard, &out) + &jobs,
            out: out.display().to_string(),
        }
    };
    let units = Shard::all(args.shards).map(unit).collect();
    let merge = format!("vmin {}", merge_words(args));
    let seconds_basis = seconds.map(|seconds| seconds.seconds_basis);
    Ok(Planned { experiment: plan.name, shards: args.shards, threads, seconds_basis, units, merge })
}

/// `vmin merge` of the shards, without the program.
pub(crate) fn merge_words(args: &DealtArgs) -> String {
    let shards: PathBuf = args.out.join("shards");
    let experiment = experiment_options(args.experiment.as_deref(), &args.set);
    format!("merge {}{experiment} --out {}", quoted_path(&shards), quoted_path(&args.out))
}

/// [`merge_words`] one by one, as they are.
pub(crate) fn merge_list(args: &DealtArgs) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut words = vec!["merge".to_owned(), path(&args.out.join("shards"))];
    if let Some(experiment) = &args.experiment {
        words.extend(["--experiment".to_owned(), path(experiment)]);
    }
    words.extend(args.set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]));
    words.extend(["--out".to_owned(), path(&args.out)]);
    words
}

impl Planned {
    /// The text for the standard output.
    ///
    /// # Errors
    /// It cannot be written in this format.
    pub(crate) fn printed(&self, words: &str, format: PlanFormat) -> Result<String, Failure> {
        match format {
            PlanFormat::Table => self.text(words, Format::Table),
            PlanFormat::Json => self.text(words, Format::Json),
            PlanFormat::Csv => self.text(words, Format::Csv),
            PlanFormat::Tsv => self.tsv(),
        }
    }

    /// Rows whose cells no quotes surround, for programs that split lines at tabs.
    fn tsv(&self) -> Result<String, Failure> {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(b'\t')
            .quote_style(csv::QuoteStyle::Never)
            .from_writer(Vec::new());
        for unit in &self.units {
            writer.serialize(unit).map_err(std::io::Error::other)?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
        Ok(text.trim_end_matches('\n').to_owned())
    }
}

impl Answer for Planned {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.units)
    }

    fn table(&self) -> String {
        let header = ["shard", "chips", "trials", "inferences", "time", "memory\n(MiB)"];
        let rows = self.units.iter().map(|unit| {
            let time = unit.seconds_low.zip(unit.seconds_high);
            let time = time.map(|(low, high)| format!("{} to {}", clock(low), clock(high)));
            vec![
                unit.shard.clone(),
                format!("{}..{}", unit.first_chip, unit.last_chip + 1),
                thousands(unit.trials),
                thousands(unit.inferences),
                time.unwrap_or_else(|| "-".to_owned()),
                unit.memory_mib.map_or_else(|| "-".to_owned(), thousands),
            ]
        });
        let table = answer::table(&header, 2, rows);
        let basis = self.seconds_basis.as_ref().map_or_else(String::new, |basis| {
            format!("\n{}", answer::wrapped(&format!("time of a shard alone, {basis}")))
        });
        let first = self.units.first().map_or("", |unit| unit.command.as_str());
        format!("{}\n{table}{basis}\neach: {first}\nthen: {}", self.experiment, self.merge)
    }
}
