//! Diagnostics with positions, and a spanned TOML reader that reports every problem of a file at once.
