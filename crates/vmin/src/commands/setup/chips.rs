//! The chips that are asked for, and the supplies of their memories.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use vmin_accel::{Memory, MemoryAt, PerMemory, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_emulator::source::{CellSource, Measured, MeasuredChip, SampledChips, Transient};
use vmin_emulator::{Placement, Supplies};
use vmin_protection::{Noise, ProtectedAt, Protection, ReadsOf};
use vmin_sram::{CellErrors, FaultKind, Population, Threshold, VarianceShares};
use vmin_sweep::names::Names;
use vmin_sweep::{ChipFile, ReadErrors, chip_file};

use super::protect::Typed;
use crate::args::{ChipChoice, FaultKindArg, MemorySupply, OnChipArgs};
use crate::commands::chip;
use crate::failure::say;
use crate::{Failure, files};

/// Chips and their supplies.
pub(crate) struct Wanted {
    pub(crate) source: Box<dyn CellSource>,
    pub(crate) range: Range<u32>,
    pub(crate) supplies: Supplies,
    /// The same without protection.
    pub(crate) unprotected: Supplies,
    /// The same with the exact map of each chip, where mechanisms work from another.
    pub(crate) exact: Option<Supplies>,
    /// The supplies at each of several swept voltages.
    pub(crate) swept: Vec<Supplies>,
    /// How faulty cells err, if they do.
    pub(crate) fault_kind: Option<&'static str>,
    /// Of the population, or of a chip file's map, not of the memory it is laid over.
    pub(crate) cell_fault_rate: f64,
    /// The profile that tells energies at these supplies, where it is named with a voltage.
    pub(crate) profile: Option<VoltageProfile>,
    /// Names of the chips' files, if they have some.
    pub(crate) files: Vec<String>,
}

impl Wanted {
    /// Supply of a memory in mV; none where it makes no errors or only a rate is known.
    pub(crate) fn vdd_mv(&self, memory: Memory) -> Option<f64> {
        let at = self.unprotected.get(memory).as_ref()?;
        Some(at.access.base().vdd_mv).filter(|mv| *mv > 0.0)
    }
}

pub(super) fn chips(
    args: &OnChipArgs,
    typed: &Typed,
    placement: &Placement,
    swept_mv: &[f64],
) -> Result<Wanted, Failure> {
    let protection = typed.protection();
    let range = match &args.chip[..] {
        [ChipChoice::Index(chip)] => *chip..chip.saturating_add(1),
        [ChipChoice::Range(range)] => range.clone(),
        chosen => return of_files(&paths(chosen)?, args, typed, placement, swept_mv),
    };
    if args.chip_offset != 0 {
        let message = "an offset shifts the map of a chip file, and none is given";
        return Err(Diagnostic::new("no-effect", message)
            .hint("name a file with `--chip`, or leave `--chip-offset` away")
            .into());
    }
    let seed = args.chip_seed;
    let Some((population, at)) = population(args)? else {
        if let Some(option) = without_supply(args, typed) {
            let message = format!("without a supply no cell fails, so `{option}` means nothing");
            return Err(Diagnostic::new("no-effect", message)
                .hint("add `--vdd-mv V --profile NAME`, or `--rate P`")
                .into());
        }
        let source = Box::new(Transient { seed });
        return Ok(Wanted {
            source,
            range,
            supplies: Supplies::default(),
            unprotected: Supplies::default(),
            exact: None,
            swept: Vec::new(),
            fault_kind: None,
            cell_fault_rate: 0.0,
            profile: None,
            files: Vec::new(),
        });
    };
    let kind_note = || at.profile.as_ref()?.kind_note().filter(|_| args.fault_kind.is_none());
    let reference = || at.profile.as_ref()?.reference().note();
    for note in reference().into_iter().chain(kind_note()) {
        say(&format!("note: {note}"));
    }
    let kind = kind(args).unwrap_or(population.kind());
    let transient = args.fault_kind == Some(FaultKindArg::Transient);
    let fault_kind = Some(if transient { FaultKindArg::TRANSIENT } else { kind.word() });
    let cell_fault_rate = at.own.threshold.rate();
    let reads = match &at.profile {
        Some(_) => ReadsOf::Population { noisy: at.noise_mv.is_some() },
        None => ReadsOf::Rates,
    };
    refuse_known(typed, reads)?;
    let supplies_at =
        |of: &Protection, mv: f64| supplies(args, of, mv, |mv, noise| at.at(mv, noise, typed));
    let supplies = supplies_at(protection, at.own.vdd_mv)?;
    let unprotected = supplies_at(&Protection::default(), at.own.vdd_mv)?;
    let swept = swept_mv.iter().map(|&mv| supplies_at(protection, mv));
    let swept = swept.collect::<Result<Vec<_>, _>>()?;
    let all = swept.iter().chain([&supplies]).flat_map(PerMemory::present);
    let beyond = all.flat_map(|(_, of)| of.levels()).any(|at| at.threshold < Threshold::HALF);
    if beyond {
        return Err(Diagnostic::new(
            "out-of-range",
            "at one of these supplies more than half of all cells are faulty, which cannot be emulated",
        )
        .into());
    }
    let source: Box<dyn CellSource> = match args.fault_kind {
        Some(FaultKindArg::Transient) if args.read_noise_mv.is_none() => {
            Box::new(Transient { seed })
        }
        None | Some(FaultKindArg::Flip | FaultKindArg::StuckAt | FaultKindArg::Transient) => {
            Box::new(SampledChips { population, seed, kind })
        }
    };
    Ok(Wanted {
        source,
        range,
        exact: exact(&supplies),
        supplies,
        unprotected,
        swept,
        fault_kind,
        cell_fault_rate,
        profile: at.profile,
        files: Vec::new(),
    })
}

