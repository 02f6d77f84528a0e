//! The one place that turns names into networks, image sets, accelerators, profiles, costs and chips,
//! whether a name stands in a file or was typed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use vmin_accel::{Accelerator, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source, with_causes};
use vmin_files::ReadError;
use vmin_nn::data::{Dataset, Limits, Split};
use vmin_nn::{Graph, ModelError, Pixels, Rounding};
use vmin_protection::ProtectionCosts;

use crate::chip_file::{self, ChipFile, ChipFileProblem};

const RELATIVE: &str = "relative paths start at the folder of the file that names them";

/// The value of a result; its problems are collected.
pub fn keep<T>(problems: &mut Vec<Diagnostic>, result: Result<T, Diagnostics>) -> Option<T> {
    result.map_err(|found| problems.extend(found.into_list())).ok()
}

/// All problems together; without any, the problem that nothing was resolved.
#[must_use]
pub fn collected(source: &Source, problems: Vec<Diagnostic>) -> Diagnostics {
    Diagnostics::from_list(problems)
        .unwrap_or_else(|| Diagnostic::new("incomplete", "nothing resolved").within(source).into())
}

/// A name of a network, an image set, a description or a chip, as written.
#[derive(Clone, Debug)]
pub struct Name<'a> {
    text: &'a str,
    span: Option<Range<usize>>,
}

impl<'a> From<&'a Located<String>> for Name<'a> {
    /// A name in a file.
    fn from(name: &'a Located<String>) -> Self {
        Self { text: &name.value, span: Some(name.span.clone()) }
    }
}

impl<'a> From<&'a str> for Name<'a> {
    /// A word of the command line, or a name without a place.
    fn from(text: &'a str) -> Self {
        Self { text, span: None }
    }
}

/// Resolves names. Problems get the place of the name.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    source: Option<&'a Source>,
    base: &'a Path,
}

impl Names<'static> {
    /// Names typed on the command line: paths start at the working folder.
    #[must_use]
    pub fn typed() -> Self {
        Self { source: None, base: Path::new("") }
    }
}

impl<'a> Names<'a> {
    /// Names that stand in `source`; relative paths start at `base`.
    #[must_use]
    pub const fn new(source: &'a Source, base: &'a Path) -> Self {
        Self { source: Some(source), base }
    }

