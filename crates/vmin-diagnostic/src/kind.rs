//! Kinds of TOML files, told apart by their top-level keys.

use crate::{Document, Source};

/// A kind of TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A sweep.
    Experiment,
    /// An accelerator.
    Accelerator,
    /// A voltage profile.
    Profile,
    /// A design space.
    Space,
    /// A training recipe.
    Recipe,
    /// Costs of protection.
    Costs,
}

impl FileKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Experiment,
        Self::Accelerator,
        Self::Profile,
        Self::Space,
        Self::Recipe,
        Self::Costs,
    ];

    /// The kind of a text, told by its top-level keys; none if it is no TOML or of no kind.
    #[must_use]
    pub fn of(source: &Source) -> Option<Self> {
        let document = Document::parse(source).ok()?;
        let root = document.root();
        Self::ALL.into_iter().find(|kind| kind.marks().iter().all(|key| root.has(key)))
    }

    /// In one word, the argument of `vmin init` and `vmin schema`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Accelerator => "accelerator",
            Self::Profile => "profile",
            Self::Space => "space",
            Self::Recipe => "recipe",
            Self::Costs => "costs",
        }
    }

    /// In words, with an article.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Experiment => "an experiment",
            Self::Accelerator => "an accelerator",
            Self::Profile => "a voltage profile",
            Self::Space => "a design space",
            Self::Recipe => "a training recipe",
            Self::Costs => "a table of protection costs",
        }
    }

    /// Where such a file goes.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Experiment => "`vmin sweep` and `vmin check` take experiments",
            Self::Accelerator => "`--accelerator` and `[accelerator] model` take accelerators",
            Self::Profile => "`--profile` and `[memory] profile` take voltage profiles",
            Self::Space => "`vmin explore` takes design spaces",
            Self::Recipe => "`vmin train` takes recipes",
            Self::Costs => "`[protection] costs` takes tables of protection costs",
        }
    }

    /// Keys that together no other kind has.
    const fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Experiment => &["network", "data", "accelerator", "memory"],
            Self::Accelerator => &["array"],
            Self::Profile => &["curve", "population", "vdd_mv_range"],
            Self::Space => &["network", "accelerator", "memory", "vary"],
            Self::Recipe => &["network", "epochs", "schedule"],
            Self::Costs => &["cost"],
        }
    }

    /// The kind of a file that is not of this one: it has all marks of the other, and lacks some of its own.
    pub(crate) fn mistaken(self, has: impl Fn(&str) -> bool) -> Option<Self> {
        let is = |kind: &Self| kind.marks().iter().all(|key| has(key));
        if is(&self) {
            return None;
        }
        Self::ALL.into_iter().find(is)
    }
}