/// The voltages that all chip files of a choice were written with, falling; none for chips of a population.
///
/// # Errors
/// A file cannot be read.
pub(super) fn common_levels(chosen: &[ChipChoice]) -> Result<Option<Vec<f64>>, Failure> {
    if let [ChipChoice::Index(_) | ChipChoice::Range(_)] = chosen {
        return Ok(None);
    }
    let mut common: Option<Vec<f64>> = None;
    for path in files::expanded(&paths(chosen)?)? {
        let file = Names::typed().chip(path.display().to_string().as_str())?;
        let levels: Vec<f64> = chip_file::levels_mv(&file.chip).collect();
        let so_far = common.take().unwrap_or_else(|| levels.clone());
        common = Some(so_far.into_iter().filter(|mv| levels.contains(mv)).collect());
    }
    Ok(common)
}

/// The files among several chips, which all are files.
fn paths(chosen: &[ChipChoice]) -> Result<Vec<PathBuf>, Failure> {
    let path = |choice: &ChipChoice| match choice {
        ChipChoice::File(path) => Ok(path.clone()),
        ChipChoice::Index(_) | ChipChoice::Range(_) => {
            let message = format!("`--chip {}` is not alone", String::from(choice.clone()));
            Err(Diagnostic::new("conflict", message)
                .allowed("expected one number, one range, or files and patterns")
                .into())
        }
    };
    chosen.iter().map(path).collect()
}

/// An option that is given and means nothing without a supply.
fn without_supply(args: &OnChipArgs, typed: &Typed) -> Option<&'static str> {
    let given = [
        (args.fault_kind.is_some(), "--fault-kind"),
        (!typed.protection().is_empty(), typed.option),
        (args.known.is_some(), "--known"),
        (args.activation_vdd_mv.is_some(), "--activation-vdd-mv"),
        (args.accumulator_vdd_mv.is_some(), "--accumulator-vdd-mv"),
        (args.chip != [ChipChoice::Index(0)], "--chip"),
        (args.chip_seed != OnChipArgs::CHIP_SEED, "--chip-seed"),
        (args.read_noise_mv.is_some(), "--read-noise-mv"),
    ];
    given.into_iter().find_map(|(given, option)| given.then_some(option))
}

