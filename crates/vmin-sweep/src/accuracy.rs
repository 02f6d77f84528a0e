//! Which supplies keep the accuracy of a network: what a finished sweep says of other costs of it.
//!
//! Errors belong to a network, to the cells under its data and to the supplies of its memories; the clock, DRAM and
//! energies leave them as they are. Results hold digests of the first two ([`Subject`]), and [`Accuracy`] refuses to
//! speak of others. Of voltages it says:
//!
//! ```text
//!  swept                                                       what was measured
//!  every memory at least at the lowest supply that keeps       kept: no cell fails there that holds here
//!    the target, if all swept voltages above it keep it
//!  every memory at most at a swept supply that misses it       missed: no cell holds here that fails there
//!  any, where no memory is lowered                             nominal (the logic alone may be lowered)
//!  any other, fewer than one faulty cell expected              clean (by the profile; not of chip files, transient
//!                                                                errors or read noise)
//!  any other                                                   unknown: nothing is interpolated
//! ```

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vmin_accel::cycles::Residence;
use vmin_accel::energy::{OperatingPoint, Rail};
use vmin_accel::placement::{ActivationPlacement, SumPlacement};
use vmin_accel::{
    Accelerator, CycleModel, Layer, Memory, PerMemory, Schedule, StreamedPlacement, VoltageProfile,
};
use vmin_diagnostic::Diagnostic;
use vmin_files::sha256;
use vmin_nn::{Graph, Rounding};

use crate::experiment::{Placement, ReadErrors};
use crate::results::{Point, Results};
use crate::statistics::share_words;

/// What errors belong to, apart from supplies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Subject {
    /// Digest of the network without its rules for pixels and rounding.
    pub network_sha256: String,
    /// Digest of the values of the profile that decide which cells fail; absent before version 4.
    pub faults_sha256: Option<String>,
    /// Digest of the cells that hold data, of each memory that can err. The layout of the weights is no part of
    /// it: it is a choice of the sweep, not of the accelerator.
    pub cells_sha256: PerMemory<Option<String>>,
}

impl Subject {
    /// Of a network on an accelerator, where some memories can err.
    ///
    /// # Errors
    /// The network has no such placement.
    pub fn of(
        graph: &Graph,
        accelerator: &Accelerator,
        profile: &VoltageProfile,
        placement: Placement,
        errs: &PerMemory<bool>,
    ) -> Result<Self, String> {
        let of = |memory: Memory| {
            errs.get(memory).then(|| cells(graph, accelerator, placement, memory)).transpose()
        };
        Ok(Self {
            network_sha256: network(graph)?,
            faults_sha256: Some(faults(profile)?),
            cells_sha256: PerMemory::from_fn(of).transpose()?,
        })
    }
}

fn network(graph: &Graph) -> Result<String, String> {
    let mut graph = graph.clone();
    graph.pixels = None;
    graph.round_as(Rounding::default());
    vmin_nn::import::native::save(&graph)
        .map(|bytes| sha256(&bytes))
        .map_err(|error| error.to_string())
}

fn faults(profile: &VoltageProfile) -> Result<String, String> {
    let bytes = serde_json::to_vec(&profile.faults());
    bytes.map(|bytes| sha256(&bytes)).map_err(|error| error.to_string())
}

/// Digest of what an accelerator adds to the place of each code in a memory.
fn cells(
    graph: &Graph,
    accelerator: &Accelerator,
    placement: Placement,
    memory: Memory,
) -> Result<String, String> {
    let on_chip = &accelerator.memories;
    let digest = |value: serde_json::Result<Vec<u8>>| value.map(|bytes| sha256(&bytes));
    match (memory, placement) {
        (Memory::Weight, Placement::Resident) => {
            digest(serde_json::to_vec(&("resident", on_chip.weight.geometry)))
        }
        (Memory::Weight, Placement::Streamed) => {
            let streamed = StreamedPlacement::new(accelerator, graph);
            digest(serde_json::to_vec(&streamed.map_err(|error| error.to_string())?))
        }
        (Memory::Activation, _) => {
            let placed = ActivationPlacement::new(on_chip.activation.geometry, graph);
            digest(serde_json::to_vec(&placed))
        }
        (Memory::Accumulator, _) => {
            let sums = SumPlacement::new(accelerator, graph);
            digest(serde_json::to_vec(&sums.map_err(|error| error.to_string())?))
        }
    }
    .map_err(|error| error.to_string())
}

