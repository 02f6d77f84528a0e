//! What an experiment asks.

/// What an experiment asks of its chips, if a command leaves that to the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Question {
    /// All chips at all supplies.
    #[default]
    Sweep,
    /// The lowest supply at which each chip works.
    Vmin,
    /// The share of chips that work at each supply.
    Yield,
    /// What one more faulty cell costs.
    Sensitivity,
}

impl Question {
    /// Every question with its word, which is also that of its command.
    pub const ALL: [(&'static str, Self); 4] = [
        ("sweep", Self::Sweep),
        ("vmin", Self::Vmin),
        ("yield", Self::Yield),
        ("sensitivity", Self::Sensitivity),
    ];

    /// Its word in files, and its command.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Vmin => "vmin",
            Self::Yield => "yield",
            Self::Sensitivity => "sensitivity",
        }
    }
}
