//! Limits of an import.

/// Upper bounds, checked before memory of that size is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportLimits {
    /// Bytes of one file after decompression. They are streamed, so this bounds time, not memory.
    pub unpacked_bytes_max: u64,
    /// Most observations (a faulty cell at a voltage) of all files; by default as many as fit into the
    /// size of the largest file and 64 MiB.
    pub observations_max: Option<u64>,
    /// Most different voltages.
    pub levels_max: u64,
    /// Longest line of a text, in bytes.
    pub line_bytes_max: usize,
}

impl Default for ImportLimits {
    /// 8 GiB a file, observations as the files' size allows, 4,096 voltages, lines of 1 MiB.
    fn default() -> Self {
        Self {
            unpacked_bytes_max: 8 << 30,
            observations_max: None,
            levels_max: 4096,
            line_bytes_max: 1 << 20,
        }
    }
}