/// The placement of the weights whose traffic a schedule prices.
#[must_use]
pub fn priced_placement(
    accelerator: &Accelerator,
    schedule: Schedule,
    layers: &[Layer],
) -> Placement {
    match (schedule.cycle_model, schedule.for_layers(accelerator, layers).weights) {
        (CycleModel::ScalesimV3, _) | (CycleModel::Causal, Residence::Streamed) => {
            Placement::Streamed
        }
        (CycleModel::Causal, Residence::Resident | Residence::Assumed) => Placement::Resident,
    }
}

/// What is known of the accuracy at some supplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The sweep shows its target of yield for the population of chips.
    Shown,
    /// The sampled chips reach the target; the sample is too small to show it.
    Reached,
    /// The sampled chips miss the target here, or at a higher swept voltage.
    Missed,
    /// Fewer than one faulty cell is expected under the weights and in the other lowered memories, which is not none.
    Clean,
    /// No memory is lowered, so that none of their cells errs. Errors of the array's logic are not modelled.
    Nominal,
    /// Nothing is known.
    Unknown,
}

impl Kept {
    /// Its word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Reached => "reached",
            Self::Missed => "missed",
            Self::Clean => "clean",
            Self::Nominal => "nominal",
            Self::Unknown => "unknown",
        }
    }

    /// True if the accuracy is kept.
    #[must_use]
    pub const fn keeps(self) -> bool {
        match self {
            Self::Shown | Self::Reached | Self::Clean | Self::Nominal => true,
            Self::Missed | Self::Unknown => false,
        }
    }
}

/// The points of the least energy, by what is known of their accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// Among those that keep the accuracy; if the sweep shows its target at some, not among those that only reach it.
    pub kept: Option<usize>,
    /// Among all that keep it, where that is another.
    pub reached: Option<usize>,
    /// Among all.
    pub of_all: Option<usize>,
}

impl Least {
    /// Of points with their index and energy; the first of equals.
    #[must_use]
    pub fn of(points: &[(usize, f64, Kept)]) -> Self {
        let least = |keeps: &dyn Fn(Kept) -> bool| {
            let points = points.iter().filter(|(.., accuracy)| keeps(*accuracy));
            points.min_by(|(_, a, _), (_, b, _)| a.total_cmp(b)).map(|(index, ..)| *index)
        };
        let some_shown = points.iter().any(|(.., accuracy)| *accuracy == Kept::Shown);
        let reached = least(&Kept::keeps);
        let kept = least(&|of| of.keeps() && !(some_shown && of == Kept::Reached));
        Self { kept, reached: reached.filter(|_| reached != kept), of_all: least(&|_| true) }
    }
}

/// What is known of the accuracy at some supplies, with the numbers of the sweep if they were swept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Verdict {
    /// What is known.
    pub accuracy: Kept,
    /// Faulty cells expected under the weights and in all of the other lowered memories; absent where the weights
    /// are not known.
    pub faulty_cells_expected: Option<f64>,
    /// Mean test error under bit errors.
    pub rerr_mean: Option<f64>,
    /// Share of the sampled chips within the budget.
    #[serde(rename = "yield")]
    pub yield_fraction: Option<f64>,
    /// Share of the population that the sample shows to be within it.
    pub yield_shown: Option<f64>,
}

/// Cells under the data of a network; those of activations and sums are all that their memories have.
#[must_use]
pub fn data_cells(
    accelerator: &Accelerator,
    weight_bits: u64,
    placement: Placement,
) -> PerMemory<u64> {
    let memories = &accelerator.memories;
    let weight = match placement {
        Placement::Resident => weight_bits,
        Placement::Streamed => weight_bits.min(memories.weight.bits()),
    };
    PerMemory {
        weight,
        activation: memories.activation.bits(),
        accumulator: memories.accumulator.bits(),
    }
}

