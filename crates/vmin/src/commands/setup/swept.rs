//! The supplies of commands that compare several.

use vmin_diagnostic::Diagnostic;
use vmin_sweep::chip_file;
use vmin_sweep::names::Names;

use super::chips;
use crate::args::{ChipChoice, SweptArgs, Voltages};
use crate::{Failure, files};

/// The supplies that are asked for, or those of the chip files: falling, each once.
pub(crate) fn swept_mv(args: &SweptArgs) -> Result<Vec<f64>, Failure> {
    let missing = |message: &str| Diagnostic::new("missing-argument", message);
    let mut swept = match (&args.vdd_mv, common_levels(&args.on_chip.chip)?) {
        (Some(Voltages(asked)), _) => asked.clone(),
        (None, Some(common)) if !common.is_empty() => common,
        (None, Some(_)) => {
            let problem = missing("the chip files have no voltage in common");
            return Err(problem.hint("name supplies that each of them knows: `--vdd-mv`").into());
        }
        (None, None) => {
            let message = "no supplies are named, and chips of a population have none of their own";
            let hint = "add `--vdd-mv 1000..850:25 --profile NAME`";
            return Err(missing(message).hint(hint).into());
        }
    };
    swept.sort_by(|a, b| b.total_cmp(a));
    swept.dedup();
    Ok(swept)
}

/// The voltages that all chip files of a choice were written with, falling; none for chips of a population.
///
/// # Errors
/// A file cannot be read.
fn common_levels(chosen: &[ChipChoice]) -> Result<Option<Vec<f64>>, Failure> {
    if let [ChipChoice::Index(_) | ChipChoice::Range(_)] = chosen {
        return Ok(None);
    }
    let mut common: Option<Vec<f64>> = None;
    for path in files::expanded(&chips::paths(chosen)?)? {
        let file = Names::typed().chip(path.display().to_string().as_str())?;
        let levels: Vec<f64> = chip_file::levels_mv(&file.chip).collect();
        let so_far = common.take().unwrap_or_else(|| levels.clone());
        common = Some(so_far.into_iter().filter(|mv| levels.contains(mv)).collect());
    }
    Ok(common)
}
