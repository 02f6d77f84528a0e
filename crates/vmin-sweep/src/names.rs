//! The one place that turns names into networks, image sets, accelerators, profiles, costs and chips,
//! whether a name stands in a file or was typed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use vmin_accel::{Accelerator, VddReference, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source, closest, with_causes};
use vmin_files::ReadError;
use vmin_nn::data::{Dataset, Limits, Split};
use vmin_nn::{Graph, ModelError, Pixels, Rounding};
use vmin_protection::ProtectionCosts;

use crate::chip_file::{self, ChipFile, ChipFileProblem};
use crate::experiment::CHIP_FILES_MAX;

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

/// Characters that make a name a pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// Names not UTF-8 that one message lists, at most.
const NOT_TEXT_MAX: usize = 10;

/// What a pattern would match, were its name UTF-8: `glob` passes over such names without a word.
fn not_text(pattern: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        let wild = name.to_str().filter(|text| text.contains(WILD));
        let Some(wanted) = wild.and_then(|text| glob::Pattern::new(text).ok()) else {
            folders.iter_mut().for_each(|folder| folder.push(name));
            continue;
        };
        let mut below = Vec::new();
        for folder in &folders {
            let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if wanted.matches(&name.to_string_lossy()) {
                    let is_text = name.to_str().is_some();
                    if is_text { &mut below } else { &mut found }.push(folder.join(name));
                }
            }
        }
        folders = below;
    }
    found.sort();
    found
}

/// The files that match a pattern such as `lot/*.chip` below `base`, sorted and without `base`; `None` if `name` is
/// no pattern, or a file is called so.
///
/// # Errors
/// No file matches, too many do, one has a name that is not UTF-8, or the pattern is malformed.
#[must_use]
pub fn matching(base: &Path, name: &Path) -> Option<Result<Vec<PathBuf>, Diagnostics>> {
    let text = name.to_str().filter(|text| text.contains(WILD))?;
    if base.join(name).exists() {
        return None;
    }
    let problem = |message: String| Diagnostics::from(Diagnostic::new("pattern", message));
    if text.contains("**") {
        let message = format!("the pattern `{text}` has `**`, which would search whole disks");
        let problem = Diagnostic::new("pattern", message);
        return Some(Err(problem.hint("name one folder, as in `lot/*.chip`").into()));
    }
    let below = Path::new(&glob::Pattern::escape(base.to_str()?)).join(name);
    let found = match glob::glob(below.to_str()?) {
        Ok(found) => found,
        Err(error) => {
            return Some(Err(problem(format!("the pattern `{text}` is malformed: {}", error.msg))));
        }
    };
    let not_text = not_text(&below);
    if !not_text.is_empty() {
        let names = not_text.iter().take(NOT_TEXT_MAX);
        let names =
            names.map(|path| format!("`{}`", path.strip_prefix(base).unwrap_or(path).display()));
        let more = match not_text.len().saturating_sub(NOT_TEXT_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = names.collect::<Vec<_>>().join(", ");
        let message =
            format!("the pattern `{text}` matches names that are not UTF-8: {names}{more}");
        let problem = Diagnostic::new("pattern", message);
        return Some(Err(problem.hint("rename them, or move them out of the way").into()));
    }
    let mut files = Vec::new();
    // What cannot be listed does not match.
    for file in found.flatten().filter(|file| file.is_file()).take(CHIP_FILES_MAX + 1) {
        files.push(file.strip_prefix(base).map_or_else(|_| file.clone(), Path::to_owned));
    }
    files.sort();
    Some(match files.len() {
        0 => Err(problem(format!("no file matches the pattern `{text}`"))),
        1..=CHIP_FILES_MAX => Ok(files),
        _ => Err(problem(format!("more than {CHIP_FILES_MAX} files match the pattern `{text}`"))),
    })
}

/// A name of a network, an image set, a description or a chip, as written.
#[derive(Clone, Debug)]
pub struct Name<'a> {
    /// As messages show it.
    pub(crate) text: Cow<'a, str>,
    /// As the system knows it.
    path: &'a Path,
    span: Option<Range<usize>>,
}

impl Name<'_> {
    /// No name, but a place.
    fn at(span: &Range<usize>) -> Self {
        Self { text: Cow::Borrowed(""), path: Path::new(""), span: Some(span.clone()) }
    }
}

impl<'a> From<&'a Located<String>> for Name<'a> {
    /// A name in a file.
    fn from(name: &'a Located<String>) -> Self {
        Self { span: Some(name.span.clone()), ..Self::from(name.value.as_str()) }
    }
}

impl<'a> From<&'a str> for Name<'a> {
    /// A word of the command line, or a name without a place.
    fn from(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), path: Path::new(text), span: None }
    }
}