/// Faulty cells that a profile expects among so many; what is at the nominal voltage makes no errors.
#[must_use]
pub fn faulty_cells_expected(
    profile: &VoltageProfile,
    cells: &PerMemory<u64>,
    supplies: &PerMemory<f64>,
    lowered: &PerMemory<bool>,
) -> f64 {
    let lowered = supplies.iter().filter(|(memory, _)| *lowered.get(*memory));
    lowered.fold(0.0, |sum, (memory, vdd_mv)| {
        sum + *cells.get(memory) as f64 * profile.cell_fault_rate(*vdd_mv)
    })
}

/// The lowest voltage of a profile, in tenths of a millivolt, with fewer than one faulty cell expected; none if
/// even the nominal one has more.
pub fn clean_down_to_mv(profile: &VoltageProfile, expected: impl Fn(f64) -> f64) -> Option<f64> {
    let mv = |tenths: u64| tenths as f64 / 10.0;
    let mut least = (profile.vdd_mv_range().start() * 10.0).ceil() as u64;
    let mut most = (profile.v_ref_mv() * 10.0).ceil() as u64;
    if expected(mv(most)) >= 1.0 {
        return None;
    }
    // Expected faults never rise with the voltage.
    while least < most {
        let middle = least.midpoint(most);
        if expected(mv(middle)) < 1.0 { most = middle } else { least = middle + 1 }
    }
    Some(mv(most))
}

/// Which memories hang on one of these rails.
#[must_use]
pub fn memories_on(accelerator: &Accelerator, rails: &[Rail]) -> PerMemory<bool> {
    PerMemory::from_fn(|memory| rails.contains(&accelerator.memories.get(memory).rail))
}

/// The supplies of the memories at an operating point, in mV.
#[must_use]
pub fn supplies(accelerator: &Accelerator, point: &OperatingPoint) -> PerMemory<f64> {
    PerMemory::from_fn(|memory| point.vdd_mv(accelerator.memories.get(memory).rail))
}

/// The errors that a finished sweep found, for other costs of its network.
#[derive(Clone, Debug)]
pub struct Accuracy {
    name: String,
    results: Results,
    subject: Subject,
    placement: Placement,
}

/// Why a sweep says nothing of a design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    what: String,
    hint: String,
}

