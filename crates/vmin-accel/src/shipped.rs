//! Descriptions that ship with the program.

/// Names and texts of TOML files in a folder of the repository.
macro_rules! shipped {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $folder, "/", $name, ".toml")),
        )),*]
    };
}
pub(crate) use shipped;