impl<'a> From<&'a Path> for Name<'a> {
    /// A path of the command line, UTF-8 or not.
    fn from(path: &'a Path) -> Self {
        Self { text: path.to_string_lossy(), path, span: None }
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
        vmin_nn::model::load(&self.model_path(name.path)).map_err(|error| {
            let unreadable = matches!(error, ModelError::Io { .. });
            let names_it = unreadable || matches!(error, ModelError::UnknownModel { .. });
            let text = with_causes(&error);
            let text = match name.span {
                None if !names_it => format!("`{}`: {text}", name.text),
                _ => text,
            };
            let mut problem = Diagnostic::new("model", text);
            if let ModelError::UnknownModel { .. } = error {
                let bare = name.text.strip_prefix("builtin:").unwrap_or(&name.text);
                let known = vmin_nn::builtin::BUILTIN_MODELS.iter().map(|(known, _)| *known);
                let hint = closest(bare, known).map(|it| format!("did you mean `builtin:{it}`?"));
                problem = hint.into_iter().fold(problem, Diagnostic::hint);
            }
            self.problem(&name, problem, unreadable)
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
        vmin_nn::data::load_below(self.base, &name.text, split, Limits::default()).map_err(
            |error| {
                let problem = Diagnostic::new("data", with_causes(&error)).hint(error.hint());
                self.problem(&name, problem, false)
            },
        )
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

    /// A profile that is relative to V_min, for a memory whose V_min is known; any profile where it is not.
    ///
    /// # Errors
    /// The profile has the voltages of a real supply.
    pub fn with_vmin(
        &self,
        profile: VoltageProfile,
        vmin_mv: Option<&Located<f64>>,
    ) -> Result<VoltageProfile, Diagnostics> {
        let Some(vmin_mv) = vmin_mv else { return Ok(profile) };
        match profile.reference() {
            VddReference::Vmin { .. } => Ok(profile.at_vmin(vmin_mv.value)),
            VddReference::Absolute => {
                let message =
                    format!("profile `{}` has the voltages of a real supply", profile.name());
                let problem = Diagnostic::new("vmin", message).hint(
                    "leave V_min away, or name a profile that is relative to it, such as `sram14`",
                );
                let place = Name::at(&vmin_mv.span);
                Err(self.problem(&place, problem, false))
            }
        }
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
        chip_file::read(&self.base.join(name.path), &name.text).map_err(|problem| {
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

    /// The names of chip files in a list of names and patterns, those of a pattern sorted and at its place.
    ///
    /// # Errors
    /// A pattern that no file matches, a name that is not UTF-8, a file named twice, or too many.
    pub fn chip_files(
        &self,
        listed: &[Located<String>],
    ) -> Result<Vec<Located<String>>, Diagnostics> {
        let mut files: Vec<Located<String>> = Vec::new();
        // Whether a pattern led to the file; the reader of experiments has found names that repeat each other.
        let mut known: BTreeMap<String, bool> = BTreeMap::new();
        let mut problems = Vec::new();
        for name in listed {
            let found = matching(self.base, Path::new(&name.value));
            let is_pattern = found.is_some();
            let found = found.unwrap_or_else(|| Ok(vec![PathBuf::from(&name.value)]));
            let mut report = |problem| {
                problems.extend(self.problem(&Name::from(name), problem, true).into_list());
            };
            match found {
                Err(found) => found.into_list().into_iter().for_each(report),
                Ok(found) => {
                    for file in found {
                        let Some(value) = file.to_str().map(str::to_owned) else {
                            let message = format!("the name `{}` is not UTF-8", file.display());
                            report(Diagnostic::new("not-utf8", message));
                            continue;
                        };
                        let before = known.insert(value.clone(), is_pattern);
                        if before.is_some_and(|before| before || is_pattern) {
                            let message = format!("chip file `{value}` is named twice");
                            report(Diagnostic::new("repeated", message));
                        }
                        files.push(Located { value, span: name.span.clone() });
                    }
                }
            }
        }
        if let (CHIP_FILES_MAX.., Some(last)) = (files.len().saturating_sub(1), listed.last()) {
            let message = format!("{} chip files are named", files.len());
            let problem = Diagnostic::new("too-many", message);
            let problem = problem.allowed(format!("expected at most {CHIP_FILES_MAX}"));
            problems.extend(self.problem(&Name::from(last), problem, false).into_list());
        }
        Diagnostics::from_list(problems).map_or(Ok(files), Err)
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
            let place = Name::at(&bits.span);
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
                let place = Name::at(span);
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
    pub fn model_path(&self, name: impl AsRef<Path>) -> PathBuf {
        let name = name.as_ref();
        let is_builtin = name.as_os_str().as_encoded_bytes().starts_with(b"builtin:");
        if is_builtin { name.into() } else { self.base.join(name) }
    }

    /// A shipped name as it is, anything else as a path.
    fn shipped<T>(
        &self,
        name: &Name<'_>,
        shipped: &[&str],
        load: fn(PathBuf) -> Result<T, Diagnostics>,
    ) -> Result<T, Diagnostics> {
        let a_path = name.text.contains(['/', '\\']) || name.text.ends_with(".toml");
        let a_name = shipped.contains(&&*name.text) || !a_path;
        let path = if a_name { name.path.into() } else { self.base.join(name.path) };
        load(path).map_err(|found| {
            // Problems within the text of a description have a place there.
            let place = |problem: Diagnostic| match (&problem.source, self.source, &name.span) {
                (None, Some(source), Some(span)) => problem.at(source, span.clone()),
                _ => problem,
            };
            let placed = found.into_list().into_iter().map(place).collect();
            Diagnostics::from_list(placed).expect("as many as were found")
        })
    }

    pub(crate) fn problem(
        &self,
        name: &Name<'_>,
        problem: Diagnostic,
        unreadable: bool,
    ) -> Diagnostics {
        let Some(source) = self.source else { return problem.into() };
        let problem = if unreadable { problem.hint(RELATIVE) } else { problem };
        match &name.span {
            Some(span) => problem.at(source, span.clone()).into(),
            None => problem.into(),
        }
    }
}