fn kind(args: &OnChipArgs) -> Option<FaultKind> {
    args.fault_kind.and_then(|kind| match kind {
        FaultKindArg::Flip => Some(FaultKind::Flip),
        FaultKindArg::StuckAt => Some(FaultKind::StuckAt),
        FaultKindArg::Transient => None,
    })
}

/// The supplies of all memories where that of the weights is `vdd_mv`.
fn supplies(
    args: &OnChipArgs,
    protection: &Protection,
    vdd_mv: f64,
    at: impl Fn(f64, Noise) -> Result<MemoryAt, Failure>,
) -> Result<Supplies, Failure> {
    let asked = PerMemory {
        weight: Some(MemorySupply::Same),
        activation: args.activation_vdd_mv,
        accumulator: args.accumulator_vdd_mv,
    };
    let of = |memory: Memory| {
        let own = match asked.get(memory) {
            None => return Ok(None),
            Some(MemorySupply::Same) => vdd_mv,
            Some(MemorySupply::Mv(own)) => *own,
        };
        protection.at(memory, own, &at).map(Some)
    };
    PerMemory::from_fn(of).transpose()
}

/// The maps of chip files, each repeated over the memories.
fn of_files(
    paths: &[PathBuf],
    args: &OnChipArgs,
    typed: &Typed,
    placement: &Placement,
    swept_mv: &[f64],
) -> Result<Wanted, Failure> {
    if args.profile.is_some() || args.rate.is_some() || args.read_noise_mv.is_some() {
        return Err(Diagnostic::new(
            "conflict",
            "a chip file has its own cells and voltages, so a profile or a rate means nothing",
        )
        .hint("leave `--profile`, `--rate` and `--read-noise-mv` away")
        .into());
    }
    let protection = typed.protection();
    let read = |path: &PathBuf| Names::typed().chip(path.display().to_string().as_str());
    let paths = files::expanded(paths)?;
    if let Some(path) =
        paths.iter().enumerate().find_map(|(n, path)| paths[..n].contains(path).then_some(path))
    {
        let message = format!("chip file `{}` is named twice", path.display());
        return Err(Diagnostic::new("repeated", message)
            .hint("a copy is no other chip, and would count as one in means and yields")
            .into());
    }
    let files = paths.iter().map(read).collect::<Result<Vec<ChipFile>, _>>()?;
    let Some(vdd_mv) = args.vdd_mv else {
        return Err(Diagnostic::new(
            "missing-argument",
            "a chip alone does not say at which voltage",
        )
        .hint("add `--vdd-mv V`; `vmin chip inspect` shows the chip's voltages")
        .into());
    };
    let mut fault_kinds = Vec::new();
    let mut varying = false;
    for file in &files {
        let map = errors_of(file, vdd_mv)?;
        varying |= map.iter().any(|error| error.rates.largest() < 1.0);
        check_map(file, &map, args, placement)?;
        fault_kinds
            .push(chip_file::kind_of(&map).map_or(ReadErrors::Measured.word(), FaultKind::word));
    }
    refuse_known(typed, ReadsOf::Measured { varying })?;
    // Of several chips, the mean.
    let rate = |mv: f64| {
        let shares = files.iter().map(|file| {
            let cells = file.chip.geometry().cells();
            Ok(chip_file::expected_rate(&errors_of(file, mv)?, cells))
        });
        let shares = shares.collect::<Result<Vec<f64>, Failure>>()?;
        Ok::<_, Failure>(shares.iter().sum::<f64>() / shares.len() as f64)
    };
    // Measured maps include the noise of their measurement.
    let at = |mv: f64, noise: Noise| match rate(mv) {
        Ok(rate) => Ok(MemoryAt::new(mv, rate)),
        Err(Failure::Input(problems)) if matches!(noise, Noise::OfTest(_)) => {
            let problems = problems.into_list().into_iter().map(|problem| typed.at_known(problem));
            Err(Diagnostics::from_list(problems.collect()).expect("as many as before").into())
        }
        Err(failure) => Err(failure),
    };
    let supplies_at = |of: &Protection, mv: f64| supplies(args, of, mv, at);
    let supplies = supplies_at(protection, vdd_mv)?;
    let unprotected = supplies_at(&Protection::default(), vdd_mv)?;
    let swept = swept_mv.iter().map(|&mv| supplies_at(protection, mv));
    let swept = swept.collect::<Result<Vec<_>, _>>()?;
    let mut chips = Vec::new();
    for file in &files {
        let mut known = BTreeMap::new();
        let all = swept.iter().chain([&supplies, &unprotected]).flat_map(PerMemory::present);
        for level in all.flat_map(|(_, of)| of.levels()) {
            known.insert(level.vdd_uv(), errors_of(file, level.vdd_mv)?);
        }
        let (sha256, cells) = (file.sha256.clone(), file.chip.geometry().cells());
        chips.push(MeasuredChip { sha256, cells, errors: known });
    }
    let fault_kind = match args.fault_kind {
        Some(FaultKindArg::Transient) => FaultKindArg::TRANSIENT,
        Some(FaultKindArg::Flip) => FaultKind::Flip.word(),
        Some(FaultKindArg::StuckAt) => FaultKind::StuckAt.word(),
        None if fault_kinds.iter().all(|kind| *kind == fault_kinds[0]) => fault_kinds[0],
        None => ReadErrors::Measured.word(),
    };
    Ok(Wanted {
        // The number of files was checked.
        range: 0..chips.len() as u32,
        source: Box::new(Measured { chips, seed: args.chip_seed, kind: kind(args) }),
        exact: exact(&supplies),
        supplies,
        unprotected,
        swept,
        fault_kind: Some(fault_kind),
        cell_fault_rate: rate(vdd_mv)?,
        profile: None,
        files: files.into_iter().map(|file| file.name).collect(),
    })
}

