//! A design space with every name resolved and every design checked.

use std::path::Path;

use vmin_accel::accelerator::{MemoryName, Variation, VariationError};
use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{
    Accelerator, ArraySize, DoesNotFit, Layer, Schedule, VoltageProfile, cycles, layers_of_graph,
};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source};
use vmin_nn::Graph;
use vmin_sweep::accuracy::{self, priced_placement};
use vmin_sweep::names::{Names, collected, keep};
use vmin_sweep::{Accuracy, Placement};

use crate::space::{POINTS_MAX, Space};

/// One supply voltage of the space.
#[derive(Clone, Debug, PartialEq)]
pub struct Supply {
    /// In mV.
    pub vdd_mv: f64,
    /// Voltages of all rails.
    pub operating_point: OperatingPoint,
}

/// A resolved design space.
#[derive(Debug)]
pub struct Plan {
    /// The design-space file.
    pub space: Space,
    /// The accelerator that designs vary.
    pub base: Accelerator,
    /// Energy and clock by voltage.
    pub profile: VoltageProfile,
    /// The network.
    pub graph: Graph,
    /// What a sweep says of its accuracy.
    pub accuracy: Option<Accuracy>,
    /// Layers of the network, in order.
    pub layers: Vec<Layer>,
    /// Bits that the weight codes occupy.
    pub weight_bits: u64,
    /// Every combination of the lists, in the order of the file's keys, the last varying fastest.
    pub designs: Vec<Variation>,
    /// Designs without room for the network, where there is no DRAM.
    pub left_out: usize,
    /// Voltages, falling.
    pub supplies: Vec<Supply>,
}

impl Plan {
    /// Reads a space and resolves every name in it; relative paths start at `base`.
    ///
    /// # Errors
    /// All problems of the text, or all unknown names and values that do not fit.
    pub fn read(source: &Source, base: &Path) -> Result<Self, Diagnostics> {
        Self::resolve(Space::parse(source)?, base)
    }

    /// Resolves every name of `space`; relative paths start at `base`.
    ///
    /// # Errors
    /// All unknown names, and all values that do not fit.
    pub fn resolve(space: Space, base: &Path) -> Result<Self, Diagnostics> {
        let source = space.source.clone();
        let names = Names::new(&source, base);
        let mut problems = Vec::new();
        if space.points() > POINTS_MAX {
            problems.push(
                Diagnostic::new("too-many", format!("the space has {} points", space.points()))
                    .at(&source, 0..0)
                    .allowed(format!("expected at most {POINTS_MAX}"))
                    .hint("shorten the lists of `[vary]` or of `memory.vdd_mv`"),
            );
        }
        let graph =
            names.model(&space.model).and_then(|graph| names.with_bits(graph, space.bits.as_ref()));
        let graph = keep(&mut problems, graph);
        let layers = graph.as_ref().and_then(|graph| {
            let layers = layers_of_graph(graph).map_err(|error| {
                Diagnostic::new("model", error.to_string())
                    .at(&source, space.model.span.clone())
                    .into()
            });
            keep(&mut problems, layers)
        });
        let accelerator = keep(&mut problems, names.accelerator(&space.base));
        if let Some(accelerator) = &accelerator {
            check_sizes(&space, accelerator, &mut problems);
        }
        let profile = names
            .profile(&space.profile)
            .and_then(|profile| names.with_vmin(profile, space.vmin_mv.as_ref()));
        let profile = keep(&mut problems, profile);
        let mut is_other = false;
        let accuracy = space.accuracy.as_ref().and_then(|name| {
            let at = |problem: Diagnostic| problem.at(&source, name.span.clone()).into();
            let read = Accuracy::read(&base.join(&name.value)).map_err(|problem| at(*problem));
            let accuracy = keep(&mut problems, read)?;
            // Before voltages are refused: with another V_min, others are in reach.
            let same = profile.as_ref().map_or(Ok(()), |profile| accuracy.check_profile(profile));
            is_other = same.is_err();
            keep(&mut problems, same.map_err(|differs| at(accuracy.refused(&differs))))?;
            Some(accuracy)
        });
        let supplies = profile
            .as_ref()
            .filter(|_| !is_other)
            .map(|profile| supplies(&space, profile, &mut problems));
        match (graph, layers, accelerator, profile, supplies) {
            (Some(graph), Some(layers), Some(base), Some(profile), Some(supplies))
                if problems.is_empty() =>
            {
                let weight_bits =
                    graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum();
                let all = designs(&space);
                let count = all.len();
                let mut plan = Self {
                    space,
                    base,
                    profile,
                    graph,
                    accuracy,
                    layers,
                    weight_bits,
                    designs: all,
                    left_out: 0,
                    supplies,
                };
                plan.designs = plan.roomy().map_err(|error| {
                    Diagnostic::new("does-not-fit", error.to_string())
                        .at(&source, plan.space.model.span.clone())
                        .hint(error.hint())
                })?;
                plan.left_out = count - plan.designs.len();
                plan.check_accuracy().map_err(|problem| {
                    let span = plan.space.accuracy.as_ref().map_or(0..0, |name| name.span.clone());
                    problem.at(&source, span)
                })?;
                Ok(plan)
            }
            _ => Err(collected(&source, problems)),
        }
    }

