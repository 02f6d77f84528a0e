//! Looking up what a file names: networks, images, accelerators, profiles.

use std::path::{Path, PathBuf};

use vmin_accel::{Accelerator, ProtectionCosts, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source, with_causes};
use vmin_nn::data::{Dataset, Split};
use vmin_nn::{Graph, ModelError};

use crate::chip_file::{self, ChipFile, ChipFileProblem};

/// Keeps what was found and collects the problems of what was not.
pub fn keep<T>(problems: &mut Vec<Diagnostic>, result: Result<T, Diagnostics>) -> Option<T> {
    result.map_err(|found| problems.extend(found.into_list())).ok()
}

/// All problems together; that nothing resolved, if there are none.
#[must_use]
pub fn collected(source: &Source, problems: Vec<Diagnostic>) -> Diagnostics {
    Diagnostics::from_list(problems)
        .unwrap_or_else(|| Diagnostic::new("incomplete", "nothing resolved").within(source).into())
}

/// A name of a model or data set with its path made relative to the experiment file.
fn rebase(name: &str, base: &Path) -> String {
    match name.split_once(':') {
        Some(("builtin", _)) => name.to_owned(),
        Some((form @ ("cifar10" | "mnist" | "fashion-mnist" | "npz"), path)) => {
            format!("{form}:{}", base.join(path).display())
        }
        _ => base.join(name).display().to_string(),
    }
}

/// A shipped name as it is, anything else as a path relative to the experiment file.
fn rebase_shipped(name: &str, shipped: &[&str], base: &Path) -> PathBuf {
    if shipped.contains(&name) || !(name.contains(['/', '\\']) || name.ends_with(".toml")) {
        PathBuf::from(name)
    } else {
        base.join(name)
    }
}

/// What names are looked up in: the text they stand in, the folder paths start at.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    source: &'a Source,
    base: &'a Path,
}

impl<'a> Names<'a> {
    /// Names that stand in `source`; relative paths start at `base`.
    #[must_use]
    pub const fn new(source: &'a Source, base: &'a Path) -> Self {
        Self { source, base }
    }

    /// A network.
    ///
    /// # Errors
    /// It cannot be had, with the place of its name.
    pub fn model(&self, name: &Located<String>) -> Result<Graph, Diagnostics> {
        vmin_nn::model::load(&rebase(&name.value, self.base)).map_err(|error| {
            let diagnostic =
                Diagnostic::new("model", with_causes(&error)).at(self.source, name.span.clone());
            match error {
                ModelError::Io { .. } => diagnostic
                    .hint("relative paths start at the folder of the experiment file")
                    .into(),
                _ => diagnostic.into(),
            }
        })
    }

    /// The test images of a set.
    ///
    /// # Errors
    /// It cannot be had, with the place of its name.
    pub fn data(&self, name: &Located<String>) -> Result<Dataset, Diagnostics> {
        let spec = rebase_data(&name.value, self.base);
        vmin_nn::data::load(&spec, Split::Test, vmin_nn::data::Limits::default()).map_err(|error| {
            Diagnostic::new("data", with_causes(&error))
                .at(self.source, name.span.clone())
                .hint(error.hint())
                .into()
        })
    }

    /// An accelerator: a shipped name or a file.
    ///
    /// # Errors
    /// It cannot be had, with the place of its name.
    pub fn accelerator(&self, name: &Located<String>) -> Result<Accelerator, Diagnostics> {
        let path = rebase_shipped(&name.value, &Accelerator::names(), self.base);
        Accelerator::load(&path.display().to_string()).map_err(|found| self.placed(found, name))
    }

    /// A voltage profile: a shipped name or a file.
    ///
    /// # Errors
    /// It cannot be had, with the place of its name.
    pub fn profile(&self, name: &Located<String>) -> Result<VoltageProfile, Diagnostics> {
        let path = rebase_shipped(&name.value, &VoltageProfile::names(), self.base);
        VoltageProfile::load(&path.display().to_string()).map_err(|found| self.placed(found, name))
    }

    /// A chip file.
    ///
    /// # Errors
    /// It cannot be had, with the place of its name.
    pub fn chip(&self, name: &Located<String>) -> Result<ChipFile, Diagnostics> {
        chip_file::read(&self.base.join(&name.value), &name.value).map_err(|problem| {
            let hint = match problem {
                ChipFileProblem::Unreadable { .. } => {
                    "relative paths start at the folder of the experiment file"
                }
                _ => "`vmin chip import` and `vmin chip sample` make chip files",
            };
            Diagnostic::new(problem.code(), problem.to_string())
                .at(self.source, name.span.clone())
                .hint(hint)
                .into()
        })
    }

    /// A table of protection costs: a shipped name or a file.
    ///
    /// # Errors
    /// It cannot be had, with the place of its name.
    pub fn costs(&self, name: &Located<String>) -> Result<ProtectionCosts, Diagnostics> {
        let path = rebase_shipped(&name.value, &ProtectionCosts::names(), self.base);
        ProtectionCosts::load(&path.display().to_string()).map_err(|found| self.placed(found, name))
    }

    /// Problems without a place of their own are placed where the thing is named.
    fn placed(&self, problems: Diagnostics, name: &Located<String>) -> Diagnostics {
        let list = problems.into_list().into_iter().map(|problem| match problem.source {
            None => problem.at(self.source, name.span.clone()),
            Some(_) => problem,
        });
        collected(self.source, list.collect())
    }
}

/// The network with its weights re-quantized, if asked.
///
/// # Errors
/// Its weights cannot be re-quantized.
pub fn with_bits(
    graph: Graph,
    source: &Source,
    bits: Option<&Located<u8>>,
) -> Result<Graph, Diagnostics> {
    let Some(bits) = bits else { return Ok(graph) };
    vmin_nn::with_weight_bits(&graph, bits.value).map_err(|error| {
        Diagnostic::new("model", with_causes(&error)).at(source, bits.span.clone()).into()
    })
}

fn rebase_data(name: &str, base: &Path) -> String {
    // A form the loader does not know is left for it to refuse.
    if name.contains(':') { rebase(name, base) } else { name.to_owned() }
}