/// The supplies with the exact map of each chip, where that of some memory is not.
fn exact(supplies: &Supplies) -> Option<Supplies> {
    let differs = supplies.present().any(|(_, at)| at.known.is_some());
    let exactly = |at: &Option<ProtectedAt>| Some(at.as_ref()?.knowing_exactly());
    differs.then(|| supplies.map(exactly))
}

/// Refuses what is known of chips where reads differ so.
fn refuse_known(typed: &Typed, reads: ReadsOf) -> Result<(), Failure> {
    let refused = typed.protection().known().refused(reads);
    refused.map_or(Ok(()), |refused| Err(typed.at_known(refused).into()))
}

/// The cells of a chip that err at a voltage.
fn errors_of(file: &ChipFile, mv: f64) -> Result<Vec<CellErrors>, Failure> {
    let level = chip::level_at(&file.chip, mv)?;
    chip_file::errors_at(&file.chip, &level).map_err(|e| Failure::input("below-floor", &e))
}

/// Refuses a map that is too large once repeated; tells what is assumed of it.
fn check_map(
    file: &ChipFile,
    map: &[CellErrors],
    args: &OnChipArgs,
    placement: &Placement,
) -> Result<(), Failure> {
    let map_cells = file.chip.geometry().cells();
    if args.chip_offset >= map_cells {
        let message = format!(
            "an offset of {} bits lies beyond the chip's map of {map_cells} cells",
            args.chip_offset
        );
        return Err(Diagnostic::new("placement", message)
            .allowed(format!("expected an offset of 0 to {}", map_cells - 1))
            .into());
    }
    for (_, memory) in Memory::ALL {
        vmin_sram::tile_errors(map, map_cells, placement.cells(memory), args.chip_offset)
            .map_err(|error| Failure::input("too-large", &error))?;
    }
    if let Some(note) = chip_file::repeated_note(map_cells, placement) {
        say(&format!("note: {note}"));
    }
    let uncertain = map.iter().filter(|error| error.rates.largest() < 1.0).count();
    if uncertain > 0 && args.fault_kind != Some(FaultKindArg::Transient) {
        say(&format!(
            "note: {uncertain} cells of the map err with a probability below 1; which of them do is \
             drawn once, by `--chip-seed`"
        ));
    }
    Ok(())
}

