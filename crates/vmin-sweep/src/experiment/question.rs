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
    /// Which supply each memory gets, with which remedy.
    Assign,
}

impl Question {
    /// Every question with its word, which is also that of its command.
    pub const ALL: [(&'static str, Self); 5] = [
        ("sweep", Self::Sweep),
        ("vmin", Self::Vmin),
        ("yield", Self::Yield),
        ("sensitivity", Self::Sensitivity),
        ("assign", Self::Assign),
    ];
}