    /// A network: `builtin:NAME` or a file.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn model<'n>(&self, name: impl Into<Name<'n>>) -> Result<Graph, Diagnostics> {
        let name = name.into();
        vmin_nn::model::load(&self.model_path(name.text)).map_err(|error| {
            let unreadable = matches!(error, ModelError::Io { .. });
            let names_it = unreadable || matches!(error, ModelError::UnknownModel { .. });
            let text = with_causes(&error);
            let text = match name.span {
                None if !names_it => format!("`{}`: {text}", name.text),
                _ => text,
            };
            self.problem(&name, Diagnostic::new("model", text), unreadable)
        })
    }

    /// A network with this rounding in place of its own, if one is given.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn rounded<'n>(
        &self,
        name: impl Into<Name<'n>>,
        rounding: Option<Rounding>,
    ) -> Result<Graph, Diagnostics> {
        let mut graph = self.model(name)?;
        graph.round_as(rounding.unwrap_or(graph.rounding));
        Ok(graph)
    }

    /// A part of an image set.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn data<'n>(
        &self,
        name: impl Into<Name<'n>>,
        split: Split,
    ) -> Result<Dataset, Diagnostics> {
        let name = name.into();
        let of_files = |form: &str| {
            let forms = vmin_nn::data::KINDS.iter().filter_map(|kind| kind.split_once(':'));
            form != "builtin" && forms.map(|(known, _)| known).any(|known| known == form)
        };
        // The loader refuses a form that it does not know.
        let spec = match name.text.split_once(':') {
            Some((form, path)) if of_files(form) => {
                format!("{form}:{}", self.base.join(path).display())
            }
            _ => name.text.to_owned(),
        };
        vmin_nn::data::load(&spec, split, Limits::default()).map_err(|error| {
            let problem = Diagnostic::new("data", with_causes(&error)).hint(error.hint());
            self.problem(&name, problem, false)
        })
    }

    /// An accelerator: a shipped name or a file.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn accelerator<'n>(&self, name: impl Into<Name<'n>>) -> Result<Accelerator, Diagnostics> {
        self.shipped(&name.into(), &Accelerator::names(), Accelerator::load)
    }

    /// A voltage profile: a shipped name or a file.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn profile<'n>(&self, name: impl Into<Name<'n>>) -> Result<VoltageProfile, Diagnostics> {
        self.shipped(&name.into(), &VoltageProfile::names(), VoltageProfile::load)
    }

    /// A table of protection costs: a shipped name or a file.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn costs<'n>(&self, name: impl Into<Name<'n>>) -> Result<ProtectionCosts, Diagnostics> {
        self.shipped(&name.into(), &ProtectionCosts::names(), ProtectionCosts::load)
    }

    /// A chip file.
    ///
    /// # Errors
    /// It cannot be read, or is no chip.
    pub fn chip<'n>(&self, name: impl Into<Name<'n>>) -> Result<ChipFile, Diagnostics> {
        let name = name.into();
        chip_file::read(&self.base.join(name.text), name.text).map_err(|problem| {
            let diagnostic = Diagnostic::new(problem.code(), problem.to_string());
            let unreadable =
                matches!(problem, ChipFileProblem::Unread(ReadError::Unreadable { .. }));
            let diagnostic = match self.source {
                Some(_) if unreadable => diagnostic,
                _ => diagnostic.hint("`vmin chip import` and `vmin chip sample` make chip files"),
            };
            self.problem(&name, diagnostic, unreadable)
        })
    }

    /// The network with its weights re-quantized, if bits are given.
    ///
    /// # Errors
    /// Its weights cannot be re-quantized.
    pub fn with_bits(
        &self,
        graph: Graph,
        bits: Option<&Located<u8>>,
    ) -> Result<Graph, Diagnostics> {
        let Some(bits) = bits else { return Ok(graph) };
        vmin_nn::with_weight_bits(&graph, bits.value).map_err(|error| {
            let place = Name { text: "", span: Some(bits.span.clone()) };
            self.problem(&place, Diagnostic::new("model", with_causes(&error)), false)
        })
    }

    /// The network `model` with a rule for pixels: this one, or else its own.
    ///
    /// # Errors
    /// The rule does not fit its input, or there is none.
    pub fn with_pixels<'n>(
        &self,
        mut graph: Graph,
        pixels: Option<&Located<Pixels>>,
        model: impl Into<Name<'n>>,
    ) -> Result<Graph, Diagnostics> {
        if let Some(Located { value, span }) = pixels {
            value.check(&graph.tensors[graph.input.0]).map_err(|error| {
                let place = Name { text: "", span: Some(span.clone()) };
                self.problem(&place, Diagnostic::new("pixels", with_causes(&error)), false)
            })?;
            graph.pixels = Some(value.clone());
        }
        if graph.pixels.is_none() {
            let problem = Diagnostic::new("pixels", graph.no_pixels().to_string())
                .allowed(format!("expected {}", Pixels::CHOICES))
                .hint("say it with `pixels` in `[data]`, or with `--pixels`");
            return Err(self.problem(&model.into(), problem, false));
        }
        Ok(graph)
    }

    /// The name of a network for [`vmin_nn::model::load`].
    #[must_use]
    pub fn model_path(&self, name: &str) -> PathBuf {
        if name.starts_with("builtin:") { name.into() } else { self.base.join(name) }
    }

    /// A shipped name as it is, anything else as a path.
    fn shipped<T>(
        &self,
        name: &Name<'_>,
        shipped: &[&str],
        load: fn(&str) -> Result<T, Diagnostics>,
    ) -> Result<T, Diagnostics> {
        let a_path = name.text.contains(['/', '\\']) || name.text.ends_with(".toml");
        let a_name = shipped.contains(&name.text) || !a_path;
        let path = if a_name {
            name.text.to_owned()
        } else {
            self.base.join(name.text).display().to_string()
        };
        load(&path).map_err(|found| {
            // Problems within the text of a description have a place there.
            let place = |problem: Diagnostic| match (&problem.source, self.source, &name.span) {
                (None, Some(source), Some(span)) => problem.at(source, span.clone()),
                _ => problem,
            };
            let placed = found.into_list().into_iter().map(place).collect();
            Diagnostics::from_list(placed).expect("as many as were found")
        })
    }

    fn problem(&self, name: &Name<'_>, problem: Diagnostic, unreadable: bool) -> Diagnostics {
        let Some(source) = self.source else { return problem.into() };
        let problem = if unreadable { problem.hint(RELATIVE) } else { problem };
        match &name.span {
            Some(span) => problem.at(source, span.clone()).into(),
            None => problem.into(),
        }
    }
}