/// How cells fail at the voltages that are asked for.
struct Rates {
    own: MemoryAt,
    profile: Option<VoltageProfile>,
    noise_mv: Option<f64>,
}

impl Rates {
    fn at(&self, mv: f64, noise: Noise, typed: &Typed) -> Result<MemoryAt, Failure> {
        if mv == self.own.vdd_mv && noise.mv(self.noise_mv) == self.noise_mv {
            return Ok(self.own.clone());
        }
        let Some(profile) = self.profile.as_ref().filter(|_| self.own.vdd_mv > 0.0) else {
            let message = "a rate has no voltage to compare others with";
            let problem = Diagnostic::new("missing-argument", message)
                .hint("name `--vdd-mv V --profile NAME` in place of `--rate P`");
            return Err(match noise {
                Noise::OfReads => problem,
                Noise::OfTest(_) => typed.at_known(problem),
            }
            .into());
        };
        profile.check(mv).map_err(|problem| match noise {
            Noise::OfReads => problem,
            Noise::OfTest(_) => {
                Box::new(typed.at_known(problem.hint("`--known` puts its test there")))
            }
        })?;
        let noise = noise.mv(self.noise_mv).map(|noise| profile.read_noise(mv, noise));
        Ok(MemoryAt { noise, ..MemoryAt::new(mv, profile.cell_fault_rate(mv)) })
    }
}

/// The population and threshold asked for, if any.
fn population(args: &OnChipArgs) -> Result<Option<(Population, Rates)>, Failure> {
    let profile = args.profile.as_deref().map(|name| Names::typed().profile(name)).transpose()?;
    match (args.rate, args.vdd_mv, profile) {
        (None, None, None) => Ok(None),
        (None, None, Some(_)) => Err(Diagnostic::new(
            "missing-argument",
            "a profile alone does not say at which voltage",
        )
        .hint("add `--vdd-mv V`, or `--rate P`")
        .into()),
        (None, Some(vdd_mv), Some(profile)) => {
            profile.check(vdd_mv)?;
            let noise_mv = args.read_noise_mv;
            let noise = noise_mv.map(|noise| profile.read_noise(vdd_mv, noise));
            let own = MemoryAt { noise, ..MemoryAt::new(vdd_mv, profile.cell_fault_rate(vdd_mv)) };
            let population = profile.population().clone();
            Ok(Some((population, Rates { own, profile: Some(profile), noise_mv })))
        }
        (Some(_), ..) if args.read_noise_mv.is_some() => Err(Diagnostic::new(
            "read-noise",
            "read noise does not go with a rate: noise is told in millivolts",
        )
        .hint("name `--vdd-mv V --profile NAME` in place of `--rate P`, or leave the noise away")
        .into()),
        (Some(rate), _, profile) => {
            if !(0.0..=0.5).contains(&rate) {
                return Err(Diagnostic::new(
                    "out-of-range",
                    format!("a cell-fault rate of {rate} is out of range"),
                )
                .allowed("expected 0 to 0.5")
                .into());
            }
            let population = match profile {
                Some(profile) => profile.population().clone(),
                None => Population::new("independent cells", VarianceShares::INDEPENDENT, 0.5)
                    .map_err(|error| Failure::input("population", &error))?,
            };
            let own = MemoryAt::new(0.0, rate);
            Ok(Some((population, Rates { own, profile: None, noise_mv: None })))
        }
        (None, Some(_), None) => {
            Err(Diagnostic::new("missing-argument", "a voltage means nothing without a profile")
                .hint("add `--profile NAME`; `vmin data list` names the shipped ones")
                .into())
        }
    }
}