    /// Caveats about the numbers of all designs, at the lowest voltage: those of the base, and how many of the
    /// others have memories that the clock is too fast for.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let Some(lowest) = self.supplies.last() else { return Vec::new() };
        let point = &lowest.operating_point;
        let mut notes = energy::notes(&self.base, &self.profile, point);
        let slow = |design: &&Variation| {
            let design = self.base.varied(design);
            design.is_ok_and(|design| {
                !energy::slow_memories(&design, &self.profile, point).is_empty()
            })
        };
        let count = self.designs.iter().filter(slow).count();
        if count > 0 {
            notes.push(format!(
                "{count} of {} designs have a memory that the clock is too fast for",
                self.designs.len()
            ));
        }
        if self.left_out > 0 {
            notes.push(format!(
                "{} designs are left out: the network does not fit, and there is no DRAM",
                self.left_out
            ));
        }
        notes
    }

    /// Designs that are large enough; without DRAM the network must lie on the chip.
    fn roomy(&self) -> Result<Vec<Variation>, DoesNotFit> {
        let mut designs = self.designs.clone();
        if self.base.dram.is_some() {
            return Ok(designs);
        }
        let mut refused = None;
        designs.retain(|design| {
            let (accelerator, schedule, _) = self.design(design);
            let fits = cycles::run(&accelerator, schedule, &self.layers);
            fits.map_err(|error| refused = Some(error)).is_ok()
        });
        match refused {
            Some(error) if designs.is_empty() => Err(error),
            Some(_) | None => Ok(designs),
        }
    }

    /// The accelerator of a design, how its layers run, and the placement of the weights that its energy prices.
    ///
    /// # Panics
    /// Never: [`Plan::resolve`] has tried every size of every memory.
    #[must_use]
    pub fn design(&self, design: &Variation) -> (Accelerator, Schedule, Placement) {
        let accelerator = self.base.varied(design).expect("every size was tried");
        let mut schedule = Schedule::of(&accelerator);
        if let Some(placement) = self.space.placement {
            schedule.weights = placement.residence();
        }
        let placement = priced_placement(&accelerator, schedule, &self.layers);
        (accelerator, schedule, placement)
    }

    /// Refuses the results of a sweep that fit none of the designs.
    fn check_accuracy(&self) -> Result<(), Box<Diagnostic>> {
        let (Some(accuracy), Some(lowest)) = (&self.accuracy, self.supplies.last()) else {
            return Ok(());
        };
        let at_lowest = accuracy::supplies(&self.base, &lowest.operating_point);
        let lowered = at_lowest.map(|vdd_mv| *vdd_mv < self.profile.v_ref_mv());
        accuracy
            .check(&self.graph, &self.profile, &lowered)
            .map_err(|differs| Box::new(accuracy.refused(&differs)))?;
        let mut first = None;
        for design in &self.designs {
            let (accelerator, _, placement) = self.design(design);
            match accuracy.check_design(&self.graph, &accelerator, placement) {
                Ok(()) => return Ok(()),
                Err(differs) => first = first.or(Some(differs)),
            }
        }
        first.map_or(Ok(()), |differs| Err(Box::new(accuracy.refused(&differs))))
    }

    /// Designs times voltages.
    #[must_use]
    pub fn points(&self) -> usize {
        self.designs.len() * self.supplies.len()
    }
}

