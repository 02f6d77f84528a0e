//! Embedded networks: one line per file in `assets/`.

/// Name after `builtin:` and the bytes of the model file.
///
/// `shapes-cnn` is the default; the others are one smaller network trained in eight ways, by the
/// recipes of the same names.
pub const BUILTIN_MODELS: &[(&str, &[u8])] = &[
    ("shapes-cnn", include_bytes!("../assets/shapes-cnn.safetensors")),
    ("shapes-normal-8bit", include_bytes!("../assets/shapes-normal-8bit.safetensors")),
    ("shapes-rquant-8bit", include_bytes!("../assets/shapes-rquant-8bit.safetensors")),
    ("shapes-clipping-8bit", include_bytes!("../assets/shapes-clipping-8bit.safetensors")),
    ("shapes-randbet-8bit", include_bytes!("../assets/shapes-randbet-8bit.safetensors")),
    ("shapes-normal-4bit", include_bytes!("../assets/shapes-normal-4bit.safetensors")),
    ("shapes-rquant-4bit", include_bytes!("../assets/shapes-rquant-4bit.safetensors")),
    ("shapes-clipping-4bit", include_bytes!("../assets/shapes-clipping-4bit.safetensors")),
    ("shapes-randbet-4bit", include_bytes!("../assets/shapes-randbet-4bit.safetensors")),
];

/// The bytes of a built-in model.
#[must_use]
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    BUILTIN_MODELS.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_model_loads_and_names_are_unique() {
        for (name, bytes) in BUILTIN_MODELS {
            let graph = crate::import::native::load(bytes, &crate::Limits::default());
            graph.unwrap_or_else(|error| panic!("builtin:{name}: {error}"));
            assert_eq!(BUILTIN_MODELS.iter().filter(|(n, _)| n == name).count(), 1);
        }
    }
}