fn differs(what: String, hint: &str) -> Result<(), Differs> {
    Err(Differs { what, hint: hint.to_owned() })
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Accuracy {
    /// Reads the results of a sweep: its folder, or its `results.json`.
    ///
    /// # Errors
    /// It is no result, or one of a version that does not say what its errors belong to.
    pub fn read(path: &Path) -> Result<Self, Box<Diagnostic>> {
        let file = if path.is_dir() { path.join("results.json") } else { path.to_owned() };
        let hint = "name the folder of a finished sweep, or its `results.json`";
        let name = file.display().to_string();
        let bytes = vmin_files::bytes("results", &file).map_err(|error| {
            Box::new(Diagnostic::new(error.code(), error.to_string()).hint(hint))
        })?;
        let results = Results::read(&name, &bytes)?;
        let version = results.results_version;
        let placement = Placement::ALL.iter().find(|(word, _)| *word == results.setting.placement);
        let subject = results.subject.clone().filter(|subject| subject.faults_sha256.is_some());
        let (Some(subject), Some((_, placement))) = (subject, placement) else {
            let message =
                format!("`{name}`, of version {version}, does not say what its errors belong to");
            let hint = "run `vmin sweep --resume` to write it again from its journal";
            return Err(Box::new(Diagnostic::new("accuracy", message).hint(hint)));
        };
        let placement = *placement;
        Ok(Self { name, results, subject, placement })
    }

    /// The results behind it.
    #[must_use]
    pub const fn results(&self) -> &Results {
        &self.results
    }

    /// Refuses another profile, or another V_min of it.
    ///
    /// # Errors
    /// What differs.
    pub fn check_profile(&self, profile: &VoltageProfile) -> Result<(), Differs> {
        let setting = &self.results.setting;
        let nominal_mv = (setting.vdd_nominal_mv, profile.v_ref_mv());
        if nominal_mv.0 == nominal_mv.1 && faults(profile).ok() == self.subject.faults_sha256 {
            return Ok(());
        }
        let is_named_so = setting.profile == profile.name() && profile.follows_vmin();
        if is_named_so && nominal_mv.0 != nominal_mv.1 {
            // Whole nanovolts, since factors of profiles round.
            let vmin_mv = (nominal_mv.0 / nominal_mv.1 * profile.vmin_mv() * 1e6).round() / 1e6;
            return differs(
                format!("the sweep's V_min is {vmin_mv} mV, here it is {} mV", profile.vmin_mv()),
                &format!("name that V_min: `--vmin-mv {vmin_mv}`, in files `vmin_mv = {vmin_mv}`"),
            );
        }
        let what = format!(
            "the sweep's voltages are of another profile: `{}`, {} mV nominal",
            setting.profile, nominal_mv.0
        );
        differs(what, "sweep with this profile, or name that one")
    }

    /// Refuses another network, another profile and other lowered memories.
    ///
    /// # Errors
    /// The first that differs.
    pub fn check(
        &self,
        graph: &Graph,
        profile: &VoltageProfile,
        lowered: &PerMemory<bool>,
    ) -> Result<(), Differs> {
        let setting = &self.results.setting;
        if network(graph).as_ref() != Ok(&self.subject.network_sha256) {
            let what = format!(
                "the sweep ran another network: `{}` with {}-bit weights",
                setting.model, setting.weight_bits
            );
            return differs(what, "sweep this network, or name that one");
        }
        self.check_profile(profile)?;
        let erring = self.subject.cells_sha256.map(Option::is_some);
        if any(lowered) && erring != *lowered {
            let what = format!("the sweep lowers {}, here {}", words(&erring), words(lowered));
            return differs(what, "lower the same memories in both");
        }
        Ok(())
    }

    /// Refuses a design whose data lie in other cells.
    ///
    /// # Errors
    /// What differs.
    pub fn check_design(
        &self,
        graph: &Graph,
        accelerator: &Accelerator,
        placement: Placement,
    ) -> Result<(), Differs> {
        if placement != self.placement {
            let what = format!(
                "the sweep's weights are {}, here they are {}",
                self.placement.word(),
                placement.word()
            );
            return differs(what, "choose the same placement in both");
        }
        for (memory, wanted) in self.subject.cells_sha256.present() {
            if cells(graph, accelerator, placement, memory).as_ref() != Ok(wanted) {
                let what = format!(
                    "the sweep ran on another accelerator, `{}`: the data of its {} memory lie in other cells",
                    self.results.setting.accelerator,
                    memory.word()
                );
                return differs(what, "sweep this accelerator, or name that one");
            }
        }
        Ok(())
    }

    /// What the sweep says of these supplies, of a design that [`Self::check_design`] accepts.
    #[must_use]
    pub fn at(&self, supplies: &PerMemory<f64>) -> (Kept, Option<&Point>) {
        let Results { points, vmin, .. } = &self.results;
        let erring = || self.subject.cells_sha256.present().map(|(memory, _)| memory);
        let above = |point: &Point, slack: f64| {
            erring().all(|memory| *supplies.get(memory) >= supply(point, memory) - slack)
        };
        // Decimals of a file may differ in the last bit.
        let is_here = |point: &&Point| {
            above(point, 1e-6)
                && erring().all(|memory| *supplies.get(memory) <= supply(point, memory) + 1e-6)
        };
        let keeps = |lowest_mv: Option<f64>| {
            let lowest = points.iter().find(|point| Some(point.vdd_mv) == lowest_mv);
            lowest.is_some_and(|point| above(point, 1e-6))
        };
        let at_or_below = |point: &Point| {
            erring().all(|memory| *supplies.get(memory) <= supply(point, memory) + 1e-6)
        };
        let missed = |point: &&Point| vmin.reached_mv.is_none_or(|reached| point.vdd_mv < reached);
        let swept = points.iter().find(is_here);
        let known = if keeps(vmin.shown_mv) {
            Kept::Shown
        } else if keeps(vmin.reached_mv) {
            Kept::Reached
        } else if points.iter().filter(missed).any(at_or_below) {
            Kept::Missed
        } else {
            Kept::Unknown
        };
        (known, swept)
    }

    /// Whether its faulty cells are a profile's, and so few where that expects few.
    fn is_of_profile(&self) -> bool {
        let Results { setting, provenance, .. } = &self.results;
        setting.fault_kind != ReadErrors::Transient.word()
            && setting.read_noise_mv.is_none()
            && provenance.inputs.iter().all(|input| input.role != "chip")
    }

    /// The sweep, its question and the rule in words.
    #[must_use]
    pub fn words(&self) -> String {
        let Results { setting, name, clean, chips, remedies, .. } = &self.results;
        let others: Vec<String> =
            remedies.iter().skip(1).map(|remedy| format!("`{}`", remedy.name)).collect();
        let whose = match others.is_empty() {
            true => String::new(),
            false => format!(
                ": that of its network without protection, not of its remedies {}",
                others.join(", ")
            ),
        };
        format!(
            "accuracy from the sweep `{name}` ({} chips, {} images of {}, weights {}, {}), which asks that {} of \
             chips {}, at {} confidence where `shown`{whose}; {RULE}; {CLEAN}",
            chips.len() / setting.offsets.max(1),
            clean.images,
            setting.data,
            setting.placement,
            setting.layout,
            share_words(setting.yield_target, 0),
            setting.budget(),
            share_words(setting.confidence, 0),
        )
    }

    /// The swept voltages, as an option asks for them.
    #[must_use]
    pub fn swept(&self) -> String {
        let all: Vec<String> =
            self.results.points.iter().map(|point| point.vdd_mv.to_string()).collect();
        format!("`--vdd-mv {}`", all.join(","))
    }

    /// The error of a table that does not fit.
    #[must_use]
    pub fn refused(&self, differs: &Differs) -> Diagnostic {
        Diagnostic::new(
            "accuracy",
            format!("the errors of `{}` are not those of this design", self.name),
        )
        .allowed(differs.what.clone())
        .hint(differs.hint.clone())
    }
}

/// What is known at some supplies: of the sweep that is given, if it `fits` the design, or else of the profile.
#[must_use]
pub fn verdict(
    accuracy: Option<&Accuracy>,
    fits: bool,
    supplies: &PerMemory<f64>,
    lowered: &PerMemory<bool>,
    faulty_cells_expected: Option<f64>,
) -> Verdict {
    let table = accuracy.filter(|_| fits);
    let (known, point) = table.map_or((Kept::Unknown, None), |table| table.at(supplies));
    let is_clean = known == Kept::Unknown
        && accuracy.is_none_or(Accuracy::is_of_profile)
        && faulty_cells_expected.is_some_and(|cells| cells < 1.0);
    let is_nominal = !any(lowered) && faulty_cells_expected.is_some();
    Verdict {
        accuracy: match (is_nominal, is_clean) {
            (true, _) => Kept::Nominal,
            (false, true) => Kept::Clean,
            (false, false) => known,
        },
        faulty_cells_expected,
        rerr_mean: point.map(|point| point.rerr_mean),
        yield_fraction: point.map(|point| point.yield_fraction),
        yield_shown: point.map(|point| point.yield_shown),
    }
}

/// How [`Accuracy::at`] and [`verdict`] decide, in words.
const RULE: &str = "`shown` and `reached` keep the sweep's budget (for the population, in the sample) at \
                        this voltage and at all swept ones above; between swept voltages that of the lower one if it keeps the budget, else `unknown`; \
                        `missed`: so does a failing one here or above";

/// What `clean` means, in words.
pub const CLEAN: &str = "`clean`: fewer than one faulty cell expected under the weights and in the other lowered \
                         memories, which is not none";

/// What `nominal` means, in words.
pub const NOMINAL: &str = "`nominal`: no memory is lowered, so that none of their cells errs, whatever the other supplies";

/// Whether some memory is lowered.
#[must_use]
pub fn any(lowered: &PerMemory<bool>) -> bool {
    lowered.iter().any(|(_, lowered)| *lowered)
}

/// The supply of a memory that can err.
fn supply(point: &Point, memory: Memory) -> f64 {
    let own = match memory {
        Memory::Weight => point.weight_vdd_mv,
        Memory::Activation => point.activation_vdd_mv,
        Memory::Accumulator => point.accumulator_vdd_mv,
    };
    own.unwrap_or(point.vdd_mv)
}

fn words(memories: &PerMemory<bool>) -> String {
    let chosen = memories.iter().filter(|(_, chosen)| **chosen).map(|(memory, _)| memory.word());
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() { "no memory".to_owned() } else { chosen.join(", ") + " memory" }
}