/// Every combination of the lists.
fn designs(space: &Space) -> Vec<Variation> {
    let vary = &space.vary;
    let kib = |list: &[Located<u64>]| list.iter().map(|item| item.value).collect::<Vec<_>>();
    let arrays: Vec<ArraySize> =
        vary.arrays.iter().filter_map(|&(rows, columns)| ArraySize::new(rows, columns)).collect();
    let mut designs = vec![Variation::default()];
    multiply(&mut designs, &arrays, |design, array| design.array = Some(array));
    multiply(&mut designs, &vary.dataflows, |design, dataflow| design.dataflow = Some(dataflow));
    multiply(&mut designs, &vary.vector_lanes, |design, lanes| design.vector_lanes = Some(lanes));
    multiply(&mut designs, &kib(&vary.weight_kib), |design, kib| design.weight_kib = Some(kib));
    multiply(&mut designs, &kib(&vary.activation_kib), |design, kib| {
        design.activation_kib = Some(kib);
    });
    multiply(&mut designs, &kib(&vary.accumulator_kib), |design, kib| {
        design.accumulator_kib = Some(kib);
    });
    multiply(&mut designs, &vary.dram_bandwidth_gb_per_s, |design, gb_per_s| {
        design.dram_bytes_per_second = Some(gb_per_s * 1e9);
    });
    designs
}

/// Each design with each value; an empty list leaves the designs as they are.
fn multiply<T: Copy>(designs: &mut Vec<Variation>, values: &[T], set: impl Fn(&mut Variation, T)) {
    if values.is_empty() {
        return;
    }
    *designs = designs
        .iter()
        .flat_map(|design| {
            values.iter().map(|&value| {
                let mut design = *design;
                set(&mut design, value);
                design
            })
        })
        .collect();
}

/// Memory sizes are independent of each other, so each is tried alone and reported at its place.
fn check_sizes(space: &Space, accelerator: &Accelerator, problems: &mut Vec<Diagnostic>) {
    if accelerator.dram.is_none() && !space.vary.dram_bandwidth_gb_per_s.is_empty() {
        problems.push(
            Diagnostic::new("no-dram", VariationError::NoDram.to_string())
                .at(&space.source, 0..0)
                .hint("remove `vary.dram_bandwidth_gb_per_s`"),
        );
    }
    for (memory, list) in [
        (MemoryName::Weight, &space.vary.weight_kib),
        (MemoryName::Activation, &space.vary.activation_kib),
        (MemoryName::Accumulator, &space.vary.accumulator_kib),
    ] {
        for kib in list {
            let size = Some(kib.value);
            let variation = match memory {
                MemoryName::Weight => Variation { weight_kib: size, ..Variation::default() },
                MemoryName::Activation => {
                    Variation { activation_kib: size, ..Variation::default() }
                }
                MemoryName::Accumulator => {
                    Variation { accumulator_kib: size, ..Variation::default() }
                }
            };
            if let Err(VariationError::Size { step_kib, .. }) = accelerator.varied(&variation) {
                problems.push(
                    Diagnostic::new(
                        "memory-size",
                        format!("the {memory} memory cannot have {} KiB", kib.value),
                    )
                    .at(&space.source, kib.span.clone())
                    .allowed(format!("expected a multiple of {step_kib} KiB"))
                    .hint(format!(
                        "banks and columns stay those of `{}`; only whole rows are added",
                        accelerator.name()
                    )),
                );
            }
        }
    }
}

fn supplies(
    space: &Space,
    profile: &VoltageProfile,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Supply> {
    let mut supplies = Vec::with_capacity(space.vdd_mv.len());
    for vdd_mv in &space.vdd_mv {
        let span = vdd_mv.span.clone();
        let vdd_mv = vdd_mv.value;
        if let Err(problem) = profile.check(vdd_mv) {
            problems.push(problem.at(&space.source, span));
            continue;
        }
        let operating_point = match space.rails.at(profile, vdd_mv) {
            Ok(point) => point,
            Err(error) => {
                let problem = Diagnostic::new("no-law", error.to_string());
                let problem = problem.at(&space.source, space.profile.span.clone());
                problems.push(problem.hint("leave logic nominal: `rails = \"memories\"`"));
                break;
            }
        };
        supplies.push(Supply { vdd_mv, operating_point: operating_point.with_clock(space.clock) });
    }
    supplies
}
